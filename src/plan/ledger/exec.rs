//! `exec`: commands that write and read.

use crate::model::ExecLedger;
use crate::plan::command::command;
use crate::plan::read::{Label, Reader, Value};

/// Reads `exec: { write: [PROGRAM, ARGUMENT…], read: […], remove: […] }`.
pub(super) fn exec(reader: &mut Reader, value: Value) -> Option<ExecLedger> {
    let fields = reader.fields(value, Label("", "exec"), &["write", "read", "remove"])?;
    let write = fields.need(reader, "write", "[./ledger.sh, write]");
    let read = fields.need(reader, "read", "[./ledger.sh, read]");
    let write = write.and_then(|value| command(reader, value, "[./ledger.sh, write]"));
    let read = read.and_then(|value| command(reader, value, "[./ledger.sh, write]"));
    let remove =
        fields.get("remove").and_then(|value| command(reader, value, "[./ledger.sh, write]"));
    Some(ExecLedger { write: write?, read: read?, remove })
}
