//! `proxy`: routes of firedrill's own.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::target;
use crate::model::{ProxyRoute, ProxySettings};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// The addresses that proxies listen on, to find those used twice.
#[derive(Default)]
pub(super) struct Listens(HashMap<u16, Vec<SocketAddr>>);

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

/// Reads the settings of a `proxy`.
pub(super) fn proxy(
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
