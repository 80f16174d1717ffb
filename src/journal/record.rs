//! What is written down, and how a line of it looks.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{ControlSpec, ControlState, CutOrder, Name, Verdict, millis};

/// The version of the format that this code writes.
pub const FORMAT: u32 = 3;

/// What is written down, in the order of a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A run began.
    Opened(Opened),
    /// The state of a control before any change, and how to reach it.
    Snapshot {
        /// Its settings.
        control: ControlSpec,
        /// Its state.
        before: ControlState,
        /// What the parts that the cut may change will say once it is in force.
        cut: ControlState,
    },
    /// It is about to be cut.
    CutIntended {
        /// Which one.
        control: Name,
    },
    /// It was read back as cut.
    CutConfirmed {
        /// Which one.
        control: Name,
    },
    /// It is about to be restored.
    RestoreIntended {
        /// Which one.
        control: Name,
        /// By whom.
        by: Hand,
    },
    /// It was read back as it was.
    RestoreConfirmed {
        /// Which one.
        control: Name,
        /// By whom.
        by: Hand,
    },
    /// The run ended.
    Closed {
        /// How.
        verdict: Verdict,
    },
}

/// The first record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of firedrill.
    pub firedrill: String,
    /// The run's id.
    pub run: String,
    /// The machine that it ran on: sockets and loopback addresses mean something only there.
    pub host: String,
    /// The drill's process there.
    pub pid: u32,
    /// When it began, by the wall clock.
    pub at: Timestamp,
    /// The plan's name.
    pub plan: Name,
    /// The datacenters; ids are indices into them.
    pub datacenters: Vec<Name>,
    /// What is to be cut.
    pub order: CutOrder,
    /// The controls that it is to be cut through: each has its snapshot before the first intent.
    pub through: Vec<Name>,
    /// The longest that traffic may stay cut.
    #[serde(rename = "at_most_ms", with = "millis")]
    pub at_most: Duration,
}

/// Who puts traffic back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// The drill itself.
    Drill,
    /// The watchdog, in the place of a drill that died or hung.
    Watchdog,
    /// Somebody who called `firedrill restore`.
    Person,
}

/// The line of `record`: a checksum, the record, the end of the line.
///
/// # Errors
/// When the record cannot be written as JSON.
pub fn line(record: &Record) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(record)?;
    Ok(format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())))
}

/// The record of a line without its end; `None` when it is not what was written.
pub(super) fn parse(line: &str) -> Option<Result<Record, NotOurs>> {
    let (sum, text) = line.split_once(' ')?;
    let sum = (sum.len() == 8).then(|| u32::from_str_radix(sum, 16).ok())??;
    if sum != crc32fast::hash(text.as_bytes()) {
        return None;
    }
    Some(serde_json::from_str(text).map_err(|_| NotOurs { format: format_of(text) }))
}

/// A line that was written with care, and not in a form that this code knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOurs {
    /// The format that it states.
    pub format: Option<u64>,
}

fn format_of(text: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.pointer("/opened/format")?.as_u64()
}
