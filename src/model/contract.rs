//! The contract of traffic controls: its rules, and what came of them where they were put to the test.

use std::fmt;

use serde::Serialize;

use super::{ControlCall, ModeKind, Name, Offset, Verdict, Why};

/// What every traffic control keeps, in the order in which it is put to the test: nothing is cut before the way back was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Reading changes nothing.
    ReadsAlike,
    /// Preflight says that a cut and its way back can work, and there is something to cut.
    Ready,
    /// Somebody serves on.
    Survivors,
    /// Restoring what was never cut changes nothing.
    RestoreUncut,
    /// A cut is accepted, and comes into effect.
    Cut,
    /// What is cut reads as foretold, and nothing else has changed.
    ReadsCut,
    /// Cutting what is cut changes nothing.
    CutAgain,
    /// A restore is accepted, and comes into effect, by a control that knows nothing but its settings.
    Restore,
    /// All of it reads as before the cut.
    ReadsBefore,
    /// Restoring what is restored changes nothing.
    RestoreAgain,
}

impl Rule {
    /// Every one, in order.
    pub const ALL: [Rule; 10] = [
        Rule::ReadsAlike,
        Rule::Ready,
        Rule::Survivors,
        Rule::RestoreUncut,
        Rule::Cut,
        Rule::ReadsCut,
        Rule::CutAgain,
        Rule::Restore,
        Rule::ReadsBefore,
        Rule::RestoreAgain,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::ReadsAlike => "read twice, it says the same",
            Rule::Ready => "it is ready to be cut and put back",
            Rule::Survivors => "others serve on",
            Rule::RestoreUncut => "a restore of what was never cut changes nothing",
            Rule::Cut => "a cut is accepted and comes into effect",
            Rule::ReadsCut => "cut, it reads as foretold, and nothing else has changed",
            Rule::CutAgain => "a second cut changes nothing",
            Rule::Restore => "a restore is accepted and comes into effect",
            Rule::ReadsBefore => "all of it reads as before the cut",
            Rule::RestoreAgain => "a second restore changes nothing",
        })
    }
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleEnd {
    /// It was kept.
    Yes,
    /// It was broken.
    No,
    /// Nothing was cut because of it, as no drill would.
    Refused,
    /// It was not put to the test, or not to its end.
    Untried,
}

impl fmt::Display for RuleEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleEnd::Yes => "kept",
            RuleEnd::No => "BROKEN",
            RuleEnd::Refused => "REFUSED",
            RuleEnd::Untried => "not tried",
        })
    }
}

/// A rule put to the test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleRecord {
    /// Which one.
    pub rule: Rule,
    /// What came of it.
    pub kept: RuleEnd,
    /// What was seen, in words; empty where there is nothing to say.
    pub text: String,
    /// When it began, from the beginning of the test.
    #[serde(rename = "began_ms")]
    pub began: Offset,
    /// When that was known.
    #[serde(rename = "ended_ms")]
    pub ended: Offset,
    /// What was asked for it.
    pub calls: Vec<ControlCall>,
}

impl RuleRecord {
    /// A rule that was not put to the test.
    pub fn untried(rule: Rule) -> RuleRecord {
        let (text, calls) = (String::new(), Vec::new());
        RuleRecord {
            rule,
            kept: RuleEnd::Untried,
            text,
            began: Offset::ZERO,
            ended: Offset::ZERO,
            calls,
        }
    }
}

/// A control that was put to the test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestedControl {
    /// Its name in the plan.
    pub name: Name,
    /// The provider's key in the plan.
    pub provider: String,
    /// What and where it is, for people.
    pub place: String,
    /// Every rule of the contract, in order.
    pub rules: Vec<RuleRecord>,
    /// How to put it back by hand, where it is not known to be as it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
}

/// What a test of a plan's controls saw and found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContractRecord {
    /// [`ContractRecord::FORMAT`].
    pub format: u32,
    /// The version of firedrill.
    pub firedrill: String,
    /// The run's id, by which `firedrill restore` knows it.
    pub run: String,
    /// When it began, by the wall clock.
    pub started_at: jiff::Timestamp,
    /// The plan's name.
    pub plan: Name,
    /// The file that the plan came from.
    pub file: String,
    /// What was cut, in words.
    pub lost: String,
    /// How.
    pub mode: ModeKind,
    /// The end, which the exit code says too. PASS: every rule was kept.
    pub verdict: Verdict,
    /// Why it is no PASS, the weightiest first.
    pub reasons: Vec<Why>,
    /// The controls, in the order of the test.
    pub controls: Vec<TestedControl>,
}

impl ContractRecord {
    /// The version of the format.
    pub const FORMAT: u32 = 1;

    /// Whether `firedrill restore` may put traffic back. Parts beside those to be cut are in no journal, so that it would
    /// say that all is well.
    pub fn can_be_restored(&self) -> bool {
        let is_journaled = |why: &Why| matches!(&*why.code, "not-restored" | "another-hand");
        self.verdict == Verdict::NotRestored && self.reasons.iter().any(is_journaled)
    }
}

/// What is told while controls are put to the test.
#[derive(Debug, Clone, PartialEq)]
pub enum ContractEvent {
    /// A rule that changes something, or takes its time, is about to be put to the test.
    Begins {
        /// At which control.
        control: Name,
        /// Which one.
        rule: Rule,
        /// How long that takes at most, or how long traffic stays cut.
        at_most: std::time::Duration,
    },
    /// What came of a rule.
    Ended {
        /// At which control.
        control: Name,
        /// The rule.
        record: RuleRecord,
    },
}
