//! `redis`: a list in Redis, at an address or where Sentinels say.

use std::time::Duration;

use super::{credential, store_url};
use crate::model::{RedisAt, RedisLedger, RedisWait};
use crate::plan::read::{Fields, Label, Reader, Value};
use crate::plan::tree::Kind;
use crate::plan::{address, probe};

/// When a drill's list vanishes by itself, if the plan does not say.
const EXPIRE: Duration = Duration::from_secs(86_400);

/// Databases that a server can have.
const DATABASES: u64 = 1 << 16;

/// Reads `redis: { url: …, password: … }` or `redis: { sentinels: [ … ], master: … }`.
pub(super) fn redis(reader: &mut Reader, value: Value) -> Option<RedisLedger> {
    const KEYS: &[&str] = &[
        "url",
        "sentinels",
        "master",
        "database",
        "user",
        "password",
        "sentinel_password",
        "ca",
        "read",
        "wait",
        "expire",
    ];
    let fields = reader.fields(value, Label("", "redis"), KEYS)?;
    let at = at(reader, &fields);
    let read = fields.get("read").map(|value| elsewhere(reader, value));
    let user = fields.get("user").and_then(|value| reader.credential(value, false));
    let password = fields.get("password").and_then(|value| credential(reader, value));
    if let (Some(value), None) = (fields.get("user"), fields.get("password")) {
        let what = "`user` has no meaning without `password`";
        let hint = "add `password: \"${env:REDIS_PASSWORD}\"`";
        reader.findings.error("missing-key", value.at, what, hint);
    }
    let wait = fields.get("wait").and_then(|value| wait(reader, value));
    let expire = fields.get("expire").and_then(|value| reader.duration(value, false));
    let read = match read {
        Some(read) => Some(read?),
        None => None,
    };
    Some(RedisLedger {
        at: at?,
        read,
        user: user.map(|at| at.value),
        password,
        wait,
        expire: expire.map_or(EXPIRE, |at| at.value),
    })
}

/// Reads `read: URL` or `read: { sentinels: … }`. User and password are those of the writing.
fn elsewhere(reader: &mut Reader, value: Value) -> Option<RedisAt> {
    const KEYS: &[&str] = &["url", "sentinels", "master", "database", "sentinel_password", "ca"];
    if let Kind::Scalar(_) = value.node.resolve().kind {
        let url = store_url(reader, value, RedisLedger::SCHEMES, "redis://db.example:6379/0");
        return Some(RedisAt::Url { url: url?, ca: None });
    }
    let fields = reader.fields(value, Label("", "read"), KEYS)?;
    at(reader, &fields)
}

fn at(reader: &mut Reader, fields: &Fields) -> Option<RedisAt> {
    let chosen = fields.one_of(reader, &["url", "sentinels"])?;
    match chosen.key {
        "url" => straight(reader, fields, chosen),
        _ => asking(reader, fields, chosen),
    }
}

fn straight(reader: &mut Reader, fields: &Fields, chosen: Value) -> Option<RedisAt> {
    idle(reader, fields, &["master", "database", "sentinel_password"], "url");
    let url = store_url(reader, chosen, RedisLedger::SCHEMES, "redis://db.example:6379/0");
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    Some(RedisAt::Url { url: url?, ca })
}

fn asking(reader: &mut Reader, fields: &Fields, chosen: Value) -> Option<RedisAt> {
    idle(reader, fields, &["ca"], "sentinels");
    let master = fields.need(reader, "master", "mymaster");
    let master = master.and_then(|value| reader.shown(value, "the name that Sentinels know"));
    let password = fields.get("sentinel_password").and_then(|value| credential(reader, value));
    let database = fields.get("database").and_then(|value| reader.count(value, 0..=DATABASES));
    let wanted = "addresses of Sentinels, such as `[\"one.example:26379\"]`";
    let items = reader.list(chosen, wanted);
    if items.is_empty() {
        reader.wrong(chosen, wanted, None);
        return None;
    }
    let mut sentinels = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = reader.text(item, false) else { continue };
        let real = text.value.reveal_plain();
        if address::host_and_port(reader, &text, &real) {
            sentinels.push(text.value);
        }
    }
    let database = u32::try_from(database.unwrap_or(0)).unwrap_or(0);
    let master = master?.into_owned();
    (!sentinels.is_empty()).then_some(RedisAt::Sentinels { sentinels, master, password, database })
}

/// Reports the settings among `keys`, which mean nothing beside `chosen`.
fn idle(reader: &mut Reader, fields: &Fields, keys: &[&str], chosen: &str) {
    for value in keys.iter().filter_map(|key| fields.get(key)) {
        let what = format!("`{}` has no meaning beside `{chosen}`", value.key);
        let hint = match value.key {
            "database" => "a URL ends with the number of its database: `redis://db.example:6379/2`",
            _ => "take it out",
        };
        reader.findings.error("impossible", value.at, what, hint);
    }
}

fn wait(reader: &mut Reader, value: Value) -> Option<RedisWait> {
    let fields = reader.fields(value, Label("", "wait"), &["replicas", "within"])?;
    let replicas = fields.need(reader, "replicas", "1");
    let replicas = replicas.and_then(|value| reader.count(value, 1..=1000));
    let within = fields.need(reader, "within", "500ms");
    let within = within.and_then(|value| reader.duration(value, false));
    Some(RedisWait { replicas: u32::try_from(replicas?).ok()?, within: within?.value })
}
