//! Ledgers: where numbered records are written to, one file a kind of store.

mod exec;
mod fit;
mod http;
mod nats;
mod postgres;
mod redis;

use std::time::Duration;

pub(super) use fit::{fits, is_exec, outlive, places, time_to_read};

use super::finding::quote;
use super::read::{Label, Reader, Value};
use super::typed;
use crate::model::{LedgerProbe, LedgerStore, Part, StoreUrl, Text};

/// What is waited for records that are missing, if the plan does not say.
const SETTLE: Duration = Duration::from_secs(2);

/// Reads `ledger: { KIND: …, create: true, settle: 2s }`.
pub(super) fn ledger(reader: &mut Reader, value: Value) -> Option<LedgerProbe> {
    const KEYS: &[&str] =
        &["http", "exec", "postgres", "redis", "nats", "create", "keep", "settle"];
    let fields = reader.fields(value, Label("", "ledger"), KEYS)?;
    let kind = fields.one_of(reader, &["http", "exec", "postgres", "redis", "nats"]);
    let store = kind.and_then(|value| match value.key {
        "http" => http::http(reader, value).map(|http| LedgerStore::Http(Box::new(http))),
        "postgres" => {
            postgres::postgres(reader, value).map(|it| LedgerStore::Postgres(Box::new(it)))
        }
        "redis" => redis::redis(reader, value).map(|redis| LedgerStore::Redis(Box::new(redis))),
        "nats" => nats::nats(reader, value).map(|nats| LedgerStore::Nats(Box::new(nats))),
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

/// Reads a URL of a store that is no web server. A password in it comes from the environment, or not at all.
fn store_url(reader: &mut Reader, value: Value, schemes: &[&str], example: &str) -> Option<Text> {
    let text = reader.text(value, false)?;
    let shown = text.value.to_string();
    let problem = StoreUrl::parse(&text.value.reveal_plain(), schemes).err();
    let holds_user = text.value.parts().iter().any(|part| match part {
        Part::Plain(plain) => plain.contains('@'),
        Part::Secret { .. } | Part::Lab(_) => false,
    });
    if holds_user && text.value.secrets().next().is_none() {
        typed::hide(reader, text.span, &shown);
        let what = "a URL of a plan holds no user and password";
        let hint = "give them as `user` and `password: \"${env:PASSWORD}\"`";
        reader.findings.error("bad-value", text.span, what, hint);
        return None;
    }
    if let Some(problem) = problem {
        let what = format!("{}: {problem}", quote(&shown));
        let hint = format!("write it as `{example}`");
        reader.findings.error("bad-value", text.span, what, hint);
        return None;
    }
    Some(text.value)
}

/// Reads a password or a token, and warns if it is typed.
fn credential(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.credential(value, false)?;
    typed::header(reader, value.key, value, &text.value);
    Some(text.value)
}
