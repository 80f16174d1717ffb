//! What must hold at the end: traffic as it was or a person asked, and everything within its time.

use std::time::Duration;

use super::super::span;
use super::faults::Who;
use super::parts::{Door, Setup, reading};
use super::process::Claim;
use super::setting::{EAST, Setting};
use super::world::{Inner, World};
use crate::drill::{CALL_LIMIT, LAST_READ_LIMIT, LATE_LOOK_LIMIT, RESTORE_LIMITS};
use crate::journal::Run;
use crate::model::{ControlState, Offset, RunRecord};
use crate::restore::SETTLE;

/// Every control as it is.
pub fn states(world: &World) -> Vec<ControlState> {
    let now = world.clock.now();
    world.lock().controls.iter().map(|control| reading(&control.parts, now)).collect()
}

/// Holds what somebody said who put traffic back to the truth.
pub fn claimed(world: &World, setting: &Setting, claim: &Claim, record: Option<&RunRecord>) {
    let now = world.clock.now();
    let mut inner = world.lock();
    let run = Run::read(inner.papers[0].bytes()).ok();
    let mut broken = Vec::new();
    for (number, spec) in setting.plan.traffic.iter().enumerate() {
        let entry = run.iter().flat_map(|run| &run.controls);
        let entry = entry.clone().find(|entry| entry.control.name == spec.name);
        let control = &inner.controls[number];
        let seen = control.seen_back.get(&claim.who).copied();
        for part in control.parts.iter().filter(|part| part.datacenter == EAST) {
            // Where the journal kept no snapshot, nothing may have been touched.
            let want = entry.and_then(|entry| entry.before.parts.get(&part.name)).map(Setup::of);
            let (at, is, by) = part.history[part.history.len() - 1];
            let as_it_was = {
                let untouched = by == Who::Hand || is == part.history[0].1;
                want.map_or(untouched, |want| is == want)
            };
            // What another hand does after we have seen it back is told, and not undone.
            let unseen = by == Who::Hand && seen.is_none_or(|seen| at >= seen);
            let excused = unseen || !claim.good;
            if !as_it_was && !excused {
                let text = format!(
                    "c{number}: {:?} says that all is back, and {} is {is:?} by {by:?}, was {want:?}",
                    claim.who, part.name
                );
                broken.push(text);
            }
            // NOT RESTORED is no excuse for what could have been put back.
            if !as_it_was && !claim.good && by != Who::Hand && !has_excuse(&inner, number, claim) {
                let text = format!("c{number}: {} was not put back without need", part.name);
                broken.push(text);
            }
        }
    }
    let any = (0..inner.controls.len()).any(|number| has_excuse(&inner, number, claim));
    let damaged = run.as_ref().is_none_or(|run| !run.damaged.is_empty());
    if !claim.good && !any && !damaged {
        broken.push(format!("{:?} says NOT RESTORED without a reason", claim.who));
    }
    let never = record.is_some_and(|record| record.marks.cut_issued.is_none());
    if never && inner.controls.iter().any(|control| control.cut_at.is_some()) {
        broken.push("a drill that cut nothing asked for a cut".to_owned());
    }
    broken.into_iter().for_each(|text| inner.breaks(now, text));
}

/// Whether a control gave `claim` a reason to give up: it did not answer, refused, hung, or another hand was there.
fn has_excuse(inner: &Inner, number: usize, claim: &Claim) -> bool {
    let control = &inner.controls[number];
    let (wrong, hung) = control.trouble.get(&claim.who).copied().unwrap_or_default();
    let foreign = |part: &super::parts::Part| {
        let hand = part.history.iter().any(|(_, _, who)| *who == Who::Hand);
        hand && part
            .history
            .iter()
            .any(|(_, setup, _)| matches!(setup.door, Door::Drain | Door::Gone))
    };
    // A machine that slept through the limit of a restore asks a person, too: it is late enough for that.
    wrong >= 4 || hung >= 1 || inner.slept || control.parts.iter().any(foreign)
}

/// How things stood before somebody restored a second time.
pub struct Before {
    begun: Offset,
    states: Vec<ControlState>,
    /// The journal's last word is not that all is back.
    open: bool,
}

impl Before {
    /// How they stand now.
    pub fn now(world: &World) -> Before {
        let run = Run::read(world.lock().papers[0].bytes());
        let open = run.is_ok_and(|run| run.open().next().is_some());
        Before { begun: world.clock.now(), states: states(world), open }
    }
}

/// Holds that who restores a second time changes nothing.
pub fn idempotent(
    world: &World,
    Before { begun, states: before, open }: Before,
    good: bool,
    again: &Claim,
) {
    let now = world.clock.now();
    if !good {
        return;
    }
    let hand = |inner: &Inner| {
        let parts = inner.controls.iter().flat_map(|control| &control.parts);
        let mut last = parts.map(|part| part.history[part.history.len() - 1]);
        last.any(|(at, _, who)| who == Who::Hand && at >= begun)
    };
    let same = states(world) == before;
    let mut inner = world.lock();
    // Where the disk kept no confirmation, it is put back once more, whoever cut it again meanwhile.
    if !same && !hand(&inner) && !open {
        inner.breaks(now, "a second restore changed something".to_owned());
    }
    // Where the disk kept no confirmation, a hand that came after it is in the way.
    let excused = (0..inner.controls.len()).any(|number| has_excuse(&inner, number, again));
    if !again.good && !excused {
        inner.breaks(now, "a second restore found something to do".to_owned());
    }
}

/// Holds a drill to its limits.
pub fn bounded(world: &World, setting: &Setting, record: &RunRecord) {
    let now = world.clock.now();
    let still: Duration = setting
        .freezes
        .iter()
        .filter(|freeze| freeze.drill)
        .map(|freeze| freeze.to.since(freeze.from))
        .sum();
    let (marks, timing) = (record.marks, setting.plan.timing);
    let mut broken = Vec::new();
    if let (Some(cut), Some(restore)) = (marks.cut_issued, marks.restore_issued) {
        let took = restore.since(cut);
        if took > timing.at_most + LAST_READ_LIMIT + span(50) + still {
            broken.push(format!("cut for {took:?} before the restore began"));
        }
    }
    let controls = u32::try_from(setting.controls.len()).unwrap_or(1);
    let ended = marks.ended.unwrap_or_default();
    let most = grace(controls) + timing.baseline + timing.at_most * 4 + still;
    if ended.since(Offset::ZERO) > most {
        broken.push(format!("the drill took until {ended}, which is more than {most:?}"));
    }
    let mut inner = world.lock();
    broken.into_iter().for_each(|text| inner.breaks(now, text));
}

/// What a drill may take beyond its baseline and four times `at_most` (cut, restore, failback, and a last restore of
/// each control): three readings before it, one call when the time is up, and what is looked at again.
fn grace(controls: u32) -> Duration {
    let again = LATE_LOOK_LIMIT + RESTORE_LIMITS.0 * 2 + SETTLE * 3;
    CALL_LIMIT * 4 + RESTORE_LIMITS.0 * 2 + SETTLE * 3 + again * controls
}
