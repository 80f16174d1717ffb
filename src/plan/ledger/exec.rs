//! `exec`: a command that writes and reads.

use crate::model::ExecLedger;
use crate::plan::read::{Reader, Value};

/// Reads `exec: [PROGRAM, ARGUMENT…]`.
pub(super) fn exec(reader: &mut Reader, value: Value) -> Option<ExecLedger> {
    let words = reader.list(value, "a program and its arguments, such as `[./ledger.sh, orders]`");
    let command: Vec<_> =
        words.into_iter().filter_map(|word| Some(reader.text(word, false)?.value)).collect();
    (!command.is_empty()).then_some(ExecLedger { command })
}
