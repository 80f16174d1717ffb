//! Runs to outages: when a probe was without service, and when it was back for good.

use std::time::Duration;

use super::run::{Kind, Run};
use crate::model::{Offset, Outage};

/// What a service must do to count as recovered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stable {
    /// Stay good for this long,
    pub length: Duration,
    /// with at least this share of good samples, above 0 and up to 1.
    pub share: f64,
}

/// An outage with what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// The outage itself; `ended_by` is set once it was over for good.
    pub outage: Outage,
    /// How often it was bad again although it had proven that it answers.
    pub relapses: u32,
}

/// Every outage in `runs`, in order. Runs must be in the order in which their samples were due.
///
/// An outage begins with a bad or stalled sample. It ends with the first answer of a stretch that
/// is stable; until then the outage goes on, whatever good answers it is mixed with.
pub fn episodes(runs: &[Run], stable: Stable) -> Vec<Episode> {
    let known_until = runs
        .iter()
        .filter(|run| run.kind != Kind::Unknown)
        .map(|run| run.last_sent)
        .max()
        .unwrap_or_default();
    let mut episodes = Vec::new();
    let mut open: Option<Episode> = None;
    let mut last_good: Option<Offset> = None;
    let mut previous_was_trouble = false;
    for (place, run) in runs.iter().enumerate() {
        let tolerated = open.is_none()
            && episodes.last().is_some_and(|last: &Episode| {
                let since = last.outage.ended_by.unwrap_or_default();
                is_tolerated(runs, place, since, known_until, stable)
            });
        let trouble = run.kind.is_trouble() && !answers_slowly(run, stable) && !tolerated;
        if trouble {
            note_trouble(&mut open, run, last_good);
        } else if run.kind != Kind::Unknown {
            if let Some(episode) = open.as_mut().filter(|_| previous_was_trouble) {
                if let Some(by) = end_of(&runs[place..], stable, known_until) {
                    episode.outage.ended_by = Some(by);
                    episodes.extend(open.take());
                } else if answers_then_fails(&runs[place..], stable) {
                    episode.relapses += 1;
                }
            }
            last_good = Some(run.last_sent);
        }
        if run.kind != Kind::Unknown {
            previous_was_trouble = trouble;
        }
    }
    if let Some(episode) = &mut open
        && let Some(before) = may_be_over_since(runs, known_until, stable)
    {
        episode.outage.ended_after = episode.outage.ended_after.min(before);
    }
    episodes.extend(open);
    episodes
}

/// Where less than all must be good, trouble is no proof that an outage goes on: the last trouble before the earliest
/// stretch that holds its share so far, and is not over yet.
fn may_be_over_since(runs: &[Run], known_until: Offset, stable: Stable) -> Option<Offset> {
    if stable.share >= 1.0 {
        return None;
    }
    let young = known_until.minus(stable.length);
    let first = runs.iter().position(|run| run.first_sent > young)?;
    let mut places = first.max(1)..runs.len();
    let place = places.find(|&place| {
        let (run, before) = (&runs[place], &runs[place - 1]);
        let begins = run.kind == Kind::Good && before.kind.is_trouble();
        begins && holds(&runs[place..], run.first_sent, known_until, stable)
    })?;
    Some(runs[place - 1].last_sent)
}

/// Whether the trouble at `place`, after an outage that ended at `since`, is no more than a service that
/// was never perfect may have: its share of good samples holds from there on for the stability
/// period, or where that is not over yet, in the last one that is.
fn is_tolerated(
    runs: &[Run],
    place: usize,
    since: Offset,
    known_until: Offset,
    stable: Stable,
) -> bool {
    let Some(run) = runs.get(place).filter(|_| stable.share < 1.0) else { return false };
    let from = run.first_sent.min(known_until.minus(stable.length)).max(since);
    let before = runs[..place].iter().rev().take_while(|run| run.last_sent >= from).count();
    holds(&runs[place - before..], from, from.plus(stable.length), stable)
}

fn note_trouble(open: &mut Option<Episode>, run: &Run, last_good: Option<Offset>) {
    let episode = open.get_or_insert(Episode {
        outage: Outage {
            began_after: last_good.unwrap_or(run.first_sent).min(run.first_sent),
            began_by: run.first_sent,
            ended_after: run.last_sent,
            ended_by: None,
            samples: 0,
        },
        relapses: 0,
    });
    episode.outage.began_by = episode.outage.began_by.min(run.first_sent);
    episode.outage.ended_after = episode.outage.ended_after.max(run.last_sent);
    episode.outage.samples += run.count;
}

/// Whether a run of stalled samples is a service that has become slow rather than one that hangs:
/// in a hole, no answer comes before the last of them was sent; here, they come all along.
fn answers_slowly(run: &Run, stable: Stable) -> bool {
    run.kind == Kind::Stalled && run.last_sent.since(run.first_done) >= stable.length
}

/// The answer that ended the outage, if the stretch that begins with `runs` is stable.
fn end_of(runs: &[Run], stable: Stable, known_until: Offset) -> Option<Offset> {
    let first = runs.first()?;
    let end = first.first_sent.plus(stable.length);
    if known_until < end || !holds(runs, first.first_sent, end, stable) {
        return None;
    }
    if answers_slowly(first, stable) {
        return Some(first.first_done);
    }
    let proved = good_stretch(runs).filter_map(|run| run.proved).min();
    if stable.share >= 1.0 {
        return proved;
    }
    // A service that keeps failing so often may never give that many good answers in a row.
    let stretch = runs.iter().take_while(|run| run.first_sent <= end);
    let later = || stretch.filter_map(|run| run.proved).min();
    proved.or_else(later).or(Some(first.first_done))
}

/// Whether enough of the samples sent between `from` and `end` are good. Of a run that goes on beyond
/// them, the part in proportion counts, rounded against the service.
fn holds(runs: &[Run], from: Offset, end: Offset, stable: Stable) -> bool {
    let (mut good, mut trouble) = (0u64, 0u64);
    for run in runs.iter().take_while(|run| run.first_sent <= end) {
        let part = if run.first_sent >= from && run.last_sent <= end {
            1.0
        } else {
            let whole = run.last_sent.since(run.first_sent).as_secs_f64();
            let inside = run.last_sent.min(end).since(run.first_sent.max(from)).as_secs_f64();
            inside / whole.max(f64::MIN_POSITIVE)
        };
        let samples = run.count as f64 * part;
        if run.kind.is_trouble() && !answers_slowly(run, stable) {
            if stable.share >= 1.0 {
                return false;
            }
            trouble += (samples.ceil() as u64).max(1);
        } else if run.kind != Kind::Unknown {
            good += (samples.floor() as u64).max(1);
        }
    }
    good > 0 && good as f64 >= stable.share * (good + trouble) as f64
}

/// The runs up to the next trouble.
fn good_stretch(runs: &[Run]) -> impl Iterator<Item = &Run> {
    runs.iter().take_while(|run| !run.kind.is_trouble())
}

/// Whether the stretch proved that the service answers, and trouble came all the same.
fn answers_then_fails(runs: &[Run], stable: Stable) -> bool {
    let proved = good_stretch(runs).any(|run| run.proved.is_some());
    let fails = runs.iter().any(|run| run.kind.is_trouble() && !answers_slowly(run, stable));
    proved && fails
}
