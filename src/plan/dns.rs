//! What is asked of the DNS: `dns` probes, `look_up` and the cohorts of clients that differ by it.

use std::collections::HashSet;

use crate::model::{
    Connection, DatacenterId, DnsCache, DnsExpect, DnsProbe, DnsType, LookUp, Name, ProbeKind,
    ProbeSpec, RecordPattern, ServedBySource, Text, dns_server,
};

use super::address::{LAB_STAND_IN, is_host};
use super::draft::{Datacenters, ProbePlaces, ServiceDraft};
use super::finding::quote;
use super::probe;
use super::read::{At, Label, Reader, Value};
use super::served_by::{network, some};
use super::service;
use super::tree::{Entry, Kind};

/// Reads `dns: NAME` or `dns: { name: … }`.
pub(super) fn dns(reader: &mut Reader, value: Value) -> Option<DnsProbe> {
    const KEYS: &[&str] = &["name", "type", "server", "authority", "tcp", "expect"];
    let plain = |name| DnsProbe {
        name,
        record: DnsType::A,
        servers: Vec::new(),
        authority: false,
        tcp: false,
        expect: DnsExpect::default(),
    };
    if let Kind::Scalar(_) = value.node.resolve().kind {
        return name(reader, value).map(plain);
    }
    let fields = reader.fields(value, Label("", "dns"), KEYS)?;
    let asked = fields.need(reader, "name", "app.example");
    let asked = asked.and_then(|value| name(reader, value));
    let record = fields.get("type").and_then(|value| reader.choice(value, &DnsType::ALL));
    let record = record.unwrap_or(DnsType::A);
    let servers = fields.get("server").map(|value| servers(reader, value)).unwrap_or_default();
    let mut flag = |key| fields.get(key).and_then(|value| reader.flag(value)).unwrap_or(false);
    let (authority, tcp) = (flag("authority"), flag("tcp"));
    let expected = fields.get("expect").and_then(|value| expect(reader, value, record));
    let expect = expected.unwrap_or_default();
    if let (true, true, Some(value)) = (authority, servers.is_empty(), fields.get("authority")) {
        let what = "`authority` asks the name servers of the zone, and the plan does not name them";
        let hint = "add `server: 10.0.0.53`: the system's resolvers answer with copies";
        reader.findings.error("impossible", value.at, what, hint);
    }
    Some(DnsProbe { servers, authority, tcp, expect, record, ..plain(asked?) })
}

fn name(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    if !is_host(&text.value.reveal_plain()) {
        let what = format!("{} is no name", quote(&text.value.to_string()));
        let hint = "write it in full, as `app.example.org`";
        reader.findings.error("bad-value", text.span, what, hint);
        return None;
    }
    Some(text.value)
}

fn servers(reader: &mut Reader, value: Value) -> Vec<Text> {
    let items = some(reader, value);
    let server = |item: Value| {
        let At { value: text, span } = reader.text(item, false)?;
        if dns_server(&text.reveal_plain()).is_none() {
            let what = format!("{} is no address of a DNS server", quote(&text.to_string()));
            let hint = "write `10.0.0.53`, `127.0.0.1:5300` or `[::1]:53`: a name would have to be looked up first";
            reader.findings.error("bad-value", span, what, hint);
            return None;
        }
        Some(text)
    };
    items.into_iter().filter_map(server).collect()
}

fn expect(reader: &mut Reader, value: Value, record: DnsType) -> Option<DnsExpect> {
    let fields = reader.fields(value, Label("", "expect"), &["all_of", "any_of", "only"])?;
    let mut patterns = |key| -> Vec<RecordPattern> {
        let Some(value) = fields.get(key) else { return Vec::new() };
        let items = some(reader, value).into_iter();
        items.filter_map(|item| expected(reader, item, record)).collect()
    };
    Some(DnsExpect {
        all_of: patterns("all_of"),
        any_of: patterns("any_of"),
        only: patterns("only"),
    })
}

fn expected(reader: &mut Reader, value: Value, record: DnsType) -> Option<RecordPattern> {
    if record.is_address() {
        return network(reader, value).map(RecordPattern::Network);
    }
    let words = reader.shown(value, "a name or text")?;
    Some(RecordPattern::Words(words.into_owned()))
}

/// Reads what the records of an answer mean, by datacenter; none may mean two.
pub(super) fn answer(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ServedBySource> {
    let before = reader.findings.errors();
    let mut places: Vec<(DatacenterId, Vec<RecordPattern>)> = Vec::new();
    for (id, value) in datacenters.map(reader, value, "networks or names by datacenter") {
        let mut patterns = Vec::new();
        for item in some(reader, value) {
            let Some(pattern) = record(reader, item) else { continue };
            if places.iter().any(|(_, others)| others.contains(&pattern)) {
                let shown = match &pattern {
                    RecordPattern::Network(network) => network.to_string(),
                    RecordPattern::Words(words) => words.clone(),
                };
                let what = format!("{} would mean two datacenters", quote(&shown));
                let hint = "give each datacenter records of its own";
                reader.findings.error("impossible", item.span(), what, hint);
            }
            patterns.push(pattern);
        }
        places.push((id, patterns));
    }
    let lost = Vec::new();
    (reader.findings.errors() == before).then_some(ServedBySource::Answer { places, lost })
}

/// An address, a network, or a name with `*` and `?`.
fn record(reader: &mut Reader, value: Value) -> Option<RecordPattern> {
    let text = reader.shown(value, "a network such as `10.1.0.0/16`, or a name")?;
    let digits = |b: u8| b.is_ascii_hexdigit() || b".:/".contains(&b);
    // A slip in an address must not become a name that nothing fits.
    if text.bytes().all(digits) && text.contains(['.', ':', '/']) {
        return network(reader, value).map(RecordPattern::Network);
    }
    Some(RecordPattern::Words(text.into_owned()))
}

/// Reads `look_up`.
pub(super) fn look_up(reader: &mut Reader, value: Value) -> Option<LookUp> {
    let fields = reader.fields(value, Label("", "look_up"), &["server", "cache", "addresses"])?;
    let servers = fields.get("server").map(|value| servers(reader, value)).unwrap_or_default();
    let cache = fields.get("cache").and_then(|value| cache(reader, value));
    let addresses = [("in-turn", false), ("every", true)];
    let every = fields.get("addresses").and_then(|value| reader.choice(value, &addresses));
    let (cache, every_address) = (cache.unwrap_or(DnsCache::None), every.unwrap_or(false));
    Some(LookUp { servers, cache, every_address, lost: Vec::new() })
}

fn cache(reader: &mut Reader, value: Value) -> Option<DnsCache> {
    let filled = reader.word(value, "`none`, `ttl` or a duration")?;
    match &*filled.real {
        "none" => Some(DnsCache::None),
        "ttl" => Some(DnsCache::Ttl),
        time if time.contains(|it: char| it.is_ascii_digit()) => {
            reader.duration(value, false).map(|time| DnsCache::For(time.value))
        }
        _ => {
            let what = format!("`cache` cannot be {}", quote(filled.raw));
            let hint = "write `none`, `ttl`, or for how long whatever the TTL: `5m`";
            reader.findings.error("bad-value", value.span(), what, hint);
            None
        }
    }
}

/// The probes that `cohorts` makes of one: each asks the same, as other clients do.
pub(super) fn cohorts(
    reader: &mut Reader,
    value: Value,
    (base, at): (ProbeSpec, ProbePlaces),
) -> Vec<(ProbeSpec, ProbePlaces)> {
    let entries = reader.map(value, "cohorts by name").unwrap_or_default();
    if entries.is_empty() {
        let what = "`cohorts` names none";
        let hint =
            "write `cohorts: { fresh: {}, ttl: { look_up: { cache: ttl } } }`, or leave it out";
        reader.findings.error("missing-key", value.at, what, hint);
    }
    let mut taken = HashSet::new();
    entries.iter().filter_map(|entry| cohort(reader, entry, (&base, at), &mut taken)).collect()
}

fn cohort(
    reader: &mut Reader,
    entry: &Entry,
    (base, at): (&ProbeSpec, ProbePlaces),
    taken: &mut HashSet<Name>,
) -> Option<(ProbeSpec, ProbePlaces)> {
    const KEYS: &[&str] = &["connection", "look_up", "required", "promises"];
    let cohort = reader.new_name(entry, taken)?.value;
    let fields = reader.fields(Value::of(entry), Label("cohort", &entry.key), KEYS)?;
    let connection = probe::connection(reader, &fields);
    let look_up = fields.get("look_up").and_then(|value| look_up(reader, value));
    let required = fields.get("required").and_then(|value| reader.flag(value));
    let promised = fields.get("promises").and_then(|value| service::promises(reader, value));
    let name = reader.proper_name(&format!("{}.{cohort}", base.name), entry.at)?.value;
    let (promises, budgets) = promised.unwrap_or((base.promises, at.budgets));
    let spec = ProbeSpec {
        name,
        connection: connection.unwrap_or(base.connection),
        look_up: look_up.or_else(|| base.look_up.clone()),
        cohort: Some(cohort),
        required: required.unwrap_or(base.required),
        promises,
        ..base.clone()
    };
    fits(reader, &spec, Value::of(entry));
    Some((spec, ProbePlaces { name: entry.at, budgets, ..at }))
}

/// Reports keys of a probe, or of a cohort of it, that mean nothing together.
pub(super) fn fits(reader: &mut Reader, probe: &ProbeSpec, value: Value) {
    let at = |key| value.get(key).map_or(value.at, |value| value.at);
    let is_dns = matches!(probe.kind, ProbeKind::Dns(_));
    let connects = matches!(probe.kind, ProbeKind::Http(_) | ProbeKind::Tcp(_));
    let wrong = match (&probe.served_by, is_dns) {
        (Some(ServedBySource::Answer { .. }) | None, true) | (None, false) => None,
        (Some(ServedBySource::Answer { .. }), false) => Some((
            "only a `dns` probe gets an `answer` with records",
            "write `served_by` with `header`, `json` or `peer`",
        )),
        (Some(_), true) => Some((
            "a `dns` probe sees neither headers nor JSON, and its peer is the DNS server",
            "write `served_by: { answer: { east: 10.1.0.0/16, west: 10.2.0.0/16 } }`",
        )),
        (Some(_), false) => None,
    };
    if let Some((what, hint)) = wrong {
        reader.findings.error("impossible", at("served_by"), what, hint);
    }
    let keeps = probe.connection == Connection::KeepAlive;
    if let (true, Some(connection)) = (is_dns, value.get("connection")) {
        let what = "`connection` means nothing for a `dns` probe: it asks anew each time";
        reader.findings.error("impossible", connection.at, what, "take it out");
    }
    let look_ups = ["look_up", "cohorts"].map(|key| value.get(key).map(|value| (key, value.at)));
    for (key, at) in look_ups.into_iter().flatten().filter(|_| !connects) {
        let what = format!("`{key}` is for probes that connect to a name: `http` and `tcp`");
        reader.findings.error("impossible", at, what, "take it out");
    }
    let Some(look_up) = probe.look_up.as_ref().filter(|_| connects) else { return };
    if let Some(host) = host(&probe.kind).filter(|host| is_known(host)) {
        let what = format!("`look_up` has nothing to look up: {} is an address", quote(&host));
        reader.findings.error("impossible", at("look_up"), what, "ask by a name, or take it out");
    }
    if keeps && look_up.every_address {
        let what = "`addresses: every` asks each address anew, and `keep-alive` holds on to one";
        let hint = "make two cohorts of it, or leave one of the two out";
        reader.findings.error("impossible", at("look_up"), what, hint);
    }
}

/// The host that a probe connects to, if the plan may show it.
fn host(kind: &ProbeKind) -> Option<String> {
    let text = match kind {
        ProbeKind::Http(http) => &http.url,
        ProbeKind::Tcp(tcp) => &tcp.address,
        ProbeKind::Dns(_) | ProbeKind::Ledger(_) => return None,
    };
    if text.secrets().next().is_some() {
        return None;
    }
    let real = text.reveal(&|_| Some(LAB_STAND_IN.to_owned()));
    let rest = real.split_once("://").map_or(&*real, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    Some(host.trim_matches(['[', ']']).to_owned())
}

fn is_known(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

/// Tells probes that may be answered by several datacenters at once which of them the plan cuts.
pub(super) fn mind_the_cut(draft: &mut ServiceDraft, cut: &[At<DatacenterId>]) {
    let all = || cut.iter().map(|at| at.value).collect::<Vec<_>>();
    for probe in &mut draft.service.probes {
        if let Some(ServedBySource::Answer { lost, .. }) = &mut probe.served_by {
            *lost = all();
        }
        if let Some(look_up) = probe.look_up.as_mut().filter(|look_up| look_up.every_address) {
            look_up.lost = all();
        }
    }
}
