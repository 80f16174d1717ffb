//! `gcp`: backend services, and which of their groups stand where; or a zone, and which items of its policies lead where.

use std::time::Duration;

use crate::model::{GcpBy, GcpGroups, GcpItem, GcpItems, GcpService, GcpSettings};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Fields, Label, Reader, Value};

/// Reads the settings of a `gcp`.
pub(super) fn gcp(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<GcpSettings> {
    const KEYS: &[&str] = &["project", "backend_services", "groups", "dns", "endpoint", "timeout"];
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
    let chosen = fields.one_of(reader, &["backend_services", "dns"])?;
    let by = match chosen.key {
        "dns" => {
            if let Some(groups) = fields.get("groups") {
                let what = "`groups` are those of `backend_services`";
                let hint = "take it out: `dns` has `items` of its own";
                reader.findings.error("impossible", groups.at, what, hint);
            }
            dns(reader, chosen, datacenters)
        }
        _ => backends(reader, &fields, datacenters),
    };
    let timeout = timeout.map_or(Duration::from_secs(5), |At { value, .. }| value);
    Some(GcpSettings { project: project?, by: by?, endpoint, timeout })
}

fn dns(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<GcpBy> {
    let fields = reader.fields(value, Label("", "dns"), &["zone", "items"])?;
    let zone = fields.need(reader, "zone", "shop");
    let zone = zone.and_then(|value| {
        plain(reader, value, "the name of a managed zone", &|text| is_plain(text, b"-"))
    });
    let example = "{ east: www.example.org/A/192.0.2.1, west: www.example.org/A/198.51.100.1 }";
    let named = fields.need(reader, "items", example)?;
    let mut all: Vec<GcpItems> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "items by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no items here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let mut own: Vec<GcpItem> = Vec::new();
        for value in items {
            let Some(item) = item(reader, value) else { continue };
            let mut earlier = all.iter().flat_map(|it| &it.items).chain(&own);
            if earlier.any(|other| *other == item) {
                let what = format!("the item {} stands here twice", quote(&item.words()));
                let hint = "an item leads to one datacenter";
                reader.findings.error("impossible", value.span(), what, hint);
                continue;
            }
            own.push(item);
        }
        all.push(GcpItems { datacenter, items: own });
    }
    Some(GcpBy::Dns { zone: zone?, items: all })
}

fn item(reader: &mut Reader, value: Value) -> Option<GcpItem> {
    let read = |text: &str| {
        let mut words = text.splitn(3, '/');
        let (name, kind, data) = (words.next()?, words.next()?, words.next()?);
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
        let kind = kind.to_ascii_uppercase();
        let is_right = name.contains('.')
            && name.len() <= 253
            && name.bytes().all(fits)
            && (1..=10).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric())
            && !data.trim().is_empty();
        is_right.then(|| GcpItem { name, kind, data: data.to_owned() })
    };
    let text = plain(reader, value, "`NAME/TYPE/ANSWER`", &|text| read(text).is_some())?;
    read(&text)
}

fn backends(reader: &mut Reader, fields: &Fields, datacenters: &Datacenters) -> Option<GcpBy> {
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
    Some(GcpBy::Backends { services: services?, groups })
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
