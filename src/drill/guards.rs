//! What guards a drill: its guardrails and kill switch, from preflight on.
//!
//! Those read from outside have a task each; those on samples are looked at as the samples come in. Either
//! stops the drill by the same word that a signal does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::guard::Reader;
use crate::measure::{Gauge, Guard};
use crate::model::{
    Guardrail, GuardrailKind, GuardrailNow, GuardrailReading, GuardrailRecord, Offset, Plan,
    Sampled, Why,
};
use crate::probe::Connector;

/// How often samples are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long the first look at the kill switch may take. It is looked at again all along.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The guardrails of a plan made ready. The default guards nothing.
#[derive(Default)]
pub struct Guards {
    ready: Vec<(Guardrail, Option<Reader>)>,
}

impl Guards {
    /// Checks everything that can be checked before the first reading. `lab` gives the address of a lab service.
    ///
    /// # Errors
    /// The guardrail that cannot be read, and what to do.
    pub fn prepare(
        plan: &Plan,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, Why> {
        let mut ready = Vec::new();
        for guardrail in &plan.guardrails {
            let reader = Reader::prepare(guardrail, lab, connector.clone()).map_err(|error| {
                Why::new("guardrail-not-ready", format!("guardrail {}: {error}", guardrail.name))
            })?;
            ready.push((guardrail.clone(), reader));
        }
        Ok(Guards { ready })
    }

    /// Only those that are read from outside, where no samples are taken.
    pub(super) fn read_outside(mut self) -> Self {
        self.ready.retain(|(_, reader)| reader.is_some());
        self
    }

    /// Begins to read. The receiver says when the drill has to stop: for `stop` or for a guardrail,
    /// whichever comes first.
    pub(super) fn start(
        self,
        plan: &Plan,
        clock: Clock,
        stop: channel::Receiver<Option<Why>>,
    ) -> (OnGuard, channel::Receiver<Option<Why>>) {
        let (tell, told) = channel::channel(stop.borrow().clone());
        let mut on_guard = OnGuard::default();
        if self.ready.is_empty() {
            return (on_guard, stop);
        }
        for (guardrail, reader) in self.ready {
            let gauge = Gauge::new(plan, &guardrail.check);
            let guard = Arc::new(Mutex::new(Guard::new(guardrail, clock.now())));
            if let Some(reader) = reader {
                on_guard.tasks.spawn(watch(guard.clone(), reader, clock, tell.clone()));
            }
            if let Some(gauge) = gauge {
                on_guard.gauges.push((guard.clone(), gauge));
            }
            on_guard.guards.push(guard);
        }
        on_guard.tasks.spawn(pass_on(stop, tell.clone()));
        on_guard.tell = Some(tell);
        (on_guard, told)
    }
}

/// Guardrails at work. Dropped, they are read no more.
#[derive(Default)]
pub(super) struct OnGuard {
    guards: Vec<Arc<Mutex<Guard>>>,
    gauges: Vec<(Arc<Mutex<Guard>>, Gauge)>,
    tell: Option<channel::Sender<Option<Why>>>,
    tasks: JoinSet<()>,
    probing: bool,
    look_at: Offset,
}

impl OnGuard {
    /// Probing begins now: before that no sample could say anything.
    pub fn probing(&mut self, now: Offset) {
        self.probing = true;
        for (guard, _) in &self.gauges {
            let mut guard = lock(guard);
            *guard = Guard::new(guard.spec().clone(), now);
        }
    }

    /// Probing is over: from now on samples say nothing, and are not looked at.
    pub fn probing_ended(&mut self) {
        self.probing = false;
    }

    /// Takes a sample.
    pub fn push(&mut self, sampled: &Sampled) {
        for (_, gauge) in &mut self.gauges {
            gauge.push(sampled);
        }
        // With very many samples nothing else may get its turn.
        if !self.gauges.is_empty() && sampled.sample.done >= self.look_at {
            self.look(sampled.sample.done);
        }
    }

    /// Looks at the samples so far.
    pub fn look(&mut self, now: Offset) {
        if !self.probing {
            return;
        }
        self.look_at = now.plus(LOOK_EVERY);
        for (guard, gauge) in &mut self.gauges {
            let why = lock(guard).take(now, gauge.read(now));
            if let (Some(why), Some(tell)) = (why, &self.tell) {
                stop(tell, why);
            }
        }
    }

    /// Whether every one of them was read, and was within its limit when it was read last.
    pub fn is_clear(&self) -> bool {
        self.guards.iter().all(|guard| lock(guard).is_clear())
    }

    /// How long the cut may wait for them: until then each is clear or broken.
    pub fn patience(&self) -> Duration {
        let longest = self.guards.iter().map(|guard| {
            let guard = lock(guard);
            let spec = guard.spec();
            spec.lasting.max(spec.grace) + spec.every * 2
        });
        longest.max().unwrap_or_default()
    }

    /// Why the cut cannot wait any longer.
    pub fn unclear(&self) -> Option<Why> {
        self.guards.iter().find_map(|guard| {
            let guard = lock(guard);
            (!guard.is_clear()).then(|| guard.unclear())
        })
    }

    /// How they stand.
    pub fn now(&self) -> Vec<GuardrailNow> {
        self.guards.iter().map(|guard| lock(guard).now()).collect()
    }

    /// What they saw.
    pub fn records(&self) -> Vec<GuardrailRecord> {
        self.guards.iter().map(|guard| lock(guard).record()).collect()
    }
}

/// Why no drill of this plan may begin: its kill switch is set. One that cannot be read does not decide yet; it
/// is read again, and nothing is cut before it was read.
pub(super) async fn kill_switch(
    plan: &Plan,
    clock: Clock,
    connector: Arc<dyn Connector>,
) -> Option<Why> {
    let of_kind = |guardrail: &&Guardrail| guardrail.kind() == GuardrailKind::KillSwitch;
    for guardrail in plan.guardrails.iter().filter(of_kind) {
        let Ok(Some(reader)) = Reader::prepare(guardrail, &|_| None, connector.clone()) else {
            continue;
        };
        let Ok(reading) = tokio::time::timeout(FIRST_LOOK, reader.read(&clock)).await else {
            continue;
        };
        if matches!(reading, GuardrailReading::Beyond { .. }) {
            let mut guard = Guard::new(guardrail.clone(), clock.now());
            return guard.take(clock.now(), reading);
        }
    }
    None
}

/// Whether a drill that has cut nothing yet is refused for this reason, rather than stopped.
pub(super) fn refuses(why: &Why) -> bool {
    why.code == "kill-switch" || why.code.starts_with("guardrail-")
}

/// Reads a guardrail, every period, one reading at a time.
async fn watch(
    guard: Arc<Mutex<Guard>>,
    reader: Reader,
    clock: Clock,
    tell: channel::Sender<Option<Why>>,
) {
    let every = lock(&guard).spec().every;
    loop {
        let next = clock.now().plus(every);
        let reading = reader.read(&clock).await;
        let why = lock(&guard).take(clock.now(), reading);
        if let Some(why) = why {
            stop(&tell, why);
        }
        clock.sleep_until(next).await;
    }
}

/// Passes a word from outside on.
async fn pass_on(mut outside: channel::Receiver<Option<Why>>, tell: channel::Sender<Option<Why>>) {
    let why = match outside.wait_for(Option::is_some).await {
        Ok(why) => why.clone(),
        // Nobody can stop the drill from outside any more.
        Err(_) => None,
    };
    if let Some(why) = why {
        stop(&tell, why);
    }
}

fn stop(tell: &channel::Sender<Option<Why>>, why: Why) {
    tell.send_if_modified(|told| {
        let first = told.is_none();
        told.get_or_insert(why);
        first
    });
}

/// A panic elsewhere leaves what was read as it was.
fn lock(guard: &Mutex<Guard>) -> MutexGuard<'_, Guard> {
    guard.lock().unwrap_or_else(PoisonError::into_inner)
}
