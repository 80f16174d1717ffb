//! Data comes in small pieces.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::later;
use super::{Fate, Kind, Treat, stage};

/// So many pieces of it are held at once.
const HELD: usize = 1024;

pub(super) struct Slicer {
    average: usize,
    variation: usize,
    delay: Duration,
    /// When the next piece may go.
    free: Instant,
}

impl Slicer {
    pub fn new(average: u64, variation: u64, delay: Duration, now: Instant) -> Slicer {
        // A piece is no larger than what comes at once.
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(stage::PIECE);
        Slicer { average: size(average).max(1), variation: size(variation), delay, free: now }
    }

    fn due(&mut self, now: Instant) -> Instant {
        let due = self.free.max(now);
        self.free = later(due, self.delay);
        due
    }
}

impl Treat for Slicer {
    fn piece(&mut self) -> usize {
        let least = self.average.saturating_sub(self.variation).max(1);
        let most = self.average.saturating_add(self.variation);
        fastrand::usize(least..=most.max(least))
    }

    fn room(&self) -> usize {
        self.average.saturating_mul(HELD).min(stage::ROOM)
    }

    fn take(&mut self, now: Instant, _: usize) -> Fate {
        Fate::At(self.due(now))
    }

    fn again(&mut self, now: Instant, _: Instant, _: usize) -> Option<Instant> {
        Some(self.due(now))
    }

    fn change(&mut self, kind: &Kind, now: Instant) {
        if let Kind::Slicer { average, variation, delay } = *kind {
            *self = Slicer::new(average, variation, delay, now);
        }
    }
}
