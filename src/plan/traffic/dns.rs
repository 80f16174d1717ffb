//! What the providers that steer records of a DNS zone have in common: zones, records, resolvers.

use std::net::IpAddr;
use std::time::Duration;

use super::target;
use crate::model::{DnsRecord, DnsRecords, Text};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Fields, Reader, Value};

/// How long resolvers may take to follow if the plan does not say: the usual TTL of what fails over.
const FOLLOW: Duration = Duration::from_secs(5 * 60);

/// How long one call may take if the plan does not say.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Records as an example.
const EXAMPLE: &str = "{ east: app.example.org/A/192.0.2.1, west: app.example.org/A/198.51.100.1 }";

/// What all of them have.
pub(super) struct Common {
    pub zone: String,
    pub records: Vec<DnsRecords>,
    pub resolvers: Vec<Text>,
    pub follow_within: Duration,
    pub timeout: Duration,
}

/// Reads `zone`, `records`, `resolvers`, `follow_within` and `timeout`.
pub(super) fn common(
    reader: &mut Reader,
    fields: Fields,
    datacenters: &Datacenters,
) -> Option<Common> {
    let zone = fields.need(reader, "zone", "example.org").and_then(|value| zone(reader, value));
    let records = fields.need(reader, "records", EXAMPLE);
    let records = records.map(|value| records_of(reader, value, datacenters, zone.as_deref()));
    let resolvers = fields.get("resolvers").map(|value| {
        let items = reader.one_or_more(value);
        items.into_iter().filter_map(|item| target(reader, item)).collect::<Vec<_>>()
    });
    let follow = fields.get("follow_within");
    if let (Some(value), None) = (follow, &resolvers) {
        let what = "`follow_within` stands here without `resolvers`";
        let hint = "name those that have to follow: `resolvers: [\"10.0.0.53:53\"]`";
        reader.findings.error("impossible", value.at, what, hint);
    }
    let follow = follow.and_then(|value| reader.duration(value, false));
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    Some(Common {
        zone: zone?,
        records: records?,
        resolvers: resolvers.unwrap_or_default(),
        follow_within: follow.map_or(FOLLOW, |at| at.value),
        timeout: timeout.map_or(TIMEOUT, |at| at.value),
    })
}

/// Text that comes from the environment.
pub(super) fn secret(reader: &mut Reader, value: Value, hint: &str) -> Option<Text> {
    let text = reader.credential(value, false)?;
    if text.value.secrets().next().is_some() {
        return Some(text.value);
    }
    let what = format!("the value of {} would be kept in journals and records", quote(value.key));
    reader.findings.error("plain-secret", text.span, what, hint);
    None
}

/// The path of a file that holds a key.
pub(super) fn file(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    let path = text.value.reveal_plain();
    if path.is_empty() || path.chars().any(char::is_control) {
        let what = format!("{} is no path", quote(&text.value.to_string()));
        reader.findings.error("bad-value", text.span, what, "write the path of a file");
        return None;
    }
    Some(text.value)
}

/// A name of hosts, in lower case and without the dot at its end.
pub(super) fn name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(fits)).then_some(name)
}

fn zone(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "the name of a zone")?;
    let zone = name(&text);
    if zone.is_none() {
        let what = format!("{} is no name of a zone", quote(&text));
        reader.findings.error("bad-value", value.span(), what, "write it as `example.org`");
    }
    zone
}

fn records_of(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
    zone: Option<&str>,
) -> Vec<DnsRecords> {
    let mut all: Vec<DnsRecords> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, "records by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no records here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let mut found = Vec::new();
        for item in items {
            let Some(it) = record(reader, item, zone) else { continue };
            if found.contains(&it) || all.iter().any(|others| others.records.contains(&it)) {
                let what = "this stands here twice, and can lead to one datacenter only";
                reader.findings.error("impossible", item.span(), what, "keep one of the two");
            }
            found.push(it);
        }
        all.push(DnsRecords { datacenter, records: found });
    }
    all
}

/// `NAME/TYPE/ADDRESS`.
fn record(reader: &mut Reader, value: Value, zone: Option<&str>) -> Option<DnsRecord> {
    let text = reader.shown(value, "`NAME/TYPE/ADDRESS` of a record")?;
    let (what, hint) = match parse(&text) {
        Ok(record) if zone.is_none_or(|zone| is_in(&record.name, zone)) => return Some(record),
        Ok(record) => (
            format!("{} is not in the zone", quote(&record.name)),
            "name records of this zone; another zone is another control".to_owned(),
        ),
        Err(hint) => (format!("{} names no record of an address", quote(&text)), hint),
    };
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// The record, or what to write instead.
fn parse(text: &str) -> Result<DnsRecord, String> {
    let form = "write `NAME/TYPE/ADDRESS`: `app.example.org/A/192.0.2.1`";
    let parts: Vec<&str> = text.splitn(3, '/').collect();
    let [of, kind, address] = parts[..] else { return Err(form.to_owned()) };
    let kind = kind.to_ascii_uppercase();
    if kind != "A" && kind != "AAAA" {
        let why = match &*kind {
            "LUA" => "; a LUA record decides by itself: steer what it asks",
            "CNAME" | "ALIAS" => "; steer the records that it leads to",
            _ => "",
        };
        return Err(format!("records of type A and AAAA can be cut{why}"));
    }
    let name = name(of).ok_or_else(|| form.to_owned())?;
    let address: IpAddr = address.parse().map_err(|_| form.to_owned())?;
    let record = DnsRecord { name, address };
    match record.kind() == kind {
        true => Ok(record),
        false => {
            Err(format!("an address of this kind stands in a record of type {}", record.kind()))
        }
    }
}

fn is_in(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}
