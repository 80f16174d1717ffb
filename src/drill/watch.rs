//! Keeping the observation up to date while anything else is waited for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch as channel;

use super::guards::OnGuard;
use crate::clock::Clock;
use crate::measure::Observation;
use crate::model::{DrillEvent, Offset, Sampled, Why};
use crate::watchdog::{BEAT, Phase};

use super::Guardian;

/// How often listeners are told how the services are, and the watchdog that we live.
const TELL_EVERY: Duration = BEAT;

/// How often a condition on what was seen is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Takes in samples for as long as something else is waited for.
pub(super) struct Watch {
    pub clock: Clock,
    pub observation: Observation,
    pub samples: UnboundedReceiver<Sampled>,
    pub stop: channel::Receiver<Option<Why>>,
    pub listener: Box<dyn FnMut(&DrillEvent) + Send>,
    /// Keeps samples.
    pub sampled: Box<dyn FnMut(&Sampled) + Send>,
    pub guardian: Box<dyn Guardian>,
    pub phase: Phase,
    pub told: Offset,
    /// How often something was learned: a sample taken in, or the guardrails looked at.
    pub learned: u64,
    /// What may stop the drill. It sees every sample that is taken in.
    pub guards: OnGuard,
    /// Set when what is seen does not matter any more: samples are let go.
    pub deaf: bool,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The condition holds.
    Met,
    /// The time is up.
    TimeUp,
    /// The drill has to stop.
    Stopped,
}

impl Watch {
    /// Tells whoever shows or logs.
    pub fn tell(&mut self, event: DrillEvent) {
        (self.listener)(&event);
    }

    /// Tells the watchdog that the drill lives, and what it is about to do.
    pub fn beat(&mut self, phase: Phase) {
        self.phase = phase;
        self.guardian.beat(phase);
    }

    /// The reason to stop, if there is one.
    pub fn stopped(&self) -> Option<Why> {
        self.stop.borrow().clone()
    }

    /// Takes in samples until `work` is done, whether or not the drill has to stop.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let tell = self.told.plus(TELL_EVERY);
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Before the samples: however many come, the watchdog hears that we live.
                () = self.clock.sleep_until(tell) => self.tell_now(),
                Some(sampled) = self.samples.recv() => self.take(sampled),
            }
        }
    }

    /// Takes in samples until `work` is done; `None` when the drill has to stop before that. The work is
    /// given up then, so it must be a reading, or a call that is taken to land late.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.clone();
        self.during(async move {
            tokio::select! {
                biased;
                done = work => Some(done),
                Ok(_) = stop.wait_for(Option::is_some) => None,
            }
        })
        .await
    }

    /// Takes in samples until `met` holds, `until` has passed or the drill has to stop, whichever
    /// comes first.
    pub async fn until(&mut self, until: Offset, mut met: impl FnMut(&mut Watch) -> bool) -> Woken {
        let (mut looked_at, mut next_look) = (None, Offset::ZERO);
        loop {
            if self.stopped().is_some() {
                return Woken::Stopped;
            }
            let now = self.clock.now();
            // Where nothing was learned, the answer is the same.
            if looked_at != Some(self.learned) && (now >= next_look || now >= until) {
                looked_at = Some(self.learned);
                if met(self) {
                    return Woken::Met;
                }
                // With very many probes a look takes a while; it must not starve the taking in.
                let took = self.clock.now().since(now);
                next_look = self.clock.now().plus(LOOK_EVERY.max(took * 10));
            }
            if self.clock.now() >= until {
                return Woken::TimeUp;
            }
            let nothing_new = looked_at == Some(self.learned);
            let wake = if nothing_new { until } else { next_look.min(until) };
            self.pause(wake, nothing_new).await;
        }
    }

    /// Takes in samples until `at`, the drill has to stop, or something was learned, if `or_learned`.
    async fn pause(&mut self, at: Offset, or_learned: bool) {
        let (mut stop, clock) = (self.stop.clone(), self.clock);
        let mut stopped = pin!(async move {
            if stop.wait_for(Option::is_some).await.is_err() {
                // Nobody is left who could stop it.
                std::future::pending().await
            }
        });
        let mut over = pin!(clock.sleep_until(at));
        loop {
            let tell = self.told.plus(TELL_EVERY);
            tokio::select! {
                biased;
                () = &mut over => return,
                () = &mut stopped => return,
                () = clock.sleep_until(tell) => {
                    self.tell_now();
                    if or_learned {
                        return;
                    }
                }
                Some(sampled) = self.samples.recv() => {
                    self.take(sampled);
                    if or_learned {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until every guardrail is clear: nothing is cut beside one that is not. It becomes clear, or it
    /// breaks.
    pub async fn until_clear(&mut self) -> Woken {
        let patience = self.clock.now().plus(self.guards.patience());
        self.until(patience, |watch| watch.guards.is_clear()).await
    }

    /// Takes in what has come but was not looked at yet.
    pub fn drain(&mut self) {
        while let Ok(sampled) = self.samples.try_recv() {
            self.take(sampled);
        }
    }

    fn take(&mut self, sampled: Sampled) {
        self.learned += 1;
        if !self.deaf {
            (self.sampled)(&sampled);
            self.guards.push(&sampled);
            self.observation.push(sampled);
        }
    }

    fn tell_now(&mut self) {
        let at = self.clock.now();
        self.told = at;
        self.guardian.beat(self.phase);
        if self.deaf {
            return;
        }
        self.learned += 1;
        self.guards.look(at);
        let services = self.observation.now(at);
        let (guardrails, loads) = (self.guards.now(), self.observation.loads_now(at));
        self.tell(DrillEvent::Watched { at, services, guardrails, loads });
    }
}
