//! Labs that misbehave: for tests of the verdict, which must see through them.

use std::ops::Range;

use crate::model::{DatacenterId, Offset};

/// What is wrong with a lab. By default, nothing.
#[derive(Debug, Clone, Default)]
pub struct LabFaults {
    /// Requests that reach a datacenter around its gate.
    pub leak: Option<Leak>,
    /// Replicas that answer 500 to everything, health checks too.
    pub broken: Option<Broken>,
}

/// A side door: a forgotten route that no traffic control knows of.
#[derive(Debug, Clone, Copy)]
pub struct Leak {
    /// Where it leads.
    pub datacenter: DatacenterId,
    /// Every how manieth request of a service takes it, from 1.
    pub every: u64,
}

/// A failure that has nothing to do with the cut.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Where the replicas are broken.
    pub datacenters: Vec<DatacenterId>,
    /// When, on the lab's clock.
    pub during: Range<Offset>,
}

impl LabFaults {
    /// Whether a replica in `datacenter` is broken at `now`.
    pub(super) fn is_broken(&self, datacenter: DatacenterId, now: Offset) -> bool {
        self.broken.as_ref().is_some_and(|broken| {
            broken.datacenters.contains(&datacenter) && broken.during.contains(&now)
        })
    }

    /// Where request number `nth` of a service, from 1, goes by the side door.
    pub(super) fn leaks(&self, nth: u64) -> Option<DatacenterId> {
        self.leak.filter(|leak| nth.is_multiple_of(leak.every.max(1))).map(|leak| leak.datacenter)
    }
}
