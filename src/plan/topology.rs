//! Where services run, what they depend on, what their failover needs, and which networks are whose.

use std::collections::{HashMap, HashSet};

use crate::model::{ControlPlane, DatacenterId, Dependency, Home, Name, Networks, Stand};

use super::address::host_and_port;
use super::draft::{ControlPlaneDraft, Datacenters, HomeDraft, ServiceDraft};
use super::finding::quote;
use super::read::{At, Fields, Label, Reader, Value};
use super::served_by;
use super::suggest::instead;
use super::tree::{Entry, Kind, Span};

/// Reads a service's `in`.
pub(super) fn home(
    reader: &mut Reader,
    value: Value,
    service: &str,
    datacenters: &Datacenters,
) -> HomeDraft {
    let before = reader.findings.errors();
    let home = match &value.node.resolve().kind {
        Kind::Map(_) => long_home(reader, value, datacenters),
        _ => Home { active: listed(reader, value, datacenters), ..Home::default() },
    };
    // What names no datacenter because its names are wrong is reported already.
    if reader.findings.errors() == before && home.active.is_empty() {
        let what = match home.standby.is_empty() {
            true => format!("service {} runs in no datacenter", quote(service)),
            false => format!("service {} is active in no datacenter", quote(service)),
        };
        let hint = format!("write `in: [{}]`, or take `in` out", some_name(datacenters));
        reader.findings.error("no-datacenter", value.at, what, hint);
    }
    let complete = reader.findings.errors() == before;
    HomeDraft { home, at: value.at, complete }
}

fn long_home(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Home {
    const KEYS: &[&str] = &["active", "standby", "needs"];
    let before = reader.findings.errors();
    let Some(fields) = reader.fields(value, Label("", "in"), KEYS) else { return Home::default() };
    let example = format!("[{}]", some_name(datacenters));
    let active = fields.need(reader, "active", &example);
    let active = active.map(|value| stands(reader, value, datacenters)).unwrap_or_default();
    let standby = fields.get("standby");
    let standby = standby.map(|value| stands(reader, value, datacenters)).unwrap_or_default();
    for (stand, at) in &standby {
        if let Some((_, active_at)) =
            active.iter().find(|(it, _)| it.datacenter == stand.datacenter)
        {
            let name = datacenters.name(stand.datacenter);
            let what = format!("{} is active and standby at once", quote(name));
            reader.findings.error("duplicate-key", *at, what, "keep one of the two");
            reader.findings.relate(*active_at, "active here");
        }
    }
    // Numbers that could not be read add up to nothing.
    let whole = reader.findings.errors() == before;
    let needs = fields.get("needs").filter(|_| whole);
    let needs = needs.and_then(|value| needs_of(reader, value, &active));
    let plain = |stands: Vec<(Stand, Span)>| stands.into_iter().map(|(stand, _)| stand).collect();
    Home { active: plain(active), standby: plain(standby), needs }
}

fn needs_of(reader: &mut Reader, value: Value, active: &[(Stand, Span)]) -> Option<u32> {
    let needs = reader.count(value, 1..=u64::from(u32::MAX))? as u32;
    let counts: Option<u64> = active.iter().map(|(it, _)| it.servers.map(u64::from)).sum();
    let Some(all) = counts.filter(|_| !active.is_empty()) else {
        if !active.is_empty() {
            let what = "`needs` is a number of servers, and `active` does not count them";
            let hint = "write `active: { DATACENTER: SERVERS }`";
            reader.findings.error("impossible", value.span(), what, hint);
        }
        return None;
    };
    if u64::from(needs) > all {
        let what = format!("`needs` is {needs}, and all active servers are {all}");
        let hint = "an ordinary peak cannot need more than there are: lower it, or add servers";
        reader.findings.error("impossible", value.span(), what, hint);
    }
    Some(needs)
}

/// Datacenters, as a list or as a map with numbers of servers; each once.
fn stands(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<(Stand, Span)> {
    match &value.node.resolve().kind {
        Kind::Map(_) => {
            let counted = datacenters.map(reader, value, "numbers of servers by datacenter");
            let counted = counted.into_iter().filter_map(|(datacenter, value)| {
                let servers = reader.count(value, 1..=u64::from(u32::MAX))? as u32;
                Some((Stand { datacenter, servers: Some(servers) }, value.at))
            });
            counted.collect()
        }
        _ => ids(reader, value, datacenters)
            .into_iter()
            .map(|at| (Stand { datacenter: at.value, servers: None }, at.span))
            .collect(),
    }
}

fn listed(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<Stand> {
    let found = ids(reader, value, datacenters).into_iter();
    found.map(|at| Stand { datacenter: at.value, servers: None }).collect()
}

/// One datacenter or a list of them, each once.
fn ids(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<At<DatacenterId>> {
    let mut found: Vec<At<DatacenterId>> = Vec::new();
    let mut taken = HashSet::new();
    for item in reader.one_or_more(value) {
        let Some(name) = reader.name(item) else { continue };
        let Some(id) = datacenters.find(reader, &name) else { continue };
        if !taken.insert(id) {
            let what = format!("{} stands here twice", quote(name.value.as_str()));
            reader.findings.error("duplicate-key", name.span, what, "keep one of the two");
            continue;
        }
        found.push(At { value: id, span: name.span });
    }
    found
}

fn some_name(datacenters: &Datacenters) -> &str {
    datacenters.names.first().map_or("DATACENTER", Name::as_str)
}

/// One name or a list of them, each once; what they refer to is looked at later.
pub(super) fn names(reader: &mut Reader, value: Value) -> Vec<At<Name>> {
    let mut taken = HashSet::new();
    let mut found = Vec::new();
    for item in reader.one_or_more(value) {
        let Some(name) = reader.name(item) else { continue };
        if !taken.insert(name.value.clone()) {
            let what = format!("{} stands here twice", quote(name.value.as_str()));
            reader.findings.error("duplicate-key", name.span, what, "keep one of the two");
            continue;
        }
        found.push(name);
    }
    found
}

/// Reads `networks`.
pub(super) fn networks(reader: &mut Reader, top: &Fields, datacenters: &Datacenters) -> Networks {
    let value = top.get("networks");
    Networks(
        value.and_then(|value| served_by::networks(reader, value, datacenters)).unwrap_or_default(),
    )
}

/// Reads `control_plane`; the flag says whether every name in it could be read.
pub(super) fn control_plane(
    reader: &mut Reader,
    top: &Fields,
    datacenters: &Datacenters,
) -> (Vec<ControlPlaneDraft>, bool) {
    let Some(value) = top.get("control_plane") else { return (Vec::new(), true) };
    let wanted = "what a failover needs, by name, such as `{ switch-over: { in: [east] } }`";
    let Some(entries) = reader.map(value, wanted) else { return (Vec::new(), false) };
    let mut taken = HashSet::new();
    let read = entries.iter().map(|entry| part(reader, entry, datacenters, &mut taken));
    let parts: Vec<ControlPlaneDraft> = read.collect::<Vec<_>>().into_iter().flatten().collect();
    let all = parts.len() == entries.len();
    (parts, all)
}

fn part(
    reader: &mut Reader,
    entry: &Entry,
    datacenters: &Datacenters,
    taken: &mut HashSet<Name>,
) -> Option<ControlPlaneDraft> {
    const KEYS: &[&str] = &["in", "address", "for", "depends_on"];
    let name = reader.new_name(entry, taken)?;
    let Some(fields) = reader.fields(Value::of(entry), Label("control plane", &entry.key), KEYS)
    else {
        // It still stands for its name, so that references to it are not judged.
        return Some(ControlPlaneDraft::new(name.value, entry.at));
    };
    let before = reader.findings.errors();
    let home = fields.get("in");
    let home_ids = home.map(|value| ids(reader, value, datacenters)).unwrap_or_default();
    let address = fields.get("address").and_then(|value| {
        let text = reader.text(value, false)?;
        host_and_port(reader, &text, &text.value.reveal_plain()).then_some(text.value)
    });
    if let Some(home) = home
        && home_ids.is_empty()
        && reader.findings.errors() == before
    {
        let what = format!("control plane {} runs in no datacenter", quote(&entry.key));
        let hint = format!("write `in: [{}]`", some_name(datacenters));
        reader.findings.error("no-datacenter", home.at, what, hint);
    } else if home.is_none() && fields.get("address").is_none() {
        fields.one_of(reader, &["in", "address"]);
    }
    let serves = fields.get("for").map(|value| {
        let found = names(reader, value);
        if found.is_empty() && reader.findings.errors() == before {
            let hint = "name services, or take `for` out: then it is for all of them";
            reader.findings.error("missing-key", value.at, "`for` names no service", hint);
        }
        found
    });
    let depends_on = fields.get("depends_on");
    Some(ControlPlaneDraft {
        home: home_ids.into_iter().map(|at| at.value).collect(),
        address,
        serves,
        depends_on: depends_on.map(|value| names(reader, value)).unwrap_or_default(),
        ..ControlPlaneDraft::new(name.value, entry.at)
    })
}

/// What names in `depends_on` and `for` may refer to.
pub(super) struct Known {
    ids: HashMap<Name, Dependency>,
    services: Vec<Name>,
    control_plane: Vec<Name>,
    /// Whether every name could be read, so that references can be judged.
    complete: bool,
}

impl Known {
    /// Everything that has a name. No two may share one.
    pub fn new(
        reader: &mut Reader,
        services: &[ServiceDraft],
        control_plane: &[ControlPlaneDraft],
        complete: bool,
    ) -> Known {
        let mut ids: HashMap<Name, Dependency> = services
            .iter()
            .enumerate()
            .map(|(number, draft)| (draft.service.name.clone(), Dependency::Service(number)))
            .collect();
        let mut parts = Vec::with_capacity(control_plane.len());
        for (number, part) in control_plane.iter().enumerate() {
            if let Some(Dependency::Service(other)) = ids.get(&part.name) {
                let what = format!("{} is the name of a service too", quote(part.name.as_str()));
                let hint = "give one of the two another name: `depends_on` may mean either";
                reader.findings.error("duplicate-key", part.at, what, hint);
                let at = services.get(*other).map_or(part.at, |draft| draft.at);
                reader.findings.relate(at, "the service");
                continue;
            }
            parts.push(part.name.clone());
            ids.insert(part.name.clone(), Dependency::ControlPlane(number));
        }
        Known {
            ids,
            services: services.iter().map(|draft| draft.service.name.clone()).collect(),
            control_plane: parts,
            complete,
        }
    }

    /// Services and control planes by their names.
    pub fn dependencies(&self, reader: &mut Reader, names: &[At<Name>]) -> Vec<Dependency> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match self.ids.get(&name.value) {
                Some(id) => found.push(*id),
                None => {
                    let known = self.services.iter().chain(&self.control_plane).map(Name::as_str);
                    self.unknown(reader, name, "service or control plane", known);
                }
            }
        }
        found
    }

    fn service_numbers(&self, reader: &mut Reader, names: &[At<Name>]) -> Vec<usize> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match self.ids.get(&name.value) {
                Some(Dependency::Service(number)) => found.push(*number),
                _ => {
                    let known = self.services.iter().map(Name::as_str);
                    self.unknown(reader, name, "service", known);
                }
            }
        }
        found
    }

    fn unknown<'n>(
        &self,
        reader: &mut Reader,
        name: &At<Name>,
        kind: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        if self.complete {
            let what = format!("there is no {kind} {}", quote(name.value.as_str()));
            let kinds = if kind == "service" { "services" } else { "names" };
            let hint = instead(name.value.as_str(), kinds, known);
            reader.findings.error("reference", name.span, what, hint);
        }
    }

    /// The control plane with its references resolved.
    pub fn control_plane(
        &self,
        reader: &mut Reader,
        parts: &[ControlPlaneDraft],
    ) -> Vec<ControlPlane> {
        let resolve = |part: &ControlPlaneDraft| ControlPlane {
            name: part.name.clone(),
            home: part.home.clone(),
            address: part.address.clone(),
            serves: part.serves.as_ref().map(|names| self.service_numbers(reader, names)),
            depends_on: self.dependencies(reader, &part.depends_on),
        };
        parts.iter().map(resolve).collect()
    }
}
