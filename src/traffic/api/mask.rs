//! What must not be shown.

use std::fmt;

use crate::model::query_value;

/// Stands where a secret stood.
const MASKED: &str = "***";

/// Secrets, in every form in which they may come back.
#[derive(Default, Clone)]
pub(in crate::traffic) struct Mask(Vec<String>);

impl Mask {
    /// This one, and `secrets` too.
    pub(in crate::traffic) fn and<'s>(
        mut self,
        secrets: impl IntoIterator<Item = &'s str>,
    ) -> Mask {
        for secret in secrets {
            let quoted = serde_json::Value::from(secret).to_string();
            let in_json = quoted[1..quoted.len() - 1].to_owned();
            self.0.extend([secret.to_owned(), in_json, query_value(secret)]);
        }
        self.0.retain(|form| !form.is_empty());
        // One that begins as another does must go first, or its end is left.
        self.0.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        self.0.dedup();
        self
    }

    /// `text` without them.
    pub(in crate::traffic) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), MASKED))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}
