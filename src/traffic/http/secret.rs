//! Secrets of the plan that an API says back: what is read is written into the journal and the record, and they must not be.

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::model::{Part, Text};

/// A secret that is shorter is none: numbers and flags come from the environment too, and stand everywhere.
const SHORTEST: usize = 8;

/// So many bytes of a value's digest stand in its placeholder: enough to notice another value, too few to find this one.
const CHECK: usize = 2;

/// The secrets of a plan.
#[derive(Default)]
pub(super) struct Secrets {
    /// Each with the placeholder that is shown in its place.
    values: Vec<(String, String)>,
    /// The names of all, also of those whose values are too short to be hidden.
    names: Vec<String>,
}

impl Secrets {
    pub fn of(texts: &[Text]) -> Secrets {
        let mut secrets = Secrets::default();
        for part in texts.iter().flat_map(Text::parts) {
            let Part::Secret { name, value } = part else { continue };
            secrets.names.push(name.clone());
            if value.chars().count() >= SHORTEST {
                secrets.values.push((value.clone(), placeholder(name, value)));
            }
        }
        // One that begins as another does must go first, or its end is left.
        secrets
            .values
            .sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then(one.cmp(other)));
        secrets.values.dedup_by(|(one, _), (other, _)| one == other);
        secrets
    }

    /// `json` with placeholders for secrets in its strings.
    pub fn hide(&self, json: &str) -> String {
        let pairs = self.values.iter().map(|(value, place)| (value.as_str(), place.as_str()));
        replaced(json, &pairs.collect::<Vec<_>>())
    }

    /// The same with secrets for placeholders again.
    pub fn reveal(&self, json: &str) -> String {
        let pairs = self.values.iter().map(|(value, place)| (place.as_str(), value.as_str()));
        replaced(json, &pairs.collect::<Vec<_>>())
    }

    /// Whether `json` would come back as it was.
    pub fn can_hide(&self, json: &str) -> bool {
        self.left(json).is_none() && self.reveal(&self.hide(json)) == json
    }

    /// A variable whose placeholder is in `json`. Once secrets are revealed there is none, or it has another value than
    /// the one that was hidden.
    pub fn left(&self, json: &str) -> Option<&str> {
        let is_left =
            |name: &str| ["#", "}"].iter().any(|end| json.contains(&format!("${{env:{name}{end}")));
        self.names.iter().map(String::as_str).find(|name| is_left(name))
    }
}

/// What is shown for a secret. Its value has a check in it, so that no other value is taken for it later.
fn placeholder(name: &str, value: &str) -> String {
    let whole = digest(&SHA256, value.as_bytes());
    let bytes = whole.as_ref().iter().take(CHECK);
    let check = bytes.map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("${{env:{name}#{check}}}")
}

/// `json` with the second of each pair for the first in its strings. Numbers stay, as it would be no JSON with a placeholder
/// for one. In what is no JSON they are sought as JSON has them.
fn replaced(json: &str, pairs: &[(&str, &str)]) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(json) else {
        let replace =
            |text: String, (from, to): &(&str, &str)| text.replace(&quoted(from), &quoted(to));
        return pairs.iter().fold(json.to_owned(), replace);
    };
    replace_in(&mut value, pairs);
    value.to_string()
}

fn replace_in(value: &mut Value, pairs: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (from, to) in pairs {
                *text = text.replace(*from, to);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|it| replace_in(it, pairs)),
        Value::Object(members) => members.values_mut().for_each(|it| replace_in(it, pairs)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `text` as it stands in a string of JSON.
fn quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, value: &str) -> Text {
        Text::new(vec![Part::Secret { name: name.to_owned(), value: value.to_owned() }])
    }

    #[test]
    fn what_is_hidden_comes_back_and_what_would_not_is_told() {
        let texts =
            [secret("A", "hun\"ter2-long"), secret("B", "hun\"ter2-long-er"), secret("N", "10")];
        let secrets = Secrets::of(&texts);
        let json = r#"{"key":"hun\"ter2-long","other":"hun\"ter2-long-er","weight":10}"#;
        let hidden = r#"{"key":"${env:A#1737}","other":"${env:B#ec9b}","weight":10}"#;
        assert_eq!(secrets.hide(json), hidden);
        assert_eq!(secrets.hide("no JSON: hun\\\"ter2-long"), "no JSON: ${env:A#1737}");
        assert!(secrets.can_hide(json), "{}", secrets.reveal(&secrets.hide(json)));
        for place in ["${env:A#1737}", "${env:A#0000}", "${env:A}", "${env:N}"] {
            assert!(!secrets.can_hide(&format!("\"{place}\"")), "{place} stands for a secret");
        }
        assert!(secrets.can_hide(r#""${env:OTHER} ${env:NN}""#));
    }

    #[test]
    fn another_value_neither_reveals_what_is_hidden_nor_reads_alike() {
        let hidden = Secrets::of(&[secret("A", "the-first-value")]).hide("\"the-first-value\"");
        for value in ["another-value", "short", ""] {
            let secrets = Secrets::of(&[secret("A", value)]);
            assert_eq!(secrets.reveal(&hidden), hidden);
            assert_eq!(secrets.left(&hidden), Some("A"));
            assert_ne!(secrets.hide(&format!("\"{value}\"")), hidden);
        }
        let same = Secrets::of(&[secret("A", "the-first-value")]);
        assert_eq!(same.left(&same.reveal(&hidden)), None);
    }

    #[test]
    fn what_is_hidden_stays_json() {
        let secrets = Secrets::of(&[secret("ACCOUNT", "123456789012")]);
        let json = r#"{"account":123456789012,"list":["of 123456789012",null,1.5]}"#;
        let hidden = r#"{"account":123456789012,"list":["of ${env:ACCOUNT#2a33}",null,1.5]}"#;
        assert_eq!(secrets.hide(json), hidden);
        assert_eq!(secrets.reveal(hidden), json);
    }
}
