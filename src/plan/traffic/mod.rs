//! Traffic controls: each names one provider and holds its settings, one file a provider.

mod aws;
mod aws_elb;
mod aws_fis;
mod aws_routing_control;
mod aws_zonal_shift;
mod azure;
mod caddy;
mod cloudflare;
mod dns;
mod dns_update;
mod exec;
mod file;
mod gcp;
mod haproxy;
mod http;
mod kubernetes;
mod nftables;
mod powerdns;
mod proxy;
mod toxiproxy;

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{ControlSpec, Provider, Text};

use super::address::{host_and_port, url};
use super::draft::{ControlDraft, Datacenters};
use super::read::{Fields, Label, Reader, Value};

use self::aws::route53;
use self::aws_elb::elb;
use self::aws_fis::fis;
use self::aws_routing_control::routing_control;
use self::aws_zonal_shift::zonal_shift;
use self::azure::azure;
use self::caddy::caddy;
use self::cloudflare::cloudflare;
use self::dns_update::dns_update;
use self::exec::exec;
use self::file::file;
use self::gcp::gcp;
use self::haproxy::haproxy;
use self::http::http;
use self::kubernetes::kubernetes;
use self::nftables::nftables;
use self::powerdns::powerdns;
use self::proxy::{Listens, proxy};
use self::toxiproxy::toxiproxy;

const PROVIDERS: &[&str] = &[
    "lab",
    "proxy",
    "toxiproxy",
    "haproxy",
    "caddy",
    "cloudflare",
    "nftables",
    "exec",
    "file",
    "http",
    "azure",
    "gcp",
    "kubernetes",
    "aws-route53",
    "aws-zonal-shift",
    "aws-routing-control",
    "aws-elb",
    "aws-fis",
    "powerdns",
    "dns-update",
];

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

/// Tells the controls that must know it how long the drill may cut.
pub(super) fn mind_the_length(controls: &mut [ControlDraft], at_most: Duration) {
    for control in controls {
        if let Provider::AwsFis(settings) = &mut control.spec.provider {
            settings.at_most = at_most;
        }
    }
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
        "aws-route53" => route53(reader, chosen, datacenters).map(Provider::AwsRoute53),
        "aws-zonal-shift" => zonal_shift(reader, chosen, datacenters).map(Provider::AwsZonalShift),
        "aws-routing-control" => {
            routing_control(reader, chosen, datacenters).map(Provider::AwsRoutingControl)
        }
        "aws-elb" => elb(reader, chosen, datacenters).map(Provider::AwsElb),
        "aws-fis" => fis(reader, chosen, datacenters).map(Provider::AwsFis),
        "proxy" => proxy(reader, chosen, datacenters, listens).map(Provider::Proxy),
        "toxiproxy" => toxiproxy(reader, chosen, datacenters).map(Provider::Toxiproxy),
        "haproxy" => haproxy(reader, chosen, datacenters).map(Provider::Haproxy),
        "http" => http(reader, chosen, datacenters).map(|it| Provider::Http(Box::new(it))),
        "caddy" => caddy(reader, chosen, datacenters).map(Provider::Caddy),
        "file" => file(reader, chosen, datacenters).map(Provider::File),
        "cloudflare" => cloudflare(reader, chosen, datacenters).map(Provider::Cloudflare),
        "nftables" => nftables(reader, chosen, datacenters).map(Provider::Nftables),
        "azure" => azure(reader, chosen, datacenters).map(Provider::Azure),
        "gcp" => gcp(reader, chosen, datacenters).map(Provider::Gcp),
        "powerdns" => powerdns(reader, chosen, datacenters).map(Provider::Powerdns),
        "dns-update" => dns_update(reader, chosen, datacenters).map(Provider::DnsUpdate),
        "kubernetes" => kubernetes(reader, chosen, datacenters).map(Provider::Kubernetes),
        _ => exec(reader, chosen, datacenters).map(Provider::Exec),
    }
}

/// Neither a command nor an answer may take longer. A call at a control is often two of them, one after another, and is given
/// up after 15 s; it says less then.
const LONGEST: Duration = Duration::from_secs(7);

/// The `timeout` of one of several things that a call at a control is made of.
fn command_limit(reader: &mut Reader, fields: &Fields, default: Duration) -> Duration {
    let Some(value) = fields.get("timeout") else { return default };
    match reader.duration(value, false) {
        Some(at) if at.value > LONGEST => {
            let what = "this is longer than firedrill waits for a control";
            reader.findings.error("bad-value", at.span, what, "write at most `7s`");
            default
        }
        at => at.map_or(default, |at| at.value),
    }
}

/// `HOST:PORT`, known when the plan is read.
fn target(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    host_and_port(reader, &text, &text.value.reveal_plain()).then_some(text.value)
}

/// The URL of an API, known when the plan is read.
fn api(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    if !url(reader, &text) {
        return None;
    }
    if text.value.reveal_plain().contains(['?', '#']) {
        let what = "the URL of an API has no query and no fragment";
        reader.findings.error(
            "bad-value",
            text.span,
            what,
            "leave out what stands from `?` or `#` on",
        );
        return None;
    }
    Some(text.value)
}
