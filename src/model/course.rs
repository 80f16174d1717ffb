//! What was seen over time, in few enough pieces to be drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::millis;

/// What a probe or a load saw over time, in cells of one length from the start of the drill's
/// clock. A sample counts in the cell in which it was due, so that the sum of a cell is what was
/// offered, whether or not it could be sent.
///
/// Every list has one place for each cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Course {
    /// The length of a cell.
    #[serde(rename = "cell_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub cell: Duration,
    /// Good samples.
    pub good: Vec<u64>,
    /// Samples that were answered too late to have been answered when they were asked.
    pub stalled: Vec<u64>,
    /// Bad samples.
    pub bad: Vec<u64>,
    /// Samples that our side could not send, or whose end it did not see.
    pub unknown: Vec<u64>,
    /// Answers by datacenter; those that did not say are under `?`, and those that named
    /// something else under `other`.
    pub served: BTreeMap<String, Vec<u64>>,
    /// Median latency of good and stalled samples in microseconds, to 7 %; `null` where there were
    /// none.
    pub p50_us: Vec<Option<u64>>,
    /// Their 99th percentile, likewise.
    pub p99_us: Vec<Option<u64>>,
}

impl Course {
    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.good.len()
    }

    /// Whether nothing was due.
    pub fn is_empty(&self) -> bool {
        self.good.is_empty()
    }
}
