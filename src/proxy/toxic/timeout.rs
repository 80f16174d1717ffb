//! Data is lost, and the connection closes after a while or never.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::later;
use super::{Ending, Fate, Kind, Treat};

pub(super) struct Timeout {
    due: Option<Instant>,
}

impl Timeout {
    pub fn new(after: Option<Duration>, now: Instant) -> Timeout {
        Timeout { due: after.map(|after| later(now, after)) }
    }
}

impl Treat for Timeout {
    fn take(&mut self, _: Instant, _: usize) -> Fate {
        Fate::Lost
    }

    fn deadline(&self) -> Option<(Instant, Ending)> {
        self.due.map(|due| (due, Ending::Close))
    }

    /// The time runs anew.
    fn change(&mut self, kind: &Kind, now: Instant) {
        if let Kind::Timeout { after } = *kind {
            *self = Timeout::new(after, now);
        }
    }

    fn is_final(&self) -> bool {
        true
    }
}
