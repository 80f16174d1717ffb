//! The run record: everything a drill saw and decided. Every report is drawn from it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cohort, ControlCall, ControlState, Course, CutOrder, Environment, GuardrailRecord, Impact,
    LabTruth, Latency, LedgerRecord, Marks, Name, NotificationRecord, Outage, PlacementRecord,
    ProbeCounts, PromiseResult, Proof, Provider, Recovery, SamplesRecord, Sealed, Stage, Verdict,
    Why, millis, printable,
};

/// Everything a drill saw and decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// The version of this format: [`RunRecord::FORMAT`].
    pub format: u32,
    /// The version of firedrill that wrote it.
    pub firedrill: String,
    /// The run's id, which also names its directory in the state directory.
    pub run: String,
    /// When probing began, by the wall clock.
    pub started_at: Timestamp,
    /// What was drilled.
    pub plan: PlanSummary,
    /// The end of it.
    pub verdict: Verdict,
    /// Why, the weightiest first.
    pub reasons: Vec<Why>,
    /// The stages on the time line.
    pub marks: Marks,
    /// The services, the slowest to recover first.
    pub services: Vec<ServiceRecord>,
    /// The proof of the cut.
    pub proof: Proof,
    /// The controls and what became of them.
    pub controls: Vec<ControlRecord>,
    /// Every call that was made at a control, in order.
    pub calls: Vec<ControlCall>,
    /// What the guardrails and the kill switch saw. Records of older versions have none.
    #[serde(default)]
    pub guardrails: Vec<GuardrailRecord>,
    /// What was expected to be lost, and whether it was. Records of older versions have nothing in it.
    #[serde(default)]
    pub placement: PlacementRecord,
    /// What the loads offered, and what came back. Records of older versions have none.
    #[serde(default)]
    pub loads: Vec<LoadRecord>,
    /// What the lab knows to be true, if it was drilled.
    pub lab: Option<LabTruth>,
    /// The machine that the drill ran on. Records of older versions do not say.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// What became of the samples. Records of older versions have none, nor has one of a drill that did not begin.
    #[serde(default)]
    pub samples: Option<SamplesRecord>,
    /// Who was told of the drill, and what became of each message. Records of older versions have none.
    #[serde(default)]
    pub notifications: Vec<NotificationRecord>,
}

impl RunRecord {
    /// The version of the format that this code writes.
    pub const FORMAT: u32 = 1;

    /// Reads a record, as it was kept or written as JSON.
    ///
    /// # Errors
    /// When it is of another format, or none at all.
    pub fn read(bytes: &[u8]) -> Result<RunRecord, NotARecord> {
        #[derive(Deserialize)]
        struct Formed {
            format: u64,
        }
        // The format first: of another one the rest may be anything.
        let formed: Formed = serde_json::from_slice(bytes).map_err(NotARecord::Damaged)?;
        if formed.format != u64::from(RunRecord::FORMAT) {
            return Err(NotARecord::OtherFormat(formed.format));
        }
        serde_json::from_slice(bytes).map_err(NotARecord::Damaged)
    }
}

/// Why something is no run record that can be read.
#[derive(Debug)]
pub enum NotARecord {
    /// It is none, or was changed since it was written.
    Damaged(serde_json::Error),
    /// It has this format, which is not [`RunRecord::FORMAT`].
    OtherFormat(u64),
}

impl fmt::Display for NotARecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotARecord::Damaged(error) => {
                write!(
                    f,
                    "it is no run record, or a damaged one: {}",
                    printable(&error.to_string())
                )
            }
            NotARecord::OtherFormat(format) => write!(
                f,
                "it has the format {format}, and this firedrill reads {}; use the firedrill that wrote it",
                RunRecord::FORMAT
            ),
        }
    }
}

impl std::error::Error for NotARecord {}

/// The parts of the plan that a reader of a report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanSummary {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub about: Option<String>,
    /// The file it was read from.
    pub file: String,
    /// The SHA-256 of `text` and `vars`: the same plan if it is the same. Records of older versions have none.
    #[serde(default)]
    pub hash: Option<String>,
    /// The plan as it was run. `${env:NAME}` stands in it as written: no secret is in it. Records of older versions
    /// have none, and of a text longer than [`super::PlanFile::LONGEST`] there is only the hash.
    #[serde(default)]
    pub text: Option<String>,
    /// The values given by `--var` that it asks for. Records of older versions have none.
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    /// The values of `${env:NAME}` that choose what is drilled, sealed. `None`: it asks for none, or there was no key to
    /// seal them with. Records of older versions have none.
    #[serde(default)]
    pub env: Option<Sealed>,
    /// Whether it is a lab that is drilled: the plan has one. `false` in records of older versions.
    #[serde(default)]
    pub lab: bool,
    /// The datacenters; ids are indices into them.
    pub datacenters: Vec<Name>,
    /// What was to be cut, and how.
    pub cut: CutOrder,
    /// The controls that it was to be cut through.
    pub through: Vec<Name>,
    /// How long a service had to be good to count as recovered.
    #[serde(rename = "stable_for_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub stable_for: Duration,
    /// The longest that traffic could stay cut.
    #[serde(rename = "at_most_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub at_most: Duration,
}

impl PlanSummary {
    /// What was to be cut, in words.
    pub fn lost(&self) -> String {
        self.cut.words(&self.datacenters)
    }
}

/// A service in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRecord {
    /// Its name.
    pub name: Name,
    /// How many people use it.
    pub users: Option<u64>,
    /// Its recovery: that of its slowest required probe. `None`: not measured.
    pub recovery: Option<Recovery>,
    /// Its failback: that of its slowest required probe. `None`: not measured.
    pub failback: Option<Recovery>,
    /// What it promised, and whether it kept it.
    pub promises: Vec<PromiseResult>,
    /// What its users lost. Records of older versions have none.
    #[serde(default)]
    pub impact: Option<Impact>,
    /// What its probes saw.
    pub probes: Vec<ProbeRecord>,
}

/// A probe in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeRecord {
    /// Its name.
    pub name: Name,
    /// What it asks, with placeholders for secrets and the lab's addresses. Records of older versions do not say.
    #[serde(default)]
    pub asks: String,
    /// Whether the service's recovery time waits for it.
    pub required: bool,
    /// Whether it may go on being served from elsewhere after the restore. In records of older versions it may not.
    #[serde(default)]
    pub may_stay: bool,
    /// Its period.
    #[serde(rename = "every_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub every: Duration,
    /// Whether its connections are kept.
    pub keep_alive: bool,
    /// Which clients it stands for, where that is not those that look every name up anew by the system's resolver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<Cohort>,
    /// All its samples, counted.
    pub counts: ProbeCounts,
    /// Latency of good samples by the stage in which they were sent.
    pub latency: BTreeMap<Stage, Latency>,
    /// Answers by stage and datacenter; those that did not say are under `?`, and those that named
    /// something else under `other`.
    pub served: BTreeMap<Stage, BTreeMap<String, u64>>,
    /// The first outages.
    pub outages: Vec<Outage>,
    /// All outages, counted.
    pub outage_count: u64,
    /// Its recovery time; `None`: not measured.
    pub recovery: Option<Recovery>,
    /// Its failback time; `None`: not measured.
    pub failback: Option<Recovery>,
    /// What became of its records, if it is a ledger. Records of older versions have none.
    #[serde(default)]
    pub ledger: Option<LedgerRecord>,
    /// What it saw over time. Records of older versions have nothing in it.
    #[serde(default)]
    pub course: Course,
}

/// A load in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRecord {
    /// Its name.
    pub name: Name,
    /// Requests a second at its top.
    #[serde(rename = "rate_per_second")]
    pub rate: f64,
    /// All its requests, counted.
    pub counts: ProbeCounts,
    /// Latency of good answers by the stage in which they were asked for.
    pub latency: BTreeMap<Stage, Latency>,
    /// What it saw over time. Records of older versions have nothing in it.
    #[serde(default)]
    pub course: Course,
}

/// A control in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlRecord {
    /// Its name.
    pub name: Name,
    /// Its provider and settings.
    pub provider: Provider,
    /// Its state before the drill.
    pub before: Option<ControlState>,
    /// Its state read back after the cut.
    pub cut: Option<ControlState>,
    /// Its state read back after the restore.
    pub after: Option<ControlState>,
    /// Whether traffic is as it was.
    pub restored: Restored,
    /// If not: what a person would do to put it back, a command or a sentence each.
    #[serde(default)]
    pub by_hand: Vec<String>,
}

/// What became of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restored {
    /// It was never changed.
    Untouched,
    /// Read back, and as it was.
    Yes,
    /// Not known to be as it was.
    No,
}
