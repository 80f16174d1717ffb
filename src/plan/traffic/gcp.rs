//! `gcp`: backend services, and which of their groups stand where.

use std::time::Duration;

use crate::model::{GcpGroups, GcpService, GcpSettings};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Label, Reader, Value};

/// Reads the settings of a `gcp`.
pub(super) fn gcp(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<GcpSettings> {
    const KEYS: &[&str] = &["project", "backend_services", "groups", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "gcp"), KEYS)?;
    let project = fields.need(reader, "project", "my-project-123");
    let project = project.and_then(|value| {
        // Ids of old projects begin with a domain: `example.com:shop`.
        let fits = |text: &str| is_plain(text, b"-.:");
        plain(reader, value, "the id of a project", &fits)
    });
    let endpoint = fields.get("endpoint").and_then(|value| {
        let text = reader.text(value, false)?;
        url(reader, &text).then_some(text.value)
    });
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let services = fields.need(reader, "backend_services", "[web]").map(|value| {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = "`backend_services` names none";
            reader.findings.error(
                "missing-key",
                value.at,
                what,
                "name those of the load balancers",
            );
        }
        services(reader, items)
    });
    let example = "{ east: \"europe-west9-a/*\", west: \"europe-west9-b/*\" }";
    let named = fields.need(reader, "groups", example)?;
    let mut groups = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "groups by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no groups here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let wanted = "`LOCATION/GROUP`, where `*` and `?` may stand for others";
        let fits = |text: &str| {
            text.split('/').count() == 2 && text.split('/').all(|it| is_plain(it, b"-*?"))
        };
        let patterns = items.into_iter().filter_map(|it| plain(reader, it, wanted, &fits));
        groups.push(GcpGroups { datacenter, patterns: patterns.collect() });
    }
    let timeout = timeout.map_or(Duration::from_secs(5), |At { value, .. }| value);
    Some(GcpSettings { project: project?, services: services?, groups, endpoint, timeout })
}

fn services(reader: &mut Reader, items: Vec<Value>) -> Vec<GcpService> {
    let mut services: Vec<GcpService> = Vec::new();
    for item in items {
        let fits = |text: &str| {
            text.split('/').count() <= 2 && text.split('/').all(|it| is_plain(it, b"-"))
        };
        let Some(text) = plain(reader, item, "`NAME` or `REGION/NAME`", &fits) else { continue };
        let service = match text.split_once('/') {
            Some((region, name)) => {
                GcpService { region: Some(region.to_owned()), name: name.to_owned() }
            }
            None => GcpService { region: None, name: text },
        };
        if services.contains(&service) {
            let what = format!("{} stands here twice", quote(&service.words()));
            reader.findings.error("impossible", item.span(), what, "keep one of the two");
            continue;
        }
        services.push(service);
    }
    services
}

/// Text that is shown, and is what `wanted` says where it `fits`.
fn plain(
    reader: &mut Reader,
    value: Value,
    wanted: &str,
    fits: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let text = reader.shown(value, wanted)?;
    if fits(&text) {
        return Some(text.into_owned());
    }
    let what = format!("{} is not {wanted}", quote(&text));
    reader.findings.error("bad-value", value.span(), what, format!("write {wanted}"));
    None
}

/// Whether it is made of small letters, digits and `others`.
fn is_plain(text: &str, others: &[u8]) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || others.contains(&b);
    (1..=100).contains(&text.len()) && text != "." && text != ".." && text.bytes().all(fits)
}
