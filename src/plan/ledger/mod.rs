//! Ledgers: where numbered records are written to, one file a kind of store.

mod exec;
mod fit;
mod http;

use std::time::Duration;

pub(super) use fit::{fits, is_exec, places, time_to_read};

use super::read::{Label, Reader, Value};
use crate::model::{LedgerProbe, LedgerStore};

/// What is waited for records that are missing, if the plan does not say.
const SETTLE: Duration = Duration::from_secs(2);

/// Reads `ledger: { KIND: …, create: true, settle: 2s }`.
pub(super) fn ledger(reader: &mut Reader, value: Value) -> Option<LedgerProbe> {
    const KEYS: &[&str] = &["http", "exec", "create", "keep", "settle"];
    let fields = reader.fields(value, Label("", "ledger"), KEYS)?;
    let kind = fields.one_of(reader, &["http", "exec"]);
    let store = kind.and_then(|value| match value.key {
        "http" => http::http(reader, value).map(|http| LedgerStore::Http(Box::new(http))),
        _ => exec::exec(reader, value).map(LedgerStore::Exec),
    });
    let create = fields.get("create").and_then(|value| reader.flag(value));
    let keep = fields.get("keep").and_then(|value| reader.flag(value));
    let settle = fields.get("settle").and_then(|value| reader.duration(value, true));
    Some(LedgerProbe {
        store: store?,
        create: create.unwrap_or(false),
        keep: keep.unwrap_or(false),
        settle: settle.map_or(SETTLE, |at| at.value),
    })
}
