//! A simulated world: one control, one service, a journal, and what may go wrong with them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::span;
use crate::clock::Clock;
use crate::journal::{Append, Record};
use crate::model::{
    Blindness, ControlSpec, ControlState, CutOrder, DatacenterId, Offset, Outcome, PartState,
    Passage, PathCounters, Phase, Plan, ProbeId, Reason, Sample, Sampled, ServedBy, VantageId,
};
use crate::traffic::{ControlError, TrafficControl};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

/// What may go wrong. The default is nothing.
#[derive(Debug, Clone)]
pub struct Faults {
    /// How long a call takes.
    pub call: Duration,
    /// From the cut to the standby's first answer.
    pub failover: Duration,
    /// From the restore to the cut datacenter's first answer.
    pub failback: Duration,
    /// The cut is refused; whether it takes effect all the same.
    pub cut_refused: Option<bool>,
    /// The cut is accepted and does nothing.
    pub cut_ignored: bool,
    /// Another hand puts traffic back so long after the cut.
    pub cut_lost: Option<Duration>,
    /// So many restores are refused before one works.
    pub restores_refused: u32,
    /// So many readings fail, from this one on.
    pub unreadable: Option<(u32, u32)>,
    /// The journal refuses every record from this one on.
    pub journal_full: Option<usize>,
    /// The cut datacenter goes on answering.
    pub leaks: bool,
    /// The call that cuts never ends.
    pub hanging_cut: bool,
    /// This reading never ends.
    pub hanging_read: Option<u32>,
    /// This reading panics.
    pub panicking_read: Option<u32>,
    /// A refused cut comes into force all the same, so long after the refusal.
    pub cut_late: Option<Duration>,
    /// From then on our own network is gone.
    pub blind_from: Option<Offset>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            call: span(3),
            failover: span(300),
            failback: span(100),
            cut_refused: None,
            cut_ignored: false,
            cut_lost: None,
            restores_refused: 0,
            unreadable: None,
            journal_full: None,
            leaks: false,
            hanging_cut: false,
            hanging_read: None,
            panicking_read: None,
            cut_late: None,
            blind_from: None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    cut_at: Option<Offset>,
    restored_at: Option<Offset>,
    restores: u32,
    reads: u32,
    records: usize,
    grace: Option<Duration>,
    log: Vec<String>,
}

/// The simulated world and its log of acts and records.
#[derive(Debug)]
pub struct World {
    clock: Clock,
    faults: Faults,
    state: Mutex<State>,
}

impl World {
    pub fn new(clock: Clock, faults: Faults) -> Arc<World> {
        Arc::new(World { clock, faults, state: Mutex::default() })
    }

    /// Everything that was called or written down, in order.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    /// Whether traffic is cut now.
    pub fn is_cut(&self) -> bool {
        let state = self.state.lock().unwrap();
        self.cut_since(&state).is_some()
    }

    /// How long the samples in flight were given at the end.
    pub fn grace(&self) -> Option<Duration> {
        self.state.lock().unwrap().grace
    }

    fn cut_since(&self, state: &State) -> Option<Offset> {
        let since = state.cut_at?;
        let lost = self.faults.cut_lost.is_some_and(|after| self.clock.now() >= since.plus(after));
        (!lost && state.restored_at.is_none()).then_some(since)
    }

    /// What becomes of a request that is sent now.
    fn ask(&self) -> (Duration, Outcome, ServedBy) {
        let state = self.state.lock().unwrap();
        let now = self.clock.now();
        let good = |by| (span(2), Outcome::Good, ServedBy::Datacenter(by));
        if self.faults.blind_from.is_some_and(|from| now >= from) {
            return (span(0), Outcome::Unknown(Blindness::NoNetwork), ServedBy::Unnamed);
        }
        match (self.cut_since(&state), state.restored_at) {
            (Some(_), _) if self.faults.leaks => good(EAST),
            (Some(since), _) if now < since.plus(self.faults.failover) => {
                let hung = Outcome::Bad(Reason::TimeOut(Phase::Answer));
                (span(200), hung, ServedBy::Unnamed)
            }
            (Some(_), _) => good(WEST),
            (None, Some(back)) if now < back.plus(self.faults.failback) => good(WEST),
            (None, _) => good(EAST),
        }
    }
}

/// The journal, which may be full.
pub struct Paper(pub Arc<World>);

impl Append for Paper {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        let place = state.records;
        state.records += 1;
        if self.0.faults.journal_full.is_some_and(|full| place >= full) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let named = match record {
            Record::Opened(_) => "opened",
            Record::Snapshot { .. } => "snapshot",
            Record::CutIntended { .. } => "cut intended",
            Record::CutConfirmed { .. } => "cut confirmed",
            Record::RestoreIntended { .. } => "restore intended",
            Record::RestoreConfirmed { .. } => "restore confirmed",
            Record::Closed { .. } => "closed",
        };
        state.log.push(format!("journal: {named}"));
        Ok(())
    }
}

/// The control.
pub struct Control {
    spec: ControlSpec,
    world: Arc<World>,
}

impl Control {
    pub fn new(spec: ControlSpec, world: Arc<World>) -> Self {
        Control { spec, world }
    }

    fn note(&self, what: &str) {
        self.world.state.lock().unwrap().log.push(format!("control: {what}"));
    }
}

fn refused(what: &str) -> ControlError {
    ControlError { what: what.to_owned(), hint: "try again".to_owned() }
}

#[async_trait]
impl TrafficControl for Control {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Asks nothing, so that the numbers of readings below mean what they say.
    async fn preflight(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        {
            tokio::time::sleep(self.world.faults.call).await;
            let read = {
                let mut state = self.world.state.lock().unwrap();
                state.reads += 1;
                Some(state.reads)
            };
            if read == self.world.faults.hanging_read {
                std::future::pending::<()>().await;
            }
            assert_ne!(read, self.world.faults.panicking_read, "for a test");
            let state = self.world.state.lock().unwrap();
            let (from, to) = self.world.faults.unreadable.unwrap_or((u32::MAX, u32::MAX));
            if (from..to).contains(&state.reads) {
                return Err(refused("it cannot be read"));
            }
            let cut = self.world.cut_since(&state).is_some();
            let passage = if cut { Passage::Closed } else { Passage::Open };
            let part = |datacenter, passage| PartState {
                datacenter,
                passage,
                settings: [("state".to_owned(), format!("{passage:?}"))].into(),
            };
            let parts = [
                ("east".to_owned(), part(EAST, passage)),
                ("west".to_owned(), part(WEST, Passage::Open)),
            ];
            Ok(ControlState { parts: parts.into() })
        }
    }

    async fn cut(&self, _order: &CutOrder, _snapshot: &ControlState) -> Result<(), ControlError> {
        {
            self.note("cut");
            tokio::time::sleep(self.world.faults.call).await;
            if self.world.faults.hanging_cut {
                std::future::pending::<()>().await;
            }
            let refusal = self.world.faults.cut_refused;
            if let Some(late) = self.world.faults.cut_late {
                let world = self.world.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    let mut state = world.state.lock().unwrap();
                    (state.cut_at, state.restored_at) = (Some(world.clock.now()), None);
                });
                return Err(refused("no answer in time"));
            }
            if !self.world.faults.cut_ignored && refusal != Some(false) {
                let now = self.world.clock.now();
                self.world.state.lock().unwrap().cut_at.get_or_insert(now);
            }
            refusal.map_or(Ok(()), |_| Err(refused("permission denied")))
        }
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert("state".to_owned(), format!("{:?}", Passage::Closed));
        }
        state
    }

    fn by_hand(&self, _snapshot: &ControlState) -> Vec<String> {
        Vec::new()
    }

    async fn restore(&self, _snapshot: &ControlState) -> Result<(), ControlError> {
        {
            self.note("restore");
            tokio::time::sleep(self.world.faults.call).await;
            let now = self.world.clock.now();
            let mut state = self.world.state.lock().unwrap();
            state.restores += 1;
            if state.restores <= self.world.faults.restores_refused {
                return Err(refused("busy"));
            }
            state.restored_at.get_or_insert(now);
            Ok(())
        }
    }

    fn path(&self) -> Option<PathCounters> {
        let cut = self.world.state.lock().unwrap().cut_at.is_some();
        Some(PathCounters {
            connections: u64::from(cut),
            bytes: u64::from(self.world.faults.leaks),
        })
    }
}

/// What asks the service.
pub struct Probing {
    world: Arc<World>,
    every: Duration,
    stop: tokio::sync::watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Probing {
    pub fn new(world: Arc<World>, plan: &Plan) -> Self {
        let every = plan.services[0].probes[0].every;
        Probing { world, every, stop: tokio::sync::watch::channel(false).0, tasks: JoinSet::new() }
    }
}

impl crate::drill::Probing for Probing {
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>) {
        let (world, every, stop) = (self.world.clone(), self.every, self.stop.subscribe());
        self.tasks.spawn(async move {
            let mut in_flight = JoinSet::new();
            for seq in 0.. {
                let due = start.plus(every * seq as u32);
                clock.sleep_until(due).await;
                if *stop.borrow() {
                    break;
                }
                let (took, outcome, served_by) = world.ask();
                let (sent, out) = (clock.now(), out.clone());
                in_flight.spawn(async move {
                    tokio::time::sleep(took).await;
                    let sample = Sample {
                        seq,
                        due,
                        sent,
                        done: clock.now(),
                        outcome,
                        acknowledged: outcome.is_answered(),
                        served_by,
                    };
                    let probe = ProbeId::default();
                    let _ = out.send(Sampled { vantage: VantageId(0), probe, sample });
                });
            }
            while in_flight.join_next().await.is_some() {}
        });
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()> {
        self.world.state.lock().unwrap().grace = Some(grace);
        self.stop.send_replace(true);
        async move { while self.tasks.join_next().await.is_some() {} }.boxed()
    }
}
