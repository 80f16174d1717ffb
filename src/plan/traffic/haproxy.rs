//! `haproxy`: where its runtime API is, and which servers stand where.

use std::time::Duration;

use super::target;
use crate::model::{HaproxyServers, HaproxySettings, HaproxySocket, Text};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Label, Reader, Value};

/// Reads the settings of a `haproxy`.
pub(super) fn haproxy(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<HaproxySettings> {
    const KEYS: &[&str] = &["socket", "address", "servers", "timeout"];
    let fields = reader.fields(value, Label("", "haproxy"), KEYS)?;
    let socket = fields.one_of(reader, &["socket", "address"]).and_then(|value| match value.key {
        "socket" => socket_path(reader, value).map(HaproxySocket::Unix),
        _ => target(reader, value).map(HaproxySocket::Tcp),
    });
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let example = "{ east: [\"app/east-*\"], west: [\"app/west-*\"] }";
    let named = fields.need(reader, "servers", example)?;
    let mut servers = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "servers by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no servers here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let patterns = items.into_iter().filter_map(|item| pattern(reader, item)).collect();
        servers.push(HaproxyServers { datacenter, patterns });
    }
    let timeout = timeout.map_or(Duration::from_secs(2), |At { value, .. }| value);
    Some(HaproxySettings { socket: socket?, servers, timeout })
}

fn socket_path(reader: &mut Reader, value: Value) -> Option<Text> {
    // The kernel's limit for the path of a UNIX socket.
    const LONGEST: usize = 107;
    let text = reader.text(value, false)?;
    let path = text.value.reveal_plain();
    if path.is_empty() || path.len() > LONGEST || path.chars().any(char::is_control) {
        let what = "`socket` cannot be the path of a UNIX socket";
        let hint = "write a path of up to 107 bytes, as in HAProxy's `stats socket`";
        reader.findings.error("bad-value", text.span, what, hint);
        return None;
    }
    Some(text.value)
}

fn pattern(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "`BACKEND/SERVER`, where `*` and `?` may stand for others")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:*?".contains(&b);
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(fits)) {
        return Some(text.into_owned());
    }
    let what = format!("{} names no server", quote(&text));
    let hint = "write `BACKEND/SERVER`, where `*` and `?` may stand for other characters";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
