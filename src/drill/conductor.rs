//! The stages, in order.

mod contract;
mod cut;
mod finish;
mod preflight;
mod read_back;
mod way_back;
mod words;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use tokio::sync::mpsc;

use tokio::sync::watch as channel;

use super::controls::Held;
use super::guards;
use super::probing::Probing;
use super::watch::{Watch, Woken};
use super::{CALL_LIMIT, Drill, LAST_READ_LIMIT, READ_EVERY};
use crate::clock::Clock;
use crate::journal::{Append, Record};
use crate::measure::{Ending, Observation};
use crate::model::{
    Act, ControlCall, DatacenterId, DrillEvent, Judgement, Plan, PlanFile, ReadStage, RunRecord,
    Service, Stage, Why,
};
use crate::restore::call_within;
use crate::watchdog::Phase;

/// Runs a drill.
pub(super) struct Conductor {
    plan: Arc<Plan>,
    file: PlanFile,
    run: String,
    host: String,
    located: Vec<Vec<DatacenterId>>,
    started_at: jiff::Timestamp,
    held: Vec<Held>,
    probing: Box<dyn Probing>,
    journal: Box<dyn Append>,
    clock: Clock,
    watch: Watch,
    hurry: channel::Receiver<bool>,
    out: Option<mpsc::UnboundedSender<crate::model::Sampled>>,
    calls: Vec<ControlCall>,
    ending: Ending,
    opened: bool,
}

impl Conductor {
    pub fn new(drill: Drill) -> Self {
        let (out, samples) = mpsc::unbounded_channel();
        let clock = drill.clock;
        let observation = Observation::new(drill.plan.clone(), clock.now());
        let (guards, stop) = drill.guards.start(&drill.plan, clock, drill.stop);
        let watch = Watch {
            clock,
            observation,
            samples,
            stop,
            listener: drill.listener,
            sampled: drill.sampled,
            guardian: drill.guardian,
            phase: Phase::Quiet,
            told: clock.now(),
            learned: 0,
            guards,
            deaf: false,
        };
        Conductor {
            plan: drill.plan,
            file: drill.file,
            run: drill.run,
            host: drill.host,
            located: drill.located,
            started_at: jiff::Timestamp::now(),
            held: drill.controls.into_iter().map(Held::new).collect(),
            probing: drill.probing,
            journal: drill.journal,
            clock,
            watch,
            hurry: drill.hurry,
            out: Some(out),
            calls: Vec::new(),
            ending: Ending::default(),
            opened: false,
        }
    }

    pub async fn run(mut self) -> RunRecord {
        if AssertUnwindSafe(self.stages()).catch_unwind().await.is_err() {
            // Whatever it was, it must not leave traffic cut. What is seen from here on could bring
            // it up again, and is not needed for the way back.
            let text = "firedrill failed, which is a fault of its own; please report it";
            self.ending.cut_failed = Some(Why::new("internal", text));
            self.watch.deaf = true;
            let is_open = self.held.iter().any(|held| held.last.is_open());
            if is_open || self.watch.observation.marks.restore_confirmed.is_none() {
                self.ending.not_restored.clear();
                self.restore().await;
            }
        }
        self.finish().await
    }

    async fn stages(&mut self) {
        self.begin();
        if self.preflight().await
            && self.begin_ledgers().await
            && self.baseline().await
            && self.find_baseline().await
        {
            if self.cut().await {
                self.observe().await;
                self.hold().await;
            }
            self.restore().await;
            self.failback().await;
            let is_back = self.watch.observation.is_back();
            self.look_again(is_back).await;
        }
    }

    fn begin(&mut self) {
        let plan = self.plan.clone();
        self.watch.tell(DrillEvent::Started {
            run: self.run.clone(),
            plan: plan.name.clone(),
            lost: plan.lost(),
            datacenters: plan.datacenters.clone(),
            services: plan.measured().map(|service| service.name.clone()).collect(),
            at_most: plan.timing.at_most,
        });
    }

    fn enter(&mut self, stage: Stage, at_most: Option<Duration>) {
        let at = self.clock.now();
        self.watch.tell(DrillEvent::Entered { stage, at, at_most });
    }

    fn note(&mut self, call: ControlCall) {
        self.watch.tell(DrillEvent::Called(call.clone()));
        self.calls.push(call);
    }

    /// Writes a record down, or says why the act that it stands for must not follow.
    fn write(&mut self, record: &Record) -> Result<(), Why> {
        self.journal.append(record).map_err(|error| unwritten(&error))
    }

    fn refuse(&mut self, why: Why) {
        self.ending.not_started.push(why);
    }

    /// Watches the services as they are. False: the drill does not cut.
    async fn baseline(&mut self) -> bool {
        let length = self.plan.timing.baseline;
        self.enter(Stage::Baseline, Some(length));
        let start = self.clock.now();
        self.watch.observation.marks.started = start;
        self.started_at = jiff::Timestamp::now();
        self.watch.guards.probing(start);
        if let Some(out) = self.out.take() {
            self.probing.start(self.clock, start, out);
        }
        let mut woken = self.watch.until(start.plus(length), |_| false).await;
        if woken == Woken::TimeUp {
            self.tell_waiting();
            woken = self.watch.until_clear().await;
        }
        if let (Woken::Stopped, Some(why)) = (woken, self.watch.stopped()) {
            self.stopping(why);
            return false;
        }
        self.watch.drain();
        self.ending.not_started = self.watch.observation.unsteady(self.clock.now());
        self.ending.not_started.extend(self.watch.guards.unclear());
        self.ending.not_started.is_empty()
    }

    /// Says what the cut waits for, if it does.
    fn tell_waiting(&mut self) {
        if let Some(why) = self.watch.guards.unclear() {
            let (at, at_most) = (self.clock.now(), self.watch.guards.patience());
            self.watch.tell(DrillEvent::Waiting { at, why, at_most });
        }
    }

    fn stopping(&mut self, why: Why) {
        if self.watch.observation.marks.cut_issued.is_none() && guards::refuses(&why) {
            self.refuse(why);
        } else if self.ending.stopped.is_none() {
            let at = self.clock.now();
            self.watch.tell(DrillEvent::Stopping { at, why: why.clone() });
            self.ending.stopped = Some(why);
        }
    }

    /// The latest instant at which the restore has to begin.
    fn deadline(&self) -> crate::model::Offset {
        let cut = self.watch.observation.marks.cut_issued.unwrap_or_default();
        cut.plus(self.plan.timing.at_most)
    }

    /// Watches the failover until every promise is decided, and reads the controls meanwhile.
    async fn observe(&mut self) {
        let deadline = self.deadline();
        self.enter(Stage::Observe, Some(deadline.since(self.clock.now())));
        let plan = self.plan.clone();
        let mut decided = vec![false; plan.services.len()];
        loop {
            let read_at = self.clock.now().plus(READ_EVERY).min(deadline);
            let woken = self
                .watch
                .until(read_at, |watch| {
                    tell_decided(watch, &plan, &mut decided);
                    watch.observation.is_settled()
                })
                .await;
            match woken {
                Woken::Met => break,
                Woken::TimeUp if self.clock.now() >= deadline => {
                    self.deadline_passed();
                    break;
                }
                Woken::TimeUp => {
                    self.read_while_cut(deadline.since(self.clock.now())).await;
                }
                Woken::Stopped => {
                    self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
                    break;
                }
            }
        }
    }

    /// A promise that is broken already is a fail; otherwise the deadline has stopped the drill.
    fn deadline_passed(&mut self) {
        let services = self.watch.observation.services();
        let mut promises = services.iter().flat_map(|service| &service.promises);
        if !promises.any(|promise| promise.judgement == Judgement::Broken) {
            let text = "traffic was cut for as long as `at_most` allows, and not all was decided";
            self.stopping(Why::new("deadline", text));
        }
    }

    /// Keeps the cut for a while after all is decided; not where users are still without service.
    async fn hold(&mut self) {
        let until = self.clock.now().plus(self.plan.timing.hold).min(self.deadline());
        let worth_it = self.ending.stopped.is_none() && self.watch.observation.has_recovered();
        if worth_it && until > self.clock.now() {
            self.enter(Stage::Hold, Some(until.since(self.clock.now())));
            while self.clock.now() < until {
                let read_at = self.clock.now().plus(READ_EVERY).min(until);
                if self.watch.until(read_at, |_| false).await == Woken::Stopped {
                    self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
                    break;
                }
                let left = until.since(self.clock.now());
                if !left.is_zero() {
                    self.read_while_cut(left).await;
                }
            }
        }
        if self.ending.stopped.is_none() {
            // Where users are still without service, traffic does not stay away from them for this.
            let short = self.clock.now().plus(LAST_READ_LIMIT);
            let latest = if worth_it { self.deadline() } else { self.deadline().min(short) };
            let _ = self.read_back(ReadStage::AfterFailover, Some(latest)).await;
            self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
        }
        // The last reading before the restore: did the cut hold to its end? A control far away takes a while to answer, and
        // where all have recovered nobody waits for it.
        let patient =
            if worth_it { self.deadline().since(self.clock.now()) } else { Duration::ZERO };
        let limit = (READ_EVERY * 2).min(patient).max(LAST_READ_LIMIT);
        if self.ending.stopped.is_none() && !self.read_while_cut(limit).await {
            let text = "a control could not be read before the restore, so nobody knows whether the \
                        cut held to its end";
            self.ending.cut_failed.get_or_insert(Why::new("control-not-read", text));
        }
    }

    /// Reads every control, within `limit` for all of them and until the drill has to stop. False: not
    /// all of them could be read.
    async fn read_while_cut(&mut self, limit: Duration) -> bool {
        let clock = self.clock;
        let order = self.plan.cut.clone();
        let limit = limit.min(CALL_LIMIT);
        let reads =
            self.held.iter().map(|held| {
                let control = held.control.clone();
                async move {
                    call_within(limit, clock, &*control, Act::Inspect, control.inspect()).await
                }
            });
        let reads = join_all(reads);
        let Some(reads) = self.watch.unless_stopped(reads).await else { return false };
        let mut all = true;
        for (place, read) in reads.into_iter().enumerate() {
            if read.call.error.is_some() {
                all = false;
                self.note(read.call);
            }
            self.held[place].read_while_cut(read.result, &order);
        }
        all
    }

    /// Watches until the services are as before the cut.
    async fn failback(&mut self) {
        let confirmed = self.watch.observation.marks.restore_confirmed;
        let (Some(confirmed), None) = (confirmed, &self.ending.stopped) else { return };
        let promised = self.plan.services.iter().flat_map(Service::all_promises);
        let longest = promised.filter_map(|promises| promises.failback_within).max();
        let longest = longest.unwrap_or_default();
        let timing = self.plan.timing;
        let limit = timing.at_most.max(longest + timing.stable_for);
        self.enter(Stage::Failback, Some(limit));
        let until = confirmed.plus(limit);
        if self.watch.until(until, |watch| watch.observation.is_back()).await == Woken::Stopped {
            self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
        }
    }
}

fn unwritten(error: &std::io::Error) -> Why {
    let text = format!(
        "the journal could not be written ({error}), so a crash could leave traffic cut; make room in \
         the state directory or move it with --state-dir"
    );
    Why::new("journal", text)
}

fn tell_decided(watch: &mut Watch, plan: &Plan, decided: &mut [bool]) {
    let at = watch.clock.now();
    for (number, service) in plan.services.iter().enumerate() {
        let known = !service.promises_anything() || decided.get(number).copied().unwrap_or(true);
        if !known && watch.observation.is_service_settled(number) {
            if let Some(done) = decided.get_mut(number) {
                *done = true;
            }
            let mut states = watch.observation.now(at).into_iter();
            let state = states.find(|now| now.service == service.name);
            let text = state.map_or_else(String::new, |now| now.state);
            watch.tell(DrillEvent::Decided { at, service: service.name.clone(), text });
        }
    }
}
