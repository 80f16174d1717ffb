//! The connection closes when so much has passed.

use tokio::time::Instant;

use super::{Fate, Kind, Treat};

pub(super) struct LimitData {
    pub limit: u64,
    pub passed: u64,
}

impl Treat for LimitData {
    fn take(&mut self, now: Instant, bytes: usize) -> Fate {
        let left = self.limit.saturating_sub(self.passed);
        self.passed = self.passed.saturating_add(bytes as u64);
        match usize::try_from(left) {
            Ok(left) if left <= bytes => Fate::Last(left),
            _ => Fate::At(now),
        }
    }

    /// What passed before counts.
    fn change(&mut self, kind: &Kind, _: Instant) {
        if let Kind::LimitData { bytes } = *kind {
            self.limit = bytes;
        }
    }
}
