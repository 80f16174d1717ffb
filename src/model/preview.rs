//! What is known of a drill before it is run: its calls, what they need, what can be measured, and how long it takes.

use std::time::Duration;

use serde::Serialize;

use super::{Name, Promise, millis, optional_millis};

/// A call of the cut, and the one that undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutCall {
    /// What is called.
    pub call: String,
    /// What undoes it; `None` where nothing does, as for connections that it ends.
    pub undone_by: Option<String>,
}

/// What can be known of a drill from its plan alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ahead {
    /// What must be allowed and at hand, a sentence each.
    pub needs: Vec<String>,
    /// One for each promise of the plan.
    pub promises: Vec<Measurable>,
    /// What is not judged, a sentence each.
    pub not_judged: Vec<String>,
    /// What is written into systems, read back and removed.
    pub ledgers: Vec<LedgerAhead>,
    /// How long it takes.
    pub length: DrillLength,
}

/// What a ledger will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerAhead {
    /// Whose ledger.
    pub service: Name,
    /// The probe.
    pub probe: Name,
    /// What writes a record.
    pub writes: String,
    /// How often.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// Where the records are read back from.
    pub reads: String,
    /// How long missing records are waited for.
    #[serde(rename = "settle_ms", with = "millis")]
    pub settle: Duration,
    /// Whether their place may be made where it is missing.
    pub creates: bool,
    /// What removes them at the end; `None`: they stay.
    pub removes: Option<String>,
}

/// How well a promise can be measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurable {
    /// Whose promise.
    pub service: Name,
    /// The probe that makes it for itself; `None` for a promise of the whole service.
    pub feature: Option<Name>,
    /// What is promised.
    pub promise: Promise,
    /// The budget; `None` for those that are counted.
    #[serde(rename = "budget_ms", with = "optional_millis")]
    pub budget: Option<Duration>,
    /// The probe that measures it most coarsely.
    pub probe: Name,
    /// Its period.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// Good answers in a row that prove a recovery; `None` where only the baseline can tell.
    pub k: Option<u64>,
    /// How far apart the bounds of a time will be, at least; `None` for those that are counted.
    #[serde(rename = "width_ms", with = "optional_millis")]
    pub width: Option<Duration>,
    /// Whether it can be kept at all: not where the bounds are wider than the budget.
    pub can_be_kept: bool,
    /// What that means, in a sentence.
    pub meaning: String,
}

/// How long a drill takes, from its first probe to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DrillLength {
    /// Nothing ever fails.
    #[serde(rename = "shortest_ms", with = "millis")]
    pub shortest: Duration,
    /// Every promise is only just kept.
    #[serde(rename = "typical_ms", with = "millis")]
    pub typical: Duration,
    /// All goes wrong that can, and every limit is used up.
    #[serde(rename = "longest_ms", with = "millis")]
    pub longest: Duration,
}
