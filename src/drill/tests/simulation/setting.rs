//! One world and its bad luck, drawn from a seed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fastrand::Rng;

use super::super::span;
use super::parts::{Door, Part, Setup};
use crate::model::{DatacenterId, Degrade, Mode, Offset, Plan, Promises};

/// The datacenter that is cut.
pub const EAST: DatacenterId = DatacenterId(0);

/// Everything that is drawn before a drill begins.
#[derive(Debug, Clone)]
pub struct Setting {
    pub plan: Arc<Plan>,
    pub controls: Vec<ControlSetting>,
    pub services: Vec<ServiceSetting>,
    pub hands: Vec<HandAct>,
    pub stop: Option<(Offset, &'static str)>,
    pub hurry: Option<Offset>,
    pub crash: Option<Crash>,
    /// The whole machine loses its power when the drill crashes.
    pub power_loss: bool,
    pub freezes: Vec<Freeze>,
    pub watchdog_dies: Option<Offset>,
    pub disk: DiskSetting,
    pub second: Option<Offset>,
}

/// A control and its faults.
#[derive(Debug, Clone)]
pub struct ControlSetting {
    pub parts: Vec<Part>,
    /// It counts what knocks at the parts that are cut.
    pub counts: bool,
    /// How many of its calls go wrong, from the first cut on.
    pub rate: f64,
    /// The same before the first cut.
    pub rate_before: f64,
    /// Its readings may be as old as this.
    pub stale: Duration,
    /// It may say that it did what it did not; its readings are honest then.
    pub liar: bool,
    pub refused: Option<(Offset, Offset)>,
    pub unreachable: Option<(Offset, Offset)>,
    /// Calls that do not reach it may hang.
    pub hangs: bool,
}

/// A service and how it fails over.
#[derive(Debug, Clone)]
pub struct ServiceSetting {
    /// The control that all its traffic goes through.
    pub control: usize,
    /// The first datacenter serves alone.
    pub standby: bool,
    pub failover: Duration,
    pub failback: Duration,
    /// When it fails of its own.
    pub bad: Vec<(Offset, Offset)>,
    /// When it is slow, and by how much.
    pub slow: Vec<(Offset, Offset, Duration)>,
    /// From when on its answers name the datacenter that is not cut.
    pub lies: Option<Offset>,
}

/// What another hand does.
#[derive(Debug, Clone)]
pub struct HandAct {
    pub at: Offset,
    pub control: usize,
    pub part: usize,
    /// `None`: what it was at the beginning.
    pub to: Option<Setup>,
    pub fault: super::faults::Fault,
}

/// Where the drill dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before it is polled so often.
    Poll(u32),
    /// At this write or sync, after this share of its bytes, in percent.
    Disk(u32, u32),
    /// At this call; whether it is sent.
    Call(u32, bool),
}

/// A process, or two, that stand still.
#[derive(Debug, Clone, Copy)]
pub struct Freeze {
    pub from: Offset,
    pub to: Offset,
    pub drill: bool,
    pub watchdog: bool,
}

/// What may be wrong with the disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskSetting {
    /// The operations, counted, at which it is full.
    pub full: Option<(u32, u32)>,
    /// The operations at which a sync fails.
    pub unsynced: Option<(u32, u32)>,
    /// What was half written stays.
    pub sticky: bool,
}

/// The shape of all plans: what differs is changed after.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let text = r#"
version: 1
name: simulated
datacenters: [east, west, north]
traffic:
  c0: { haproxy: { socket: /run/c0, servers: { east: "a/e*", west: "a/w*", north: "a/n*" } } }
  c1: { haproxy: { socket: /run/c1, servers: { east: "a/e*", west: "a/w*", north: "a/n*" } } }
  c2: { haproxy: { socket: /run/c2, servers: { east: "a/e*", west: "a/w*", north: "a/n*" } } }
services:
  s0:
    probes: { get: { http: "http://127.0.0.1:3/", every: 50ms, timeout: 300ms, served_by: { header: x } } }
    promises: { recover_within: 1s, failback_within: 1s }
  s1:
    probes: { get: { http: "http://127.0.0.1:3/", every: 50ms, timeout: 300ms, served_by: { header: x } } }
    promises: { recover_within: 1s, failback_within: 1s }
cut: { datacenter: east, mode: reset, through: [c0, c1, c2] }
timing: { baseline: 1s, stable_for: 500ms, hold: 1s, at_most: 20s }
"#;
    let nothing = std::collections::BTreeMap::new();
    let inputs = crate::plan::Inputs { vars: &nothing, env: &|_| None };
    let parsed = crate::plan::parse("test", text.as_bytes(), &inputs);
    parsed.plan.unwrap_or_else(|| panic!("{:?}", parsed.findings))
});

/// How much goes wrong in a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    /// Nothing.
    Good,
    /// One kind of thing.
    Bad(u32),
    /// Anything.
    Awful,
}

impl Luck {
    fn draw(rng: &mut Rng) -> Luck {
        match rng.u32(0..10) {
            0 => Luck::Good,
            1..=5 => Luck::Bad(rng.u32(0..KINDS)),
            _ => Luck::Awful,
        }
    }

    /// Whether this kind of thing goes wrong, and if all kinds may, then one in so many.
    fn hits(self, rng: &mut Rng, kind: u32, one_in: u32) -> bool {
        match self {
            Luck::Good => false,
            Luck::Bad(only) => only == kind,
            Luck::Awful => rng.u32(0..one_in) == 0,
        }
    }
}

/// How many kinds of things there are for [`Luck::Bad`].
const KINDS: u32 = 15;

impl Setting {
    /// Draws one.
    pub fn draw(rng: &mut Rng) -> Setting {
        let luck = Luck::draw(rng);
        let controls: Vec<_> = (0..rng.usize(1..=3)).map(|_| control(rng, luck)).collect();
        let mut plan = PLAN.clone();
        timing(&mut plan, rng);
        plan.traffic.truncate(controls.len());
        plan.steps = steps(rng, controls.len());
        plan.services.truncate(rng.usize(1..=2).min(controls.len()));
        let mode = plan.cut.mode;
        let mut services: Vec<ServiceSetting> = Vec::new();
        for service in &mut plan.services {
            let drawn = self::service(rng, luck, services.len(), mode, &mut service.promises);
            services.push(drawn);
            let probe = &mut service.probes[0];
            probe.every = span(rng.u64(5..=10) * 10);
        }
        let mut setting = Setting {
            plan: Arc::new(plan),
            services,
            hands: Vec::new(),
            stop: None,
            hurry: None,
            crash: None,
            power_loss: false,
            freezes: Vec::new(),
            watchdog_dies: None,
            disk: DiskSetting::default(),
            second: None,
            controls,
        };
        setting.hands(rng, luck);
        setting.ends(rng, luck);
        setting.disk(rng, luck);
        setting
    }

    fn hands(&mut self, rng: &mut Rng, luck: Luck) {
        use super::faults::Fault::{
            HandChanges, HandClosesSurvivor, HandCuts, HandRestores, PartGone,
        };
        if !luck.hits(rng, 0, 4) {
            return;
        }
        for _ in 0..rng.u32(1..=2) {
            let control = rng.usize(0..self.controls.len());
            let parts = &self.controls[control].parts;
            let place = |ours: bool, rng: &mut Rng| {
                let those = parts.iter().enumerate();
                let those = those.filter(|(_, part)| (part.datacenter == EAST) == ours);
                let places: Vec<usize> = those.map(|(place, _)| place).collect();
                places[rng.usize(0..places.len())]
            };
            let ours = place(true, rng);
            let drained = Setup { door: Door::Drain, agent: rng.bool() };
            let cut = Setup::cut(self.plan.cut.mode);
            let (part, to, fault) = match rng.u32(0..10) {
                0..=1 => (ours, Some(cut), HandCuts),
                2..=3 => (ours, None, HandRestores),
                4..=7 => (ours, Some(drained), HandChanges),
                8 => (ours, Some(Setup { door: Door::Gone, agent: false }), PartGone),
                _ => (place(false, rng), Some(drained), HandClosesSurvivor),
            };
            let at = Offset::from_millis(rng.u64(100..7_000));
            self.hands.push(HandAct { at, control, part, to, fault });
        }
        self.hands.sort_by_key(|act| act.at);
    }

    /// How the drill and its watchdog end, if not by themselves.
    fn ends(&mut self, rng: &mut Rng, luck: Luck) {
        let moment = |rng: &mut Rng| Offset::from_millis(rng.u64(0..6_000));
        if luck.hits(rng, 1, 6) {
            self.crash = Some(match rng.u32(0..4) {
                0 | 1 => Crash::Poll(rng.u32(0..900)),
                2 => Crash::Disk(rng.u32(0..30), rng.u32(0..=100)),
                _ => Crash::Call(rng.u32(0..20), rng.bool()),
            });
            self.power_loss = rng.u32(0..3) == 0;
        }
        if luck.hits(rng, 2, 8) {
            let from = moment(rng);
            let to = from.plus(span(rng.u64(300..20_000)));
            let (drill, watchdog) = [(true, false), (false, true), (true, true)][rng.usize(0..3)];
            self.freezes.push(Freeze { from, to, drill, watchdog });
        }
        if luck.hits(rng, 3, 8) {
            self.watchdog_dies = Some(moment(rng));
            if rng.bool() {
                self.crash = self.crash.or(Some(Crash::Poll(rng.u32(0..900))));
            }
        }
        if luck.hits(rng, 4, 6) {
            let at = moment(rng);
            self.stop = Some((at, if rng.bool() { "signal" } else { "guardrail" }));
            self.hurry = rng.bool().then(|| at.plus(span(rng.u64(0..1_500))));
        }
        if luck.hits(rng, 5, 12) {
            self.second = Some(moment(rng));
        }
    }

    fn disk(&mut self, rng: &mut Rng, luck: Luck) {
        if luck.hits(rng, 6, 10) {
            let from = rng.u32(0..24);
            self.disk.full = Some((from, from + rng.u32(1..30)));
            self.disk.sticky = rng.bool();
        }
        if luck.hits(rng, 7, 10) {
            let from = rng.u32(0..24);
            self.disk.unsynced = Some((from, from + rng.u32(1..4)));
        }
    }
}

fn timing(plan: &mut Plan, rng: &mut Rng) {
    let degrade = Degrade { latency: span(20), ..Degrade::default() };
    plan.cut.mode = match rng.u32(0..8) {
        0 => Mode::Drain,
        1 => Mode::Degrade(degrade),
        2..=4 => Mode::Blackhole,
        _ => Mode::Reset,
    };
    plan.timing.baseline = span(rng.u64(11..=13) * 100);
    plan.timing.stable_for = span(rng.u64(3..=6) * 100);
    plan.timing.hold = span(rng.u64(0..=6) * 100);
    plan.timing.at_most = span(rng.u64(30..=120) * 100);
}

fn control(rng: &mut Rng, luck: Luck) -> ControlSetting {
    let mut parts = Vec::new();
    let ready = |agent| Setup { door: Door::Ready, agent };
    for (datacenter, letter) in [(0, 'e'), (1, 'w'), (2, 'n')] {
        let most = if datacenter == 2 { 0..=1 } else { 1..=3 };
        for number in 0..rng.usize(most) {
            let name = format!("a/{letter}{number}");
            let mut setup = ready(rng.u32(0..4) > 0);
            // Now and then one is closed already; then it is not ours to open.
            if rng.u32(0..16) == 0 {
                setup.door = if rng.bool() { Door::Maint } else { Door::Drain };
            }
            parts.push(Part::new(name, DatacenterId(datacenter), setup));
        }
    }
    let from = Offset::from_millis(rng.u64(0..5_000));
    let while_ = |rng: &mut Rng| {
        let length = if rng.u32(0..4) == 0 { 3_600_000 } else { rng.u64(50..9_000) };
        (from, from.plus(span(length)))
    };
    let mut control = ControlSetting {
        parts,
        counts: rng.bool(),
        rate: 0.0,
        rate_before: 0.0,
        stale: Duration::ZERO,
        liar: false,
        refused: luck.hits(rng, 8, 10).then(|| while_(rng)),
        unreachable: luck.hits(rng, 9, 10).then(|| while_(rng)),
        hangs: true,
    };
    if luck.hits(rng, 10, 2) {
        control.rate = [0.1, 0.25, 0.4][rng.usize(0..3)];
        control.rate_before = if rng.u32(0..8) == 0 { 0.1 } else { 0.0 };
    }
    if luck.hits(rng, 11, 6) {
        control.stale = span(rng.u64(20..1_900));
    } else if luck.hits(rng, 12, 6) {
        control.liar = true;
        control.rate = control.rate.max(0.2);
    }
    control
}

fn service(
    rng: &mut Rng,
    luck: Luck,
    number: usize,
    mode: Mode,
    promises: &mut Promises,
) -> ServiceSetting {
    promises.recover_within = (rng.u32(0..8) > 0).then(|| span(rng.u64(6..=20) * 100));
    promises.failback_within = (rng.u32(0..8) > 0).then(|| span(rng.u64(6..=20) * 100));
    promises.sustain = rng.u32(0..8) == 0;
    let drains = matches!(mode, Mode::Drain);
    let quick = rng.u32(0..3) > 0;
    let failover = span(rng.u64(0..if quick { 500 } else { 3_000 }));
    let mut service = ServiceSetting {
        control: number,
        standby: rng.bool(),
        failover: if drains { Duration::ZERO } else { failover },
        failback: span(rng.u64(0..if quick { 400 } else { 2_500 })),
        bad: Vec::new(),
        slow: Vec::new(),
        lies: None,
    };
    if luck.hits(rng, 13, 8) {
        for _ in 0..rng.u32(1..=3) {
            let from = Offset::from_millis(rng.u64(1_300..7_000));
            service.bad.push((from, from.plus(span(rng.u64(10..900)))));
        }
    }
    if luck.hits(rng, 14, 8) {
        let from = Offset::from_millis(rng.u64(0..6_000));
        let to = from.plus(span(rng.u64(100..3_000)));
        match rng.u32(0..3) {
            0 => service.lies = Some(from),
            1 => service.slow.push((from, to, span(rng.u64(20..250)))),
            _ => service.slow.push((from, to, span(rng.u64(250..290)))),
        }
    }
    service
}

/// So many controls, cut side by side or one after another.
fn steps(rng: &mut Rng, controls: usize) -> Vec<Vec<usize>> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for control in 0..controls {
        match steps.last_mut() {
            Some(step) if rng.bool() => step.push(control),
            _ => steps.push(vec![control]),
        }
    }
    steps
}
