//! The runs that were asked for, and the trend of each of their plans.

use std::time::Duration;

use super::change::of_time;
use crate::model::{History, LostRun, Name, Point, Summary, Trend};

/// Fewer passed runs say nothing about what is usual: with three, the 75th percentile is simply the slowest of them.
pub const FEWEST: usize = 4;

/// A trend shows at most so many of the latest runs.
const POINTS: usize = 40;

/// The latest `last` runs, of `plan` alone if it is given, with what is to be said of those that are `lost`.
pub fn history(
    mut runs: Vec<Summary>,
    mut lost: Vec<LostRun>,
    plan: Option<&Name>,
    last: usize,
) -> History {
    if let Some(plan) = plan {
        runs.retain(|run| run.plan == *plan);
        // One that tells no plan may be of this one.
        lost.retain(|lost| lost.plan.as_ref().is_none_or(|of| of == plan));
    }
    runs.sort_by(|a, b| order(b).cmp(&order(a)));
    let trends = trends(&runs, last);
    let earlier = runs.len().saturating_sub(last);
    runs.truncate(last);
    History { runs, earlier, trends, left_out: lost }
}

/// Runs by time; two of one moment by their ids.
pub fn order(run: &Summary) -> (jiff::Timestamp, &str) {
    (run.started_at, &run.run)
}

/// The trend of each plan among the latest `shown` of `runs`, which are sorted, the latest first.
fn trends(runs: &[Summary], shown: usize) -> Vec<Trend> {
    let mut latest: Vec<&Summary> = Vec::new();
    for run in runs.iter().take(shown) {
        if !latest.iter().any(|other| other.plan == run.plan) {
            latest.push(run);
        }
    }
    // One that measured nothing, as a drill that was refused, has no trend while another has.
    let measured =
        |of: &Summary| runs.iter().find(|run| run.plan == of.plan && run.recovery().is_some());
    latest.into_iter().map(|latest| trend(runs, measured(latest).unwrap_or(latest))).collect()
}

fn trend(runs: &[Summary], latest: &Summary) -> Trend {
    let alike: Vec<&Summary> = runs.iter().filter(|run| run.is_like(latest)).collect();
    let usual = usual(alike.iter().copied());
    let point = |run: &&Summary| Point {
        run: run.run.clone(),
        verdict: run.verdict,
        recovery: run.recovery(),
    };
    let mut points: Vec<Point> = alike.iter().take(POINTS).map(point).collect();
    points.reverse();
    Trend {
        plan: latest.plan.clone(),
        lab: latest.lab,
        cut: latest.cut.clone(),
        mode: latest.mode,
        points,
        passed: usual.count,
        p75: usual.p75,
        change: alike.get(1).map(|before| of_time(before.recovery(), latest.recovery())),
    }
}

/// What is usual among runs.
pub struct Usual {
    /// How many passed, with a recovery whose end was seen.
    pub count: usize,
    /// The 75th percentile of their high bounds; `None` where they are fewer than [`FEWEST`].
    pub p75: Option<Duration>,
}

/// What is usual among `runs`.
pub fn usual<'a>(runs: impl Iterator<Item = &'a Summary>) -> Usual {
    let highs = passed(runs);
    let count = highs.len();
    let p75 = (count >= FEWEST).then(|| rank(&highs, 3)).flatten();
    Usual { count, p75 }
}

/// The high bounds of those of `runs` that passed, sorted; of those whose end was seen.
pub fn passed<'a>(runs: impl Iterator<Item = &'a Summary>) -> Vec<Duration> {
    let passed = runs.filter(|run| run.has_passed());
    let mut highs: Vec<Duration> =
        passed.filter_map(|run| run.recovery().and_then(|recovery| recovery.high)).collect();
    highs.sort_unstable();
    highs
}

/// The smallest of the sorted `values` that so many `quarters` of them do not exceed (nearest rank).
pub fn rank(values: &[Duration], quarters: usize) -> Option<Duration> {
    let rank = (values.len() * quarters).div_ceil(4);
    values.get(rank.checked_sub(1)?).copied()
}
