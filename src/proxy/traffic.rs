//! What passed through a gate in all its life, for whoever draws it over time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::toxic::Stream;

/// What passed since a gate was made. Numbers only grow, but for the open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From clients to the target.
    pub upstream: Passed,
    /// From the target to clients.
    pub downstream: Passed,
    /// Connections that are open.
    pub open: u64,
    /// Connections that were ever accepted.
    pub opened: u64,
}

/// What went in and out of one direction, in bytes. They differ by what is under way, and by what was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Read.
    pub received: u64,
    /// Written.
    pub sent: u64,
}

/// The numbers as they are counted.
#[derive(Default)]
pub(super) struct Tally {
    upstream: Counted,
    downstream: Counted,
    opened: AtomicU64,
}

#[derive(Default)]
struct Counted {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Tally {
    pub fn received(&self, stream: Stream, bytes: usize) {
        self.of(stream).received.fetch_add(bytes as u64, Relaxed);
    }

    pub fn sent(&self, stream: Stream, bytes: usize) {
        self.of(stream).sent.fetch_add(bytes as u64, Relaxed);
    }

    pub fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub fn read(&self, open: u64) -> Traffic {
        let passed = |it: &Counted| Passed {
            received: it.received.load(Relaxed),
            sent: it.sent.load(Relaxed),
        };
        Traffic {
            upstream: passed(&self.upstream),
            downstream: passed(&self.downstream),
            open,
            opened: self.opened.load(Relaxed),
        }
    }

    fn of(&self, stream: Stream) -> &Counted {
        match stream {
            Stream::Upstream => &self.upstream,
            Stream::Downstream => &self.downstream,
        }
    }
}
