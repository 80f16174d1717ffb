//! `kubernetes`: which cluster, and which nodes, backends or pods stand where.

use std::time::Duration;

use crate::model::{
    KubernetesAccess, KubernetesBackend, KubernetesBackends, KubernetesBy, KubernetesNodes,
    KubernetesPolicies, KubernetesSettings, KubernetesZone,
};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{At, Fields, Label, Reader, Value};

/// A drill gives a cut 15 s, and the control must say first what was in the way.
const EVICT_WITHIN: Duration = Duration::from_secs(12);

const ZONE: &str = "topology.kubernetes.io/zone";

/// Reads the settings of a `kubernetes`.
pub(super) fn kubernetes(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<KubernetesSettings> {
    const KEYS: &[&str] = &[
        "context",
        "in_cluster",
        "kubeconfig",
        "server",
        "nodes",
        "routes",
        "policies",
        "timeout",
    ];
    let fields = reader.fields(value, Label("", "kubernetes"), KEYS)?;
    let access = access(reader, &fields);
    let server = fields.get("server").and_then(|value| {
        let text = reader.text(value, false)?;
        url(reader, &text).then_some(text.value)
    });
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let by =
        fields.one_of(reader, &["nodes", "routes", "policies"]).and_then(|value| match value.key {
            "nodes" => nodes(reader, value, datacenters),
            "policies" => policies(reader, value, datacenters),
            _ => routes(reader, value, datacenters),
        });
    let timeout = timeout.map_or(Duration::from_secs(5), |At { value, .. }| value);
    Some(KubernetesSettings { access: access?, server, by: by?, timeout })
}

fn access(reader: &mut Reader, fields: &Fields) -> Option<KubernetesAccess> {
    let chosen = fields.one_of(reader, &["context", "in_cluster"])?;
    let file = fields.get("kubeconfig");
    if chosen.key == "context" {
        let name = reader.shown(chosen, "the name of a context of the kubeconfig")?.into_owned();
        let kubeconfig = match file {
            Some(value) => Some(reader.text(value, false)?.value),
            None => None,
        };
        return Some(KubernetesAccess::Context { name, kubeconfig });
    }
    if !reader.flag(chosen)? {
        let hint = "write `in_cluster: true`, or name a `context`";
        reader.findings.error("bad-value", chosen.span(), "no cluster is named", hint);
        return None;
    }
    if let Some(file) = file {
        let what = "a pod asks its own cluster by its service account, without a `kubeconfig`";
        reader.findings.error("impossible", file.at, what, "take it out, or name a `context`");
        return None;
    }
    Some(KubernetesAccess::InCluster)
}

fn nodes(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<KubernetesBy> {
    const KEYS: &[&str] = &["zones", "label", "namespaces", "evict_within"];
    let fields = reader.fields(value, Label("", "nodes"), KEYS)?;
    let evict_within = fields.get("evict_within").and_then(|value| within(reader, value));
    let label = label(reader, &fields, "a label of nodes");
    let namespaces = namespaces(reader, &fields, "so no pod would leave");
    let zones = zones(reader, &fields, datacenters)?;
    Some(KubernetesBy::Nodes(KubernetesNodes {
        label: label?,
        zones,
        namespaces: namespaces?,
        evict_within: evict_within.unwrap_or(EVICT_WITHIN),
    }))
}

fn policies(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<KubernetesBy> {
    let fields = reader.fields(value, Label("", "policies"), &["zones", "label", "namespaces"])?;
    let label = label(reader, &fields, "a label of pods");
    let namespaces = namespaces(reader, &fields, "so no pod would be isolated");
    let zones = zones(reader, &fields, datacenters)?;
    Some(KubernetesBy::Policies(KubernetesPolicies {
        label: label?,
        zones,
        namespaces: namespaces?,
    }))
}

fn label(reader: &mut Reader, fields: &Fields, wanted: &str) -> Option<String> {
    match fields.get("label") {
        Some(value) => plain(reader, value, wanted, &|text| is_label(text)),
        None => Some(ZONE.to_owned()),
    }
}

fn namespaces(reader: &mut Reader, fields: &Fields, so: &str) -> Option<Vec<String>> {
    let value = fields.need(reader, "namespaces", "[shop]")?;
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = format!("`namespaces` names none, {so}");
        reader.findings.error("missing-key", value.at, what, "name those of the services");
    }
    Some(items.into_iter().filter_map(|it| plain(reader, it, "a namespace", &is_name)).collect())
}

fn zones(
    reader: &mut Reader,
    fields: &Fields,
    datacenters: &Datacenters,
) -> Option<Vec<KubernetesZone>> {
    let named = fields.need(reader, "zones", "{ east: zone-a, west: zone-b }")?;
    let mut zones: Vec<KubernetesZone> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "the zone of each datacenter") {
        let Some(zone) = plain(reader, value, "a value of the label", &is_value) else { continue };
        if zones.iter().any(|other| other.zone == zone) {
            let what = format!("two datacenters are the zone {}", quote(&zone));
            reader.findings.error("impossible", value.span(), what, "give each its own");
        }
        zones.push(KubernetesZone { datacenter, zone });
    }
    Some(zones)
}

fn within(reader: &mut Reader, value: Value) -> Option<Duration> {
    let At { value: given, span } = reader.duration(value, false)?;
    if given > EVICT_WITHIN {
        let what = "`evict_within` is longer than 12 s, and a drill gives a cut 15 s in all";
        reader.findings.error("impossible", span, what, "shorten it");
    }
    Some(given)
}

fn routes(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<KubernetesBy> {
    let mut all: Vec<KubernetesBackends> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, "backends by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no backends here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let mut backends = Vec::new();
        for item in items {
            let Some(backend) = backend(reader, item) else { continue };
            let earlier = all.iter().flat_map(|it| &it.backends).chain(&backends);
            if earlier.into_iter().any(|other| *other == backend) {
                let what = "this backend stands here twice";
                let hint = "a backend leads to one datacenter";
                reader.findings.error("impossible", item.span(), what, hint);
                continue;
            }
            backends.push(backend);
        }
        all.push(KubernetesBackends { datacenter, backends });
    }
    Some(KubernetesBy::Routes(all))
}

fn backend(reader: &mut Reader, value: Value) -> Option<KubernetesBackend> {
    let fits = |text: &str| text.split('/').count() == 3 && text.split('/').all(is_name);
    let text = plain(reader, value, "`NAMESPACE/ROUTE/SERVICE`", &fits)?;
    let mut names = text.split('/').map(str::to_owned);
    Some(KubernetesBackend {
        namespace: names.next()?,
        route: names.next()?,
        service: names.next()?,
    })
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

/// A name of an object (RFC 1123).
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= 253
        && text.bytes().all(fits)
        && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
}

/// A value of a label.
fn is_value(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

/// A label's name, with what stands before its slash.
fn is_label(text: &str) -> bool {
    match text.split_once('/') {
        Some((before, name)) => is_name(before) && is_value(name),
        None => is_value(text),
    }
}
