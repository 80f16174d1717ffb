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
    /// What else is hit and would do the same alone, the nearest first; at most 15 of them.
    #[serde(default)]
    pub also: Vec<Name>,
}

impl Forecast {
    /// Whether it is not as on any other day.
    fn is_news(&self) -> bool {
        self.predicted > Outlook::Up
    }

    /// How many of the other causes are named before the rest is counted.
    const NAMED: usize = 3;

    /// The reason at the end of the chain, and what else would do: `only in pangyo; and monitoring, registry`.
    pub fn reason(&self) -> String {
        let named: Vec<&str> = self.also.iter().take(Self::NAMED).map(Name::as_str).collect();
        match (named.len(), self.also.len() - named.len()) {
            (0, _) => self.because.clone(),
            (_, 0) => format!("{}; and {}", self.because, named.join(", ")),
            (_, more) => format!("{}; and {} and {more} more", self.because, named.join(", ")),
        }
    }

    /// The chain and its reason: `pay -> login -> key-store: only in pangyo`.
    pub fn why(&self) -> String {
        let mut links: Vec<String> = self.chain.iter().map(Name::to_string).collect();
        if self.left_out > 0 {
            links.insert(links.len().saturating_sub(1), format!("({} more)", self.left_out));
        }
        format!("{}: {}", links.join(" -> "), self.reason())
    }
}

/// What is lost with some datacenters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Loss {
    /// The datacenters.
    pub datacenters: Vec<Name>,
    /// The services that alone are lost there; empty: all.
    pub only: Vec<Name>,
    /// Whether this is what the plan cuts.
    pub is_cut: bool,
    /// The control planes, in the plan's order.
    pub control_plane: Vec<Forecast>,
    /// The services, in the plan's order.
    pub services: Vec<Forecast>,
}

impl Loss {
    /// What is lost, in words: `pangyo and anyang`, `names in us-east-1`.
    pub fn place(&self) -> String {
        let joined =
            |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" and ");
        match self.only.is_empty() {
            true => joined(&self.datacenters),
            false => format!("{} in {}", joined(&self.only), joined(&self.datacenters)),
        }
    }

    /// Whether anything is not as on any other day.
    pub fn has_news(&self) -> bool {
        self.control_plane.iter().chain(&self.services).any(Forecast::is_news)
    }

    /// Whether anything is lost that no failover brings back.
    pub fn is_any(&self) -> bool {
        self.control_plane.iter().chain(&self.services).any(|it| it.predicted.is_loss())
    }

    /// Without everything that is as on any other day.
    pub fn news(mut self) -> Loss {
        self.control_plane.retain(Forecast::is_news);
        self.services.retain(Forecast::is_news);
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
    /// Whether the placement check has anything to say.
    pub fn has_news(&self) -> bool {
        !self.addresses.is_empty() || self.placement.iter().any(Loss::has_news)
    }
}

/// The part of a plan that something is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A service.
    Service(Name),
    /// A probe of a service.
    Probe(Name, Name),
    /// A control plane, or a controller of the lab.
    ControlPlane(Name),
    /// A traffic control.
    Control(Name),
    /// The cut.
    Cut,
}

/// What an address says against a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// Whose address.
    pub about: Subject,
    /// A sentence.
    pub what: String,
    /// Whether the address lies where it must not. What could not be looked up from here says nothing for sure.
    pub is_sure: bool,
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
