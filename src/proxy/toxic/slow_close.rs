//! The end of the data comes late.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::later;
use super::{Fate, Kind, Treat};

pub(super) struct SlowClose {
    pub delay: Duration,
}

impl Treat for SlowClose {
    fn take(&mut self, now: Instant, _: usize) -> Fate {
        Fate::At(now)
    }

    fn end(&mut self, _: Instant, came: Instant) -> Option<Instant> {
        Some(later(came, self.delay))
    }

    fn change(&mut self, kind: &Kind, _: Instant) {
        if let Kind::SlowClose { delay } = *kind {
            self.delay = delay;
        }
    }
}
