//! Values of the environment, so that two of them can be held against each other and none can be read.

use std::collections::BTreeMap;

use ring::hmac;

use super::file::hex;
use crate::model::Sealed;

/// So many hexadecimal digits tell keys apart.
const KEY_DIGITS: usize = 16;

/// Values of the environment that choose what is drilled. They are secret: only [`seal`] looks at them, and names alone
/// are shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Choices {
    values: BTreeMap<String, Option<String>>,
}

impl Choices {
    /// Adds the value of the variable `name`; `None`: it is not set.
    pub(super) fn add(&mut self, name: &str, value: Option<String>) {
        self.values.insert(name.to_owned(), value);
    }

    /// The names of the variables.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }

    /// Whether the environment chooses nothing.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl std::fmt::Debug for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Seals `choices`, by the names of their variables, with `key`. Those that are not set are left out.
///
/// A zero byte can stand in no variable: no two pairs of name and value are sealed as one, nor is any as the nothing
/// that the key is told by.
pub fn seal(key: &[u8], choices: &Choices) -> Sealed {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let digest = |text: &str| hex(hmac::sign(&key, text.as_bytes()).as_ref());
    let set = choices.values.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let values =
        set.map(|(name, value)| (name.clone(), digest(&format!("{name}\0{value}")))).collect();
    let mut known_by = digest("");
    known_by.truncate(KEY_DIGITS);
    Sealed { key: known_by, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: &[u8], values: &[(&str, Option<&str>)]) -> Sealed {
        let mut choices = Choices::default();
        for (name, value) in values {
            choices.add(name, value.map(str::to_owned));
        }
        assert!(!format!("{choices:?}").contains("hunter2"), "{choices:?}");
        seal(key, &choices)
    }

    #[test]
    fn it_is_the_hmac_of_rfc_2104_over_name_and_value() {
        // Both computed by another implementation.
        let found = sealed(&[7; 32], &[("HOST", Some("a.example"))]);
        assert_eq!(found.key, "9dac6a74401b46ed");
        assert_eq!(
            found.values["HOST"],
            "a08c83c85033328382997505640cc320ab7a2e69dd5dc1b2d26e9fb7f0e09bc3"
        );
    }

    #[test]
    fn every_key_name_and_value_makes_another_and_no_value_can_be_read() {
        let of = |key: u8, name: &str, value: &str| {
            sealed(&[key; 32], &[(name, Some(value))]).values[name].clone()
        };
        let all =
            [of(1, "A", "x"), of(2, "A", "x"), of(1, "B", "x"), of(1, "A", "y"), of(1, "A", "")];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_ne!(sealed(&[1; 32], &[]).key, sealed(&[2; 32], &[]).key);
        let shown = format!("{:?}", sealed(&[1; 32], &[("A", Some("hunter2")), ("B", None)]));
        assert!(!shown.contains("hunter2") && !shown.contains("\"B\""), "{shown}");
    }
}
