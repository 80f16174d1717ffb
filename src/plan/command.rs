//! Commands that a plan names.

use crate::model::Text;

use super::read::{Reader, Value};

/// A program and its arguments, such as `example`; reports it if there is none.
pub(super) fn command(reader: &mut Reader, value: Value, example: &str) -> Option<Vec<Text>> {
    let wanted = format!("a program and its arguments, such as `{example}`");
    let words = reader.list(value, &wanted);
    let words: Vec<Text> =
        words.into_iter().filter_map(|word| Some(reader.text(word, false)?.value)).collect();
    if words.is_empty() {
        reader.wrong(value, &wanted, None);
        return None;
    }
    Some(words)
}
