//! The lab of a plan: its balancer, services, stores, controllers and operator.

mod parts;
mod references;

use std::collections::BTreeMap;

use crate::model::{BalancerSpec, DatacenterId, LabController, LabOperator, LabSpec, Name, Spread};

use super::draft::{Datacenters, LabDraft};
use super::finding::quote;
use super::read::{At, Fields, LabNames, Label, Reader, Value};
use super::tree::{Entry, Span};

/// What is gathered while the lab is read, for what can be judged only when all of it is known.
pub(super) struct Gathered<'d> {
    datacenters: &'d Datacenters,
    /// Where each name stands; nothing has two parts of one name.
    names_at: BTreeMap<Name, Span>,
    /// Who calls whom.
    calls: Vec<(Name, At<Name>)>,
    /// What is switched by which controller, and whether there is anything to switch to.
    switched: Vec<(Name, At<Name>, bool)>,
}

/// Reads the lab, and holds its parts together.
pub(super) fn read(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<LabDraft> {
    const KEYS: &[&str] = &["balancer", "services", "stores", "controllers", "operator"];
    reader.lab = LabNames::Broken;
    let before = reader.findings.errors();
    let fields = reader.fields(value, Label("", "lab"), KEYS)?;
    let balancer = fields.get("balancer").and_then(|value| balancer(reader, value));
    let mut gathered = Gathered {
        datacenters,
        names_at: BTreeMap::new(),
        calls: Vec::new(),
        switched: Vec::new(),
    };
    let example = "{ talk: { east: 2, west: 2 } }";
    let services = fields.need(reader, "services", example);
    let services = services.and_then(|value| reader.map(value, example)).unwrap_or_default();
    let services = named(reader, &mut gathered, services, parts::service);
    let example = "stores by name such as `{ accounts: { primary: east, replicas: [west] } }`";
    let stores = entries(reader, &fields, "stores", example);
    let stores = named(reader, &mut gathered, stores, parts::store);
    let example = "controllers by name such as `{ switch-over: { in: [east] } }`";
    let controllers = entries(reader, &fields, "controllers", example);
    let controllers = named(reader, &mut gathered, controllers, controller);
    let operator = fields.get("operator").and_then(|value| operator(reader, value));
    let read_all = reader.findings.errors() == before;
    let spec =
        LabSpec { balancer: balancer.unwrap_or_default(), services, stores, controllers, operator };
    references::check(reader, &spec, &gathered, &fields);
    check_rate(reader, &spec, &fields);
    let complete = reader.findings.errors() == before;
    let answering = spec.services.keys().chain(spec.stores.keys());
    let answering = answering.map(|name| name.as_str().to_owned());
    let answering = answering.chain(copies(&spec, datacenters)).collect();
    if read_all || !spec.services.is_empty() {
        reader.lab = LabNames::Known(answering);
    }
    Some(LabDraft { spec, at: value.at, names_at: gathered.names_at, complete })
}

/// The copies of the stores, each as `DATACENTER/NAME`.
fn copies(spec: &LabSpec, datacenters: &Datacenters) -> Vec<String> {
    let stores = spec.stores.iter();
    let copies = stores.flat_map(|(name, store)| store.places().map(move |place| (place, name)));
    copies.map(|(place, name)| format!("{}/{name}", datacenters.name(place))).collect()
}

/// More health checks a second than this leave nothing of a small machine for what is to be measured.
const CHECKS_PER_SECOND: f64 = 2_000.0;

fn check_rate(reader: &mut Reader, spec: &LabSpec, fields: &Fields<'_, '_>) {
    let replicas = spec.services.values().flat_map(|service| service.replicas.values());
    let replicas: u64 = replicas.map(|count| u64::from(*count)).sum();
    let rate = replicas as f64 / spec.balancer.check_every.as_secs_f64();
    if let Some(services) = fields.get("services").filter(|_| rate > CHECKS_PER_SECOND) {
        let what = format!("{replicas} replicas would be checked {rate:.0} times a second");
        let most = CHECKS_PER_SECOND;
        let hint = format!("at most {most} can be: take fewer replicas, or a longer `check_every`");
        reader.findings.error("impossible", services.span(), what, hint);
    }
}

/// The entries of a map that may be left out.
fn entries<'n, 't>(
    reader: &mut Reader,
    fields: &Fields<'n, 't>,
    key: &str,
    wanted: &str,
) -> &'n [Entry<'t>] {
    let value = fields.get(key);
    value.and_then(|value| reader.map(value, wanted)).unwrap_or_default()
}

/// Reads each of `entries` with `read`, under names that nothing else in the lab has.
fn named<T>(
    reader: &mut Reader,
    gathered: &mut Gathered,
    entries: &[Entry],
    read: impl Fn(&mut Reader, &mut Gathered, &Name, Value) -> Option<T>,
) -> BTreeMap<Name, T> {
    let mut parts = BTreeMap::new();
    for entry in entries {
        let Some(name) = reader.name_key(entry) else { continue };
        if let Some(&other) = gathered.names_at.get(&name.value) {
            let what = format!("the lab has two parts named {}", quote(name.value.as_str()));
            let hint = "give one of the two another name";
            reader.findings.error("duplicate-key", name.span, what, hint);
            reader.findings.relate(other, "the other one");
            continue;
        }
        gathered.names_at.insert(name.value.clone(), name.span);
        if let Some(part) = read(reader, gathered, &name.value, Value::of(entry)) {
            parts.insert(name.value, part);
        }
    }
    parts
}

fn balancer(reader: &mut Reader, value: Value) -> Option<BalancerSpec> {
    const KEYS: &[&str] = &["check_every", "check_timeout", "fall", "rise", "spread"];
    let fields = reader.fields(value, Label("", "balancer"), KEYS)?;
    let default = BalancerSpec::default();
    let mut duration = |key| {
        let read = fields.get(key).and_then(|value| reader.duration(value, false));
        read.map(|at| at.value)
    };
    let check_every = duration("check_every").unwrap_or(default.check_every);
    let check_timeout = duration("check_timeout").unwrap_or(check_every);
    let mut count = |key| fields.get(key).and_then(|value| reader.count(value, 1..=1_000));
    let fall = count("fall").map_or(default.fall, |count| count as u32);
    let rise = count("rise").map_or(default.rise, |count| count as u32);
    let spread = spread(reader, &fields).unwrap_or(default.spread);
    Some(BalancerSpec { check_every, check_timeout, fall, rise, spread })
}

fn spread(reader: &mut Reader, fields: &Fields) -> Option<Spread> {
    let spreads = [("round-robin", Spread::RoundRobin), ("first", Spread::First)];
    fields.get("spread").and_then(|value| reader.choice(value, &spreads))
}

fn controller(
    reader: &mut Reader,
    gathered: &mut Gathered,
    name: &Name,
    value: Value,
) -> Option<LabController> {
    const KEYS: &[&str] = &["in", "detect", "promote"];
    let fields = reader.fields(value, Label("controller", name.as_str()), KEYS)?;
    let lives = fields.need(reader, "in", "[east]");
    let datacenters = lives.map(|value| datacenters(reader, gathered, value));
    if let (Some([]), Some(value)) = (datacenters.as_deref(), lives)
        && reader.is_empty_list(value)
    {
        let what = format!("controller {} is in no datacenter", quote(name.as_str()));
        let hint = "name where it lives, such as `in: [east]`; any of them suffices";
        reader.findings.error("impossible", value.at, what, hint);
    }
    let detect = fields.get("detect").and_then(|value| reader.duration(value, false));
    let promote = fields.get("promote").and_then(|value| reader.duration(value, true));
    Some(LabController {
        datacenters: datacenters?,
        detect: detect.map_or(DETECT, |at| at.value),
        promote: promote.map(|at| at.value).unwrap_or_default(),
    })
}

/// How long a controller waits where the plan does not say.
const DETECT: std::time::Duration = std::time::Duration::from_secs(1);

fn operator(reader: &mut Reader, value: Value) -> Option<LabOperator> {
    let fields = reader.fields(value, Label("", "operator"), &["after"])?;
    let after = fields.need(reader, "after", "10s")?;
    Some(LabOperator { after: reader.duration(after, false)?.value })
}

/// Datacenters in a list, or one alone; each once.
fn datacenters(reader: &mut Reader, gathered: &Gathered, value: Value) -> Vec<DatacenterId> {
    let mut found = Vec::new();
    for item in reader.one_or_more(value) {
        let Some(id) = gathered.datacenters.refer(reader, item) else { continue };
        if found.contains(&id) {
            let what = format!("{} names a datacenter twice", quote(value.key));
            reader.findings.error("duplicate-key", item.span(), what, "keep one of the two");
            continue;
        }
        found.push(id);
    }
    found
}
