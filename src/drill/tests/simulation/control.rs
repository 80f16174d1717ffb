//! A simulated control: it does what it is told, unless it does not.

use std::panic::resume_unwind;
use std::time::Duration;

use async_trait::async_trait;

use super::super::span;
use super::faults::{Fault, Who};
use super::parts::{Door, Part, Setup};
use super::setting::EAST;
use super::world::{Effect, Inner, World};
use crate::model::{ControlSpec, ControlState, CutOrder, Offset, Passage, PathCounters};
use crate::restore::SETTLE;
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// A control as one process sees it.
pub struct SimControl {
    pub spec: ControlSpec,
    pub world: World,
    pub number: usize,
    pub who: Who,
}

/// How a call ends.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Good,
    Error(&'static str),
    Panic,
    Never,
}

/// A call under way: who drops it has left its change to chance.
struct Flight {
    world: World,
    id: Option<u64>,
    lands: bool,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = self.world.clock.now();
        if let Some(id) = self.id.take() {
            self.world.lock().dropped(now, id, self.lands);
        }
    }
}

fn refused(what: &str) -> ControlError {
    ControlError { what: what.to_owned(), hint: "try again".to_owned() }
}

impl SimControl {
    /// Waits for the answer, which may never come.
    async fn answer<T>(
        &self,
        after: Duration,
        answer: Answer,
        good: impl FnOnce(&mut Inner, Offset) -> T,
    ) -> Result<T, ControlError> {
        tokio::time::sleep(after).await;
        let now = self.world.clock.now();
        match answer {
            Answer::Never => std::future::pending().await,
            Answer::Error(what) => Err(refused(what)),
            // Without the hook that would write a trace for each.
            Answer::Panic => resume_unwind(Box::new("simulated")),
            Answer::Good => Ok(good(&mut self.world.lock(), now)),
        }
    }

    /// How a reading ends: when, how, and how old it is.
    fn read(&self, what: &'static str) -> (Duration, Answer, Duration) {
        let now = self.world.clock.now();
        let mut inner = self.world.lock();
        let latency = span(inner.rng.u64(1..12));
        if inner.is_dead(self.who) || inner.call(now, self.who).is_some() {
            return (latency, Answer::Never, Duration::ZERO);
        }
        if let Some(answer) = inner.out_of_reach(now, self.number, self.who) {
            return (latency, answer, Duration::ZERO);
        }
        let (mut answer, mut old) = (Answer::Good, Duration::ZERO);
        if inner.goes_wrong(self.number) {
            let (fault, how) = match inner.rng.u32(0..8) {
                0 => (Fault::ReadHangs, Answer::Never),
                1 => (Fault::ReadPanics, Answer::Panic),
                _ => (Fault::ReadFails, Answer::Error("it cannot be read")),
            };
            inner.wrong(now, self.number, self.who, fault);
            answer = how;
        }
        let stale = inner.controls[self.number].setting.stale;
        if !inner.healed && !stale.is_zero() && inner.rng.u32(0..3) > 0 {
            old = stale.mul_f64(inner.rng.f64());
            inner.counts.add(Fault::ReadIsStale);
        }
        let detail = if old.is_zero() { String::new() } else { format!("(as {old:?} ago)") };
        inner.log.detailed(now, self.who, what, Some(self.number), detail);
        (latency, answer, old)
    }

    /// A call that changes parts.
    async fn change(
        &self,
        cuts: bool,
        mut changes: Vec<(usize, Option<Door>, Option<bool>)>,
    ) -> Result<(), ControlError> {
        let now = self.world.clock.now();
        let (after, answer, mut flight) = {
            let mut inner = self.world.lock();
            let sent = match inner.is_dead(self.who) {
                true => Some(false),
                false => inner.call(now, self.who),
            };
            let what = if cuts { "asks for the cut" } else { "asks for the restore" };
            inner.log.add(now, self.who, what, Some(self.number));
            inner.controls[self.number].seen_back.remove(&self.who);
            let latency = span(inner.rng.u64(1..15));
            let mut how = inner.change_goes(now, self.number, self.who, &mut changes);
            if let Some(sent) = sent {
                (how.answer, how.lands) = (Answer::Never, sent && how.lands);
            }
            let id = how.lands.then(|| {
                let effect = Effect::new(self.who, self.number, cuts, changes);
                inner.send(now.plus(latency / 2).plus(how.late), effect)
            });
            let world = self.world.clone();
            // One that hangs, or lands late, may do so after it was given up.
            let flight = Flight { world, id, lands: how.lands };
            (latency, how.answer, flight)
        };
        let result = self.answer(after, answer, |_, _| ()).await;
        flight.id = None;
        result
    }
}

/// What becomes of a change.
struct How {
    answer: Answer,
    lands: bool,
    late: Duration,
}

impl Inner {
    /// Whether this control can be asked at all.
    fn out_of_reach(&mut self, now: Offset, control: usize, who: Who) -> Option<Answer> {
        let setting = &self.controls[control].setting;
        let ((from, to), may_hang) = (setting.unreachable?, setting.hangs);
        if self.healed || now < from || now >= to {
            return None;
        }
        let hangs = may_hang && self.rng.u32(0..8) == 0;
        let trouble = self.controls[control].trouble.entry(who).or_default();
        (trouble.0, trouble.1) = (trouble.0 + 1, trouble.1 + u32::from(hangs));
        self.log.add(now, who, "cannot reach it", Some(control));
        Some(if hangs { Answer::Never } else { Answer::Error("no route to it") })
    }

    /// Whether this call goes wrong.
    fn goes_wrong(&mut self, control: usize) -> bool {
        let cut = self.controls.iter().any(|control| control.cut_at.is_some());
        let setting = &self.controls[control].setting;
        let rate = if cut { setting.rate } else { setting.rate_before };
        !self.healed && rate > 0.0 && self.rng.f64() < rate
    }

    fn wrong(&mut self, now: Offset, control: usize, who: Who, fault: Fault) {
        let hangs = matches!(fault, Fault::Hangs | Fault::HangsButLands | Fault::ReadHangs);
        let trouble = self.controls[control].trouble.entry(who).or_default();
        (trouble.0, trouble.1) = (trouble.0 + 1, trouble.1 + u32::from(hangs));
        self.counts.add(fault);
        self.log.detailed(now, who, "call goes wrong:", Some(control), format!("{fault:?}"));
    }

    /// How a change goes, which may take some of `changes` away.
    fn change_goes(
        &mut self,
        now: Offset,
        control: usize,
        who: Who,
        changes: &mut Vec<(usize, Option<Door>, Option<bool>)>,
    ) -> How {
        let how = |answer, lands| How { answer, lands, late: Duration::ZERO };
        if let Some(answer) = self.out_of_reach(now, control, who) {
            return how(answer, false);
        }
        let setting = &self.controls[control].setting;
        let (liar, refused) = (setting.liar, setting.refused);
        if refused.is_some_and(|(from, to)| now >= from && now < to) && !self.healed {
            self.controls[control].trouble.entry(who).or_default().0 += 1;
            return how(Answer::Error("busy"), false);
        }
        if !self.goes_wrong(control) {
            return how(Answer::Good, true);
        }
        let error = Answer::Error("it went wrong");
        let (fault, mut how) = match self.rng.u32(0..11) {
            0 => (Fault::CallFails, how(error, false)),
            1 | 2 => (Fault::FailsButLands, how(error, true)),
            3 | 4 => (Fault::LandsLate, how(error, true)),
            5 => (Fault::Hangs, how(Answer::Never, false)),
            6 => (Fault::HangsButLands, how(Answer::Never, true)),
            7 => (Fault::HalfTheParts, how(error, true)),
            8 => (Fault::HalfTheSettings, how(error, true)),
            9 if liar => (Fault::LiesThatItDid, how(Answer::Good, false)),
            9 => (Fault::LandsLate, how(Answer::Good, true)),
            _ => (Fault::CallPanics, how(Answer::Panic, self.rng.bool())),
        };
        if fault == Fault::LandsLate {
            how.late = span(self.rng.u64(1..SETTLE.as_millis() as u64 - 20));
        }
        if fault == Fault::HangsButLands && self.rng.bool() {
            // Only once it was given up: see `Inner::dropped`.
            how.late = Duration::from_secs(3600);
        }
        if fault == Fault::HalfTheParts {
            let kept = self.rng.usize(0..=changes.len().saturating_sub(1));
            changes.truncate(kept);
        }
        if fault == Fault::HalfTheSettings {
            let door = self.rng.bool();
            for change in changes.iter_mut() {
                *change =
                    if door { (change.0, change.1, None) } else { (change.0, None, change.2) };
            }
        }
        if matches!(fault, Fault::HalfTheParts | Fault::HalfTheSettings) && liar {
            how.answer = Answer::Good;
        }
        self.wrong(now, control, who, fault);
        how
    }

    /// Holds what must be true before a cut is asked for.
    fn before_the_cut(&mut self, now: Offset, control: usize, who: Who, name: &str) {
        let durable = self.papers[usize::from(who == Who::Second)].durable();
        let lines = durable.split(|byte| *byte == b'\n').map(|line| line.get(9..));
        let of = format!(":{{\"control\":\"{name}\"");
        let last = lines.flatten().rfind(|line| line.windows(of.len()).any(|w| w == of.as_bytes()));
        if last.is_none_or(|line| !line.starts_with(b"{\"cut-intended\"")) {
            self.breaks(now, format!("c{control}: cut without a durable intent"));
        }
        self.looked_before_the_cut(now, control, who);
        let held = &mut self.controls[control];
        held.cut_at.get_or_insert(now);
        if let Some(other) = held.cut_by.filter(|other| *other != who) {
            self.breaks(now, format!("c{control}: {who:?} cuts what {other:?} has cut"));
        }
        self.controls[control].cut_by = Some(who);
    }

    /// Holds that nobody overwrites what he has seen to be another hand's.
    fn before_the_restore(
        &mut self,
        now: Offset,
        control: usize,
        who: Who,
        snapshot: &ControlState,
    ) {
        let held = &self.controls[control];
        let Some((_, known)) = held.known.get(&who) else { return };
        let foreign = snapshot.parts.keys().find(|name| {
            known.parts.get(*name).is_some_and(|part| Setup::of(part).door == Door::Drain)
        });
        if let Some(name) = foreign {
            let text = format!("c{control}: {who:?} restores {name}, known to be another hand's");
            self.breaks(now, text);
        }
    }
}

impl Effect {
    fn new(
        who: Who,
        control: usize,
        cuts: bool,
        changes: Vec<(usize, Option<Door>, Option<bool>)>,
    ) -> Effect {
        Effect { at: Offset::ZERO, id: 0, who, control, cuts, changes }
    }
}

#[async_trait]
impl TrafficControl for SimControl {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let (after, answer, _) = self.read("preflight");
        self.answer(after, answer, |_, _| ()).await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let (after, answer, old) = self.read("reads");
        self.answer(after, answer, |inner, now| {
            let at = now.minus(old);
            let state = inner.reading(self.number, at);
            let know = (at, state.clone());
            let control = &mut inner.controls[self.number];
            control.known.insert(self.who, know);
            let east = |part: &&Part| part.datacenter == EAST;
            if control.parts.iter().filter(east).all(|part| part.at(at) == part.history[0].1) {
                control.seen_back.entry(self.who).or_insert(at);
            }
            state
        })
        .await
    }

    async fn survivors(&self, _order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let (after, answer, _) = self.read("counts survivors");
        let group = format!("backend of {}", self.spec.name);
        self.answer(after, answer, |inner, _| {
            vec![Survivors { group, left: inner.left(self.number) }]
        })
        .await
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let changes = {
            let now = self.world.clock.now();
            let mut inner = self.world.lock();
            if !inner.is_dead(self.who) {
                let name = self.spec.name.clone();
                inner.before_the_cut(now, self.number, self.who, name.as_str());
            }
            let cut = Setup::cut(order.mode);
            let parts = inner.controls[self.number].parts.iter().enumerate();
            let open = parts.filter(|(_, part)| {
                let before = snapshot.parts.get(&part.name);
                part.datacenter == EAST && before.is_some_and(|b| b.passage != Passage::Closed)
            });
            open.map(|(place, _)| (place, Some(cut.door), Some(cut.agent))).collect()
        };
        self.change(true, changes).await
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            if let Some(cut) = Setup::cut(order.mode).state(part.datacenter) {
                *part = cut;
            }
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let (changes, gone) = {
            let now = self.world.clock.now();
            let mut inner = self.world.lock();
            if !inner.is_dead(self.who) {
                inner.before_the_restore(now, self.number, self.who, snapshot);
            }
            let parts = &inner.controls[self.number].parts;
            let place = |name: &String| parts.iter().position(|part| part.name == *name);
            let changes: Vec<_> = snapshot
                .parts
                .iter()
                .filter_map(|(name, state)| place(name).map(|place| (place, Setup::of(state))))
                .map(|(place, to)| (place, Some(to.door), Some(to.agent)))
                .collect();
            let gone = changes.iter().any(|change| parts[change.0].now().door == Door::Gone);
            (changes, gone)
        };
        self.change(false, changes).await?;
        if gone { Err(refused("a part of it is gone")) } else { Ok(()) }
    }

    fn by_hand(&self, _snapshot: &ControlState) -> Vec<String> {
        Vec::new()
    }

    fn path(&self) -> Option<PathCounters> {
        let inner = self.world.lock();
        let control = &inner.controls[self.number];
        let counted = control.setting.counts && control.cut_at.is_some();
        counted.then_some(PathCounters { connections: control.knocked, bytes: 0 })
    }
}
