//! `caddy`: where its admin API is, and which upstreams lead where.

use std::collections::HashSet;
use std::time::Duration;

use super::api;
use crate::model::{CaddySettings, CaddyUpstream};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// Reads the settings of a `caddy`.
pub(super) fn caddy(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<CaddySettings> {
    const KEYS: &[&str] = &["url", "id", "upstreams", "timeout"];
    let fields = reader.fields(value, Label("", "caddy"), KEYS)?;
    let url = fields.need(reader, "url", "\"http://127.0.0.1:2019\"");
    let url = url.and_then(|value| api(reader, value));
    let id = fields.need(reader, "id", "edge").and_then(|value| id(reader, value));
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let example = "[{ datacenter: east, dial: \"10.1.0.1:80\" }]";
    let named = fields.need(reader, "upstreams", example)?;
    let items = reader.list(named, "a list of upstreams, in Caddy's order");
    if items.is_empty() {
        let what = "`upstreams` names none";
        reader.findings.error("missing-key", named.at, what, format!("write {example}"));
    }
    let (mut upstreams, mut taken) = (Vec::new(), HashSet::new());
    for item in items {
        upstreams.extend(upstream(reader, item, datacenters, &mut taken));
    }
    let timeout = timeout.map_or(Duration::from_secs(5), |at| at.value);
    Some(CaddySettings { url: url?, id: id?, upstreams, timeout })
}

fn upstream(
    reader: &mut Reader,
    item: Value,
    datacenters: &Datacenters,
    taken: &mut HashSet<String>,
) -> Option<CaddyUpstream> {
    let fields = reader.fields(item, Label("an upstream", ""), &["datacenter", "dial"])?;
    let datacenter = fields.need(reader, "datacenter", "east");
    let datacenter = datacenter.and_then(|value| datacenters.refer(reader, value));
    let value = fields.need(reader, "dial", "\"10.1.0.1:80\"")?;
    let dial =
        reader.shown(value, "the address of an upstream, as Caddy's configuration has it")?;
    if dial.is_empty() || !taken.insert(dial.clone().into_owned()) {
        let what = match dial.is_empty() {
            true => "an upstream has no address".to_owned(),
            false => format!("the upstream {} stands here twice", quote(&dial)),
        };
        let hint = "name each upstream of the handler once";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    }
    Some(CaddyUpstream { datacenter: datacenter?, dial: dial.into_owned() })
}

fn id(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "the `@id` of a `reverse_proxy` handler")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !text.is_empty() && text.bytes().all(fits) {
        return Some(text.into_owned());
    }
    let what = format!("{} cannot be asked for at Caddy", quote(&text));
    let hint = "give the handler an `@id` of letters, digits, `-`, `_` and `.`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
