//! Services: who uses them, how they are looked at and what they must keep.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{
    DatacenterId, LossBudget, Name, ProbeKind, ProbeSpec, Promises, ServedBySource, Service, Stand,
};

use super::dns;
use super::draft::{Budgets, Datacenters, ProbePlaces, ServiceDraft};
use super::finding::quote;
use super::ledger;
use super::probe;
use super::read::{At, Label, Reader, Value};
use super::served_by;
use super::topology;
use super::tree::{Entry, Kind, Span};

/// Reads all services; the flag says whether every name among them could be read.
pub(super) fn services(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> (Vec<ServiceDraft>, bool) {
    let entries = reader.map(value, "services by name").unwrap_or_default();
    if entries.is_empty() {
        let hint = "name what users see, with its probes and promises";
        reader.findings.error("missing-key", value.at, "`services` names no service", hint);
    }
    let mut services: Vec<ServiceDraft> = Vec::with_capacity(entries.len());
    let mut taken = HashSet::new();
    for entry in entries {
        services.extend(service(reader, entry, datacenters, &mut taken));
    }
    let all = services.len() == entries.len();
    (services, all)
}

/// Where the plan says that no cut datacenter has anything active of a service, they are standbys for it.
pub(super) fn mind_the_home(draft: &mut ServiceDraft, lost: &[At<DatacenterId>]) {
    if let Some(home) = draft.home.as_ref().filter(|home| home.complete) {
        let is_lost = |stand: &Stand| lost.iter().any(|at| at.value == stand.datacenter);
        draft.service.standby |= !home.home.active.iter().any(is_lost);
    }
}

fn service(
    reader: &mut Reader,
    entry: &Entry,
    datacenters: &Datacenters,
    taken: &mut HashSet<Name>,
) -> Option<ServiceDraft> {
    const KEYS: &[&str] = &["users", "standby", "in", "depends_on", "probes", "promises"];
    let before = reader.findings.errors();
    let name = reader.new_name(entry, taken);
    let fields = reader.fields(Value::of(entry), Label("service", &entry.key), KEYS)?;
    let users = fields.get("users").and_then(|value| reader.count(value, 0..=u64::MAX));
    let standby = fields.get("standby").and_then(|value| reader.flag(value)).unwrap_or(false);
    let mut probes = Vec::new();
    let mut probes_at = Vec::new();
    let home = fields.get("in");
    let home = home.map(|value| topology::home(reader, value, &entry.key, datacenters));
    let depends_on = fields.get("depends_on");
    let depends_on = depends_on.map(|value| topology::names(reader, value)).unwrap_or_default();
    // One that says where it runs may be part of the topology alone.
    let named = match home {
        Some(_) => fields.get("probes"),
        None => fields.need(reader, "probes", "{ NAME: { http: URL, every: 1s } }"),
    };
    let entries = named.and_then(|value| reader.map(value, "probes by name"));
    if let (Some(value), Some([])) = (named, entries) {
        let hint = "add one, such as `home: { http: URL, every: 1s }`";
        reader.findings.error("missing-key", value.at, "`probes` names no probe", hint);
    }
    let (mut taken, mut made_of) = (HashSet::new(), HashSet::new());
    for entry in entries.unwrap_or_default() {
        let Some(read) = probe(reader, entry, datacenters, &mut taken) else { continue };
        let made = match Value::of(entry).get("cohorts") {
            Some(value) => dns::cohorts(reader, value, read),
            None => vec![read],
        };
        for (spec, places) in made {
            if !made_of.insert(spec.name.clone()) {
                let what = format!("the name {} is taken", quote(spec.name.as_str()));
                let hint = "give the probe or its cohort another name";
                reader.findings.error("duplicate-key", places.name, what, hint);
            }
            probes.push(spec);
            probes_at.push(places);
        }
    }
    let promised = fields.get("promises");
    if let (Some(promised), Some(_), None) = (promised, &home, named) {
        let what = format!("service {} makes promises and has no probes", quote(&entry.key));
        let hint = "give it `probes`, or take its promises out: without probes it is not measured";
        reader.findings.error("impossible", promised.at, what, hint);
    }
    let promised = promised.and_then(|value| promises(reader, value));
    let (promises, budgets) = promised.unwrap_or_default();
    let complete = reader.findings.errors() == before;
    let service = Service {
        name: name?.value,
        users,
        standby,
        home: home.as_ref().filter(|home| home.complete).map(|home| home.home.clone()),
        depends_on: Vec::new(),
        probes,
        promises,
    };
    let at = entry.at;
    Some(ServiceDraft { service, at, probes_at, budgets, home, depends_on, complete })
}

pub(super) fn promises(reader: &mut Reader, value: Value) -> Option<(Promises, Budgets)> {
    const KEYS: &[&str] = &[
        "recover_within",
        "failback_within",
        "sustain",
        "good_while_cut",
        "p99_while_cut",
        "lose_at_most",
        "duplicate_at_most",
    ];
    let fields = reader.fields(value, Label("", "promises"), KEYS)?;
    let mut budget = |key| {
        let value = fields.get(key)?;
        let read = reader.duration(value, true)?;
        if read.value.is_zero() {
            let what = format!("{} of zero cannot be measured by sampling", quote(key));
            let hint = match key {
                "p99_while_cut" => "write a time that 99 of 100 requests may take, such as `300ms`",
                _ => "write `sustain: true`: no bad sample at all, judged by counting",
            };
            reader.findings.error("impossible", read.span, what, hint);
            return None;
        }
        Some(read)
    };
    let recover = budget("recover_within");
    let failback = budget("failback_within");
    let p99 = budget("p99_while_cut");
    let good = fields.get("good_while_cut").and_then(|value| held_share(reader, value));
    let lose = fields.get("lose_at_most").and_then(|value| loss(reader, value));
    let duplicate = fields.get("duplicate_at_most").and_then(|value| {
        Some(At { value: reader.count(value, 0..=u64::MAX)?, span: value.span() })
    });
    let sustain = fields.get("sustain").and_then(|value| reader.flag(value)).unwrap_or(false);
    let promises = Promises {
        recover_within: recover.map(|at| at.value),
        failback_within: failback.map(|at| at.value),
        sustain,
        good_while_cut: good,
        p99_while_cut: p99.map(|at| at.value),
        lose_at_most: lose.map(|at| at.value),
        duplicate_at_most: duplicate.map(|at| at.value),
    };
    Some((promises, Budgets { recover, failback, p99, lose, duplicate }))
}

/// How much may be lost: a number of writes, or the writes of a time.
fn loss(reader: &mut Reader, value: Value) -> Option<At<LossBudget>> {
    let is_count = match &value.node.resolve().kind {
        Kind::Scalar(scalar) => {
            scalar.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        }
        _ => false,
    };
    let budget = match is_count {
        true => reader.count(value, 0..=u64::MAX).map(LossBudget::Writes),
        false => reader.duration(value, false).map(|at| LossBudget::Window(at.value)),
    };
    Some(At { value: budget?, span: value.span() })
}

/// A share that a service promises to hold.
fn held_share(reader: &mut Reader, value: Value) -> Option<f64> {
    let share = reader.share(value)?;
    if share.value <= 0.0 {
        let what = "a share of 0 promises nothing";
        reader.findings.error("impossible", value.span(), what, "write a share such as `95%`");
        return None;
    }
    Some(share.value)
}

/// The shortest period: below it a single probe would send more than 10,000 samples a second.
const SHORTEST_PERIOD: Duration = Duration::from_micros(100);

/// What a probe may have.
const PROBE: &[&str] = &[
    "http",
    "tcp",
    "dns",
    "ledger",
    "every",
    "timeout",
    "slower_than",
    "connection",
    "look_up",
    "cohorts",
    "served_by",
    "may_stay",
    "required",
    "promises",
];

fn probe(
    reader: &mut Reader,
    entry: &Entry,
    datacenters: &Datacenters,
    taken: &mut HashSet<Name>,
) -> Option<(ProbeSpec, ProbePlaces)> {
    let name = reader.new_name(entry, taken);
    let fields = reader.fields(Value::of(entry), Label("probe", &entry.key), PROBE)?;
    let kind = probe::kind(reader, &fields, &["http", "tcp", "dns", "ledger"]);
    let every = fields.need(reader, "every", "200ms");
    let every = every.and_then(|value| reader.duration(value, false));
    let mut duration = |key| fields.get(key).and_then(|value| reader.duration(value, false));
    let (timeout, slower_than) = (duration("timeout"), duration("slower_than"));
    let connection = probe::connection(reader, &fields);
    let look_up = fields.get("look_up").and_then(|value| dns::look_up(reader, value));
    let source = fields.get("served_by");
    let served_by = source.and_then(|value| served_by::source(reader, value, datacenters));
    if let (Some(ProbeKind::Tcp(_)), Some(value)) = (&kind, source) {
        seen_by_tcp(reader, value, served_by.as_ref());
    }
    if let Some(ProbeKind::Ledger(ledger)) = &kind {
        ledger::fits(reader, ledger, &fields, served_by.as_ref());
    }
    let may_stay = fields.get("may_stay").and_then(|value| reader.flag(value)).unwrap_or(false);
    let required = fields.get("required").and_then(|value| reader.flag(value)).unwrap_or(true);
    let promised = fields.get("promises").and_then(|value| promises(reader, value));
    let (promises, budgets) = promised.unwrap_or_default();
    let (every, kind) = (every?, kind?);
    let places = ProbePlaces {
        budgets,
        name: entry.at,
        every: every.span,
        timeout: timeout.map_or(entry.at, |at| at.span),
        slower_than: slower_than.map_or(entry.at, |at| at.span),
        may_stay: fields.get("may_stay").map(|value| value.at),
        ledger: fields.get("ledger").map(ledger::places),
    };
    let spec = ProbeSpec {
        name: name?.value,
        connection: connection.unwrap_or_else(|| kind.connection()),
        kind,
        look_up,
        cohort: None,
        every: every.value,
        timeout: timeout.map_or(Duration::from_secs(1), |at| at.value),
        slower_than: slower_than.map(|at| at.value),
        served_by,
        may_stay,
        required,
        promises,
    };
    pace(reader, &spec, &places);
    dns::fits(reader, &spec, Value::of(entry));
    Some((spec, places))
}

/// Reports a `served_by` that a `tcp` probe cannot read.
fn seen_by_tcp(reader: &mut Reader, value: Value, served_by: Option<&ServedBySource>) {
    use ServedBySource::{Header, Json};
    if matches!(served_by, Some(Header { .. } | Json { .. })) {
        let what = "a `tcp` probe sees neither headers nor JSON";
        reader.findings.error("impossible", value.at, what, "write `served_by: { peer: … }`");
    }
}

/// Checks the durations of a probe against each other.
fn pace(reader: &mut Reader, spec: &ProbeSpec, places: &ProbePlaces) {
    if spec.every < SHORTEST_PERIOD {
        let what = "`every` below 100us asks more than 10,000 times a second";
        let hint = "write `every: 1ms` or longer; bounds cannot get tighter than the network";
        reader.findings.error("impossible", places.every, what, hint);
    }
    if let Some(slower_than) = spec.slower_than
        && slower_than >= spec.timeout
    {
        let what = "`slower_than` is not shorter than `timeout`, so that no answer can break it";
        let timeout = super::units::written(spec.timeout);
        let hint = format!("write less than {timeout}, or raise `timeout`");
        reader.findings.error("impossible", places.slower_than, what, hint);
        related(reader, places, places.timeout, "the timeout");
    }
}

fn related(reader: &mut Reader, places: &ProbePlaces, span: Span, label: &str) {
    // A default stands nowhere in the file.
    if span != places.name {
        reader.findings.relate(span, label);
    }
}
