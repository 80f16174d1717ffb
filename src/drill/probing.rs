//! What asks the services: the real probes, or a simulation in their place.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc::UnboundedSender;

use crate::clock::Clock;
use crate::model::{LoadFrom, Offset, Sampled};
use crate::probe::{LedgerHandle, Prober, Running};

/// Asks the services, open loop, from start to stop.
pub trait Probing: Send {
    /// Begins: the first sample of each probe is due at `start` or up to half a period later. Every sample
    /// comes out of `out`.
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>);

    /// The cut is made now: loads that begin with it do so.
    fn cut(&mut self, _clock: Clock, _at: Offset) {}

    /// The ledgers among them.
    fn ledgers(&self) -> Vec<LedgerHandle> {
        Vec::new()
    }

    /// Ends the schedule, waits up to `grace` for samples in flight, and has reported all of them
    /// when it returns.
    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// The probes of a plan, ready to go.
#[derive(Default)]
pub struct Probes {
    ready: Vec<Prober>,
    running: Vec<Running>,
    ledgers: Vec<LedgerHandle>,
    loads: Vec<(LoadFrom, Prober)>,
    /// For loads that begin with the cut.
    out: Option<UnboundedSender<Sampled>>,
}

impl Probes {
    /// Probes and loads that were prepared.
    pub fn new(ready: Vec<Prober>, loads: Vec<(LoadFrom, Prober)>) -> Self {
        let ledgers = ready.iter().filter_map(Prober::ledger).collect();
        Probes { ready, running: Vec::new(), ledgers, loads, out: None }
    }

    fn begin(&mut self, from: LoadFrom, clock: Clock, at: Offset) {
        let Some(out) = self.out.clone() else { return };
        let (due, later) =
            std::mem::take(&mut self.loads).into_iter().partition(|(when, _)| *when == from);
        self.loads = later;
        let due: Vec<(LoadFrom, Prober)> = due;
        self.running.extend(due.into_iter().map(|(_, load)| load.start(clock, at, out.clone())));
    }
}

impl Probing for Probes {
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>) {
        let count = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        // Thousands of probes due at one instant would be a burst that delays them all and fells
        // the service that they look at. Spread over half a period, so that a baseline of ten periods
        // still holds ten samples with their answers.
        let begun = self.ready.drain(..).zip(0..).map(|(prober, place): (Prober, u32)| {
            let part = f64::from(place) / f64::from(count);
            let first = start.plus((prober.every() / 2).mul_f64(part));
            prober.start(clock, first, out.clone())
        });
        self.running.extend(begun);
        self.out = Some(out);
        self.begin(LoadFrom::Baseline, clock, start);
    }

    fn ledgers(&self) -> Vec<LedgerHandle> {
        self.ledgers.clone()
    }

    fn cut(&mut self, clock: Clock, at: Offset) {
        self.begin(LoadFrom::Cut, clock, at);
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()> {
        self.out = None;
        let ends = self.running.drain(..).map(|running| running.stop(grace));
        join_all(ends).map(|_| ()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::plan::{self, Inputs};
    use crate::probe::SystemConnector;

    const PLAN: &str = "
version: 1
name: spread
datacenters: [east, west]
lab: { services: { talk: { east: 1, west: 1 } } }
traffic: { wan: { lab: {} } }
services:
  talk:
    probes:
      a: { tcp: \"127.0.0.1:9\", every: 1s }
      b: { tcp: \"127.0.0.1:9\", every: 1s }
      c: { tcp: \"127.0.0.1:9\", every: 2s }
      d: { http: \"http://127.0.0.1:9\", every: 1s, served_by: { header: x } }
    promises: { recover_within: 30s }
cut: { datacenter: east, mode: reset, through: [wan] }
";

    #[tokio::test(start_paused = true)]
    async fn probes_of_one_period_are_not_all_due_at_one_instant() {
        let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
        let plan = plan::parse("plan.yaml", PLAN.as_bytes(), &inputs).plan.unwrap();
        let connector = Arc::new(SystemConnector::from_system().unwrap());
        let prepare =
            |(id, _, spec)| Prober::prepare(id, spec, &|_| None, connector.clone()).unwrap();
        let mut probes = Probes::new(plan.probes().map(prepare).collect(), Vec::new());
        let (out, mut samples) = tokio::sync::mpsc::unbounded_channel();
        let clock = Clock::start();
        probes.start(clock, Offset::from_millis(5), out);
        clock.sleep_until(Offset::from_millis(900)).await;
        probes.stop(Duration::ZERO).await;
        let mut due = BTreeMap::new();
        while let Ok(sampled) = samples.try_recv() {
            due.insert(sampled.probe, sampled.sample.due);
        }
        let due: Vec<Offset> = due.into_values().collect();
        assert_eq!(due, [5, 130, 505, 380].map(Offset::from_millis));
    }
}
