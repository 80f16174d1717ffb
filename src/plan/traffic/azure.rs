//! `azure`: a profile of Traffic Manager or of Front Door, and which of its endpoints or origins lead where.

use std::time::Duration;

use crate::model::{AzureBy, AzureParts, AzureSettings};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Label, Reader, Value};

/// Reads the settings of an `azure`.
pub(super) fn azure(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<AzureSettings> {
    const KEYS: &[&str] =
        &["subscription", "resource_group", "traffic_manager", "front_door", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "azure"), KEYS)?;
    let id = "00000000-0000-0000-0000-000000000000";
    let subscription = fields.need(reader, "subscription", id);
    let subscription =
        subscription.and_then(|it| plain(reader, it, "the id of a subscription", b"-"));
    let group = fields.need(reader, "resource_group", "shop");
    let group = group.and_then(|it| plain(reader, it, "the name of a resource group", b"-_.()"));
    let endpoint = fields.get("endpoint").and_then(|value| {
        let text = reader.text(value, false)?;
        url(reader, &text).then_some(text.value)
    });
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let chosen = fields.one_of(reader, &["traffic_manager", "front_door"])?;
    let by = match chosen.key {
        "traffic_manager" => traffic_manager(reader, chosen, datacenters),
        _ => front_door(reader, chosen, datacenters),
    };
    Some(AzureSettings {
        subscription: subscription?,
        resource_group: group?,
        by: by?,
        endpoint,
        timeout: timeout.map_or(Duration::from_secs(5), |At { value, .. }| value),
    })
}

fn traffic_manager(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<AzureBy> {
    let fields = reader.fields(value, Label("", "traffic_manager"), &["profile", "endpoints"])?;
    let profile = fields.need(reader, "profile", "shop");
    let profile = profile.and_then(|it| plain(reader, it, "the name of a profile", b"-_."));
    let named = fields.need(reader, "endpoints", "{ east: shop-east, west: shop-west }")?;
    let wanted = "the name of an endpoint, where `*` and `?` may stand for others";
    let one = |reader: &mut Reader, it: Value| plain(reader, it, wanted, b"-_.*?");
    let endpoints = parts(reader, named, datacenters, &one);
    Some(AzureBy::TrafficManager { profile: profile?, endpoints })
}

fn front_door(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<AzureBy> {
    let fields = reader.fields(value, Label("", "front_door"), &["profile", "origins"])?;
    let profile = fields.need(reader, "profile", "shop");
    let profile = profile.and_then(|it| plain(reader, it, "the name of a profile", b"-"));
    let named = fields.need(reader, "origins", "{ east: web/east, west: web/west }")?;
    let wanted = "`ORIGIN_GROUP/ORIGIN`, where `*` and `?` may stand for others";
    let one = |reader: &mut Reader, it: Value| {
        let text = plain(reader, it, wanted, b"-*?/")?;
        if text.split('/').count() == 2 && text.split('/').all(|name| !name.is_empty()) {
            return Some(text);
        }
        let what = format!("{} is not {wanted}", quote(&text));
        reader.findings.error("bad-value", it.span(), what, format!("write {wanted}"));
        None
    };
    let origins = parts(reader, named, datacenters, &one);
    Some(AzureBy::FrontDoor { profile: profile?, origins })
}

/// What leads where; `one` reads a name.
fn parts(
    reader: &mut Reader,
    named: Value,
    datacenters: &Datacenters,
    one: &dyn Fn(&mut Reader, Value) -> Option<String>,
) -> Vec<AzureParts> {
    let (key, mut all) = (named.key, Vec::new());
    for (datacenter, value) in datacenters.map(reader, named, &format!("{key} by datacenter")) {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no {key} here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let patterns = items.into_iter().filter_map(|it| one(reader, it)).collect();
        all.push(AzureParts { datacenter, patterns });
    }
    all
}

/// Text that is shown, of letters, digits and `others`.
fn plain(reader: &mut Reader, value: Value, wanted: &str, others: &[u8]) -> Option<String> {
    let text = reader.shown(value, wanted)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || others.contains(&b);
    if (1..=260).contains(&text.len())
        && text.bytes().all(fits)
        && !text.trim_matches('.').is_empty()
    {
        return Some(text.into_owned());
    }
    let what = format!("{} is not {wanted}", quote(&text));
    reader.findings.error("bad-value", value.span(), what, format!("write {wanted}"));
    None
}
