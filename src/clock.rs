//! The drill's one clock.
//!
//! Everything that waits, waits on tokio's clock, so that in tests whole drills run in virtual time.
//! This is the only place that reads it.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Offset;

/// A monotonic clock that counts from the start of the drill. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now. Needs a tokio runtime only to be paused in tests.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The time that passed since the start.
    pub fn now(&self) -> Offset {
        Offset::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Waits until `at`; returns at once if it has passed. Tokio's timers are coarse: up to 1 ms late.
    pub async fn sleep_until(&self, at: Offset) {
        tokio::time::sleep_until(self.instant(at)).await;
    }

    /// The same instant on tokio's clock, for its time-outs.
    pub fn instant(&self, at: Offset) -> Instant {
        self.origin + Duration::from_nanos(at.as_nanos())
    }
}
