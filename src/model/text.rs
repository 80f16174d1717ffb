//! Text from a plan that may hold secrets and parts that are known only when the drill runs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text with `${env:NAME}`, `${lab:SERVICE}` and plain parts.
///
/// Showing or serialising it puts the placeholder where the secret stands; only
/// [`Text::reveal`] gives the value, and only edges that connect or send call it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text {
    parts: Vec<Part>,
}

/// A piece of a [`Text`].
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Written in the plan, or given by `--var`.
    Plain(String),
    /// A value from the environment: never shown.
    Secret {
        /// The variable's name, shown in place of the value.
        name: String,
        /// The value.
        value: String,
    },
    /// The address of a lab service, as `http://HOST:PORT`, known once the lab stands.
    Lab(String),
}

impl Text {
    /// Text made of `parts`.
    pub fn new(parts: Vec<Part>) -> Self {
        Text { parts }
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole value, secrets included, with lab addresses given by `lab`.
    ///
    /// A lab service that `lab` does not know leaves its placeholder in the text.
    pub fn reveal(&self, lab: &dyn Fn(&str) -> Option<String>) -> String {
        let mut whole = String::new();
        for part in &self.parts {
            match part {
                Part::Plain(text) => whole.push_str(text),
                Part::Secret { value, .. } => whole.push_str(value),
                Part::Lab(service) => match lab(service) {
                    Some(address) => whole.push_str(&address),
                    None => whole.push_str(&part.to_string()),
                },
            }
        }
        whole
    }

    /// The whole value where no lab address can occur, as in paths and provider settings.
    pub fn reveal_plain(&self) -> String {
        self.reveal(&|_| None)
    }

    /// The text as it was before it was written down and read back: what stands in its `${env:NAME}`
    /// comes from `env` again.
    ///
    /// # Errors
    /// The name of the first variable that `env` does not know.
    pub fn filled(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Text, String> {
        let shown = self.to_string();
        let (mut parts, mut rest) = (Vec::new(), shown.as_str());
        while let Some((plain, behind)) = rest.split_once("${env:") {
            let Some((name, after)) = behind.split_once('}') else { break };
            let value = env(name).ok_or_else(|| name.to_owned())?;
            parts.push(Part::Plain(plain.to_owned()));
            parts.push(Part::Secret { name: name.to_owned(), value });
            rest = after;
        }
        parts.push(Part::Plain(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Plain(text) if text.is_empty()));
        Ok(Text { parts })
    }

    /// The text with `map` applied to what the plan itself says, and not to what stands in placeholders.
    pub fn mapped(&self, map: impl Fn(&str) -> String) -> Text {
        let parts = self.parts.iter().map(|part| match part {
            Part::Plain(text) => Part::Plain(map(text)),
            other => other.clone(),
        });
        Text { parts: parts.collect() }
    }

    /// The values that must never be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Secret { value, .. } => Some(value.as_str()),
            _ => None,
        })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text { parts: vec![Part::Plain(text.to_owned())] }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Plain(text) => f.write_str(text),
            Part::Secret { name, .. } => write!(f, "${{env:{name}}}"),
            Part::Lab(service) => write!(f, "${{lab:{service}}}"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| part.fmt(f))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl schemars::JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    /// Reads the shown form back: placeholders stay placeholders, since the values were not written.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Text::from(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_revealed_to_edges_only() {
        let text = Text::new(vec![
            Part::Plain("Bearer ".into()),
            Part::Secret { name: "TOKEN".into(), value: "hunter2".into() },
        ]);
        assert_eq!(text.reveal_plain(), "Bearer hunter2");
        for shown in [text.to_string(), format!("{text:?}"), serde_json::to_string(&text).unwrap()]
        {
            assert!(shown.contains("${env:TOKEN}") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_lab_address_is_filled_in_when_it_is_known() {
        let text = Text::new(vec![Part::Lab("talk".into()), Part::Plain("/send".into())]);
        let known = text.reveal(&|name| (name == "talk").then(|| "http://127.0.0.1:80".into()));
        assert_eq!(known, "http://127.0.0.1:80/send");
        assert_eq!(text.reveal_plain(), "${lab:talk}/send");
    }

    #[test]
    fn what_was_written_down_gets_its_secrets_from_the_environment_again() {
        let part = |value: &str| Part::Secret { name: "TOKEN".into(), value: value.into() };
        let plain = |text: &str| Part::Plain(text.into());
        let text = Text::new(vec![plain("a"), part("old"), plain("b")]);
        let json = serde_json::to_string(&text).unwrap();
        let read: Text = serde_json::from_str(&json).unwrap();
        let filled = read.filled(&|name| (name == "TOKEN").then(|| "new".to_owned())).unwrap();
        assert_eq!(filled, Text::new(vec![plain("a"), part("new"), plain("b")]));
        assert_eq!(read.filled(&|_| None), Err("TOKEN".to_owned()));
        assert_eq!(Text::from("${env:").filled(&|_| None).unwrap().to_string(), "${env:");
    }
}
