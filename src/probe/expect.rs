//! Whether an answer is what a user would call right.

use serde_json::Value;

use super::PrepareError;
use super::served_by::Source;
use super::target::reveal;
use crate::model::{HttpExpect, Outcome, Reason, ServedBy};

/// The most that is kept of a body that must be looked into.
pub(super) const MOST_BODY: usize = 1 << 20;

/// An [`HttpExpect`] made ready.
pub(super) struct Expect {
    status: Vec<(u16, u16)>,
    text: Option<String>,
    json: Vec<(String, Value)>,
}

impl Expect {
    /// Makes `expect` ready.
    pub(super) fn prepare(
        expect: &HttpExpect,
        lab: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PrepareError> {
        let pointer_of = |(pointer, _): &(String, Value)| {
            (!pointer.is_empty() && !pointer.starts_with('/')).then(|| pointer.clone())
        };
        if let Some(pointer) = expect.json.iter().find_map(pointer_of) {
            return Err(PrepareError::new(
                format!("`{pointer}` is not a JSON pointer"),
                format!("write `/{pointer}`"),
            ));
        }
        let text = expect.body.as_ref().map(|text| reveal(text, lab)).transpose()?;
        Ok(Expect { status: expect.status.clone(), text, json: expect.json.clone() })
    }

    /// Whether `status` is a right one.
    pub(super) fn allows(&self, status: u16) -> bool {
        self.status.iter().any(|&(first, last)| (first..=last).contains(&status))
    }

    /// Whether the body decides.
    pub(super) fn needs_body(&self) -> bool {
        self.text.is_some() || !self.json.is_empty()
    }

    /// Judges a whole body, and reads from it who answered, if `source` is in there.
    pub(super) fn judge(
        &self,
        body: &[u8],
        source: &Source,
    ) -> (Result<(), Outcome>, Option<ServedBy>) {
        let wants_json = source.needs_body() || !self.json.is_empty();
        let json: Option<Value> = if wants_json { serde_json::from_slice(body).ok() } else { None };
        let holds = |(pointer, expected): &(String, Value)| {
            json.as_ref().and_then(|json| json.pointer(pointer)) == Some(expected)
        };
        let text_right =
            self.text.as_ref().is_none_or(|text| String::from_utf8_lossy(body).contains(text));
        let right = text_right && self.json.iter().all(holds);
        let judged = if right { Ok(()) } else { Err(Outcome::Bad(Reason::Body)) };
        (judged, source.by_json(json.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(body: Option<&str>, json: &[(&str, Value)]) -> Expect {
        let json = json.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone()));
        let body = body.map(Into::into);
        let spec = HttpExpect { status: vec![(200, 204), (301, 301)], body, json: json.collect() };
        Expect::prepare(&spec, &|_| None).unwrap()
    }

    fn right(expect: &Expect, body: &str) -> bool {
        expect.judge(body.as_bytes(), &Source::None).0.is_ok()
    }

    #[test]
    fn status_ranges_include_both_ends() {
        let expect = expect(None, &[]);
        let allowed: Vec<u16> = (100..600).filter(|&status| expect.allows(status)).collect();
        assert_eq!(allowed, [200, 201, 202, 203, 204, 301]);
        assert!(!expect.needs_body() && right(&expect, "anything"));
    }

    #[test]
    fn text_and_every_pointer_must_hold() {
        let expect = expect(Some("up"), &[("/a/0", 1.into()), ("/b", Value::Null)]);
        assert!(right(&expect, r#"{"a": [1], "b": null, "state": "up"}"#));
        assert!(!right(&expect, r#"{"a": [1], "b": null}"#), "no text");
        assert!(!right(&expect, r#"{"a": [2], "b": null, "state": "up"}"#), "wrong value");
        assert!(!right(&expect, r#"{"a": [1], "state": "up"}"#), "nothing there");
        assert!(!right(&expect, "up but not JSON"));
        assert!(!right(&expect, "\u{fffd}"));
    }

    #[test]
    fn a_pointer_without_its_slash_is_refused_with_the_right_one() {
        let spec = HttpExpect { status: vec![], body: None, json: vec![("ok".into(), 1.into())] };
        let refused = Expect::prepare(&spec, &|_| None).err().unwrap();
        assert!(refused.hint.contains("`/ok`"), "{refused}");
    }
}
