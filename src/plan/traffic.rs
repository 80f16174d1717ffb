//! Traffic controls: each names one provider and holds its settings.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::model::{
    ControlSpec, HaproxyServers, HaproxySettings, HaproxySocket, Provider, ProxyRoute,
    ProxySettings, Text,
};

use super::address::host_and_port;
use super::draft::{ControlDraft, Datacenters};
use super::finding::quote;
use super::read::{At, Label, Reader, Value};

const PROVIDERS: &[&str] = &["lab", "proxy", "haproxy"];

/// Reads all traffic controls.
pub(super) fn controls(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Vec<ControlDraft> {
    let entries = reader.map(value, "traffic controls by name").unwrap_or_default();
    if entries.is_empty() {
        let hint = "add one, such as `wan: { lab: {} }`";
        reader.findings.error("missing-key", value.at, "`traffic` names no control", hint);
    }
    let mut listens = Listens::default();
    let mut taken = HashSet::new();
    let mut controls = Vec::with_capacity(entries.len());
    for entry in entries {
        let before = reader.findings.errors();
        let name = reader.new_name(entry, &mut taken);
        let provider = provider(reader, Value::of(entry), datacenters, &mut listens);
        let complete = reader.findings.errors() == before;
        // A broken control still stands for its name, so that references to it are not judged.
        let Some(name) = name else { continue };
        let spec = ControlSpec { name: name.value, provider: provider.unwrap_or(Provider::Lab) };
        controls.push(ControlDraft { spec, at: entry.at, complete });
    }
    controls
}

fn provider(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
    listens: &mut Listens,
) -> Option<Provider> {
    let fields = reader.fields(value, Label("traffic control", value.key), PROVIDERS)?;
    let chosen = fields.one_of(reader, PROVIDERS)?;
    match chosen.key {
        "lab" => reader.fields(chosen, Label("", "lab"), &[]).map(|_| Provider::Lab),
        "proxy" => proxy(reader, chosen, datacenters, listens).map(Provider::Proxy),
        _ => haproxy(reader, chosen, datacenters).map(Provider::Haproxy),
    }
}

/// The addresses that proxies listen on, to find those used twice.
#[derive(Default)]
struct Listens(HashMap<u16, Vec<SocketAddr>>);

impl Listens {
    /// Takes an address; `false` when another overlaps it.
    fn take(&mut self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let others = self.0.entry(address.port()).or_default();
        let free = others.iter().all(|other| {
            let other = other.ip();
            other != ip && !other.is_unspecified() && !ip.is_unspecified()
        });
        others.push(address);
        free
    }
}

fn proxy(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
    listens: &mut Listens,
) -> Option<ProxySettings> {
    let example = "[{ datacenter: east, listen: 127.0.0.1:8080, to: 10.1.0.1:80 }]";
    let fields = reader.fields(value, Label("", "proxy"), &["routes"])?;
    let routes_value = fields.need(reader, "routes", example)?;
    let items = reader.list(routes_value, "a list of routes");
    if items.is_empty() {
        let what = "`routes` names no route";
        reader.findings.error("missing-key", routes_value.at, what, format!("write {example}"));
    }
    let mut routes = Vec::with_capacity(items.len());
    for item in items {
        let keys = &["datacenter", "listen", "to"];
        let Some(fields) = reader.fields(item, Label("a route", ""), keys) else { continue };
        let datacenter = fields.need(reader, "datacenter", "east");
        let datacenter = datacenter.and_then(|value| datacenters.refer(reader, value));
        let listen = fields.need(reader, "listen", "127.0.0.1:8080");
        let listen = listen.and_then(|value| self::listen(reader, value, listens));
        let to = fields.need(reader, "to", "10.1.0.1:80");
        let to = to.and_then(|value| target(reader, value));
        if let (Some(datacenter), Some(listen), Some(to)) = (datacenter, listen, to) {
            routes.push(ProxyRoute { datacenter, listen, to });
        }
    }
    Some(ProxySettings { routes })
}

fn listen(reader: &mut Reader, value: Value, listens: &mut Listens) -> Option<SocketAddr> {
    let text = reader.shown(value, "an address such as `127.0.0.1:8080`")?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        let what = format!("{} cannot be listened on", quote(&text));
        let hint = "write an IP address and a port: `127.0.0.1:8080` or `[::1]:8080`";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    };
    if address.port() == 0 {
        let what = "clients cannot know a port that the system chooses";
        reader.findings.error("bad-value", value.span(), what, "write a port from 1 to 65535");
        return None;
    }
    if !listens.take(address) {
        let what = format!("another route listens on {address} or on all addresses of that port");
        reader.findings.error("impossible", value.span(), what, "give each route its own port");
        return None;
    }
    Some(address)
}

/// `HOST:PORT`, known when the plan is read.
fn target(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    host_and_port(reader, &text, &text.value.reveal_plain()).then_some(text.value)
}

fn haproxy(
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
