//! Secrets of the plan that an API says back: what is read is written into the journal and the record, and they must not be.

use crate::model::{Part, Text};

/// A secret that is shorter is none: numbers and flags come from the environment too, and stand everywhere.
const SHORTEST: usize = 8;

/// The secrets of a plan, as they stand in JSON, each with the placeholder that is shown in its place.
#[derive(Default)]
pub(super) struct Secrets(Vec<(String, String)>);

impl Secrets {
    pub fn of(texts: &[Text]) -> Secrets {
        let parts = texts.iter().flat_map(Text::parts);
        let secrets = parts.filter_map(|part| match part {
            Part::Secret { value, .. } if value.chars().count() >= SHORTEST => {
                let quoted = serde_json::Value::from(value.as_str()).to_string();
                Some((quoted[1..quoted.len() - 1].to_owned(), part.to_string()))
            }
            _ => None,
        });
        let mut secrets: Vec<_> = secrets.collect();
        // One that begins as another does must go first, or its end is left.
        secrets.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then(one.cmp(other)));
        secrets.dedup_by(|(one, _), (other, _)| one == other);
        Secrets(secrets)
    }

    /// `json` with placeholders for secrets.
    pub fn hide(&self, json: &str) -> String {
        self.0.iter().fold(json.to_owned(), |json, (secret, name)| json.replace(secret, name))
    }

    /// The same with secrets for placeholders again.
    pub fn reveal(&self, json: &str) -> String {
        self.0.iter().fold(json.to_owned(), |json, (secret, name)| json.replace(name, secret))
    }

    /// Whether `json` would come back as it was.
    pub fn can_hide(&self, json: &str) -> bool {
        self.reveal(&self.hide(json)) == json
    }
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
        assert_eq!(secrets.hide(json), r#"{"key":"${env:A}","other":"${env:B}","weight":10}"#);
        assert!(secrets.can_hide(json), "{}", secrets.reveal(&secrets.hide(json)));
        assert!(!secrets.can_hide(r#""${env:A}""#), "it would become the secret");
        assert!(secrets.can_hide(r#""${env:OTHER} ${env:N}""#));
    }
}
