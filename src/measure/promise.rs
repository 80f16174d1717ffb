//! Promises: budget against bounds.

use std::time::Duration;

use super::held::Held;
use super::ledger::Ledger;
use super::outage::Stable;
use super::recovery::troubled_again;
use super::run::Kind;
use super::timeline::Timeline;
use super::while_cut::{good_while_cut, p99_while_cut};
use crate::model::{
    Bounds, Judgement, Marks, Name, Offset, ProbeSpec, Promise, PromiseResult, Promises, Recovery,
    Service, Shown, Stage,
};

/// What one probe has to say.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The probe.
    pub probe: &'a ProbeSpec,
    /// Its samples, folded.
    pub timeline: &'a Timeline,
    /// Those that tell whether the survivors carry the load.
    pub held: &'a Held,
    /// What counts as recovered for it while cut.
    pub stable: Stable,
    /// Its recovery so far.
    pub recovery: Option<Recovery>,
    /// Its failback so far.
    pub failback: Option<Recovery>,
    /// What became of its records, if it is a ledger.
    pub ledger: Option<&'a Ledger>,
}

/// A service's times and what became of its promises.
#[derive(Debug)]
pub struct ServiceJudgement {
    /// That of its slowest required probe.
    pub recovery: Option<Recovery>,
    /// That of its slowest required probe.
    pub failback: Option<Recovery>,
    /// One for each promise of the plan.
    pub promises: Vec<PromiseResult>,
}

/// Those that are judged together: the probes of a feature that made promises of its own, or the rest of a service.
struct Group<'a, 'e> {
    promises: &'a Promises,
    feature: Option<&'a Name>,
    probes: Vec<&'a ProbeSpec>,
    /// Those of them that said anything.
    found: Vec<&'a Evidence<'e>>,
}

impl<'a, 'e> Group<'a, 'e> {
    fn new(
        promises: &'a Promises,
        feature: Option<&'a Name>,
        probes: Vec<&'a ProbeSpec>,
        evidence: &'a [Evidence<'e>],
    ) -> Self {
        let is_of = |it: &&Evidence<'_>| probes.iter().any(|probe| probe.name == it.probe.name);
        let found = evidence.iter().filter(is_of).collect();
        Group { promises, feature, probes, found }
    }

    /// Its evidence; `None` while one that must be heard has said nothing.
    fn heard(&self) -> Option<&[&'a Evidence<'e>]> {
        let is_heard = |probe: &&ProbeSpec| self.found.iter().any(|it| it.probe.name == probe.name);
        self.probes.iter().all(is_heard).then_some(&self.found)
    }

    /// Whether nothing is promised but of the records of its ledgers: those are read back however it is with the rest.
    fn is_of_records_alone(&self) -> bool {
        let rest = Promises { lose_at_most: None, duplicate_at_most: None, ..*self.promises };
        rest.is_empty()
    }
}

fn groups<'a, 'e>(service: &'a Service, evidence: &'a [Evidence<'e>]) -> Vec<Group<'a, 'e>> {
    let rest = service.probes.iter().filter(|probe| probe.required && probe.promises.is_empty());
    let whole = Group::new(&service.promises, None, rest.collect(), evidence);
    let features = service.probes.iter().filter(|probe| !probe.promises.is_empty());
    let features =
        features.map(|probe| Group::new(&probe.promises, Some(&probe.name), vec![probe], evidence));
    let groups = std::iter::once(whole).chain(features);
    groups.filter(|group| !group.promises.is_empty()).collect()
}

/// Whether nothing more can be learned by staying cut: each probe's recovery time is known and the rest was
/// watched for long enough, or the budget is spent. `late`: what nobody promised to be back is not waited for any more.
pub fn settled_while_cut(
    service: &Service,
    evidence: &[Evidence<'_>],
    marks: &Marks,
    late: bool,
) -> bool {
    groups(service, evidence).iter().all(|group| {
        let budget = group.promises.recover_within;
        let given_up = late && group.is_of_records_alone();
        given_up
            || settled(
                group,
                budget,
                |evidence| evidence.recovery,
                |evidence| {
                    let promised = group.promises.good_while_cut.is_some()
                        || group.promises.p99_while_cut.is_some();
                    !promised || evidence.held.is_watched(marks, evidence.stable)
                },
            )
    })
}

/// Whether nothing more can be learned by waiting after the restore.
pub fn settled_after(service: &Service, evidence: &[Evidence<'_>]) -> bool {
    let promised = |group: &&Group<'_, '_>| group.promises.failback_within.is_some();
    groups(service, evidence).iter().filter(promised).all(|group| {
        settled(group, group.promises.failback_within, |evidence| evidence.failback, |_| true)
    }) && not_back(service, evidence).next().is_none()
}

/// The probes that are judged, but by no promise to be back in time, and that were not seen to be back at all.
pub fn not_back<'a>(
    service: &'a Service,
    evidence: &'a [Evidence<'_>],
) -> impl Iterator<Item = &'a Name> {
    let judged = move |probe: &&ProbeSpec| {
        let is_judged = probe.required || !probe.promises.is_empty();
        let is_promised = service.promises_of(probe).failback_within.is_some();
        service.promises_anything() && is_judged && !is_promised
    };
    let is_back = |evidence: &Evidence<'_>| {
        evidence.failback.is_some_and(|failback| failback.bounds.high.is_some())
    };
    let missing = move |probe: &&ProbeSpec| {
        let mut heard = evidence.iter().filter(|it| it.probe.name == probe.name).peekable();
        heard.peek().is_none() || !heard.all(is_back)
    };
    service.probes.iter().filter(judged).filter(missing).map(|probe| &probe.name)
}

fn settled(
    group: &Group<'_, '_>,
    budget: Option<Duration>,
    pick: fn(&Evidence<'_>) -> Option<Recovery>,
    watched: impl Fn(&Evidence<'_>) -> bool,
) -> bool {
    let Some(found) = group.heard() else { return false };
    let over = |found: Recovery| budget.is_some_and(|budget| found.bounds.low > budget);
    let known = |found: Recovery| found.bounds.high.is_some();
    found.iter().all(|evidence| pick(evidence).is_some_and(known) && watched(evidence))
        || found.iter().any(|evidence| pick(evidence).is_some_and(over))
}

/// Judges every promise of a service, and of its features, by their probes.
pub fn judge_service(
    service: &Service,
    evidence: &[Evidence<'_>],
    marks: &Marks,
    stable: Stable,
) -> ServiceJudgement {
    // With a required probe unheard nothing is measured, whatever the others say.
    let is_heard = |probe: &ProbeSpec| evidence.iter().any(|e| e.probe.name == probe.name);
    let all = service.probes.iter().filter(|probe| probe.required).all(is_heard);
    let required = evidence.iter().filter(|evidence| all && evidence.probe.required);
    let required: Vec<&Evidence<'_>> = required.collect();
    let found = |slowest: Option<Slowest>| slowest.map(|slowest| slowest.found);
    ServiceJudgement {
        recovery: found(slowest(&required, |evidence| evidence.recovery)),
        failback: found(slowest(&required, |evidence| evidence.failback)),
        promises: groups(service, evidence)
            .iter()
            .flat_map(|group| judge_group(group, marks, stable))
            .collect(),
    }
}

fn judge_group(group: &Group<'_, '_>, marks: &Marks, stable: Stable) -> Vec<PromiseResult> {
    let probes: &[&Evidence<'_>] = group.heard().unwrap_or_default();
    let mut results = Vec::new();
    if let Some(budget) = group.promises.recover_within {
        let until = marks.restore_issued.unwrap_or(Offset::from_nanos(u64::MAX));
        let doubt = doubt(probes, marks.cut_issued, until)
            .or_else(|| unasked(probes, &[Stage::Cut, Stage::Observe]))
            .or_else(|| second_outage(probes));
        let recovery = slowest(probes, |evidence| evidence.recovery);
        results.push(within(Promise::RecoverWithin, budget, &recovery, doubt));
    }
    if let Some(budget) = group.promises.failback_within {
        let doubt = doubt(probes, marks.restore_issued, Offset::from_nanos(u64::MAX))
            .or_else(|| unasked(probes, &[Stage::Restore, Stage::Failback]))
            .or_else(|| unseen(probes));
        let failback = slowest(probes, |evidence| evidence.failback);
        results.push(within(Promise::FailbackWithin, budget, &failback, doubt));
    }
    if group.promises.sustain {
        results.push(sustain(probes, marks, stable));
    }
    let until = marks.restore_issued.unwrap_or(Offset::from_nanos(u64::MAX));
    let blind = || doubt(probes, marks.cut_issued, until);
    if let Some(share) = group.promises.good_while_cut {
        results.push(good_while_cut(probes, marks, share, blind()));
    }
    if let Some(budget) = group.promises.p99_while_cut {
        results.push(p99_while_cut(probes, marks, budget, blind()));
    }
    results.extend(super::ledger::judge(group.promises, (&group.probes, &group.found), marks));
    for result in &mut results {
        result.feature = group.feature.cloned();
    }
    results
}

/// The slowest probe of a service, with the bounds of the service as a whole: it is back when the
/// last of its probes is.
#[derive(Debug, Clone)]
struct Slowest {
    probe: Name,
    every: Duration,
    found: Recovery,
}

fn slowest(
    required: &[&Evidence<'_>],
    pick: impl Fn(&Evidence<'_>) -> Option<Recovery>,
) -> Option<Slowest> {
    let mut slowest: Option<Slowest> = None;
    let mut low = Duration::ZERO;
    for evidence in required {
        let found = pick(evidence)?;
        low = low.max(found.bounds.low);
        let later = |other: &Slowest| {
            let end = |recovery: &Recovery| recovery.bounds.high.unwrap_or(Duration::MAX);
            (end(&found), found.bounds.low) > (end(&other.found), other.found.bounds.low)
        };
        if slowest.as_ref().is_none_or(later) {
            let (probe, every) = (evidence.probe.name.clone(), evidence.probe.every);
            slowest = Some(Slowest { probe, every, found });
        }
    }
    slowest.map(|mut slowest| {
        slowest.found.bounds.low = low;
        slowest.found.seamless =
            required.iter().all(|evidence| pick(evidence).is_some_and(|found| found.seamless));
        slowest
    })
}

fn within(
    promise: Promise,
    budget: Duration,
    slowest: &Option<Slowest>,
    doubt: Option<String>,
) -> PromiseResult {
    let bounds = slowest.as_ref().map(|slowest| slowest.found.bounds);
    let (judgement, why) = match (slowest, doubt) {
        (None, _) => (Judgement::Undecided, "not measured".to_owned()),
        (Some(slowest), _) if slowest.found.bounds.low > budget => {
            let low = Shown(slowest.found.bounds.low);
            let when = match slowest.found.bounds.high {
                Some(high) => format!("back only after {low} to {}", Shown(high)),
                None => format!("still failing {low} after"),
            };
            (Judgement::Broken, format!("{when}, budget {}", Shown(budget)))
        }
        (Some(_), Some(doubt)) => (Judgement::Undecided, doubt),
        (Some(slowest), None) => against(promise, budget, slowest),
    };
    PromiseResult {
        budget: Some(budget),
        measured: bounds,
        probe: slowest.as_ref().map(|slowest| slowest.probe.clone()),
        ..PromiseResult::new(promise, judgement, why)
    }
}

/// `high <= budget` is kept; `low > budget` was dealt with; the rest is undecided.
fn against(promise: Promise, budget: Duration, slowest: &Slowest) -> (Judgement, String) {
    let bounds = slowest.found.bounds;
    match bounds.high {
        Some(high)
            if high <= budget && promise == Promise::RecoverWithin && slowest.found.seamless =>
        {
            (Judgement::Kept, format!("no failure seen; {} cannot be excluded", Shown(high)))
        }
        Some(high) if high <= budget => {
            (Judgement::Kept, format!("back after at most {}", Shown(high)))
        }
        Some(_) => (Judgement::Undecided, undecided(budget, bounds, slowest)),
        None if slowest.found.seamless => {
            (Judgement::Undecided, "not watched for long enough".to_owned())
        }
        None => (Judgement::Undecided, "its end was not seen".to_owned()),
    }
}

/// Which period would have decided it: the bounds are as wide as some periods, and must fit on
/// one side of the budget.
fn undecided(budget: Duration, bounds: Bounds, slowest: &Slowest) -> String {
    let room = budget.saturating_sub(bounds.low).as_secs_f64();
    let width = bounds.width().unwrap_or_default().as_secs_f64();
    let every = slowest.every.as_secs_f64() * (room / width.max(f64::MIN_POSITIVE)) * 0.8;
    let millis = (every * 1e3).floor();
    if millis < 1.0 {
        return format!("the budget lies within {bounds}, too close to decide by sampling");
    }
    format!(
        "the budget lies within {bounds}; `every: {millis}ms` on {} would decide it",
        slowest.probe
    )
}

fn sustain(required: &[&Evidence<'_>], marks: &Marks, stable: Stable) -> PromiseResult {
    let bad_of = |evidence: &Evidence<'_>| -> u64 {
        let after_cut = |run: &&super::run::Run| run.stage != Stage::Baseline;
        let bad = evidence.timeline.runs.iter().filter(after_cut);
        bad.filter(|run| run.kind == Kind::Bad).map(|run| run.count).sum()
    };
    let bad: u64 = required.iter().map(|evidence| bad_of(evidence)).sum();
    let worst = required.iter().max_by_key(|evidence| bad_of(evidence));
    let watched = required.iter().all(|evidence| {
        let last = evidence.timeline.runs.iter().rev().find(|run| run.kind != Kind::Unknown);
        marks
            .restore_confirmed
            .zip(last)
            .is_some_and(|(restored, run)| run.last_sent.since(restored) >= stable.length)
    });
    let doubt = doubt_since_cut(required, marks);
    let (judgement, why) = match (bad, doubt) {
        (1.., _) => (Judgement::Broken, format!("{bad} bad samples between cut and failback")),
        (0, Some(doubt)) => (Judgement::Undecided, doubt),
        (0, None) if watched && !required.is_empty() => {
            (Judgement::Kept, "no bad sample from the cut to the end of failback".to_owned())
        }
        (0, None) => (Judgement::Undecided, "not watched to the end of failback".to_owned()),
    };
    PromiseResult {
        bad: Some(bad),
        probe: worst.map(|evidence| evidence.probe.name.clone()),
        ..PromiseResult::new(Promise::Sustain, judgement, why)
    }
}

/// As [`doubt`] and [`unasked`], from the cut to the end of the drill.
pub(super) fn doubt_since_cut(required: &[&Evidence<'_>], marks: &Marks) -> Option<String> {
    let stages = [Stage::Cut, Stage::Observe, Stage::Restore, Stage::Failback];
    doubt(required, marks.cut_issued, Offset::from_nanos(u64::MAX))
        .or_else(|| unasked(required, &stages))
}

/// Why good answers cannot be trusted to tell the whole: the observer was blind meanwhile.
fn doubt(required: &[&Evidence<'_>], from: Option<Offset>, to: Offset) -> Option<String> {
    let from = from?;
    required.iter().find_map(|evidence| {
        let span = evidence.timeline.blind.iter().find(|span| span.to > from && span.from < to)?;
        Some(format!(
            "the observer was blind for {}: {} sent nothing from {} to {}",
            Shown(span.to.since(span.from)),
            evidence.probe.name,
            span.from,
            span.to
        ))
    })
}

/// With more than one unknown sample in so many, nothing is proven: those that could not be asked
/// may be the very ones that would have failed.
const UNKNOWN_ONE_IN: u64 = 20;

fn unasked(required: &[&Evidence<'_>], stages: &[Stage]) -> Option<String> {
    required.iter().find_map(|evidence| {
        let (mut unknown, mut all) = (0, 0);
        for run in evidence.timeline.runs.iter().filter(|run| stages.contains(&run.stage)) {
            all += run.count;
            unknown += if run.kind == Kind::Unknown { run.count } else { 0 };
        }
        let name = &evidence.probe.name;
        (unknown * UNKNOWN_ONE_IN > all).then(|| {
            format!("the observer could not ask: {unknown} of {all} samples of {name} are unknown")
        })
    })
}

/// Whether the cut datacenter serves again can be seen only where it was seen to serve before, and of what may stay
/// where it went nobody asks.
fn unseen(required: &[&Evidence<'_>]) -> Option<String> {
    let mut returning = required.iter().filter(|evidence| !evidence.probe.may_stay).peekable();
    // Where only services were cut that are asked by others, the answers tell who came back all the same.
    let told = required.iter().any(|evidence| evidence.timeline.can_tell());
    if !told || returning.peek().is_none() {
        return None;
    }
    let served =
        |evidence: &&&Evidence<'_>| evidence.timeline.share_of_cut(&[Stage::Baseline]).part > 0;
    returning.find(served).is_none().then(|| {
        "no required probe saw the cut datacenter serve at baseline, so none can see it serve \
         again; give one a `served_by`"
            .to_owned()
    })
}

fn second_outage(required: &[&Evidence<'_>]) -> Option<String> {
    let again = |e: &&&Evidence<'_>| troubled_again(e.timeline, e.stable);
    required.iter().find(again).map(|evidence| {
        format!("{} recovered, and then failed again while cut", evidence.probe.name)
    })
}
