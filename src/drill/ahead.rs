//! What can be known of a drill from its plan alone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{CALL_LIMIT, LAST_READ_LIMIT, RESTORE_LIMITS};
use crate::model::{
    Ahead, ControlSpec, CutCall, DrillLength, GuardrailCheck, LedgerAhead, LossBudget, Measurable,
    Name, Part, Plan, ProbeKind, ProbeSpec, Promise, Promises, Provider, Service, Shown, Spread,
    Text,
};

/// Looks ahead.
pub fn ahead(plan: &Plan) -> Ahead {
    let promises = plan.services.iter().flat_map(|service| measurable(plan, service)).collect();
    Ahead {
        needs: needs(plan),
        promises,
        not_judged: not_judged(plan),
        ledgers: ledgers(plan),
        length: length(plan),
    }
}

fn ledgers(plan: &Plan) -> Vec<LedgerAhead> {
    let of = |(service, probe): (&Service, &ProbeSpec)| {
        let ProbeKind::Ledger(ledger) = &probe.kind else { return None };
        Some(LedgerAhead {
            service: service.name.clone(),
            probe: probe.name.clone(),
            writes: ledger.store.place(),
            every: probe.every,
            reads: ledger.store.reads(),
            settle: ledger.settle,
            creates: ledger.create,
            removes: ledger.store.removes().filter(|_| !ledger.keep),
        })
    };
    plan.probes().filter_map(|(_, service, probe)| of((service, probe))).collect()
}

/// The calls of a control that lives in the drill's process, which nobody can ask before it stands.
pub fn calls_of_our_own(plan: &Plan, spec: &ControlSpec) -> Vec<CutCall> {
    let mode = plan.cut.mode.kind();
    let turn = |gate: String| CutCall {
        call: format!("{gate}: open becomes {mode}"),
        undone_by: Some(format!("{gate}: open again; it ends with the drill's process")),
    };
    match &spec.provider {
        Provider::Proxy(proxy) => {
            let lost =
                proxy.routes.iter().filter(|it| plan.cut.datacenters.contains(&it.datacenter));
            lost.map(|route| turn(format!("{} (to {})", route.listen, route.to))).collect()
        }
        Provider::Lab => {
            let Some(lab) = &plan.lab else { return Vec::new() };
            let names = lab.services.keys().chain(lab.stores.keys()).chain(lab.controllers.keys());
            let names = names
                .filter(|name| plan.cut.services.is_empty() || plan.cut.services.contains(name));
            let gates = names.flat_map(|name| {
                let there = lab.places(name).unwrap_or_default();
                let lost = plan.cut.datacenters.iter().filter(move |id| there.contains(id));
                lost.map(move |id| turn(format!("{}/{name}", plan.datacenter(*id))))
            });
            gates.collect()
        }
        _ => Vec::new(),
    }
}

/// A group of probes that is judged together.
struct Group<'p> {
    service: &'p Service,
    feature: Option<&'p Name>,
    promises: &'p Promises,
    /// The one that measures most coarsely.
    probe: &'p ProbeSpec,
    /// The ledger that measures most coarsely.
    ledger: Option<&'p ProbeSpec>,
}

fn coarsest<'p>(probes: impl Iterator<Item = &'p ProbeSpec>) -> Option<&'p ProbeSpec> {
    probes.max_by_key(|probe| probe.every)
}

fn is_ledger(probe: &&ProbeSpec) -> bool {
    matches!(probe.kind, ProbeKind::Ledger(_))
}

fn measurable(plan: &Plan, service: &Service) -> Vec<Measurable> {
    let rest = || service.probes.iter().filter(|probe| probe.required && probe.promises.is_empty());
    let whole = coarsest(rest()).map(|probe| Group {
        service,
        feature: None,
        promises: &service.promises,
        probe,
        ledger: coarsest(rest().filter(is_ledger)),
    });
    let features = service.probes.iter().filter(|probe| !probe.promises.is_empty());
    let features = features.map(|probe| Group {
        service,
        feature: Some(&probe.name),
        promises: &probe.promises,
        probe,
        ledger: Some(probe).filter(is_ledger),
    });
    whole.into_iter().chain(features).flat_map(|group| of_group(plan, &group)).collect()
}

fn of_group(plan: &Plan, group: &Group) -> Vec<Measurable> {
    let k = k(plan, group.service, group.probe);
    let times = [
        (Promise::RecoverWithin, group.promises.recover_within),
        (Promise::FailbackWithin, group.promises.failback_within),
    ];
    let mut found: Vec<Measurable> = Vec::new();
    let of = |promise, budget, width: Option<Duration>, can_be_kept, meaning| Measurable {
        service: group.service.name.clone(),
        feature: group.feature.cloned(),
        promise,
        budget,
        probe: group.probe.name.clone(),
        every: group.probe.every,
        k,
        width,
        can_be_kept,
        meaning,
    };
    for (promise, budget) in times.into_iter().filter_map(|(it, budget)| Some((it, budget?))) {
        let periods = u32::try_from(k.unwrap_or(1)).unwrap_or(u32::MAX);
        let width = group.probe.every.saturating_mul(periods);
        let meaning = meaning(budget, width, k);
        found.push(of(promise, Some(budget), Some(width), width < budget, meaning));
    }
    if group.promises.sustain {
        let every = Shown(group.probe.every);
        let meaning =
            format!("counted; an outage shorter than {every} may pass between two samples");
        found.push(of(Promise::Sustain, None, None, true, meaning));
    }
    if group.promises.good_while_cut.is_some() {
        found.push(of(Promise::GoodWhileCut, None, None, true, counted(plan, group.probe)));
    }
    if let Some(budget) = group.promises.p99_while_cut {
        let meaning = counted(plan, group.probe);
        found.push(of(Promise::P99WhileCut, Some(budget), None, true, meaning));
    }
    found.extend(group.ledger.into_iter().flat_map(|ledger| of_records(group, ledger)));
    found
}

/// What is promised of records: counted by a reading that comes to its end, or a window as coarse as one period of writes.
fn of_records(group: &Group, ledger: &ProbeSpec) -> Vec<Measurable> {
    let of = |promise, budget, width: Option<Duration>, can_be_kept, meaning| Measurable {
        service: group.service.name.clone(),
        feature: group.feature.cloned(),
        promise,
        budget,
        probe: ledger.name.clone(),
        every: ledger.every,
        k: Some(1),
        width,
        can_be_kept,
        meaning,
    };
    let every = Shown(ledger.every);
    let exact =
        format!("counted exactly, of a write every {every}, where both readings come to their end");
    let lose = group.promises.lose_at_most.map(|budget| match budget {
        LossBudget::Writes(_) => of(Promise::LoseAtMost, None, None, true, exact.clone()),
        LossBudget::Window(budget) => {
            let width = ledger.every;
            let meaning = match budget.checked_sub(width).filter(|left| !left.is_zero()) {
                Some(_) => format!("the window is uncertain by one period of writes, {every}"),
                None => format!(
                    "cannot be kept: writes {every} apart are no finer than it; lower `every`"
                ),
            };
            of(Promise::LoseAtMost, Some(budget), Some(width), width < budget, meaning)
        }
    });
    let twice = group.promises.duplicate_at_most;
    let twice = twice.map(|_| of(Promise::DuplicateAtMost, None, None, true, exact.clone()));
    lose.into_iter().chain(twice).collect()
}

/// Where the true time must not lie for the bounds to decide it.
fn meaning(budget: Duration, width: Duration, k: Option<u64>) -> String {
    let wide = match k {
        None => {
            "one period wide where one datacenter served at a time, k periods where several did"
        }
        Some(1) => "one period wide",
        Some(_) => "k periods wide, as survivors answer all along",
    };
    if width >= budget {
        let budget = Shown(budget);
        return format!("cannot be kept: bounds {wide} do not fit below {budget}; lower `every`");
    }
    let (kept, broken) = (Shown(budget - width), Shown(budget.saturating_add(width)));
    // The time of an answer and of the cut's calls comes on top, which no plan tells.
    format!(
        "{wide}: kept below about {kept}, broken above about {broken}, else it may be undecided"
    )
}

fn counted(plan: &Plan, probe: &ProbeSpec) -> String {
    let stretch = plan.timing.stable_for.as_secs_f64() / probe.every.as_secs_f64();
    format!("judged from {:.0} samples or more", stretch.max(20.0))
}

/// Good answers in a row that prove a recovery, as far as the plan tells.
fn k(plan: &Plan, service: &Service, probe: &ProbeSpec) -> Option<u64> {
    let is_lost = |id: &crate::model::DatacenterId| plan.cut.datacenters.contains(id);
    if probe.served_by.is_none() {
        return Some(1);
    }
    if let Some(home) = &service.home {
        let alone = home.active.iter().all(|stand| is_lost(&stand.datacenter));
        return alone.then_some(1);
    }
    let lab = plan.lab.as_ref()?;
    let asked = lab.services.get(&Name::from(probe.asks_in_the_lab().next()?))?;
    match asked.spread.unwrap_or(lab.balancer.spread) {
        Spread::First => Some(1),
        // In turn over all replicas: at most all survivors answer between two of the lost ones.
        Spread::RoundRobin => {
            let left = asked.replicas.iter().filter(|(id, _)| !is_lost(id));
            Some(1 + left.map(|(_, count)| u64::from(*count)).sum::<u64>())
        }
    }
}

fn not_judged(plan: &Plan) -> Vec<String> {
    let mut said = Vec::new();
    for service in &plan.services {
        let name = &service.name;
        if service.probes.is_empty() {
            said.push(format!("{name} has no probes: it is not measured"));
        } else if !service.promises_anything() {
            said.push(format!("{name} promises nothing: it is measured and not judged"));
        }
        for probe in service.probes.iter().filter(|it| !it.required && it.promises.is_empty()) {
            said.push(format!("{name}/{} is not required: it is shown and not judged", probe.name));
        }
        for probe in service.probes.iter().filter(|it| it.may_stay) {
            let text = "may stay where it went: it shows no failback, only that it is well after the restore";
            said.push(format!("{name}/{} {text}", probe.name));
        }
        for probe in service.probes.iter().filter(|it| it.required && it.served_by.is_none()) {
            let text = "does not tell who serves: it sees no leak, and no failback";
            said.push(format!("{name}/{} {text}", probe.name));
        }
    }
    if !plan.probes().any(|(_, _, probe)| is_ledger(&probe)) {
        said.push("lost writes are not measured: no service has a ledger".to_owned());
    }
    said
}

/// What must be allowed and at hand.
fn needs(plan: &Plan) -> Vec<String> {
    let mut needs = vec!["write to the state directory, where the journal is kept".to_owned()];
    for spec in plan.cut_through() {
        let name = &spec.name;
        needs.extend(spec.provider.settings().needs().iter().map(|need| format!("{name}: {need}")));
    }
    let probes = plan.probes().map(|(_, _, probe)| probe);
    let open: f64 = probes.map(|it| it.timeout.as_secs_f64() / it.every.as_secs_f64()).sum();
    let loads = plan.loads.iter().map(|it| it.timeout.as_secs_f64() * it.ramp.rate).sum::<f64>();
    needs.push(format!(
        "up to {:.0} connections at once, a file descriptor each, when nothing answers",
        (open + loads).ceil()
    ));
    let texts: Vec<Text> = texts(plan).collect();
    let secrets: BTreeSet<&str> = texts.iter().flat_map(secrets_of).collect();
    needs.extend(secrets.into_iter().map(|name| format!("{name} in the environment")));
    needs
}

fn secrets_of(text: &Text) -> impl Iterator<Item = &str> {
    text.parts().iter().filter_map(|part| match part {
        Part::Secret { name, .. } => Some(name.as_str()),
        Part::Plain(_) | Part::Lab(_) => None,
    })
}

/// Every text of the plan that may hold a secret.
fn texts(plan: &Plan) -> impl Iterator<Item = Text> {
    let asked = plan.probes().map(|(_, _, probe)| &probe.kind);
    let asked = asked.chain(plan.loads.iter().map(|load| &load.kind)).flat_map(texts_asked);
    let look_ups = plan.probes().filter_map(|(_, _, probe)| probe.look_up.as_ref());
    let asked = asked.chain(look_ups.flat_map(|look_up| &look_up.servers));
    let controls = plan.traffic.iter().flat_map(|control| control.provider.texts());
    let guards = plan.guardrails.iter().flat_map(|guardrail| match &guardrail.check {
        GuardrailCheck::Prometheus(query) => with_headers(&query.url, &query.headers),
        GuardrailCheck::Alertmanager(query) => with_headers(&query.url, &query.headers),
        GuardrailCheck::Http(http) | GuardrailCheck::KillSwitchUrl(http) => {
            with_headers(&http.url, &http.headers)
        }
        _ => Vec::new(),
    });
    asked.chain(guards).cloned().chain(controls)
}

fn with_headers<'p>(url: &'p Text, headers: &'p [(String, Text)]) -> Vec<&'p Text> {
    std::iter::once(url).chain(headers.iter().map(|(_, text)| text)).collect()
}

fn texts_asked(kind: &ProbeKind) -> Vec<&Text> {
    match kind {
        ProbeKind::Http(http) => http.texts().collect(),
        ProbeKind::Tcp(tcp) => {
            std::iter::once(&tcp.address).chain(&tcp.send).chain(&tcp.expect).collect()
        }
        ProbeKind::Dns(dns) => dns.texts().collect(),
        ProbeKind::Ledger(ledger) => ledger.store.texts(),
    }
}

/// From the first probe to the last, by the limits of each stage.
fn length(plan: &Plan) -> DrillLength {
    let timing = &plan.timing;
    let all = || {
        plan.services
            .iter()
            .flat_map(|service| service.probes.iter().map(|probe| service.promises_of(probe)))
    };
    let recover = all().filter_map(|it| it.recover_within).max().unwrap_or_default();
    let failback = all().filter_map(|it| it.failback_within).max().unwrap_or_default();
    let slowest = plan.probes().map(|(_, _, probe)| probe.timeout).max().unwrap_or_default();
    let cut = |recovery: Duration| (recovery + timing.stable_for + timing.hold).min(timing.at_most);
    let shortest = timing.baseline + cut(Duration::ZERO) + timing.stable_for;
    let typical = timing.baseline + cut(recover) + failback + timing.stable_for;
    let patience = plan.guardrails.iter().map(|it| it.lasting.max(it.grace) + it.every * 2).max();
    let controls = u32::try_from(plan.cut_through().count()).unwrap_or(u32::MAX);
    let restore = timing.at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1);
    let longest = CALL_LIMIT.saturating_mul(controls)
        + timing.baseline
        + patience.unwrap_or_default()
        + timing.at_most
        + LAST_READ_LIMIT
        + restore
        + plan.lag()
        + timing.at_most.max(failback + timing.stable_for)
        + slowest;
    DrillLength { shortest, typical: typical.max(shortest), longest: longest.max(typical) }
}
