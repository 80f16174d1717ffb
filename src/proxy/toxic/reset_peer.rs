//! The connection is reset once it is used. What came before that is held, so that nothing is lost if the toxic goes first.

use std::time::Duration;

use tokio::time::Instant;

use super::super::delay::later;
use super::{Ending, Fate, Kind, Treat};

pub(super) struct ResetPeer {
    pub after: Duration,
    /// When data, or its end, came first.
    pub armed: Option<Instant>,
}

impl Treat for ResetPeer {
    fn take(&mut self, now: Instant, _: usize) -> Fate {
        self.armed.get_or_insert(now);
        Fate::Held
    }

    fn again(&mut self, _: Instant, _: Instant, _: usize) -> Option<Instant> {
        None
    }

    fn end(&mut self, _: Instant, came: Instant) -> Option<Instant> {
        self.armed.get_or_insert(came);
        None
    }

    fn deadline(&self) -> Option<(Instant, Ending)> {
        self.armed.map(|armed| (later(armed, self.after), Ending::Reset))
    }

    fn change(&mut self, kind: &Kind, _: Instant) {
        if let Kind::ResetPeer { after } = *kind {
            self.after = after;
        }
    }
}
