//! Data passes slowly, or not at all.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::Schedule;
use super::super::gate::Degradation;
use super::{Fate, Kind, Treat, stage};

pub(super) struct Bandwidth {
    /// `None` lets nothing pass.
    schedule: Option<Schedule>,
}

impl Bandwidth {
    pub fn new(rate: u64, now: Instant) -> Bandwidth {
        let (latency, jitter) = (Duration::ZERO, Duration::ZERO);
        let how = Degradation { latency, jitter, loss: 0.0, bandwidth: Some(rate) };
        Bandwidth { schedule: (rate > 0).then(|| Schedule::new(how, now)) }
    }

    fn due(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        Some(self.schedule.as_mut()?.arrival(now, bytes, fastrand::f64))
    }
}

impl Treat for Bandwidth {
    fn piece(&mut self) -> usize {
        self.schedule.as_ref().map_or(stage::PIECE, Schedule::piece)
    }

    /// No more than two pieces: what is sent faster has to wait at its sender.
    fn room(&self) -> usize {
        self.schedule.as_ref().map_or(stage::PIECE, |schedule| 2 * schedule.piece())
    }

    fn take(&mut self, now: Instant, bytes: usize) -> Fate {
        self.due(now, bytes).map_or(Fate::Held, Fate::At)
    }

    fn again(&mut self, now: Instant, _: Instant, bytes: usize) -> Option<Instant> {
        self.due(now, bytes)
    }

    fn change(&mut self, kind: &Kind, now: Instant) {
        if let Kind::Bandwidth { rate } = *kind {
            *self = Bandwidth::new(rate, now);
        }
    }
}
