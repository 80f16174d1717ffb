//! `nats`: a stream of NATS JetStream.

use super::{credential, store_url};
use crate::model::NatsLedger;
use crate::plan::finding::quote;
use crate::plan::probe;
use crate::plan::read::{Label, Reader, Value};

/// The stream, if the plan names none.
const STREAM: &str = "FIREDRILL";

/// Servers that JetStream can keep a stream on.
const REPLICAS: u64 = 5;

/// Reads `nats: { servers: [ … ], stream: …, replicas: 3 }`.
pub(super) fn nats(reader: &mut Reader, value: Value) -> Option<NatsLedger> {
    const KEYS: &[&str] =
        &["servers", "user", "password", "token", "ca", "stream", "replicas", "storage"];
    let fields = reader.fields(value, Label("", "nats"), KEYS)?;
    const SERVERS: &str = "[\"nats://one.example:4222\"]";
    let servers = fields.need(reader, "servers", SERVERS);
    let servers = servers.map(|value| {
        let all = reader.list(value, "URLs of servers");
        if all.is_empty() {
            reader.wrong(value, &format!("URLs of servers, such as `{SERVERS}`"), None);
        }
        let url = |value| store_url(reader, value, NatsLedger::SCHEMES, "nats://one.example:4222");
        all.into_iter().filter_map(url).collect::<Vec<_>>()
    });
    let user = fields.get("user").and_then(|value| reader.credential(value, false));
    let mut secret = |key| fields.get(key).and_then(|value| credential(reader, value));
    let (password, token) = (secret("password"), secret("token"));
    if let (Some(value), true) = (fields.get("token"), fields.get("user").is_some()) {
        let what = "`token` and `user` stand side by side";
        reader.findings.error("impossible", value.at, what, "keep one of them");
    }
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    let stream = fields.get("stream").and_then(|value| stream(reader, value));
    let replicas = fields.get("replicas").and_then(|value| reader.count(value, 1..=REPLICAS));
    let kinds = [("file", false), ("memory", true)];
    let in_memory = fields.get("storage").and_then(|value| reader.choice(value, &kinds));
    Some(NatsLedger {
        servers: servers.filter(|servers| !servers.is_empty())?,
        user: user.map(|at| at.value),
        password,
        token,
        ca,
        stream: stream.unwrap_or_else(|| STREAM.to_owned()),
        replicas: replicas.and_then(|count| u32::try_from(count).ok()),
        in_memory: in_memory.unwrap_or(false),
    })
}

/// A name of a stream, as JetStream takes it.
fn stream(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "the name of a stream")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
        return Some(text.into_owned());
    }
    let what = format!("{} cannot be the name of a stream", quote(&text));
    let hint = "write letters, digits, `-` and `_`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
