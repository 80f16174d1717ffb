//! Simulated processes: the drill with its probes, the watchdog, and a person with `firedrill restore`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch as channel};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Sleep;

use super::super::span;
use super::control::SimControl;
use super::disk::SimDisk;
use super::faults::{Fault, Who};
use super::setting::{Crash, Setting};
use super::story::Held;
use super::world::World;
use crate::drill::{Drill, Guardian, Probing, RESTORE_LIMITS};
use crate::journal::{Hand, Journal, Run, Tail};
use crate::model::{
    Blindness, DrillEvent, Offset, Outcome, Plan, ProbeId, RunRecord, Sample, Sampled, ServedBy,
    VantageId, Why,
};
use crate::restore::{self, restore_run};
use crate::watchdog::{self, BEAT, Order, Phase, Watchdog};

/// A process: it may stand still, and it may die before any poll.
pub struct Process<F> {
    world: World,
    who: Who,
    inner: Option<Pin<Box<F>>>,
    polls: u32,
    crash: Option<u32>,
    dies: Option<Pin<Box<Sleep>>>,
    still: Vec<(Offset, Offset)>,
    thaw: Option<Pin<Box<Sleep>>>,
    /// Called when it died.
    on_death: Option<Box<dyn FnOnce() + Send>>,
}

impl<F: Future> Process<F> {
    pub fn new(world: &World, who: Who, setting: &Setting, inner: F) -> Self {
        let mine = |freeze: &&super::setting::Freeze| match who {
            Who::Drill => freeze.drill,
            Who::Watchdog => freeze.watchdog,
            _ => false,
        };
        let still = setting.freezes.iter().filter(mine);
        Process {
            world: world.clone(),
            who,
            inner: Some(Box::pin(inner)),
            polls: 0,
            crash: None,
            dies: None,
            still: still.map(|freeze| (freeze.from, freeze.to)).collect(),
            thaw: None,
            on_death: None,
        }
    }

    fn end(&mut self) -> Poll<Option<F::Output>> {
        // With it go its calls under way.
        self.inner = None;
        self.on_death.take().into_iter().for_each(|call| call());
        Poll::Ready(None)
    }
}

impl<F: Future> Future for Process<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.world.lock().is_dead(this.who) {
            return this.end();
        }
        if this.dies.as_mut().is_some_and(|dies| dies.as_mut().poll(cx).is_ready()) {
            this.world.lock().counts.add(Fault::WatchdogDies);
            this.world.kill(this.who, "dies");
            return this.end();
        }
        let now = this.world.clock.now();
        if let Some((_, to)) = this.still.iter().find(|(from, to)| now >= *from && now < *to) {
            let until = this.world.clock.instant(*to);
            let thaw = this.thaw.insert(Box::pin(tokio::time::sleep_until(until)));
            if thaw.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        this.polls += 1;
        if this.crash == Some(this.polls) {
            this.world.lock().counts.add(Fault::CrashAtPoll);
            this.world.kill(this.who, "dies at a poll");
            return this.end();
        }
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        match inner.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if this.world.lock().is_dead(this.who) => this.end(),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The drill's end of the watchdog's pipe.
struct Pipe(UnboundedSender<Phase>);

impl Guardian for Pipe {
    fn beat(&mut self, phase: Phase) {
        let _ = self.0.send(phase);
    }
}

/// How a drill is told to stop, and to hurry.
#[derive(Clone)]
pub struct Levers {
    pub stop: Arc<channel::Sender<Option<Why>>>,
    pub hurry: Arc<channel::Sender<bool>>,
}

impl Levers {
    pub fn new() -> Levers {
        let (stop, hurry) = (channel::Sender::new(None), channel::Sender::new(false));
        Levers { stop: Arc::new(stop), hurry: Arc::new(hurry) }
    }
}

/// The controls of the world, as `who` reaches them.
pub fn controls(world: &World, plan: &Plan, who: Who) -> Vec<Arc<SimControl>> {
    let one = |(number, spec): (usize, &crate::model::ControlSpec)| {
        Arc::new(SimControl { spec: spec.clone(), world: world.clone(), number, who })
    };
    plan.traffic.iter().enumerate().map(one).collect()
}

/// Starts a drill with its watchdog's pipe.
pub fn start_drill(
    world: &World,
    setting: &Arc<Setting>,
    who: Who,
    levers: &Levers,
    held: Option<Held>,
) -> (JoinHandle<Option<RunRecord>>, UnboundedReceiver<Phase>) {
    let (beat, beats) = unbounded_channel();
    let paper = usize::from(who == Who::Second);
    let disk = SimDisk { world: world.clone(), who, paper };
    let (told, plan) = (world.clone(), setting.plan.clone());
    let journal = Journal::on(disk, 0, Tail::Whole);
    let controls = controls(world, &plan, who);
    let drill = Drill {
        plan: plan.clone(),
        file: "test".into(),
        run: format!("{who:?}"),
        host: "here".into(),
        located: Vec::new(),
        controls: controls.into_iter().map(|control| control as _).collect(),
        probing: Box::new(Probes::new(world, setting, who)),
        journal: Box::new(journal),
        clock: world.clock,
        guards: crate::drill::Guards::default(),
        stop: levers.stop.subscribe(),
        hurry: levers.hurry.subscribe(),
        guardian: Box::new(Pipe(beat)),
        listener: Box::new(move |event: &DrillEvent| {
            if let DrillEvent::Entered { stage, .. } = event {
                told.log(who, "enters", stage.to_string());
            }
        }),
        sampled: Box::new(|_| {}),
    };
    let work = async move {
        let _held = held;
        drill.run().await
    };
    let mut process = Process::new(world, who, setting, work);
    if who == Who::Drill {
        process.crash = match setting.crash {
            Some(Crash::Poll(at)) => Some(at),
            _ => None,
        };
        if setting.power_loss {
            let world = world.clone();
            process.on_death = Some(Box::new(move || {
                world.kill(Who::Watchdog, "loses its power too");
                let mut inner = world.lock();
                inner.counts.add(Fault::PowerLoss);
                let (share, zeros) = (inner.rng.usize(0..=100), inner.rng.u32(0..4) == 0);
                inner.papers[0].power_loss(share, zeros);
            }));
        }
    }
    (tokio::spawn(process), beats)
}

/// What came of a restore.
pub struct Claim {
    pub who: Who,
    /// Whether nothing is said to be cut any more.
    pub good: bool,
}

/// Watches the drill, as the watchdog's process does.
pub fn start_watchdog(
    world: &World,
    setting: &Arc<Setting>,
    mut beats: UnboundedReceiver<Phase>,
    drill: AbortHandle,
    held: Option<Held>,
) -> JoinHandle<Option<Option<Claim>>> {
    let (clock, plan, our) = (world.clock, setting.plan.clone(), world.clone());
    let at_most = plan.timing.at_most;
    let restore = at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1);
    let work = async move {
        let _held = held;
        let mut watchdog = Watchdog::new(watchdog::Limits { at_most, restore }, clock.now());
        let cause = loop {
            let order = tokio::select! {
                biased;
                beat = beats.recv() => match beat {
                    None => watchdog.closed(),
                    Some(phase) => {
                        watchdog.heard(clock.now(), phase);
                        continue;
                    }
                },
                () = clock.sleep_until(clock.now().plus(BEAT)) => watchdog.look(clock.now()),
            };
            match order {
                Order::Wait => {}
                Order::End => return None,
                Order::TakeOver(cause) => break cause,
            }
        };
        our.log(Who::Watchdog, "takes over:", cause.to_string());
        our.kill(Who::Drill, "is killed by its watchdog");
        drill.abort();
        // Its end is waited for: with it go its calls under way.
        while beats.recv().await.is_some() {}
        Some(put_back(&our, &plan, Who::Watchdog, Duration::from_secs(15 * 60)).await)
    };
    let mut process = Process::new(world, Who::Watchdog, setting, work);
    if let Some(at) = setting.watchdog_dies {
        process.dies = Some(Box::pin(tokio::time::sleep_until(clock.instant(at))));
    }
    tokio::spawn(process)
}

/// Puts back what the first journal says may be cut, by `who`.
pub async fn put_back(world: &World, plan: &Plan, who: Who, total: Duration) -> Claim {
    let clock = world.clock;
    let read = {
        let mut inner = world.lock();
        let who_was = inner.controls.iter_mut();
        who_was.for_each(|control| {
            control.trouble.remove(&who);
            control.known.remove(&who);
            control.seen_back.remove(&who);
        });
        Run::read(inner.papers[0].bytes())
    };
    let run = match read {
        Ok(run) if run.open().next().is_some() || run.lost().next().is_some() => run,
        Ok(_) | Err(crate::journal::Unusable::Empty) => {
            world.log(who, "finds nothing to restore", String::new());
            return Claim { who, good: true };
        }
        Err(error) => {
            world.log(who, "cannot read the journal:", error.to_string());
            return Claim { who, good: false };
        }
    };
    let controls = controls(world, plan, who);
    let reach = |spec: &crate::model::ControlSpec| {
        let found = controls.iter().find(|control| control.spec.name == spec.name).cloned();
        Ok(found.map(|control| control as _))
    };
    let disk = SimDisk { world: world.clone(), who, paper: 0 };
    let mut journal = Journal::on(disk, run.whole, run.tail);
    let limits = restore::Limits { total, call: Duration::from_secs(15) };
    let hand = if who == Who::Watchdog { Hand::Watchdog } else { Hand::Person };
    let hurry = channel::channel(false).1;
    let outcomes = restore_run(&run, &reach, hand, &mut journal, clock, limits, hurry).await;
    let good = outcomes.iter().all(restore::Outcome::is_good) && run.lost().next().is_none();
    for outcome in &outcomes {
        let end = match &outcome.restored {
            restore::Restored::Done(done) => format!("{}: {:?}", outcome.control, done.end),
            other => format!("{}: {other:?}", outcome.control),
        };
        world.log(who, "ends with", end);
    }
    Claim { who, good }
}

/// What asks the services.
struct Probes {
    world: World,
    setting: Arc<Setting>,
    who: Who,
    running: Option<(oneshot::Sender<Duration>, JoinHandle<Option<()>>)>,
}

impl Probes {
    fn new(world: &World, setting: &Arc<Setting>, who: Who) -> Probes {
        Probes { world: world.clone(), setting: setting.clone(), who, running: None }
    }
}

impl Probing for Probes {
    fn start(&mut self, clock: crate::clock::Clock, start: Offset, out: UnboundedSender<Sampled>) {
        let (stop, stopped) = oneshot::channel();
        let world = self.world.clone();
        let plan = self.setting.plan.clone();
        let schedule = Schedule {
            next: plan.services.iter().map(|_| 0).collect(),
            plan,
            world,
            start,
            out,
            flying: Vec::new(),
        };
        let work = schedule.run(clock, stopped);
        let process = Process::new(&self.world, self.who, &self.setting, work);
        self.running = Some((stop, tokio::spawn(process)));
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()> {
        let running = self.running.take();
        async move {
            if let Some((stop, task)) = running {
                let _ = stop.send(grace);
                let _ = task.await;
            }
        }
        .boxed()
    }
}

/// Every probe of a drill in one task: a wake for each sending and each end.
struct Schedule {
    plan: Arc<Plan>,
    world: World,
    start: Offset,
    out: UnboundedSender<Sampled>,
    next: Vec<u32>,
    flying: Vec<Sampled>,
}

/// Later than this a sample is not sent any more.
const MISSED: Duration = Duration::from_millis(500);

impl Schedule {
    fn due(&self, service: usize) -> Offset {
        let every = self.plan.services[service].probes[0].every;
        // As the real ones are: spread, so that not all are due at once.
        let first = every.mul_f64(0.5 * service as f64 / self.next.len() as f64);
        self.start.plus(first + every * self.next[service])
    }

    async fn run(mut self, clock: crate::clock::Clock, mut stop: oneshot::Receiver<Duration>) {
        let mut until: Option<Offset> = None;
        loop {
            let ends = self.flying.iter().map(|sampled| sampled.sample.done);
            let due = (0..self.next.len()).map(|service| self.due(service));
            let next = match until {
                None => ends.chain(due).min(),
                Some(until) => ends.min().map(|end| end.min(until)),
            };
            let Some(next) = next else { return };
            if until.is_some() {
                clock.sleep_until(next).await;
            } else {
                tokio::select! {
                    biased;
                    grace = &mut stop => {
                        until = Some(clock.now().plus(grace.unwrap_or_default()));
                        continue;
                    }
                    () = clock.sleep_until(next) => {}
                }
            }
            let now = clock.now();
            self.report(now);
            if until.is_some_and(|until| now >= until) {
                for sampled in &mut self.flying {
                    sampled.sample.outcome = Outcome::Unknown(Blindness::Ended);
                    sampled.sample.served_by = ServedBy::Unnamed;
                    sampled.sample.done = now;
                }
                self.report(now);
                return;
            }
            if until.is_none() {
                self.send(now);
            }
        }
    }

    /// Reports what has ended.
    fn report(&mut self, now: Offset) {
        let out = &self.out;
        self.flying.retain_mut(|sampled| {
            let ended = sampled.sample.done <= now;
            if ended {
                // Whoever stood still sees the answer only now.
                if now.since(sampled.sample.done) > span(5) {
                    sampled.sample.done = now;
                }
                let _ = out.send(*sampled);
            }
            !ended
        });
    }

    /// Sends what is due.
    fn send(&mut self, now: Offset) {
        for service in 0..self.next.len() {
            while self.due(service) <= now {
                let (due, seq) = (self.due(service), u64::from(self.next[service]));
                self.next[service] += 1;
                let probe = ProbeId { service: service as u32, probe: 0 };
                let timeout = self.plan.services[service].probes[0].timeout;
                let (took, outcome, served_by) = if now.since(due) > MISSED {
                    let missed = Outcome::Unknown(Blindness::Stalled);
                    (Duration::ZERO, missed, ServedBy::Unnamed)
                } else {
                    self.world.ask(service, timeout)
                };
                let sample = Sample {
                    seq,
                    due,
                    sent: now,
                    done: now.plus(took),
                    outcome,
                    acknowledged: outcome.is_answered(),
                    served_by,
                };
                self.flying.push(Sampled { vantage: VantageId(0), probe, sample });
            }
        }
        self.report(now);
    }
}
