//! `exec`: commands that write and read.

use crate::model::{ExecLedger, Text};
use crate::plan::read::{Label, Reader, Value};

/// Reads `exec: { write: [PROGRAM, ARGUMENT…], read: […], remove: […] }`.
pub(super) fn exec(reader: &mut Reader, value: Value) -> Option<ExecLedger> {
    let fields = reader.fields(value, Label("", "exec"), &["write", "read", "remove"])?;
    let write = fields.need(reader, "write", "[./ledger.sh, write]");
    let read = fields.need(reader, "read", "[./ledger.sh, read]");
    let write = write.and_then(|value| command(reader, value));
    let read = read.and_then(|value| command(reader, value));
    let remove = fields.get("remove").and_then(|value| command(reader, value));
    Some(ExecLedger { write: write?, read: read?, remove })
}

fn command(reader: &mut Reader, value: Value) -> Option<Vec<Text>> {
    let wanted = "a program and its arguments, such as `[./ledger.sh, write]`";
    let words = reader.list(value, wanted);
    let words: Vec<Text> =
        words.into_iter().filter_map(|word| Some(reader.text(word, false)?.value)).collect();
    if words.is_empty() {
        reader.wrong(value, wanted, None);
        return None;
    }
    Some(words)
}
