//! Past runs, in short: what history, comparison and gate are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Bounds, CountBounds, Judgement, Mode, Name, Promise, Sealed, UserMinutes, Verdict, Why,
    optional_millis,
};

/// A past run in a few hundred bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's id.
    pub run: String,
    /// When probing began, by the wall clock.
    pub started_at: Timestamp,
    /// When it ended; that of one that was refused, or did not come to its end, is when it began.
    pub ended_at: Timestamp,
    /// The plan's name.
    pub plan: Name,
    /// The file that it was read from.
    pub file: String,
    /// The SHA-256 of what was run; `None` in records of older versions.
    pub hash: Option<String>,
    /// The values given by `--var` that the plan asked for.
    pub vars: BTreeMap<String, String>,
    /// The values of the environment that chose what was drilled, sealed; `None`: it asks for none, or they were not
    /// kept.
    pub env: Option<Sealed>,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether the plan's calendar refused it, so that nothing was asked of the system.
    pub kept_off: bool,
    /// Whether it was the lab that was drilled.
    pub lab: bool,
    /// What was cut, in words.
    pub cut: String,
    /// How it was cut.
    pub mode: Mode,
    /// The slowest service; `None` where none was looked at.
    pub slowest: Option<Slowest>,
    /// The services whose recovery was measured.
    pub measured: Vec<Name>,
    /// What its record says against its verdict, in a sentence: a record that contradicts itself proves nothing.
    pub contradiction: Option<String>,
}

/// The slowest service of a drill, which is as good as that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slowest {
    /// Its name.
    pub service: Name,
    /// Its recovery time; `None`: not measured.
    pub recovery: Option<Bounds>,
}

impl Summary {
    /// The recovery time of the drill: that of its slowest service.
    pub fn recovery(&self) -> Option<Bounds> {
        self.slowest.as_ref().and_then(|slowest| slowest.recovery)
    }

    /// Whether it passed, and nothing in its record says otherwise.
    pub fn has_passed(&self) -> bool {
        self.verdict == Verdict::Pass && self.contradiction.is_none()
    }

    /// Whether the recovery times of the two can be held against each other: the same plan by its name, the same cut
    /// in the same way, both in the lab or neither, and the same system as far as the environment chose it.
    pub fn is_like(&self, other: &Summary) -> bool {
        (&self.plan, self.lab, &self.cut) == (&other.plan, other.lab, &other.cut)
            && (self.mode, &self.env) == (other.mode, &other.env)
    }
}

/// A run of which there is no record, or none that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostRun {
    /// The run's id, by its directory.
    pub run: String,
    /// The plan's name, if the journal tells.
    pub plan: Option<Name>,
    /// When it began, if the journal tells.
    pub at: Option<Timestamp>,
    /// Whether it goes on now: its record is still to come.
    pub under_way: bool,
    /// What is wrong, in a sentence.
    pub why: String,
}

/// What became of a time from one run to another. Bounds that overlap show no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is longer, whatever lies within the bounds. Of user-minutes: more.
    Slower,
    /// It is shorter, whatever lies within the bounds. Of user-minutes: fewer.
    Faster,
    /// The bounds overlap.
    NoDifferenceShown,
    /// It was not measured before.
    NotMeasuredBefore,
    /// It is not measured any more.
    NotMeasuredNow,
    /// It was measured in neither.
    NeverMeasured,
}

/// The past runs, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// The runs that were asked for.
    pub runs: Vec<Summary>,
    /// How many earlier ones there are.
    pub earlier: usize,
    /// For each of their plans, in the order of `runs`.
    pub trends: Vec<Trend>,
    /// Runs that are left out.
    pub left_out: Vec<LostRun>,
}

/// The recovery times of the runs of a plan that are like its latest one; see [`Summary::is_like`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    /// The plan.
    pub plan: Name,
    /// Whether it is a lab that is drilled.
    pub lab: bool,
    /// What is cut, in words.
    pub cut: String,
    /// How it is cut.
    pub mode: Mode,
    /// The latest runs, the oldest first.
    pub points: Vec<Point>,
    /// How many of all such runs passed with a recovery that was measured.
    pub passed: usize,
    /// Of those, three of four had a high bound of at most this; `None` where they are too few.
    #[serde(rename = "p75_ms", with = "optional_millis")]
    pub p75: Option<Duration>,
    /// The latest run beside the one before it; `None` where there is none.
    pub change: Option<Change>,
}

/// A run on a trend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Its recovery time; `None`: not measured.
    pub recovery: Option<Bounds>,
}

/// Two runs, side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The one that was named first.
    pub before: Summary,
    /// The other one.
    pub after: Summary,
    /// Whether they ran the same plan.
    pub plan: PlanChange,
    /// What keeps them from being comparable, a sentence each.
    pub notes: Vec<String>,
    /// Recovery and failback, by service and probe.
    pub times: Vec<ComparedTime>,
    /// The promises of services and features.
    pub promises: Vec<ComparedPromise>,
    /// What users lost.
    pub user_minutes: Vec<ComparedMinutes>,
    /// What the stores of the ledgers lost.
    pub losses: Vec<ComparedLoss>,
}

/// What became of a plan from one run to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanChange {
    /// Text and values are the same.
    Same,
    /// The values given by `--var` differ.
    OtherVars,
    /// Its text was edited.
    Edited,
    /// It has another name.
    Another,
    /// A record of an older version does not tell.
    Unknown,
}

/// Which time of a service or probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timed {
    /// From the cut on.
    Recovery,
    /// From the restore on.
    Failback,
}

/// A time in two runs; `None`: not measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedTime {
    /// The service.
    pub service: Name,
    /// The probe; `None`: the service as a whole.
    pub probe: Option<Name>,
    /// Which time.
    pub what: Timed,
    /// In the first run.
    pub before: Option<Bounds>,
    /// In the second run.
    pub after: Option<Bounds>,
    /// What became of it.
    pub change: Change,
}

/// A promise in two runs; `None`: it was not made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedPromise {
    /// The service.
    pub service: Name,
    /// The probe that made it for itself.
    pub feature: Option<Name>,
    /// Which one.
    pub promise: Promise,
    /// In the first run.
    pub before: Option<Kept>,
    /// In the second run.
    pub after: Option<Kept>,
    /// What became of the time that it bounds; `None` where it bounds none.
    pub change: Option<Change>,
}

/// Whether a promise was kept, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kept {
    /// Whether it was kept.
    pub judgement: Judgement,
    /// What it allowed; `None`: no time.
    #[serde(rename = "budget_ms", with = "optional_millis")]
    pub budget: Option<Duration>,
    /// What was measured; `None`: not measured, or counted.
    pub measured: Option<Bounds>,
}

/// What the users of a service lost in two runs; `None`: not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedMinutes {
    /// The service.
    pub service: Name,
    /// In the first run.
    pub before: Option<UserMinutes>,
    /// In the second run.
    pub after: Option<UserMinutes>,
    /// What became of it.
    pub change: Change,
}

/// The acknowledged writes that a ledger lost in two runs; `None`: there was no such ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedLoss {
    /// The service.
    pub service: Name,
    /// The ledger.
    pub probe: Name,
    /// In the first run.
    pub before: Option<CountBounds>,
    /// In the second run.
    pub after: Option<CountBounds>,
    /// What became of it: `slower` is more, `faster` is fewer.
    pub change: Change,
}

/// A gate's decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// Whether it is open.
    pub open: bool,
    /// Why it is closed whatever the plans are; empty if nothing says so.
    pub objections: Vec<Why>,
    /// The plans that were asked for.
    pub plans: Vec<GatedPlan>,
    /// The services of these plans that no passed drill has measured.
    pub unproven: Vec<UnprovenService>,
    /// Whether such a service closes the gate.
    pub all_required: bool,
}

/// What a gate says of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatedPlan {
    /// The plan's name.
    pub plan: Name,
    /// The file that it is in now; `?`: none is known.
    pub file: String,
    /// Its last drill; `None`: there was none.
    pub last: Option<Summary>,
    /// Why it closes the gate; empty if it does not.
    pub objections: Vec<Why>,
    /// What else should be known, a sentence each.
    pub notes: Vec<String>,
}

/// A service that no passed drill has measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnprovenService {
    /// Its name.
    pub service: Name,
    /// The first of the plans that has it.
    pub plan: Name,
    /// When a drill that measured it passed last: too long ago to count. `None`: never.
    pub last_passed: Option<Timestamp>,
}
