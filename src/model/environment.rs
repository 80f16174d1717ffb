//! The machine that a drill ran on, for whoever asks later why two drills differ.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ProbeCounts, RunRecord, millis};

/// The machine that a drill ran on, and how well it kept time. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub host: String,
    /// Its operating system, by its own words.
    pub os: Option<String>,
    /// Its kernel, with version and processor.
    pub kernel: String,
    /// Processor cores that firedrill may use.
    pub cores: Option<u64>,
    /// All its memory.
    pub memory_bytes: Option<u64>,
    /// Files and connections that firedrill may have open at once; `None` is unlimited.
    pub open_files: Option<u64>,
    /// Its time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// The commit that this firedrill was built from.
    pub commit: Option<String>,
    /// How late requests left this machine.
    pub timer: Timer,
}

/// How late a drill's own timer was: requests of all probes and loads, by when they were due and when they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Timer {
    /// Requests sent.
    pub sent: u64,
    /// Those sent more than 10 ms after they were due.
    pub late: u64,
    /// The latest of them.
    #[serde(rename = "late_by_at_most_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub late_by_at_most: Duration,
}

impl Timer {
    /// The timer of the drill that `record` is of.
    pub fn of(record: &RunRecord) -> Timer {
        let probes = record.services.iter().flat_map(|service| &service.probes);
        let all = probes.map(|probe| &probe.counts).chain(record.loads.iter().map(|it| &it.counts));
        all.fold(Timer::default(), |timer, counts: &ProbeCounts| Timer {
            sent: timer.sent + counts.sent,
            late: timer.late + counts.late,
            late_by_at_most: timer.late_by_at_most.max(counts.late_by_at_most),
        })
    }
}
