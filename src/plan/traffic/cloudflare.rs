//! `cloudflare`: a zone and its records, or an account and its pools, and which of them lead where.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::api;
use crate::model::{
    CloudflareBy, CloudflarePools, CloudflareRecord, CloudflareRecords, CloudflareSettings, Part,
};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Fields, Label, Reader, Value};
use crate::plan::typed;

/// Reads the settings of a `cloudflare`.
pub(super) fn cloudflare(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<CloudflareSettings> {
    const KEYS: &[&str] = &["zone", "records", "account", "pools", "token", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "cloudflare"), KEYS)?;
    let token = fields.get("token").and_then(|value| {
        let text = reader.credential(value, false)?;
        typed::header(reader, value.key, value, &text.value);
        if text.value.parts().iter().all(|part| matches!(part, Part::Secret { .. })) {
            return Some(text.value);
        }
        let what = "`token` is kept with the run, so it cannot be typed into the plan";
        let hint = "write `\"${env:NAME}\"`, or leave it out for CLOUDFLARE_API_TOKEN";
        reader.findings.error("bad-value", value.span(), what, hint);
        None
    });
    let endpoint = fields.get("endpoint").and_then(|value| api(reader, value));
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let chosen = fields.one_of(reader, &["records", "pools"])?;
    let by = match chosen.key {
        "records" => {
            let zone = id(reader, &fields, "zone", "account");
            let records = records(reader, chosen, datacenters);
            CloudflareBy::Records { zone: zone?, records }
        }
        _ => {
            let account = id(reader, &fields, "account", "zone");
            let pools = pools(reader, chosen, datacenters);
            CloudflareBy::Pools { account: account?, pools }
        }
    };
    let timeout = timeout.map_or(Duration::from_secs(5), |At { value, .. }| value);
    Some(CloudflareSettings { by, token, endpoint, timeout })
}

/// The id under `key`, which must be there; `other` belongs to the other way.
fn id(reader: &mut Reader, fields: &Fields, key: &str, other: &str) -> Option<String> {
    if let Some(value) = fields.get(other) {
        let what = format!(
            "`{other}` does not go with `{}`",
            if key == "zone" { "records" } else { "pools" }
        );
        let hint = "a zone has `records`, and an account has `pools`";
        reader.findings.error("impossible", value.at, what, hint);
    }
    let value = fields.need(reader, key, "023e105f4ecef8ad9ca31a8372d0c353")?;
    let text = reader.shown(value, "an id of Cloudflare's")?;
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text.to_ascii_lowercase());
    }
    let what = format!("{} is no id of Cloudflare's", quote(&text));
    let hint = "write its 32 hexadecimal digits, as the dashboard's overview shows them";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

fn records(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<CloudflareRecords> {
    let (mut all, mut taken) = (Vec::new(), HashSet::new());
    for (datacenter, value) in datacenters.map(reader, value, "records by datacenter") {
        let mut records = Vec::new();
        for item in some(reader, value, "records") {
            let Some(record) = record(reader, item) else { continue };
            if taken.insert(record.words()) {
                records.push(record);
                continue;
            }
            let what = format!("the record {} stands here twice", quote(&record.words()));
            let hint = "a record leads to one datacenter";
            reader.findings.error("impossible", item.span(), what, hint);
        }
        all.push(CloudflareRecords { datacenter, records });
    }
    all
}

fn record(reader: &mut Reader, value: Value) -> Option<CloudflareRecord> {
    let wanted = "`NAME/A/ADDRESS` or `NAME/AAAA/ADDRESS`";
    let text = reader.shown(value, wanted)?;
    let read = || {
        let (name, rest) = text.split_once('/')?;
        let (kind, content) = rest.split_once('/')?;
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
        let kind = kind.to_ascii_uppercase();
        let content: IpAddr = content.parse().ok()?;
        let is_right = name.contains('.')
            && name.len() <= 253
            && name.bytes().all(fits)
            && kind == if content.is_ipv4() { "A" } else { "AAAA" };
        is_right.then(|| CloudflareRecord { name, kind, content: content.to_string() })
    };
    let record = read();
    if record.is_none() {
        let what = format!("{} is not {wanted}", quote(&text));
        let hint = "write the whole name, its type and one of its addresses";
        reader.findings.error("bad-value", value.span(), what, hint);
    }
    record
}

fn pools(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<CloudflarePools> {
    let mut all = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, "pools by datacenter") {
        let items = some(reader, value, "pools");
        let patterns = items.into_iter().filter_map(|item| pattern(reader, item));
        all.push(CloudflarePools { datacenter, patterns: patterns.collect() });
    }
    all
}

fn pattern(reader: &mut Reader, value: Value) -> Option<String> {
    let wanted = "`POOL` or `POOL/ORIGIN`, where `*` and `?` may stand for others";
    let text = reader.shown(value, wanted)?;
    let (pool, origin) = text.split_once('/').unwrap_or((&text, "*"));
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_*?".contains(&b);
    if !pool.is_empty() && pool.bytes().all(fits) && !origin.is_empty() {
        return Some(text.into_owned());
    }
    let what = format!("{} is not {wanted}", quote(&text));
    let hint = "write the name of a pool, and behind a slash that of an origin in it";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// The items of a list that must have some.
fn some<'n, 't>(reader: &mut Reader, value: Value<'n, 't>, named: &str) -> Vec<Value<'n, 't>> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = format!("{} has no {named} here", quote(value.key));
        reader.findings.error("missing-key", value.at, what, "name some, or take it out");
    }
    items
}
