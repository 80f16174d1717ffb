//! `azure`: a Traffic Manager profile, and which of its endpoints lead where.

use std::time::Duration;

use crate::model::{AzureEndpoints, AzureSettings};
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
        &["subscription", "resource_group", "traffic_manager", "endpoint", "timeout"];
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
    let example = "{ profile: shop, endpoints: { east: shop-east, west: shop-west } }";
    let value = fields.need(reader, "traffic_manager", example)?;
    let fields = reader.fields(value, Label("", "traffic_manager"), &["profile", "endpoints"])?;
    let profile = fields.need(reader, "profile", "shop");
    let profile = profile.and_then(|it| plain(reader, it, "the name of a profile", b"-_."));
    let named = fields.need(reader, "endpoints", "{ east: shop-east, west: shop-west }")?;
    let mut endpoints = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "endpoints by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no endpoints here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let wanted = "the name of an endpoint, where `*` and `?` may stand for others";
        let patterns = items.into_iter().filter_map(|it| plain(reader, it, wanted, b"-_. *?"));
        endpoints.push(AzureEndpoints { datacenter, patterns: patterns.collect() });
    }
    Some(AzureSettings {
        subscription: subscription?,
        resource_group: group?,
        profile: profile?,
        endpoints,
        endpoint,
        timeout: timeout.map_or(Duration::from_secs(5), |At { value, .. }| value),
    })
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
