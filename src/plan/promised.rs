//! Promises and the probes that they are judged by: what could never be decided.

use std::time::Duration;

use crate::model::{HeldShare, LedgerStore, LossBudget, ProbeKind, ProbeSpec, Promises};

use super::draft::{Budgets, Draft, ProbePlaces, ServiceDraft};
use super::finding::{Findings, quote};
use super::ledger;
use super::read::At;
use super::sense::{raise_at_most, relate, relate_at_most};
use super::stay;
use super::tree::Span;
use super::units::written;

/// Holds the promises of a service and of its features against the probes that measure them.
pub(super) fn check(draft: &Draft, draft_of: &ServiceDraft, findings: &mut Findings) {
    if draft_of.complete {
        promises(draft, draft_of, findings);
    }
    probes(draft, draft_of, findings);
}

/// Promises with the places of their budgets, and the probes that they are judged by.
struct Promised<'a> {
    promises: &'a Promises,
    at: Span,
    budgets: Budgets,
    judged_by: Vec<&'a ProbeSpec>,
}

fn promises(draft: &Draft, draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, at, budgets, probes_at, .. } = draft_of;
    let name = quote(service.name.as_str());
    let rest = |probe: &&ProbeSpec| probe.required && probe.promises.is_empty();
    let judged_by: Vec<&ProbeSpec> = service.probes.iter().filter(rest).collect();
    if !service.promises.is_empty() && judged_by.is_empty() {
        let what = format!("service {name} makes a promise that no required probe measures");
        let hint = "take `required: false` or the promises of its own from one of its probes";
        findings.error("impossible", *at, what, hint);
    }
    if !service.promises_anything() && !service.probes.is_empty() {
        let what = format!("service {name} promises nothing and is only watched");
        findings.warning("no-promise", *at, what, "add `promises: { recover_within: 30s }`");
    }
    let whole = Promised { promises: &service.promises, at: *at, budgets: *budgets, judged_by };
    let features = service.probes.iter().zip(probes_at);
    let features = features.map(|(probe, places)| Promised {
        promises: &probe.promises,
        at: places.name,
        budgets: places.budgets,
        judged_by: vec![probe],
    });
    for promised in std::iter::once(whole).chain(features) {
        decidable(draft, &promised, findings);
        records(&promised, findings);
        back(&promised, service.standby, findings);
    }
    unreached(draft_of, findings);
    unjudged(draft_of, findings);
}

/// Warns of ledgers that decide something, and of which nobody says how much they may lose: what they lose would fail nothing.
fn unjudged(draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, budgets, probes_at, .. } = draft_of;
    for (probe, places) in service.probes.iter().zip(probes_at) {
        // A service's own promise that does not reach it is told of as such.
        let promised = budgets.lose.is_some() || places.budgets.lose.is_some();
        let judged = match probe.promises.is_empty() {
            true => probe.required && !service.promises.is_empty(),
            false => true,
        };
        if matches!(probe.kind, ProbeKind::Ledger(_)) && judged && !promised {
            let what = format!(
                "nothing is promised of the writes that {} loses: they are counted, and fail nothing",
                quote(probe.name.as_str())
            );
            let hint = "promise `lose_at_most: 0`, or the window that your replication may lose: `lose_at_most: 1s`";
            findings.warning("losses-not-judged", places.name, what, hint);
        }
    }
}

/// Warns where a service promises something of records, and a ledger of it makes promises of its own without that: a probe is judged by
/// its own alone.
fn unreached(draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, budgets, probes_at, .. } = draft_of;
    let features = service.probes.iter().zip(probes_at);
    let ledgers = features.filter(|(probe, _)| {
        matches!(probe.kind, ProbeKind::Ledger(_)) && !probe.promises.is_empty()
    });
    for (probe, places) in ledgers {
        let own = places.budgets;
        let lose = budgets.lose.filter(|_| own.lose.is_none()).map(|at| at.span);
        let twice = budgets.duplicate.filter(|_| own.duplicate.is_none()).map(|at| at.span);
        let spans = [("lose_at_most", lose), ("duplicate_at_most", twice)];
        for (key, span) in spans.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            let what = format!(
                "{} makes promises of its own, so that `{key}` of {} does not hold for it",
                quote(probe.name.as_str()),
                quote(service.name.as_str())
            );
            let hint = format!("repeat `{key}` in its own `promises`, or take those out");
            findings.warning("no-promise", places.name, what, hint);
            findings.relate(span, "what the service promises");
        }
    }
}

/// Whether there is a ledger by which what is promised of records could be judged, and whether it could decide it.
fn records(promised: &Promised<'_>, findings: &mut Findings) {
    let Budgets { lose, duplicate, .. } = promised.budgets;
    let spans = [
        ("lose_at_most", lose.map(|at| at.span)),
        ("duplicate_at_most", duplicate.map(|at| at.span)),
    ];
    let is_ledger = |probe: &&&ProbeSpec| matches!(probe.kind, ProbeKind::Ledger(_));
    let ledgers: Vec<&&ProbeSpec> = promised.judged_by.iter().filter(is_ledger).collect();
    for (key, span) in spans.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        if ledgers.is_empty() {
            let what =
                format!("no ledger measures `{key}`: nothing would be written and read back");
            let hint = "give it a probe `ledger: { … }` that is required and has no promises of its own, or \
                        promise it in the `promises` of a ledger";
            findings.error("impossible", span, what, hint);
        }
    }
    let one_by_one = |probe: &&&&ProbeSpec| match &probe.kind {
        ProbeKind::Ledger(it) => {
            matches!(&it.store, LedgerStore::Http(it) if it.reads_one_by_one())
        }
        _ => false,
    };
    if let (Some(At { span, .. }), Some(probe)) = (duplicate, ledgers.iter().find(one_by_one)) {
        let what = format!(
            "{} asks for its records one by one, so that copies cannot be seen and `duplicate_at_most` is never kept",
            quote(probe.name.as_str())
        );
        let hint = "let `read` list all keys (without `{{key}}`), or take `duplicate_at_most` out";
        findings.error("impossible", span, what, hint);
    }
    let Some(At { value: LossBudget::Window(window), span }) = lose else { return };
    if let Some(slow) = ledgers.iter().find(|probe| probe.every > window / 2) {
        let what = format!(
            "a write every {} cannot decide `lose_at_most` of {}",
            written(slow.every),
            written(window)
        );
        let hint = format!(
            "write `every: {}` or shorter on {}: the measured window is uncertain by about one period",
            written(deciding_period(window)),
            quote(slow.name.as_str())
        );
        findings.error("impossible", span, what, hint);
    }
}

/// Whether what is promised while cut can be decided before traffic comes back.
fn decidable(draft: &Draft, promised: &Promised<'_>, findings: &mut Findings) {
    let timing = &draft.timing.timing;
    let after = promised.budgets.recover.map(|recover| recover.value).unwrap_or_default();
    let held =
        promised.promises.good_while_cut.is_some() || promised.promises.p99_while_cut.is_some();
    if (promised.budgets.recover.is_some() || held)
        && timing.stable_for <= timing.at_most
        && after + timing.stable_for > timing.at_most
    {
        let needed = after + timing.stable_for;
        let what = "traffic comes back before this promise can be decided";
        let hint = format!(
            "raise `at_most` to {} or more: `recover_within` and `stable_for` must fit in",
            written(needed)
        );
        let span = promised.budgets.recover.map_or(promised.at, |recover| recover.span);
        findings.error("impossible", span, what, hint);
        relate_at_most(draft, findings);
    }
}

/// Whether anybody could see what is promised for the time after the restore.
fn back(promised: &Promised<'_>, standby: bool, findings: &mut Findings) {
    let Some(failback) = promised.budgets.failback else { return };
    if standby {
        let what = "`failback_within` means nothing for a standby service";
        let hint =
            "the cut datacenter serves nothing on an ordinary day: use `sustain`, or take it out";
        findings.error("impossible", failback.span, what, hint);
    } else if !stay::could_be_seen_back(&promised.judged_by) {
        let what =
            "nothing could see the cut datacenter serve again: no required probe tells who serves";
        let hint = "add `served_by` to a required probe, or take `failback_within` out";
        findings.error("impossible", failback.span, what, hint);
    }
}

fn probes(draft: &Draft, draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, at, probes_at, complete, .. } = draft_of;
    for (probe, places) in service.probes.iter().zip(probes_at) {
        let (budgets, judged) = match probe.promises.is_empty() {
            true => (draft_of.budgets, probe.required),
            false => (places.budgets, true),
        };
        if judged {
            held(draft, service.promises_of(probe), (probe, places), budgets, findings);
        }
        let budgets_of = budgets;
        let budgets = [("recover_within", budgets.recover), ("failback_within", budgets.failback)];
        let tightest = budgets.iter().filter_map(|(key, budget)| Some((*key, (*budget)?)));
        let tightest = tightest.min_by_key(|(_, budget)| budget.value);
        if let Some((key, budget)) = tightest
            && judged
            && probe.every > budget.value / 2
        {
            let what = format!(
                "a sample every {} cannot decide `{key}` of {}",
                written(probe.every),
                written(budget.value)
            );
            let hint = format!(
                "write `every: {}` or shorter: the measured time is uncertain by about one period",
                written(deciding_period(budget.value))
            );
            findings.error("impossible", places.every, what, hint);
            findings.relate(budget.span, "the budget");
        }
        ledger::outlive(draft, (probe, places), findings);
        if judged {
            ledger::time_to_read(draft, (probe, places), budgets_of.recover, findings);
        }
        if probe.every > draft.timing.timing.stable_for {
            let what = "`stable_for` is shorter than a period of this probe";
            let hint = "one sample would count as stable: raise `stable_for`, or lower `every`";
            findings.error("impossible", places.every, what, hint);
            relate(findings, draft.timing.stable_for_at, "how long it must be good");
        }
        if probe.every > draft.timing.timing.baseline {
            let what = "`baseline` is shorter than a period of this probe";
            let hint = "an ordinary day must be seen first: raise `baseline`, or lower `every`";
            findings.error("impossible", places.every, what, hint);
            relate(findings, draft.timing.baseline_at, "how long to watch before the cut");
        }
        if probe.timeout > draft.timing.timing.at_most {
            let what = format!("`timeout` ({}) is longer than `at_most`", written(probe.timeout));
            findings.error("impossible", places.timeout, what, raise_at_most(draft));
            relate_at_most(draft, findings);
        }
    }
    let told = service.probes.iter().any(|probe| probe.served_by.is_some());
    if *complete && !told && !service.probes.is_empty() {
        let what = format!("no probe of {} tells who served it", quote(service.name.as_str()));
        let hint = match service.probes.iter().all(ledger::is_exec) {
            true => {
                "an `exec` ledger cannot: add a probe with `served_by`, or leaks from the cut datacenter stay unseen"
            }
            false => "add `served_by`, or leaks from the cut datacenter stay unseen",
        };
        findings.warning("no-served-by", *at, what, hint);
    }
}

/// Whether what `probe` must hold while cut could ever be judged, and ever be broken.
fn held(
    draft: &Draft,
    promises: &Promises,
    (probe, places): (&ProbeSpec, &ProbePlaces),
    budgets: Budgets,
    findings: &mut Findings,
) {
    let timing = &draft.timing.timing;
    let is_held = promises.good_while_cut.is_some() || promises.p99_while_cut.is_some();
    let window = timing.at_most.saturating_sub(promises.recover_within.unwrap_or_default());
    let needed = probe.every.saturating_mul(HeldShare::FEWEST);
    // A window shorter than `stable_for` is reported already.
    if is_held && window >= timing.stable_for && needed > window {
        let what = format!(
            "a sample every {} gives fewer than the {} that a share while cut takes, before traffic comes back",
            written(probe.every),
            HeldShare::FEWEST
        );
        let after = promises.recover_within.unwrap_or_default();
        let hint = format!(
            "write `every: {}` or shorter, or raise `at_most` to {}",
            written(deciding_period(window / 2)),
            written(after.saturating_add(needed))
        );
        findings.error("impossible", places.every, what, hint);
        relate_at_most(draft, findings);
    }
    let slowest = probe.slower_than.map_or(probe.timeout, |it| it.min(probe.timeout));
    let is_slower = probe.slower_than.is_some_and(|it| it < probe.timeout);
    let (key, at) = match is_slower {
        true => ("slower_than", places.slower_than),
        false => ("timeout", places.timeout),
    };
    if let Some(p99) = budgets.p99.filter(|p99| p99.value >= slowest) {
        let what = format!(
            "`p99_while_cut` is not shorter than `{key}` ({}), so that no good answer can be slower",
            written(slowest)
        );
        let hint = format!(
            "write less than {}, or raise `{key}`; a share of good answers is `good_while_cut`",
            written(slowest)
        );
        findings.error("impossible", p99.span, what, hint);
        // A default stands nowhere in the file.
        if at != places.name {
            findings.relate(at, key);
        }
    }
}

/// A period that decides `budget` comfortably: about a tenth of it, in round numbers.
fn deciding_period(budget: Duration) -> Duration {
    let tenth = budget / 10;
    let unit = match tenth {
        _ if tenth >= Duration::from_secs(1) => Duration::from_secs(1),
        _ if tenth >= Duration::from_millis(1) => Duration::from_millis(1),
        _ => Duration::from_micros(1),
    };
    let units = tenth.as_nanos() / unit.as_nanos();
    unit * u32::try_from(units.max(1)).unwrap_or(u32::MAX)
}
