//! Two runs, side by side.

use std::collections::BTreeMap;

use super::Whole;
use super::change::{of_count, of_minutes, of_time};
use super::history::order;
use crate::model::{
    Bounds, ComparedLoss, ComparedMinutes, ComparedPromise, ComparedTime, Comparison, CountBounds,
    Kept, Name, PlanChange, PlanSummary, ProbeRecord, PromiseResult, Recovery, ServiceRecord,
    Summary, Timed, Verdict,
};

/// What is different between two runs. Services, probes and promises are those of `after` in its order, then those
/// that only `before` has.
pub fn compare(before: &Whole, after: &Whole) -> Comparison {
    let mut comparison = Comparison {
        before: before.summary.clone(),
        after: after.summary.clone(),
        plan: plan_change(&before.record.plan, &after.record.plan),
        notes: notes(&before.summary, &after.summary),
        times: Vec::new(),
        promises: Vec::new(),
        user_minutes: Vec::new(),
        losses: Vec::new(),
    };
    let (before, after) = (&before.record.services, &after.record.services);
    for (old, new) in pairs(before, after, |service| service.name.clone()) {
        service(&mut comparison, old, new);
    }
    comparison
}

fn plan_change(old: &PlanSummary, new: &PlanSummary) -> PlanChange {
    if old.name != new.name {
        return PlanChange::Another;
    }
    match (&old.hash, &new.hash) {
        (Some(old), Some(new)) if old == new => PlanChange::Same,
        (Some(_), Some(_)) if old.text.is_some() && old.text == new.text => PlanChange::OtherVars,
        (Some(_), Some(_)) => PlanChange::Edited,
        _ => PlanChange::Unknown,
    }
}

/// What keeps two runs from being comparable.
fn notes(before: &Summary, after: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    if order(before) > order(after) {
        notes.push("the first run is the later one: slower and faster are told from it".to_owned());
    }
    let cut = |run: &Summary| format!("{} by {}", run.cut, run.mode.kind());
    if before.cut != after.cut || before.mode.kind() != after.mode.kind() {
        let (before, after) = (cut(before), cut(after));
        notes.push(format!("they did not cut the same: {before}, then {after}"));
    } else if before.mode != after.mode {
        notes.push("the numbers of the degraded path are not the same".to_owned());
    }
    if before.lab != after.lab {
        let first = if before.lab { "first" } else { "second" };
        notes.push(format!("the {first} run drilled a lab and the other one did not"));
    }
    if before.env != after.env {
        notes.push("the environment may have chosen another system in each".to_owned());
    }
    for (which, run) in [("first", before), ("second", after)] {
        if run.verdict == Verdict::NotStarted {
            notes.push(format!("the {which} run was not started: it measured nothing"));
        }
    }
    notes
}

/// The things of two lists that have the same key: those of `new` in order, then those that only `old` has.
fn pairs<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut left: BTreeMap<K, &T> = old.iter().map(|thing| (key(thing), thing)).collect();
    let mut pairs: Vec<_> =
        new.iter().map(|thing| (left.remove(&key(thing)), Some(thing))).collect();
    let gone = old.iter().filter(|thing| left.contains_key(&key(thing)));
    pairs.extend(gone.map(|thing| (Some(thing), None)));
    pairs
}

fn service(comparison: &mut Comparison, old: Option<&ServiceRecord>, new: Option<&ServiceRecord>) {
    let Some(service) = new.or(old).map(|service| service.name.clone()) else { return };
    let of = |it: fn(&ServiceRecord) -> Option<Recovery>| (old.and_then(it), new.and_then(it));
    times(comparison, &service, None, of(|it| it.recovery), of(|it| it.failback));
    for (old, new) in pairs(of_probes(old), of_probes(new), |probe| probe.name.clone()) {
        let of = |it: fn(&ProbeRecord) -> Option<Recovery>| (old.and_then(it), new.and_then(it));
        let probe = new.or(old).map(|probe| probe.name.clone());
        let lost = |it: Option<&ProbeRecord>| Some(it?.ledger.as_ref()?.lost);
        if let Some(probe) = &probe {
            comparison.losses.extend(loss((&service, probe), lost(old), lost(new)));
        }
        times(comparison, &service, probe, of(|it| it.recovery), of(|it| it.failback));
    }
    let key = |it: &PromiseResult| (it.feature.clone(), it.promise);
    for (old, new) in pairs(of_promises(old), of_promises(new), key) {
        comparison.promises.extend(promise(&service, old, new));
    }
    let lost = |it: Option<&ServiceRecord>| it?.impact.as_ref()?.user_minutes;
    let (before, after) = (lost(old), lost(new));
    if before.is_some() || after.is_some() {
        let change = of_minutes(before, after);
        comparison.user_minutes.push(ComparedMinutes { service, before, after, change });
    }
}

fn of_probes(service: Option<&ServiceRecord>) -> &[ProbeRecord] {
    service.map_or(&[], |service| &service.probes)
}

fn of_promises(service: Option<&ServiceRecord>) -> &[PromiseResult] {
    service.map_or(&[], |service| &service.promises)
}

type InBoth = (Option<Recovery>, Option<Recovery>);

fn times(
    comparison: &mut Comparison,
    service: &Name,
    probe: Option<Name>,
    recovery: InBoth,
    failback: InBoth,
) {
    let bounds = |it: Option<Recovery>| -> Option<Bounds> { it.map(|it| it.bounds) };
    for (what, (before, after)) in [(Timed::Recovery, recovery), (Timed::Failback, failback)] {
        let (before, after) = (bounds(before), bounds(after));
        comparison.times.push(ComparedTime {
            service: service.clone(),
            probe: probe.clone(),
            what,
            before,
            after,
            change: of_time(before, after),
        });
    }
}

fn loss(
    (service, probe): (&Name, &Name),
    before: Option<CountBounds>,
    after: Option<CountBounds>,
) -> Option<ComparedLoss> {
    before.or(after)?;
    let change = of_count(before, after);
    Some(ComparedLoss { service: service.clone(), probe: probe.clone(), before, after, change })
}

fn promise(
    service: &Name,
    old: Option<&PromiseResult>,
    new: Option<&PromiseResult>,
) -> Option<ComparedPromise> {
    let either = new.or(old)?;
    let kept = |it: &PromiseResult| Kept {
        judgement: it.judgement,
        budget: it.budget,
        measured: it.measured,
    };
    let bounds = |it: Option<&PromiseResult>| it.and_then(|it| it.measured);
    // What is counted has no time.
    let timed = either.budget.is_some();
    Some(ComparedPromise {
        service: service.clone(),
        feature: either.feature.clone(),
        promise: either.promise,
        before: old.map(kept),
        after: new.map(kept),
        change: timed.then(|| of_time(bounds(old), bounds(new))),
    })
}
