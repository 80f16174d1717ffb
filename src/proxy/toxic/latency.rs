//! Data arrives late.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::{Schedule, UNDER_WAY};
use super::super::gate::Degradation;
use super::{Fate, Kind, Treat};

pub(super) struct Latency {
    schedule: Schedule,
}

impl Latency {
    pub fn new(latency: Duration, jitter: Duration, now: Instant) -> Latency {
        let how = Degradation { latency, jitter, loss: 0.0, bandwidth: None };
        Latency { schedule: Schedule::new(how, now) }
    }
}

impl Treat for Latency {
    fn room(&self) -> usize {
        UNDER_WAY
    }

    fn take(&mut self, now: Instant, bytes: usize) -> Fate {
        Fate::At(self.schedule.arrival(now, bytes, fastrand::f64))
    }

    /// As if the new delay had been in force when it came.
    fn again(&mut self, _: Instant, came: Instant, bytes: usize) -> Option<Instant> {
        Some(self.schedule.arrival(came, bytes, fastrand::f64))
    }

    fn end(&mut self, _: Instant, came: Instant) -> Option<Instant> {
        Some(self.schedule.arrival(came, 0, fastrand::f64))
    }

    fn change(&mut self, kind: &Kind, now: Instant) {
        if let Kind::Latency { latency, jitter } = *kind {
            // What it holds came before now, and is put on the new schedule from when it came.
            *self = Latency::new(latency, jitter, now);
            self.schedule.rewind();
        }
    }
}
