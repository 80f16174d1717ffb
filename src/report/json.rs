//! The record as JSON that people can read: lists of numbers and words stay in one line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::model::{RunRecord, is_runner_command, is_steering};

/// The whole run record as JSON, as `docs/record.md` describes it, with a line break at its end.
///
/// # Errors
/// None are known; serde's type leaves room for them.
pub fn json(record: &RunRecord) -> Result<Vec<u8>, serde_json::Error> {
    pretty(record)
}

/// Anything as JSON in the form of the run record, with a line break at its end.
///
/// # Errors
/// As [`json`].
pub fn pretty(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// JSON in one line in which nothing steers a terminal or turns the reading direction.
pub struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        harmless(out, text)
    }
}

/// Writes a piece of a string, with what would steer a reader's terminal or a CI runner as escapes: it is read back as
/// it was.
fn harmless<W: ?Sized + Write>(out: &mut W, text: &str) -> io::Result<()> {
    // Nearly every string, and there are many.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("##") {
        return out.write_all(text.as_bytes());
    }
    let mut written = 0;
    for (at, c) in text.char_indices() {
        if is_steering(c) || is_runner_command(text, at) {
            out.write_all(&text.as_bytes()[written..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            written = at + c.len_utf8();
        }
    }
    out.write_all(&text.as_bytes()[written..])
}

/// Every field has a line of its own, and so has every object in a list; a list of anything else has one.
#[derive(Default)]
struct Lines {
    /// The open objects and lists, and whether an object or list was written in each.
    open: Vec<Level>,
}

struct Level {
    is_list: bool,
    nested: bool,
    empty: bool,
}

impl Lines {
    fn turn<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.open.len()).try_for_each(|_| out.write_all(b"  "))
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, is_list: bool) -> io::Result<()> {
        if let Some(level) = self.open.last_mut().filter(|level| level.is_list) {
            level.nested = true;
            self.turn(out)?;
        }
        self.open.push(Level { is_list, nested: false, empty: true });
        out.write_all(if is_list { b"[" } else { b"{" })
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, close: &[u8]) -> io::Result<()> {
        let ended = self.open.pop();
        if ended.is_some_and(|level| level.nested || !(level.is_list || level.empty)) {
            self.turn(out)?;
        }
        out.write_all(close)
    }
}

impl Formatter for Lines {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        harmless(out, text)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, true)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, false)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if let Some(level) = self.open.last_mut() {
            level.empty = false;
        }
        if !first {
            out.write_all(b",")?;
        }
        self.turn(out)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(value: &serde_json::Value) -> String {
        let mut bytes = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default())).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn commands_to_a_ci_runner_are_escaped_and_read_back() {
        let value = serde_json::json!({ "a": "### one ##[error]x \u{1b} ###vso[x]\"##[group]" });
        let text = lines(&value);
        assert!(!text.contains("##[") && !text.contains("##vso") && text.contains("### one"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn lists_of_numbers_stay_in_one_line_and_objects_do_not() {
        let value = serde_json::json!({
            "a": [1, null, "x"],
            "b": [{ "c": 1 }, { "d": [] }],
            "e": {},
            "f": [[1, 2], [3]],
        });
        let expected = r#"{
  "a": [1,null,"x"],
  "b": [
    {
      "c": 1
    },
    {
      "d": []
    }
  ],
  "e": {},
  "f": [
    [1,2],
    [3]
  ]
}"#;
        assert_eq!(lines(&value), expected);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&lines(&value)).unwrap(), value);
    }
}
