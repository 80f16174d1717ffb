//! Promises on the time while cut: whether the survivors carry the load, once the time to recover is over.

use std::time::Duration;

use super::promise::Evidence;
use crate::model::{Bounds, HeldShare, Judgement, Marks, Promise, PromiseResult, Share, Shown};

/// Judges the share of good samples by the worst probe: the certain share passes, the possible one fails.
pub(super) fn good_while_cut(
    probes: &[&Evidence<'_>],
    marks: &Marks,
    at_least: f64,
    doubt: Option<String>,
) -> PromiseResult {
    let value = |share: Share| share.value().unwrap_or_default();
    let certain = |evidence: &Evidence<'_>| value(evidence.held.share().certain());
    let possible = |evidence: &Evidence<'_>| value(evidence.held.share().possible());
    // One that is broken for certain is not hidden by another of which less is known.
    let broken = probes.iter().filter(|evidence| possible(evidence) < at_least);
    let broken = broken.min_by(|a, b| possible(a).total_cmp(&possible(b)));
    let worst = broken.or_else(|| probes.iter().min_by(|a, b| certain(a).total_cmp(&certain(b))));
    let held = worst.map(|worst| worst.held.share()).unwrap_or_default();
    let (low, high) = (value(held.certain()), value(held.possible()));
    let unwatched = unwatched(probes, marks);
    let measured = unwatched.is_none().then_some(held);
    let (judgement, why) = match unwatched {
        Some(why) => (Judgement::Undecided, why),
        None if high < at_least => (Judgement::Broken, of_samples(held)),
        None if low < at_least => {
            let unknown = held.unknown;
            (Judgement::Undecided, format!("{unknown} samples that could not be asked decide it"))
        }
        None => doubt.map_or_else(
            || (Judgement::Kept, of_samples(held)),
            |doubt| (Judgement::Undecided, doubt),
        ),
    };
    PromiseResult {
        held: measured,
        at_least: Some(at_least),
        probe: worst.map(|worst| worst.probe.name.clone()),
        ..PromiseResult::new(Promise::GoodWhileCut, judgement, why)
    }
}

fn of_samples(held: HeldShare) -> String {
    let Share { part, whole } = held.certain();
    format!("{part} of {whole} samples were good once the time to recover was over")
}

/// Judges the 99th percentile of the slowest probe. A request without a good answer is slower than any.
pub(super) fn p99_while_cut(
    probes: &[&Evidence<'_>],
    marks: &Marks,
    budget: Duration,
    doubt: Option<String>,
) -> PromiseResult {
    let slow = |evidence: &Evidence<'_>| evidence.held.p99(false).unwrap_or(Duration::MAX);
    let worst = probes.iter().max_by_key(|evidence| slow(evidence));
    let low = worst.and_then(|worst| worst.held.p99(true));
    let high = worst.and_then(|worst| worst.held.p99(false));
    let (judgement, why) = match (unwatched(probes, marks), low, high) {
        (Some(why), ..) => (Judgement::Undecided, why),
        (None, None, _) => {
            let why = "more than 1 of 100 requests had no good answer at all";
            (Judgement::Broken, why.to_owned())
        }
        (None, Some(low), _) if low > budget => {
            (Judgement::Broken, format!("99 of 100 requests took up to {}", Shown(low)))
        }
        (None, _, Some(high)) if high <= budget => doubt.map_or_else(
            || (Judgement::Kept, format!("99 of 100 requests took at most {}", Shown(high))),
            |doubt| (Judgement::Undecided, doubt),
        ),
        _ => {
            let why = "samples that could not be asked decide it";
            (Judgement::Undecided, why.to_owned())
        }
    };
    PromiseResult {
        budget: Some(budget),
        measured: low.map(|low| Bounds { low, high }),
        probe: worst.map(|worst| worst.probe.name.clone()),
        ..PromiseResult::new(Promise::P99WhileCut, judgement, why)
    }
}

fn unwatched(probes: &[&Evidence<'_>], marks: &Marks) -> Option<String> {
    let watched = |evidence: &&Evidence<'_>| evidence.held.is_watched(marks, evidence.stable);
    let all = !probes.is_empty() && probes.iter().all(watched);
    (!all).then(|| "not watched for long enough while cut".to_owned())
}
