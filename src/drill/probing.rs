//! What asks the services: the real probes, or a simulation in their place.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc::UnboundedSender;

use crate::clock::Clock;
use crate::model::{Offset, Sampled};
use crate::probe::{Prober, Running};

/// Asks the services, open loop, from start to stop.
pub trait Probing: Send {
    /// Begins: the first samples are due at `start`. Every sample comes out of `out`.
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>);

    /// Ends the schedule, waits up to `grace` for samples in flight, and has reported all of them
    /// when it returns.
    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// The probes of a plan, ready to go.
#[derive(Default)]
pub struct Probes {
    ready: Vec<Prober>,
    running: Vec<Running>,
}

impl Probes {
    /// Probes that were prepared.
    pub fn new(ready: Vec<Prober>) -> Self {
        Probes { ready, running: Vec::new() }
    }
}

impl Probing for Probes {
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>) {
        let begun = self.ready.drain(..).map(|prober| prober.start(clock, start, out.clone()));
        self.running.extend(begun);
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()> {
        let ends = self.running.drain(..).map(|running| running.stop(grace));
        join_all(ends).map(|_| ()).boxed()
    }
}
