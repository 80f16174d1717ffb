//! The simulated world: controls and what lands on them, services, and everything that is known of both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;

use super::super::span;
use super::disk::Paper;
use super::faults::{Counts, Fault, Log, Who};
use super::parts::{Door, Part, Setup, reading};
use super::setting::{ControlSetting, Crash, EAST, HandAct, ServiceSetting, Setting};
use crate::clock::Clock;
use crate::model::{ControlState, DatacenterId, Mode, Offset, Outcome, Phase, Reason, ServedBy};
use crate::restore::SETTLE;

/// Everything, behind one lock.
#[derive(Clone)]
pub struct World {
    pub clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

/// What the lock guards.
pub struct Inner {
    pub rng: Rng,
    pub mode: Mode,
    pub controls: Vec<Control>,
    pub services: Vec<Service>,
    pub log: Log,
    pub counts: Counts,
    /// Invariants that were broken.
    pub broken: Vec<String>,
    /// Who was killed, or died.
    dead: Vec<Who>,
    hands: Vec<HandAct>,
    flying: Vec<Effect>,
    effects: u64,
    /// Calls and disk operations of the drill so far.
    calls: u32,
    pub operations: u32,
    pub crash: Option<Crash>,
    /// A process stands still for a while.
    pub slept: bool,
    /// The journals: the drill's, and the second one's.
    pub papers: [Paper; 2],
    /// Nothing goes wrong any more.
    pub healed: bool,
}

/// A control.
pub struct Control {
    pub setting: ControlSetting,
    pub parts: Vec<Part>,
    /// Connections that knocked at what is cut.
    pub knocked: u64,
    /// When the drill first asked for its cut.
    pub cut_at: Option<Offset>,
    /// When everything of it was cut, if it ever was.
    pub all_cut_at: Option<Offset>,
    /// Whose cut it is, until it was put back.
    pub cut_by: Option<Who>,
    /// The last reading that each of us had, and how things stood at which time it shows.
    pub known: BTreeMap<Who, (Offset, ControlState)>,
    /// Since when each of us has seen all of it back, without a call of his after that.
    pub seen_back: BTreeMap<Who, Offset>,
    /// How many calls of each of us went wrong since the drill began to put back, and how many hung.
    pub trouble: BTreeMap<Who, (u32, u32)>,
}

/// A service.
pub struct Service {
    pub setting: ServiceSetting,
    turn: usize,
}

/// A change under way.
#[derive(Debug, Clone)]
pub struct Effect {
    pub at: Offset,
    pub id: u64,
    pub who: Who,
    pub control: usize,
    pub cuts: bool,
    /// For each part its door and its agent, as far as they change.
    pub changes: Vec<(usize, Option<Door>, Option<bool>)>,
}

impl World {
    /// A world as drawn.
    pub fn new(clock: Clock, setting: &Setting, rng: Rng) -> World {
        let control = |setting: &ControlSetting| Control {
            parts: setting.parts.clone(),
            setting: setting.clone(),
            knocked: 0,
            cut_at: None,
            all_cut_at: None,
            cut_by: None,
            known: BTreeMap::new(),
            seen_back: BTreeMap::new(),
            trouble: BTreeMap::new(),
        };
        let service = |setting: &ServiceSetting| Service { setting: setting.clone(), turn: 0 };
        let mut inner = Inner {
            rng,
            mode: setting.plan.cut.mode,
            controls: setting.controls.iter().map(control).collect(),
            services: setting.services.iter().map(service).collect(),
            log: Log::default(),
            counts: Counts::default(),
            broken: Vec::new(),
            dead: Vec::new(),
            hands: setting.hands.clone(),
            flying: Vec::new(),
            effects: 0,
            calls: 0,
            operations: 0,
            crash: setting.crash,
            slept: !setting.freezes.is_empty(),
            papers: [Paper::new(setting.disk), Paper::new(Default::default())],
            healed: false,
        };
        inner.count_settings(setting);
        World { clock, inner: Arc::new(Mutex::new(inner)) }
    }

    /// The world as it is now.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap();
        inner.advance(self.clock.now());
        inner
    }

    /// Writes something into the log.
    pub fn log(&self, who: Who, what: &'static str, detail: String) {
        let at = self.clock.now();
        self.lock().log.detailed(at, who, what, None, detail);
    }

    /// The end of a process: nothing that it does from here on has an effect.
    pub fn kill(&self, who: Who, why: &'static str) {
        let at = self.clock.now();
        let mut inner = self.lock();
        if !inner.is_dead(who) {
            inner.dead.push(who);
            inner.log.add(at, who, why, None);
        }
    }

    /// A part of the first control that is open and leads to `datacenter`.
    pub fn open_part(&self, datacenter: DatacenterId) -> String {
        let inner = self.lock();
        let mut parts = inner.controls[0].parts.iter();
        let found = parts.find(|part| part.datacenter == datacenter && part.now().passes());
        found.map(|part| part.name.clone()).unwrap()
    }

    /// Another hand drains a part of the first control.
    pub fn drain(&self, name: &str) {
        let (at, mut inner) = (self.clock.now(), self.lock());
        let mut parts = inner.controls[0].parts.iter_mut();
        let part = parts.find(|part| part.name == name).unwrap();
        part.set(at, Setup { door: Door::Drain, agent: true }, Who::Hand);
    }

    /// The first control answers nobody any more.
    pub fn silence(&self) {
        let mut inner = self.lock();
        inner.healed = false;
        inner.controls[0].setting.hangs = false;
        inner.controls[0].setting.unreachable = Some((Offset::ZERO, Offset::from_nanos(u64::MAX)));
    }

    /// What becomes of a request to a service that is sent now.
    pub fn ask(&self, service: usize, timeout: Duration) -> (Duration, Outcome, ServedBy) {
        let now = self.clock.now();
        self.lock().ask(now, service, timeout)
    }
}

impl Inner {
    fn count_settings(&mut self, setting: &Setting) {
        let counts = &mut self.counts;
        for control in &setting.controls {
            control.refused.iter().for_each(|_| counts.add(Fault::RefusedForAWhile));
            control.unreachable.iter().for_each(|_| counts.add(Fault::Unreachable));
        }
        for service in &setting.services {
            service.bad.iter().for_each(|_| counts.add(Fault::ServiceFlaps));
            service.slow.iter().for_each(|_| counts.add(Fault::ServiceSlow));
            service.lies.iter().for_each(|_| counts.add(Fault::AnswersLie));
        }
        for freeze in &setting.freezes {
            counts.add(match (freeze.drill, freeze.watchdog) {
                (true, true) => Fault::ClockJumps,
                (true, false) => Fault::DrillHangs,
                _ => Fault::WatchdogHangs,
            });
        }
    }

    pub fn is_dead(&self, who: Who) -> bool {
        self.dead.contains(&who)
    }

    /// Kills from within, at the very operation.
    pub fn dies(&mut self, at: Offset, who: Who, fault: Fault) {
        self.counts.add(fault);
        self.dead.push(who);
        self.log.detailed(at, who, "dies", None, format!("{fault:?}"));
    }

    /// An invariant is broken.
    pub fn breaks(&mut self, at: Offset, what: String) {
        self.log.detailed(at, Who::World, "INVARIANT BROKEN:", None, what.clone());
        self.broken.push(what);
    }

    /// Lets everything happen that was due by `now`.
    fn advance(&mut self, now: Offset) {
        loop {
            let hand = self.hands.first().map(|act| act.at).filter(|at| *at <= now);
            let next = self.flying.iter().filter(|effect| effect.at <= now);
            let next = next.min_by_key(|effect| (effect.at, effect.id));
            match (hand, next.map(|effect| (effect.at, effect.id))) {
                (None, None) => return,
                (Some(hand), at) if at.is_none_or(|(at, _)| hand < at) => self.hand(),
                (_, Some((_, id))) => self.land(id),
                (Some(_), None) => self.hand(),
            }
        }
    }

    /// The next act of another hand.
    fn hand(&mut self) {
        let HandAct { at, control, part, to, fault } = self.hands.remove(0);
        let part = &mut self.controls[control].parts[part];
        let to = to.unwrap_or(part.history[0].1);
        if part.set(at, to, Who::Hand) {
            let detail = format!("{} -> {to:?}", part.name);
            self.counts.add(fault);
            self.log.detailed(at, Who::Hand, "changes", Some(control), detail);
        }
    }

    fn land(&mut self, id: u64) {
        let Some(place) = self.flying.iter().position(|effect| effect.id == id) else { return };
        let Effect { at, who, control, cuts, changes, .. } = self.flying.remove(place);
        let mut changed = String::new();
        let held = &mut self.controls[control];
        for (part, door, agent) in changes {
            let part = &mut held.parts[part];
            let was = part.now();
            let to = Setup { door: door.unwrap_or(was.door), agent: agent.unwrap_or(was.agent) };
            if part.set(at, to, who) {
                changed += &format!(" {} -> {to:?}", part.name);
            }
        }
        let what = if cuts { "cut lands:" } else { "restore lands:" };
        self.log.detailed(at, who, what, Some(control), changed);
        if cuts {
            let cut = Setup::cut(self.mode);
            let held = &mut self.controls[control];
            let done = |part: &Part| part.now().door == cut.door || !part.history[0].1.passes();
            if held.parts.iter().filter(|part| part.datacenter == EAST).all(done) {
                held.all_cut_at.get_or_insert(at);
            }
        }
    }

    /// Holds that a cut of ours, asked for now, leaves somebody to serve, and that what it found is what is put
    /// back. What another hand did just before that, nobody could see.
    pub fn looked_before_the_cut(&mut self, now: Offset, control: usize, who: Who) {
        let of = self.services.iter().any(|service| service.setting.control == control);
        let held = &self.controls[control];
        let looked = now.minus(held.setting.stale + span(60));
        let serves = |part: &&Part| {
            part.datacenter != EAST && (part.now().passes() || part.at(looked).passes())
        };
        let left = held.parts.iter().filter(serves).count();
        let moved = |part: &&Part| {
            let (at, _, who) = part.history[part.history.len() - 1];
            who == Who::Hand && at < looked && part.now() != part.history[0].1
        };
        // The second drill's snapshot is younger than that.
        let parts = held.parts.iter().filter(|_| who == Who::Drill);
        let moved = parts.into_iter().find(moved).map(|part| part.name.clone());
        if of && left == 0 {
            self.breaks(now, format!("c{control}: our cut leaves nobody to serve"));
        }
        if let Some(name) = moved {
            let text = format!(
                "c{control}: cut though another hand had changed {name} since the snapshot"
            );
            self.breaks(now, text);
        }
    }

    /// Sends a change on its way; it lands at `at`.
    pub fn send(&mut self, at: Offset, mut effect: Effect) -> u64 {
        self.effects += 1;
        (effect.at, effect.id) = (at, self.effects);
        self.flying.push(effect);
        self.effects
    }

    /// Nobody waits for the answer any more: a change under way may be lost, or land later.
    pub fn dropped(&mut self, now: Offset, id: u64, lands: bool) {
        let late = now.plus(span(self.rng.u64(0..SETTLE.as_millis() as u64 - 20)));
        let choice = self.rng.u32(0..3);
        let Some(place) = self.flying.iter().position(|effect| effect.id == id) else { return };
        if !lands || choice == 0 {
            self.flying.remove(place);
        } else if choice == 1 || self.flying[place].at > late {
            self.flying[place].at = late;
        }
    }

    /// One more call at a control. True: the drill dies at it, before it is sent or after.
    pub fn call(&mut self, at: Offset, who: Who) -> Option<bool> {
        if who != Who::Drill {
            return None;
        }
        self.calls += 1;
        match self.crash {
            Some(Crash::Call(number, sent)) if number == self.calls => {
                self.dies(at, who, Fault::CrashAtCall);
                Some(sent)
            }
            _ => None,
        }
    }

    /// What `control` said at `at`.
    pub fn reading(&self, control: usize, at: Offset) -> ControlState {
        reading(&self.controls[control].parts, at)
    }

    /// How many parts outside of the datacenter that is cut would serve on.
    pub fn left(&self, control: usize) -> usize {
        let parts = self.controls[control].parts.iter();
        parts.filter(|part| part.datacenter != EAST && part.now().passes()).count()
    }

    fn ask(
        &mut self,
        now: Offset,
        number: usize,
        timeout: Duration,
    ) -> (Duration, Outcome, ServedBy) {
        let mode = self.mode;
        let service = &mut self.services[number];
        let setting = &service.setting;
        let within = |(from, to): (Offset, Offset)| now >= from && now < to;
        let hung = (timeout, Outcome::Bad(Reason::TimeOut(Phase::Answer)), ServedBy::Unnamed);
        let refused = (span(1), Outcome::Bad(Reason::Refused), ServedBy::Unnamed);
        if setting.bad.iter().any(|span| within(*span)) {
            return if setting.standby { hung } else { refused };
        }
        let control = &mut self.controls[setting.control];
        let in_turn = rotation(&control.parts, now, setting);
        if in_turn.is_empty() {
            return refused;
        }
        service.turn += 1;
        let part = &control.parts[in_turn[service.turn % in_turn.len()]];
        if !part.now().passes() {
            control.knocked += u64::from(part.datacenter == EAST);
            return if mode == Mode::Blackhole { hung } else { refused };
        }
        let mut took = span(2 + (service.turn % 3) as u64);
        if part.now().door == Door::Slow {
            took += span(20);
            control.knocked += u64::from(part.datacenter == EAST);
        }
        let slow = setting.slow.iter().find(|(from, to, _)| within((*from, *to)));
        took += slow.map_or(Duration::ZERO, |(_, _, by)| *by);
        let lies = setting.lies.is_some_and(|from| now >= from);
        let by = if lies { DatacenterId(1) } else { part.datacenter };
        (took, Outcome::Good, ServedBy::Datacenter(by))
    }
}

/// The parts that a service's requests go to at `at`, in turn.
pub fn rotation(parts: &[Part], at: Offset, setting: &ServiceSetting) -> Vec<usize> {
    let is_in = |part: &Part| part.is_in(at, setting.failover, setting.failback);
    let mut all: Vec<usize> = (0..parts.len()).filter(|place| is_in(&parts[*place])).collect();
    if setting.standby {
        let first = all.iter().map(|place| parts[*place].datacenter).min();
        all.retain(|place| Some(parts[*place].datacenter) == first);
    }
    all
}
