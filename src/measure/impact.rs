//! What users lost: for how long a feature was bad, for how many people.

use std::time::Duration;

use super::promise::Evidence;
use super::run::Kind;
use crate::model::{Bounds, Impact, Marks, ProbeSpec, Stage, UserMinutes};

/// What the users of a service lost between the cut and the end, by the feature that was bad for longest: of the probes that are
/// required or made a promise of their own.
/// `None` before the cut, and where nothing was measured.
///
/// `user-minutes = users x bad share x time`: of a probe that sends every period, each bad sample stands for one
/// period. Never summed over services or features: their users are the same people.
pub fn impact(users: Option<u64>, evidence: &[Evidence<'_>], marks: &Marks) -> Option<Impact> {
    marks.cut_issued?;
    let is_judged = |probe: &ProbeSpec| probe.required || !probe.promises.is_empty();
    let judged = evidence.iter().filter(|evidence| is_judged(evidence.probe));
    let mut worst: Option<(&Evidence<'_>, Bounds)> = None;
    for (evidence, bad) in judged.map(|evidence| (evidence, bad_time(evidence))) {
        // Of equals the first, in the plan's order.
        if worst.as_ref().is_none_or(|(_, other)| (bad.low, bad.high) > (other.low, other.high)) {
            worst = Some((evidence, bad));
        }
    }
    let (evidence, bad) = worst?;
    let all = |time: Duration, users: u64| time.as_secs_f64() / 60.0 * users as f64;
    let user_minutes = users.map(|users| UserMinutes {
        low: all(bad.low, users),
        high: all(bad.high.unwrap_or(bad.low), users),
    });
    Some(Impact { probe: evidence.probe.name.clone(), bad, user_minutes })
}

fn bad_time(evidence: &Evidence<'_>) -> Bounds {
    let count = |kinds: &[Kind]| -> u64 {
        let runs = evidence.timeline.runs.iter().filter(|run| run.stage != Stage::Baseline);
        runs.filter(|run| kinds.contains(&run.kind)).map(|run| run.count).sum()
    };
    let time = |count: u64| {
        let nanos = evidence.probe.every.as_nanos().saturating_mul(u128::from(count));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    let high = time(count(&[Kind::Bad, Kind::Stalled, Kind::Unknown]));
    Bounds { low: time(count(&[Kind::Bad])), high: Some(high) }
}
