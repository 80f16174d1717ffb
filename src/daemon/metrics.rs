//! What Prometheus reads.

use std::fmt::Write;
use std::sync::Arc;

use super::cut;
use super::entry::{Entry, Shown};
use crate::model::ModeKind;
use crate::proxy::{Counters, Traffic};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One proxy as it was read.
struct Read {
    name: String,
    shown: Shown,
    traffic: Traffic,
    mode: Option<ModeKind>,
    counters: Counters,
}

/// All metrics of all proxies.
pub(super) fn text(all: &[Arc<Entry>]) -> String {
    let read: Vec<Read> = all
        .iter()
        .map(|entry| Read {
            name: label(&entry.name),
            shown: entry.shown(),
            traffic: entry.gate.traffic(),
            mode: entry.gate.fault().map(|fault| cut::words(fault).kind()),
            counters: entry.gate.counters(),
        })
        .collect();
    let mut out = String::new();
    family(&mut out, "firedrill_build_info", "gauge", "The version of firedrill.");
    let _ = writeln!(out, "firedrill_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    bytes(&mut out, &read);
    simple(
        &mut out,
        &read,
        "firedrill_proxy_connections_open",
        "gauge",
        "Open connections.",
        |it| it.traffic.open,
    );
    let text = "Connections that were accepted.";
    simple(&mut out, &read, "firedrill_proxy_connections_total", "counter", text, |it| {
        it.traffic.opened
    });
    let text = "Whether the proxy is enabled.";
    simple(&mut out, &read, "firedrill_proxy_enabled", "gauge", text, |it| {
        u64::from(it.shown.enabled)
    });
    simple(&mut out, &read, "firedrill_proxy_toxics", "gauge", "Toxics on the proxy.", |it| {
        it.shown.toxics.len() as u64
    });
    family(&mut out, "firedrill_proxy_cut", "gauge", "Whether the proxy is cut in this mode.");
    for it in &read {
        for mode in ModeKind::ALL {
            let cut = u8::from(it.mode == Some(mode));
            let name = &it.name;
            let _ = writeln!(out, "firedrill_proxy_cut{{proxy=\"{name}\",mode=\"{mode}\"}} {cut}");
        }
    }
    let text = "Connections that met the cut in force or the last one.";
    simple(&mut out, &read, "firedrill_proxy_cut_connections", "gauge", text, |it| {
        it.counters.connections
    });
    let text = "Bytes that passed during the cut in force or the last one.";
    simple(&mut out, &read, "firedrill_proxy_cut_bytes", "gauge", text, |it| it.counters.bytes);
    out
}

/// The two families that Toxiproxy has as well, under its names.
fn bytes(out: &mut String, read: &[Read]) {
    let families = [
        ("toxiproxy_proxy_received_bytes_total", "Bytes that were received."),
        ("toxiproxy_proxy_sent_bytes_total", "Bytes that were sent on."),
    ];
    for (at, (family_name, text)) in families.into_iter().enumerate() {
        family(out, family_name, "counter", text);
        for it in read {
            for (direction, passed) in
                [("upstream", it.traffic.upstream), ("downstream", it.traffic.downstream)]
            {
                let value = if at == 0 { passed.received } else { passed.sent };
                let (name, listen) = (&it.name, label(&it.shown.listen));
                let upstream = label(&it.shown.upstream);
                let _ = writeln!(
                    out,
                    "{family_name}{{direction=\"{direction}\",proxy=\"{name}\",listener=\"{listen}\",upstream=\"{upstream}\"}} {value}"
                );
            }
        }
    }
}

fn simple(
    out: &mut String,
    read: &[Read],
    name: &str,
    kind: &str,
    text: &str,
    value: impl Fn(&Read) -> u64,
) {
    family(out, name, kind, text);
    for it in read {
        let _ = writeln!(out, "{name}{{proxy=\"{}\"}} {}", it.name, value(it));
    }
}

fn family(out: &mut String, name: &str, kind: &str, text: &str) {
    let _ = writeln!(out, "# HELP {name} {text}\n# TYPE {name} {kind}");
}

/// A label's value, with what would end it escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
