//! The services and stores of the lab.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    DatacenterId, LabCheck, LabCold, LabService, LabStore, Name, Replication, SplitBrain,
    StoreFaults,
};

use super::Gathered;
use crate::plan::finding::quote;
use crate::plan::read::{At, Fields, Label, Reader, Value};
use crate::plan::tree::Kind;

/// The keys of a service's long form.
const SERVICE: &[&str] = &[
    "replicas",
    "spread",
    "check",
    "calls",
    "paths",
    "takes",
    "at_once",
    "queue",
    "cold",
    "switched_by",
];

/// Reads a service: its replicas alone, or all that it is under their key `replicas`.
pub(super) fn service(
    reader: &mut Reader,
    gathered: &mut Gathered,
    name: &Name,
    value: Value,
) -> Option<LabService> {
    if !is_long(gathered, value) {
        return Some(LabService::from(replicas(reader, gathered, value)));
    }
    let fields = reader.fields(value, Label("lab service", name.as_str()), SERVICE)?;
    let needed = fields.need(reader, "replicas", "{ east: 2, west: 2 }");
    let replicas = needed.map(|value| replicas(reader, gathered, value)).unwrap_or_default();
    let checks = [("up", LabCheck::Up), ("deep", LabCheck::Deep)];
    let check = fields.get("check").and_then(|value| reader.choice(value, &checks));
    let calls = fields.get("calls").map(|value| calls(reader, gathered, name, value));
    let paths = fields.get("paths").map(|value| paths(reader, gathered, name, value));
    let takes = duration(reader, &fields, "takes");
    let at_once = fields.get("at_once").and_then(|value| reader.count(value, 1..=100_000));
    let queue = fields.get("queue").and_then(|value| reader.count(value, 0..=1_000_000));
    if let (Some(value), None) = (fields.get("queue"), fields.get("at_once")) {
        let what = "`queue` means nothing without `at_once`: no request has to wait";
        let hint = "add `at_once: 8`, or take `queue` out";
        reader.findings.error("impossible", value.at, what, hint);
    }
    let cold = fields.get("cold").and_then(|value| cold(reader, value));
    let spread = super::spread(reader, &fields);
    let switched_by = switched_by(reader, gathered, &fields, name, replicas.len() > 1);
    Some(LabService {
        replicas,
        spread,
        check: check.unwrap_or(LabCheck::Up),
        calls: calls.unwrap_or_default(),
        paths: paths.unwrap_or_default(),
        takes: takes.unwrap_or_default(),
        at_once: at_once.map(|count| count as u32),
        queue: queue.map_or(LabService::QUEUE, |count| count as u32),
        cold,
        switched_by,
    })
}

/// The long form has one of its own keys. A datacenter may be called like one.
fn is_long(gathered: &Gathered, value: Value) -> bool {
    let own = |key: &str| SERVICE.contains(&key) && !gathered.datacenters.contains(key);
    match &value.node.resolve().kind {
        Kind::Map(entries) => entries.iter().any(|entry| own(&entry.key)),
        _ => false,
    }
}

fn replicas(reader: &mut Reader, gathered: &Gathered, value: Value) -> BTreeMap<DatacenterId, u32> {
    let wanted = "replicas by datacenter such as `{ east: 2, west: 2 }`";
    let counted = gathered.datacenters.map(reader, value, wanted);
    let counted = counted.into_iter();
    counted.filter_map(|(id, value)| Some((id, reader.count(value, 1..=100)? as u32))).collect()
}

fn calls(reader: &mut Reader, gathered: &mut Gathered, of: &Name, value: Value) -> Vec<Name> {
    let mut called = Vec::new();
    for item in reader.one_or_more(value) {
        let Some(name) = reader.name(item) else { continue };
        called.push(name.value.clone());
        gathered.calls.push((of.clone(), name));
    }
    called
}

fn paths(
    reader: &mut Reader,
    gathered: &mut Gathered,
    of: &Name,
    value: Value,
) -> BTreeMap<String, Vec<Name>> {
    let entries = reader.map(value, "calls by path such as `{ /images: [objects] }`");
    let mut paths = BTreeMap::new();
    for entry in entries.unwrap_or_default() {
        let called = calls(reader, gathered, of, Value::of(entry));
        if is_path(&entry.key) {
            paths.insert(entry.key.clone().into_owned(), called);
            continue;
        }
        let what = format!("{} is no path", quote(&entry.key));
        let hint = "write the beginning of a path such as `/images`, without query or placeholder";
        reader.findings.error("bad-value", entry.at, what, hint);
    }
    paths
}

fn is_path(text: &str) -> bool {
    const LONGEST: usize = 200;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#${}\"\\".contains(&byte);
    text.starts_with('/') && text.len() <= LONGEST && text.bytes().all(plain)
}

fn cold(reader: &mut Reader, value: Value) -> Option<LabCold> {
    let fields = reader.fields(value, Label("", "cold"), &["takes", "requests"])?;
    let takes = fields.need(reader, "takes", "200ms");
    let takes = takes.and_then(|value| reader.duration(value, false));
    let requests = fields.need(reader, "requests", "50");
    let requests = requests.and_then(|value| reader.count(value, 1..=1_000_000));
    Some(LabCold { takes: takes?.value, requests: requests? as u32 })
}

fn duration(reader: &mut Reader, fields: &Fields, key: &str) -> Option<Duration> {
    let read = fields.get(key).and_then(|value| reader.duration(value, true));
    read.map(|at| at.value)
}

fn switched_by(
    reader: &mut Reader,
    gathered: &mut Gathered,
    fields: &Fields,
    of: &Name,
    has_another: bool,
) -> Option<Name> {
    let name = fields.get("switched_by").and_then(|value| reader.name(value))?;
    gathered.switched.push((of.clone(), name.clone(), has_another));
    Some(name.value)
}

/// The keys of a store.
const STORE: &[&str] = &[
    "primary",
    "replicas",
    "replication",
    "lag",
    "switched_by",
    "loses",
    "duplicates",
    "stale_for",
    "split_brain",
];

/// Reads a store.
pub(super) fn store(
    reader: &mut Reader,
    gathered: &mut Gathered,
    name: &Name,
    value: Value,
) -> Option<LabStore> {
    let fields = reader.fields(value, Label("store", name.as_str()), STORE)?;
    let primary = fields.need(reader, "primary", "east").and_then(|value| {
        let id = gathered.datacenters.refer(reader, value)?;
        Some(At { value: id, span: value.span() })
    });
    let copies = fields.get("replicas");
    let replicas = copies.map(|value| super::datacenters(reader, gathered, value));
    let replicas = replicas.unwrap_or_default();
    if let (Some(primary), Some(copies)) = (primary, copies)
        && replicas.contains(&primary.value)
    {
        let what = "the primary's datacenter is among `replicas` too";
        let hint = "a datacenter holds one copy: take it out of `replicas`";
        reader.findings.error("impossible", copies.at, what, hint);
        reader.findings.relate(primary.span, "the primary");
    }
    let replication = replication(reader, &fields);
    let switched_by = switched_by(reader, gathered, &fields, name, !replicas.is_empty());
    let faults = faults(reader, &fields, &replicas);
    Some(LabStore { primary: primary?.value, replicas, replication, switched_by, faults })
}

/// What is wrong with a store on purpose.
fn faults(reader: &mut Reader, fields: &Fields, replicas: &[DatacenterId]) -> StoreFaults {
    let mut share = |key| fields.get(key).and_then(|value| reader.share(value)).map(|at| at.value);
    let (loses, duplicates) = (share("loses"), share("duplicates"));
    let stale_for = duration(reader, fields, "stale_for");
    let split_brain = fields.get("split_brain");
    let winners = [("new-wins", SplitBrain::NewWins), ("old-wins", SplitBrain::OldWins)];
    if let (Some(value), []) = (split_brain, replicas) {
        let what = "`split_brain` means nothing where no other copy can take over";
        let hint = "add `replicas`, or take it out";
        reader.findings.error("impossible", value.at, what, hint);
    }
    StoreFaults {
        loses: loses.unwrap_or_default(),
        duplicates: duplicates.unwrap_or_default(),
        stale_for: stale_for.unwrap_or_default(),
        split_brain: split_brain.and_then(|value| reader.choice(value, &winners)),
    }
}

fn replication(reader: &mut Reader, fields: &Fields) -> Replication {
    let kinds = [("async", false), ("sync", true)];
    let sync = fields.get("replication").and_then(|value| reader.choice(value, &kinds));
    let lag = duration(reader, fields, "lag");
    if let (Some(true), Some(value)) = (sync, fields.get("lag")) {
        let what = "`lag` means nothing where replication is synchronous";
        let hint = "take it out, or write `replication: async`";
        reader.findings.error("impossible", value.at, what, hint);
    }
    match sync {
        Some(true) => Replication::Sync,
        _ => Replication::Async(lag.unwrap_or_default()),
    }
}
