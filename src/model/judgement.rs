//! What was measured and what it means: recovery times, promises, proof, verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bounds, CountBounds, Name, Offset, PathCounters, millis, optional_millis};

/// The marks that the stages put on the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Marks {
    /// Probing began.
    #[serde(rename = "started_ms")]
    pub started: Offset,
    /// The first call that cuts was about to be made.
    #[serde(rename = "cut_issued_ms")]
    pub cut_issued: Option<Offset>,
    /// Every control had said that it is cut.
    #[serde(rename = "cut_confirmed_ms")]
    pub cut_confirmed: Option<Offset>,
    /// The first call that restores was about to be made.
    #[serde(rename = "restore_issued_ms")]
    pub restore_issued: Option<Offset>,
    /// Every control had been read back as it was before.
    #[serde(rename = "restore_confirmed_ms")]
    pub restore_confirmed: Option<Offset>,
    /// Probing ended.
    #[serde(rename = "ended_ms")]
    pub ended: Option<Offset>,
}

impl Marks {
    /// The stage in which something sent at `at` was sent.
    pub fn stage(&self, at: Offset) -> Stage {
        let passed = |mark: Option<Offset>| mark.is_some_and(|mark| at >= mark);
        if passed(self.restore_confirmed) {
            Stage::Failback
        } else if passed(self.restore_issued) {
            Stage::Restore
        } else if passed(self.cut_confirmed) {
            Stage::Observe
        } else if passed(self.cut_issued) {
            Stage::Cut
        } else {
            Stage::Baseline
        }
    }
}

/// The stages of a drill, in order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Controls are read and the way back is proven.
    Preflight,
    /// The service is watched as it is.
    Baseline,
    /// The calls that cut are under way.
    Cut,
    /// The cut holds; the failover is watched.
    Observe,
    /// All is decided; the cut is kept a while.
    Hold,
    /// The calls that restore are under way.
    Restore,
    /// Traffic is back; the service is watched until it is as before.
    Failback,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Preflight => "preflight",
            Stage::Baseline => "baseline",
            Stage::Cut => "cut",
            Stage::Observe => "observe",
            Stage::Hold => "hold",
            Stage::Restore => "restore",
            Stage::Failback => "failback",
        })
    }
}

/// A span in which a probe was bad, with bounds at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// It began after this: the last good sample before it was sent then.
    #[serde(rename = "began_after_ms")]
    pub began_after: Offset,
    /// It had begun by then: its first bad or stalled sample was sent.
    #[serde(rename = "began_by_ms")]
    pub began_by: Offset,
    /// It ended after this: its last bad or stalled sample was sent.
    #[serde(rename = "ended_after_ms")]
    pub ended_after: Offset,
    /// It had ended by then; `None` if no end was seen.
    #[serde(rename = "ended_by_ms")]
    pub ended_by: Option<Offset>,
    /// Bad and stalled samples in it.
    pub samples: u64,
}

/// How long users were without a service after the cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// The recovery time.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// No sample was bad or stalled: the bounds say what cannot be excluded.
    pub seamless: bool,
    /// How often it was bad again within the stability period.
    pub relapses: u32,
    /// Where the time went; `None` while recovery was not seen.
    pub split: Option<Split>,
}

/// Where a recovery time went. The parts sum to the high bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Split {
    /// From the cut to the first bad or stalled sample.
    #[serde(rename = "until_first_bad_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub until_first_bad: Duration,
    /// From there to the first answer of another datacenter.
    #[serde(rename = "until_other_datacenter_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub until_other_datacenter: Duration,
    /// From there to the answer that began the stable stretch.
    #[serde(rename = "until_stable_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub until_stable: Duration,
}

impl Split {
    /// The whole that the parts make up.
    pub fn whole(&self) -> Duration {
        self.until_first_bad + self.until_other_datacenter + self.until_stable
    }
}

/// What the plan demanded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// `recover_within`.
    RecoverWithin,
    /// `failback_within`.
    FailbackWithin,
    /// `sustain`.
    Sustain,
    /// `good_while_cut`.
    GoodWhileCut,
    /// `p99_while_cut`.
    P99WhileCut,
    /// `lose_at_most`.
    LoseAtMost,
    /// `duplicate_at_most`.
    DuplicateAtMost,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Promise::RecoverWithin => "recover_within",
            Promise::FailbackWithin => "failback_within",
            Promise::Sustain => "sustain",
            Promise::GoodWhileCut => "good_while_cut",
            Promise::P99WhileCut => "p99_while_cut",
            Promise::LoseAtMost => "lose_at_most",
            Promise::DuplicateAtMost => "duplicate_at_most",
        })
    }
}

/// A promise, what was measured of it, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromiseResult {
    /// Which one.
    pub promise: Promise,
    /// The probe that made it for itself; `None` for a promise of the whole service.
    #[serde(default)]
    pub feature: Option<Name>,
    /// The budget; `None` for `sustain` and `good_while_cut`, which have none.
    #[serde(rename = "budget_ms", with = "optional_millis")]
    #[schemars(with = "Option<f64>")]
    pub budget: Option<Duration>,
    /// What was measured; `None` is "not measured", and for `sustain` and `good_while_cut`, which are counted.
    pub measured: Option<Bounds>,
    /// Bad samples that count against `sustain`; `None` for the others.
    pub bad: Option<u64>,
    /// What `good_while_cut` was judged by; `None` for the others.
    #[serde(default)]
    pub held: Option<HeldShare>,
    /// The share that `good_while_cut` demands; `None` for the others.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// What `lose_at_most` and `duplicate_at_most` were judged by, in records; `None` for the others, and where nothing was
    /// read back.
    #[serde(default)]
    pub counted: Option<CountBounds>,
    /// How many records `lose_at_most` or `duplicate_at_most` allow; `None` for the others, and for a budget in time.
    #[serde(default)]
    pub at_most: Option<u64>,
    /// The probe that decided it: the slowest.
    pub probe: Option<Name>,
    /// Whether it was kept.
    pub judgement: Judgement,
    /// Why, in a sentence.
    pub why: String,
}

impl PromiseResult {
    /// A judgement of a service's promise, with nothing measured yet.
    pub fn new(promise: Promise, judgement: Judgement, why: String) -> PromiseResult {
        PromiseResult {
            promise,
            feature: None,
            budget: None,
            measured: None,
            bad: None,
            held: None,
            at_least: None,
            counted: None,
            at_most: None,
            probe: None,
            judgement,
            why,
        }
    }
}

/// The samples sent while cut, once the time to recover was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct HeldShare {
    /// Good ones.
    pub good: u64,
    /// Bad ones.
    pub bad: u64,
    /// Those that could not be asked: they count as bad for a pass, and as good for a fail.
    pub unknown: u64,
}

impl HeldShare {
    /// Fewer samples than this prove no share.
    pub const FEWEST: u32 = 20;

    /// The good ones among all, with the unknown ones taken as bad.
    pub fn certain(&self) -> Share {
        Share { part: self.good, whole: self.good + self.bad + self.unknown }
    }

    /// The good ones among all, with the unknown ones taken as good.
    pub fn possible(&self) -> Share {
        Share { part: self.good + self.unknown, ..self.certain() }
    }
}

/// What users lost between the cut and the end of the drill, by one probe: that of the feature that lost most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Which probe.
    pub probe: Name,
    /// For how long it was bad in sum: each bad sample stands for one period. `high` has those that stalled or
    /// could not be asked too.
    #[serde(flatten)]
    pub bad: Bounds,
    /// That time in minutes, for each of the service's users.
    pub user_minutes: Option<UserMinutes>,
}

/// Minutes of all users together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserMinutes {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// Whether a promise was kept.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Kept, whatever lies within the bounds.
    Kept,
    /// Not proven either way.
    Undecided,
    /// Broken, whatever lies within the bounds.
    Broken,
}

/// The proof that the cut was real, or what is missing from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Proof {
    /// What the controls said.
    pub controls: Vec<ControlProof>,
    /// What users' samples said, per service that tells who served.
    pub services: Vec<ServiceProof>,
    /// Why the cut is not proven; empty if it is.
    pub missing: Vec<Why>,
}

impl Proof {
    /// Whether nothing is missing.
    pub fn holds(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What a control said about the cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlProof {
    /// The control.
    pub control: Name,
    /// Times that it was read while it had to be cut.
    pub reads: u64,
    /// Times that it said it is cut.
    pub reads_cut: u64,
    /// What passed meanwhile, where the control counts.
    pub path: Option<PathCounters>,
}

/// What samples said about the cut datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceProof {
    /// The service.
    pub service: Name,
    /// Answers before the cut, and how many of them came from the datacenter to be cut.
    pub before: Share,
    /// Answers to requests sent while the cut was confirmed.
    pub during: Share,
    /// When such answers of the cut datacenter were asked for; the first few.
    #[serde(rename = "examples_ms")]
    pub examples: Vec<Offset>,
}

/// A count among a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Share {
    /// Those that count.
    pub part: u64,
    /// All.
    pub whole: u64,
}

impl Share {
    /// The share, 0 to 1; `None` of nothing.
    pub fn value(&self) -> Option<f64> {
        (self.whole > 0).then(|| self.part as f64 / self.whole as f64)
    }
}

/// A reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// A stable word for programs: `leak`, `observer-blind`, `promise-broken`.
    pub code: String,
    /// A sentence for people.
    pub text: String,
}

impl Why {
    /// A reason with its code and sentence.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Why { code: code.to_owned(), text: text.into() }
    }
}

/// The end of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Every promise was kept, and that is proven.
    #[serde(rename = "PASS")]
    Pass,
    /// A promise was broken.
    #[serde(rename = "FAIL")]
    Fail,
    /// Not proven either way.
    #[serde(rename = "INCONCLUSIVE")]
    Inconclusive,
    /// Stopped before its end.
    #[serde(rename = "STOPPED")]
    Stopped,
    /// Nothing was cut.
    #[serde(rename = "NOT STARTED")]
    NotStarted,
    /// Traffic may still be cut.
    #[serde(rename = "NOT RESTORED")]
    NotRestored,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::Stopped => "STOPPED",
            Verdict::NotStarted => "NOT STARTED",
            Verdict::NotRestored => "NOT RESTORED",
        })
    }
}

/// What one probe saw, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct ProbeCounts {
    /// Samples due, sent or not.
    pub due: u64,
    /// Samples sent.
    pub sent: u64,
    /// Good ones.
    pub good: u64,
    /// Bad ones.
    pub bad: u64,
    /// Good ones that took far longer than any at baseline.
    pub stalled: u64,
    /// Those of which nothing is known, sent or not.
    pub unknown: u64,
    /// Those sent more than [`ProbeCounts::LATE`] after they were due.
    pub late: u64,
    /// The latest of them.
    #[serde(rename = "late_by_at_most_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub late_by_at_most: Duration,
    /// Bad ones by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Unknown ones by cause.
    pub blindness: BTreeMap<String, u64>,
}

impl ProbeCounts {
    /// A sample sent later than this after it was due is counted as late.
    pub const LATE: Duration = Duration::from_millis(10);
}

/// Latency of good samples, from sent to done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// The median.
    #[serde(rename = "p50_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub p50: Duration,
    /// 99 of 100 were this fast.
    #[serde(rename = "p99_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub p99: Duration,
    /// The slowest.
    #[serde(rename = "max_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub max: Duration,
}
