//! Recovery and failback times of one probe, with bounds.

use std::time::Duration;

use super::outage::{Episode, Stable, episodes};
use super::run::{Kind, Run};
use super::timeline::Timeline;
use crate::model::{Bounds, Marks, Offset, Recovery, ServedBy, Split, Stage};

/// How long users were without the service after the cut, by section 3 of the design:
///
/// ```text
/// low  = (sent of the last bad or stalled sample before the stable stretch) - (cut confirmed)
/// high = (done of the first good sample that proves the stretch)            - (cut issued)
/// ```
///
/// With no bad or stalled sample: low = 0, and high is the widest hole that could have hidden an
/// outage. `None` before the cut is confirmed and while nothing has been sent since.
pub fn recovery(timeline: &Timeline, marks: &Marks, stable: Stable) -> Option<Recovery> {
    let (issued, confirmed) = (marks.cut_issued?, marks.cut_confirmed?);
    let runs = runs_in(timeline, &[Stage::Cut, Stage::Observe]);
    let last = last_known(&runs)?;
    let episodes = episodes(&runs, stable);
    let Some(first) = episodes.first() else {
        let watched = last.since(confirmed) >= stable.length;
        let high = timeline.widest_after_cut.filter(|_| watched);
        let bounds = Bounds { low: Duration::ZERO, high };
        return Some(Recovery { bounds, seamless: true, relapses: 0, split: None });
    };
    let low = first.outage.ended_after.since(confirmed);
    let high = first.outage.ended_by.map(|by| by.since(issued).max(low));
    Some(Recovery {
        bounds: Bounds { low, high },
        seamless: false,
        relapses: first.relapses,
        split: high.map(|whole| split(timeline, first, issued, whole)),
    })
}

/// Whether the probe was in trouble again, while cut, after it had recovered.
pub fn troubled_again(timeline: &Timeline, stable: Stable) -> bool {
    episodes(&runs_in(timeline, &[Stage::Cut, Stage::Observe]), stable).len() > 1
}

/// How long after the restore the service was as before: the cut datacenter answers again, if it
/// did before the cut, and nothing is bad or stalled. Bounds as for [`recovery`], from the restore. Of what `may_stay`
/// where it went, only that nothing is bad or stalled.
///
/// `None` before the restore is confirmed and while nothing has been sent since.
pub fn failback(
    timeline: &Timeline,
    marks: &Marks,
    stable: Stable,
    may_stay: bool,
) -> Option<Recovery> {
    let (issued, confirmed) = (marks.restore_issued?, marks.restore_confirmed?);
    let runs = runs_in(timeline, &[Stage::Restore, Stage::Failback]);
    let last = last_known(&runs)?;
    let episodes = episodes(&runs, stable);
    let served = !may_stay && timeline.share_of_cut(&[Stage::Baseline]).part > 0;
    let outage = episodes.last().map(|episode| episode.outage);
    let mut low = outage.map_or(confirmed, |outage| outage.ended_after);
    let mut by = match outage {
        Some(outage) => outage.ended_by,
        None if served => Some(issued),
        None => timeline.widest_after_restore.map(|width| issued.plus(width)),
    };
    if served {
        low = low.max(timeline.returned.map_or(confirmed, |returned| returned.after));
        by = by.zip(timeline.returned).map(|(by, returned)| by.max(returned.by));
    }
    let watched = by.is_some_and(|by| last.since(by) >= stable.length);
    let low = low.since(confirmed);
    Some(Recovery {
        bounds: Bounds { low, high: by.filter(|_| watched).map(|by| by.since(issued).max(low)) },
        seamless: episodes.is_empty(),
        relapses: episodes.iter().map(|episode| episode.relapses).sum(),
        split: None,
    })
}

/// Where the time went. The parts are cut off at the whole, so that they sum to it.
fn split(timeline: &Timeline, first: &Episode, issued: Offset, whole: Duration) -> Split {
    let until = |at: Offset| at.since(issued).min(whole);
    let first_bad = until(first.outage.began_by);
    let elsewhere = timeline.first_elsewhere.map_or(whole, until).max(first_bad);
    Split {
        until_first_bad: first_bad,
        until_other_datacenter: elsewhere - first_bad,
        until_stable: whole - elsewhere,
    }
}

fn runs_in(timeline: &Timeline, stages: &[Stage]) -> Vec<Run> {
    timeline.runs.iter().filter(|run| stages.contains(&run.stage)).copied().collect()
}

/// When the last sample that tells of the service was sent.
fn last_known(runs: &[Run]) -> Option<Offset> {
    runs.iter().filter(|run| run.kind != Kind::Unknown).map(|run| run.last_sent).max()
}

/// Answers in words for a record: a datacenter's name, `other`, or `?` for those that do not say.
pub fn served_name(
    served: ServedBy,
    datacenter: impl Fn(crate::model::DatacenterId) -> String,
) -> String {
    match served {
        ServedBy::Datacenter(id) => datacenter(id),
        ServedBy::Foreign => "other".to_owned(),
        ServedBy::Unnamed => "?".to_owned(),
    }
}
