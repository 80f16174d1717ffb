//! What is lost with a datacenter, and what a drill makes of that prediction.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;

/// What is expected of a service or control plane when a datacenter is lost, from the least to the worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// The plan does not say where it runs.
    Unknown,
    /// Enough of it is left.
    Up,
    /// What is left is fewer than an ordinary peak needs, or so it is with something that it depends on.
    Degraded,
    /// Only a standby is left, of it or of something that it depends on, and what must bring it up survives.
    NeedsFailover,
    /// Nothing is left of it, of something that it depends on, or of what must bring it up.
    Down,
}

impl Outlook {
    /// Whether users lose something that no failover brings back.
    pub fn is_loss(self) -> bool {
        matches!(self, Outlook::Degraded | Outlook::Down)
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outlook::Unknown => "unknown",
            Outlook::Up => "up",
            Outlook::Degraded => "degraded",
            Outlook::NeedsFailover => "needs failover",
            Outlook::Down => "down",
        })
    }
}

/// What is expected of a service or control plane, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Its name.
    pub name: Name,
    /// What is expected of it.
    pub predicted: Outlook,
    /// From itself, by way of what it depends on, to what is hit by the loss. Empty where nothing is.
    pub chain: Vec<Name>,
    /// How many links before the last of a very long chain are left out.
    #[serde(default)]
    pub left_out: u64,
    /// What the loss does to the last of the chain: `only in pangyo`. Empty where nothing is hit.
    pub because: String,
}

impl Forecast {
    /// The chain and its reason: `pay -> login -> key-store: only in pangyo`.
    pub fn why(&self) -> String {
        let mut links: Vec<String> = self.chain.iter().map(Name::to_string).collect();
        if self.left_out > 0 {
            links.insert(links.len().saturating_sub(1), format!("({} more)", self.left_out));
        }
        format!("{}: {}", links.join(" -> "), self.because)
    }
}

/// What is lost with some datacenters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Loss {
    /// The datacenters.
    pub datacenters: Vec<Name>,
    /// Whether this is what the plan cuts.
    pub is_cut: bool,
    /// The control planes, in the plan's order.
    pub control_plane: Vec<Forecast>,
    /// The services, in the plan's order.
    pub services: Vec<Forecast>,
}

impl Loss {
    /// Whether anything is lost that no failover brings back.
    pub fn is_any(&self) -> bool {
        self.control_plane.iter().chain(&self.services).any(|it| it.predicted.is_loss())
    }

    /// Without everything that is as on any other day.
    pub fn news(mut self) -> Loss {
        let is_news = |it: &Forecast| it.predicted > Outlook::Up;
        self.control_plane.retain(is_news);
        self.services.retain(is_news);
        self
    }
}

/// What a drill saw of a service while the datacenter was cut.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// No probe, no cut, or too little was seen.
    NotMeasured,
    /// No bad sample.
    Up,
    /// Bad or stalled samples, and then it recovered.
    FailedOver,
    /// It was in trouble again after it had recovered, or never recovered and still answered at least one request in ten.
    Degraded,
    /// It did not recover before the restore.
    Down,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Seen::NotMeasured => "not measured",
            Seen::Up => "up",
            Seen::FailedOver => "failed over",
            Seen::Degraded => "degraded",
            Seen::Down => "down",
        })
    }
}

/// What was expected of a service, and what a drill saw of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// What was expected.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// What was seen.
    pub measured: Seen,
    /// Whether the two agree; `None` where they cannot be compared.
    pub agrees: Option<bool>,
}

/// The placement check in a run record. Empty where the plan says nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct PlacementRecord {
    /// The control planes, in the plan's order.
    pub control_plane: Vec<Forecast>,
    /// The services, in the plan's order.
    pub services: Vec<Compared>,
}

/// What a plan was found to be without running it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The file that it was read from.
    pub file: String,
    /// Everything that is wrong with it.
    pub findings: Vec<FindingRecord>,
    /// What is lost with what the plan cuts, and with each of its datacenters; without what is as on any other day.
    pub placement: Vec<Loss>,
    /// What its addresses say against it, a sentence each.
    pub addresses: Vec<String>,
}

impl Checked {
    /// Whether the placement check found anything.
    pub fn has_losses(&self) -> bool {
        !self.addresses.is_empty() || self.placement.iter().any(Loss::is_any)
    }
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRecord {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// A stable word for programs.
    pub code: &'static str,
    /// The line, from 1; 0 where it is about the whole file.
    pub line: usize,
    /// The column in characters, from 1; 0 where `line` is.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}
