//! What the services were in truth, and whether the verdict says the same.

use std::time::Duration;

use super::super::span;
use super::faults::Who;
use super::setting::{EAST, ServiceSetting, Setting};
use super::world::{Control, Inner, World, rotation};
use crate::drill::READ_EVERY;
use crate::model::{Judgement, Offset, Promise, RunRecord, Service, ServiceRecord, Verdict};

/// What a user of a service meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// Every request is served.
    Whole,
    /// Some are.
    Shaky,
    /// None is.
    Down,
}

/// A stretch in which a service is one of these.
type Stretch = (Offset, Offset, Truth);

fn truth_at(control: &Control, setting: &ServiceSetting, at: Offset) -> Truth {
    if setting.bad.iter().any(|(from, to)| at >= *from && at < *to) {
        return Truth::Down;
    }
    let asked = rotation(&control.parts, at, setting);
    let served = asked.iter().filter(|place| control.parts[**place].at(at).passes()).count();
    match served {
        0 => Truth::Down,
        some if some == asked.len() => Truth::Whole,
        _ => Truth::Shaky,
    }
}

/// Every instant at which a service may turn, within `from` and `to`.
fn turns(control: &Control, setting: &ServiceSetting, from: Offset, to: Offset) -> Vec<Offset> {
    let mut turns = vec![from, to];
    for (since, ..) in control.parts.iter().flat_map(|part| &part.history) {
        turns.extend([*since, since.plus(setting.failover), since.plus(setting.failback)]);
    }
    turns.extend(setting.bad.iter().flat_map(|(from, to)| [*from, *to]));
    turns.retain(|at| *at >= from && *at <= to);
    turns.sort_unstable();
    turns.dedup();
    turns
}

fn stretches(
    control: &Control,
    setting: &ServiceSetting,
    from: Offset,
    to: Offset,
) -> Vec<Stretch> {
    let turns = turns(control, setting, from, to);
    let pairs = turns.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.map(|(from, to)| (from, to, truth_at(control, setting, from))).collect()
}

/// The longest that nothing was served without a pause, between `from` and `to`.
fn down_for(stretches: &[Stretch], from: Offset, to: Offset) -> Duration {
    let (mut longest, mut now) = (Duration::ZERO, Duration::ZERO);
    for (begin, end, truth) in stretches {
        let inside = (*end).min(to).since((*begin).max(from));
        now = if *truth == Truth::Down { now + inside } else { Duration::ZERO };
        longest = longest.max(now);
    }
    longest
}

/// When a service was last not whole.
fn last_trouble(stretches: &[Stretch]) -> Option<Offset> {
    stretches.iter().rev().find(|(.., truth)| *truth != Truth::Whole).map(|(_, to, _)| *to)
}

/// Holds PASS and FAIL to the truth.
pub fn judged(world: &World, setting: &Setting, record: &RunRecord) {
    let now = world.clock.now();
    let mut inner = world.lock();
    let mut broken = Vec::new();
    if record.verdict == Verdict::Pass {
        cut_happened(&inner, record, &mut broken);
    }
    for record_of in &record.services {
        let found = setting.plan.services.iter().position(|spec| spec.name == record_of.name);
        let Some(number) = found else { continue };
        let case = Case { setting, record, spec: &setting.plan.services[number], number };
        match record.verdict {
            Verdict::Pass => case.passed(&inner, &mut broken),
            Verdict::Fail => case.failed(&inner, record_of, &mut broken),
            _ => {}
        }
    }
    broken.into_iter().for_each(|text| inner.breaks(now, text));
}

/// Holds that everything was cut, and stayed cut.
fn cut_happened(inner: &Inner, record: &RunRecord, broken: &mut Vec<String>) {
    let marks = record.marks;
    let (Some(from), Some(to)) = (marks.cut_confirmed, marks.restore_issued) else {
        broken.push("PASS without a cut".to_owned());
        return;
    };
    for (number, control) in inner.controls.iter().enumerate() {
        if control.all_cut_at.is_none_or(|at| at > to) {
            broken.push(format!("PASS, and c{number} was never cut as a whole"));
        }
        // Between two readings nobody can tell, and a reading may be old, or fail.
        let unseen = READ_EVERY + control.setting.stale + span(100);
        let unseen = if control.setting.rate > 0.0 { unseen + READ_EVERY * 3 } else { unseen };
        for part in control.parts.iter().filter(|part| part.datacenter == EAST) {
            let ours = part.history[0].1.passes();
            for (place, (since, setup, who)) in part.history.iter().enumerate() {
                let until = part.history.get(place + 1).map_or(to, |(next, ..)| (*next).min(to));
                let open = until.since((*since).max(from));
                let undone = setup.door == super::parts::Door::Ready && *who == Who::Hand;
                if ours && undone && open > unseen {
                    broken.push(format!("PASS, and {} of c{number} was open", part.name));
                }
            }
        }
    }
}

/// A service of a drill.
struct Case<'a> {
    setting: &'a Setting,
    record: &'a RunRecord,
    spec: &'a Service,
    number: usize,
}

impl Case<'_> {
    fn stretches(&self, inner: &Inner, from: Offset, to: Offset) -> Vec<Stretch> {
        let service = &inner.services[self.number].setting;
        stretches(&inner.controls[service.control], service, from, to)
    }

    /// So long without service no schedule of probes can miss.
    fn seen(&self) -> Duration {
        self.spec.probes[0].every * 2 + span(10)
    }

    /// Holds a pass to the truth: no promise may have been broken for longer than can go unseen.
    fn passed(&self, inner: &Inner, broken: &mut Vec<String>) {
        let marks = self.record.marks;
        let (Some(cut), Some(restore)) = (marks.cut_issued, marks.restore_issued) else { return };
        // What was asked at the very end may not have been answered.
        let ended = marks.ended.unwrap_or_default().minus(self.spec.probes[0].timeout * 2);
        let all = self.stretches(inner, cut, ended.max(restore));
        let mut hold = |what: &str, from: Offset, to: Offset| {
            let down = down_for(&all, from, to);
            if down > self.seen() {
                let name = &self.spec.name;
                broken.push(format!("PASS, and {name} was down for {down:?} {what}"));
            }
        };
        let promises = self.spec.promises;
        if let Some(budget) = promises.recover_within {
            // What was asked within a time-out before the restore may have failed because of it, as far as a user
            // can tell.
            let until = restore.minus(self.spec.probes[0].timeout);
            hold("beyond its recovery time", cut.plus(budget), until);
        }
        if let Some(budget) = promises.failback_within {
            hold("beyond its failback time", restore.plus(budget), ended);
        }
        if promises.sustain {
            hold("where it had to sustain", cut, ended);
        }
    }

    /// Holds a fail to the truth: a promise must have been broken, or nearly.
    fn failed(&self, inner: &Inner, found: &ServiceRecord, broken: &mut Vec<String>) {
        let marks = self.record.marks;
        let (Some(cut), Some(restore)) = (marks.cut_issued, marks.restore_issued) else { return };
        let confirmed = marks.cut_confirmed.unwrap_or(cut);
        let back = marks.restore_confirmed.unwrap_or(restore);
        let ended = marks.ended.unwrap_or_default();
        let probe = &self.spec.probes[0];
        let still = self.setting.freezes.iter().any(|freeze| freeze.drill);
        // Whoever stood still takes what was asked before that for slow.
        let room = match still {
            true => self.setting.plan.timing.stable_for + probe.timeout + span(600),
            false => span(2),
        };
        for result in found.promises.iter().filter(|promise| promise.judgement == Judgement::Broken)
        {
            let budget = result.budget.unwrap_or_default();
            let legitimate = match result.promise {
                Promise::RecoverWithin => {
                    let last = last_trouble(&self.stretches(inner, cut, restore));
                    last.is_some_and(|last| last.plus(room) > confirmed.plus(budget))
                }
                Promise::FailbackWithin => {
                    let room = room + probe.every * 10;
                    let last = last_trouble(&self.stretches(inner, restore, ended));
                    let last = last.max(self.returned(inner, restore, ended));
                    let lies = inner.services[self.number].setting.lies.is_some();
                    lies || last.is_some_and(|last| last.plus(room) > back.plus(budget))
                }
                Promise::Sustain => {
                    let all = self.stretches(inner, cut.minus(probe.timeout), ended);
                    last_trouble(&all).is_some()
                }
                // Not promised by simulated plans.
                Promise::GoodWhileCut
                | Promise::P99WhileCut
                | Promise::LoseAtMost
                | Promise::DuplicateAtMost => false,
            };
            if !legitimate {
                let (name, why) = (&self.spec.name, &result.why);
                let promise = result.promise;
                broken.push(format!("FAIL, and {name} kept {promise:?} in truth: {why}"));
            }
        }
    }

    /// Since when the cut datacenter is asked again after `restore`.
    fn returned(&self, inner: &Inner, restore: Offset, ended: Offset) -> Option<Offset> {
        let service = &inner.services[self.number].setting;
        let control = &inner.controls[service.control];
        let serves = |at: &Offset| {
            let asked = rotation(&control.parts, *at, service);
            let east = |place: &usize| {
                let part = &control.parts[*place];
                part.datacenter == EAST && part.at(*at).passes()
            };
            asked.iter().any(east)
        };
        // For good: what goes away again before it was seen has not returned.
        let turns = turns(control, service, restore, ended);
        let gone = turns.iter().rposition(|at| !serves(at));
        gone.map_or(Some(restore), |place| Some(turns.get(place + 1).copied().unwrap_or(ended)))
    }
}
