//! How a probe tells which datacenter gave an answer.

use ipnet::IpNet;

use crate::model::{DatacenterId, ServedBySource, ServedByValues};

use super::dns;
use super::draft::Datacenters;
use super::finding::quote;
use super::probe::{POINTER_HINT, is_pointer, is_token};
use super::read::{Fields, Label, Reader, Value};

/// Reads `served_by`.
pub(super) fn source(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ServedBySource> {
    const KEYS: &[&str] = &["header", "json", "peer", "answer", "values"];
    let fields = reader.fields(value, Label("", "served_by"), KEYS)?;
    let chosen = fields.one_of(reader, &["header", "json", "peer", "answer"])?;
    if let ("peer" | "answer", Some(values)) = (chosen.key, fields.get("values")) {
        let what = format!("`values` has no meaning beside {}", quote(chosen.key));
        let hint = match chosen.key {
            "peer" => "`peer` itself names the networks",
            _ => "`answer` itself names the networks and names",
        };
        reader.findings.error("impossible", values.at, what, hint);
        return None;
    }
    match chosen.key {
        "peer" => networks(reader, chosen, datacenters).map(ServedBySource::Peer),
        "answer" => dns::answer(reader, chosen, datacenters),
        "header" => {
            let name = reader.shown(chosen, "the name of a header field")?;
            let values = values(reader, &fields, datacenters)?;
            if !is_token(&name) {
                let what = format!("{} is no name of a header field", quote(&name));
                let hint = "write a name such as `x-datacenter`";
                reader.findings.error("bad-value", chosen.span(), what, hint);
                return None;
            }
            Some(ServedBySource::Header { name: name.to_ascii_lowercase(), values })
        }
        _ => {
            let pointer = reader.shown(chosen, "a JSON pointer")?;
            let values = values(reader, &fields, datacenters)?;
            if !is_pointer(&pointer) {
                let what = format!("{} is no JSON pointer", quote(&pointer));
                reader.findings.error("bad-value", chosen.span(), what, POINTER_HINT);
                return None;
            }
            Some(ServedBySource::Json { pointer: pointer.into_owned(), values })
        }
    }
}

fn values(
    reader: &mut Reader,
    fields: &Fields,
    datacenters: &Datacenters,
) -> Option<ServedByValues> {
    let Some(value) = fields.get("values") else {
        return Some(by_their_names(datacenters, Vec::new()));
    };
    let before = reader.findings.errors();
    let mut meant: Vec<(DatacenterId, Vec<String>)> = Vec::new();
    let mut taken: std::collections::HashMap<String, DatacenterId> =
        std::collections::HashMap::new();
    for (id, value) in datacenters.map(reader, value, "patterns by datacenter") {
        let mut patterns = Vec::new();
        for item in some(reader, value) {
            let Some(pattern) = reader.shown(item, "a pattern such as `dc-a-*`") else { continue };
            let pattern = pattern.into_owned();
            if taken.insert(pattern.clone(), id).is_some_and(|other| other != id) {
                let what = format!("{} would mean two datacenters", quote(&pattern));
                let hint = "give each datacenter patterns of its own";
                reader.findings.error("impossible", item.span(), what, hint);
            }
            patterns.push(pattern);
        }
        meant.push((id, patterns));
    }
    (reader.findings.errors() == before).then(|| by_their_names(datacenters, meant))
}

/// Adds what the plan leaves out: a datacenter without patterns is meant by its own name.
fn by_their_names(
    datacenters: &Datacenters,
    mut meant: Vec<(DatacenterId, Vec<String>)>,
) -> ServedByValues {
    for (name, number) in datacenters.names.iter().zip(0..) {
        let id = DatacenterId(number);
        if !meant.iter().any(|(given, _)| *given == id) {
            meant.push((id, vec![name.to_string()]));
        }
    }
    ServedByValues(meant)
}

/// Reads networks by datacenter; none may mean two.
pub(super) fn networks(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<Vec<(DatacenterId, Vec<IpNet>)>> {
    let before = reader.findings.errors();
    let mut peers: Vec<(DatacenterId, Vec<IpNet>)> = Vec::new();
    for (id, value) in datacenters.map(reader, value, "networks by datacenter") {
        let mut networks = Vec::new();
        for item in some(reader, value) {
            let Some(network) = network(reader, item) else { continue };
            let same = |other: &IpNet| other.contains(&network) && network.contains(other);
            let taken = peers.iter().any(|(_, others)| others.iter().any(same));
            if taken {
                let what = format!("{network} would mean two datacenters");
                let hint = "give each datacenter networks of its own";
                reader.findings.error("impossible", item.span(), what, hint);
            }
            networks.push(network);
        }
        peers.push((id, networks));
    }
    (reader.findings.errors() == before).then_some(peers)
}

/// Reads a network, or one address.
pub(super) fn network(reader: &mut Reader, value: Value) -> Option<IpNet> {
    let text = reader.shown(value, "a network such as `10.1.0.0/16`")?;
    let single = || text.parse::<std::net::IpAddr>().map(IpNet::from).ok();
    let network = text.parse::<IpNet>().ok().or_else(single);
    if network.is_none() {
        let what = format!("{} is no network", quote(&text));
        let hint = "write `10.1.0.0/16`, `fd00::/8` or one address";
        reader.findings.error("bad-value", value.span(), what, hint);
    }
    network
}

/// One or more values; an empty list is reported.
pub(super) fn some<'n, 't>(reader: &mut Reader, value: Value<'n, 't>) -> Vec<Value<'n, 't>> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = format!("{} has nothing here", quote(value.key));
        reader.findings.error("missing-key", value.at, what, "write one or more, or take it out");
    }
    items
}
