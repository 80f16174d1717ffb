//! Places where traffic can be cut: their settings, their states, and what was done to them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatacenterId, Name, Offset, Provider, millis};

/// How a cut looks to a client.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Packets vanish, open connections hang: the fire.
    Blackhole,
    /// Open connections get RST, new ones are refused: the processes died.
    Reset,
    /// New connections go elsewhere, old ones may finish: a planned evacuation.
    Drain,
    /// Latency, jitter, loss, a narrow pipe: sick network gear.
    Degrade(Degrade),
}

/// The numbers of a degraded path. Each applies to both directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Degrade {
    /// Added to every piece of data.
    #[serde(rename = "latency_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub latency: Duration,
    /// Up to this much more or less, evenly spread. Never more than `latency`.
    #[serde(rename = "jitter_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub jitter: Duration,
    /// The share of pieces lost, 0 to 1. TCP resends them, so they arrive late.
    pub loss: f64,
    /// Bytes a second, per connection and direction; `None` is unlimited.
    pub bandwidth: Option<u64>,
}

/// A [`Mode`] without its numbers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ModeKind {
    /// See [`Mode::Blackhole`].
    Blackhole,
    /// See [`Mode::Reset`].
    Reset,
    /// See [`Mode::Drain`].
    Drain,
    /// See [`Mode::Degrade`].
    Degrade,
}

impl ModeKind {
    /// Every mode, in the order of the docs.
    pub const ALL: [ModeKind; 4] =
        [ModeKind::Blackhole, ModeKind::Reset, ModeKind::Drain, ModeKind::Degrade];
}

impl Mode {
    /// The mode without its numbers.
    pub fn kind(&self) -> ModeKind {
        match self {
            Mode::Blackhole => ModeKind::Blackhole,
            Mode::Reset => ModeKind::Reset,
            Mode::Drain => ModeKind::Drain,
            Mode::Degrade(_) => ModeKind::Degrade,
        }
    }
}

impl fmt::Display for ModeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ModeKind::Blackhole => "blackhole",
            ModeKind::Reset => "reset",
            ModeKind::Drain => "drain",
            ModeKind::Degrade => "degrade",
        })
    }
}

/// A traffic control as the plan names and configures it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlSpec {
    /// Its name in the plan.
    pub name: Name,
    /// What steers the traffic, and how to reach it.
    pub provider: Provider,
}

/// What to cut, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CutOrder {
    /// The datacenters to lose, all at once: one, or those of a campus. Never empty.
    pub datacenters: Vec<DatacenterId>,
    /// The only services that are lost there; empty for the whole of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Name>,
    /// How they are lost.
    pub mode: Mode,
}

impl CutOrder {
    /// The loss of one whole datacenter.
    pub fn of(datacenter: DatacenterId, mode: Mode) -> CutOrder {
        CutOrder { datacenters: vec![datacenter], services: Vec::new(), mode }
    }

    /// What is lost, in words: `east`, `sbg1 and sbg2`, or `queue in east`.
    pub fn words(&self, datacenters: &[Name]) -> String {
        let name = |id: &DatacenterId| datacenters.get(id.index()).map_or("?", Name::as_str);
        let places: Vec<&str> = self.datacenters.iter().map(name).collect();
        let services: Vec<&str> = self.services.iter().map(Name::as_str).collect();
        match services.is_empty() {
            true => all_of(&places),
            false => format!("{} in {}", all_of(&services), all_of(&places)),
        }
    }

    /// Whether a part of this name, `DATACENTER/SERVICE` where services can be told apart, is to be cut.
    fn takes(&self, name: &str, part: &PartState) -> bool {
        let service = || name.rsplit_once('/').map_or(name, |(_, service)| service);
        self.datacenters.contains(&part.datacenter)
            && (self.services.is_empty() || self.services.iter().any(|s| s.as_str() == service()))
    }
}

/// `a`, `a and b`, `a, b and c`.
fn all_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What a control says of itself: every part of it that carries traffic to a datacenter.
///
/// Two states are equal when what firedrill steers is equal; what only the outside world decides,
/// such as a server's health, is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct ControlState {
    /// The parts, by their name at the provider (`app/web1`, `127.0.0.1:8080`).
    pub parts: BTreeMap<String, PartState>,
}

/// The state of one part of a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartState {
    /// The datacenter that it leads to.
    pub datacenter: DatacenterId,
    /// Whether traffic may pass.
    pub passage: Passage,
    /// Everything that a restore must put back, in the provider's own words.
    pub settings: BTreeMap<String, String>,
}

/// Whether a part lets traffic through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Passage {
    /// As on any other day.
    Open,
    /// Slowed or thinned.
    Degraded,
    /// No new traffic passes.
    Closed,
}

impl ControlState {
    /// The parts that `order` is about.
    pub fn parts_of<'s>(
        &'s self,
        order: &'s CutOrder,
    ) -> impl Iterator<Item = (&'s String, &'s PartState)> {
        self.parts.iter().filter(|(name, part)| order.takes(name, part))
    }

    /// The parts that `order` is about and that were not closed: all that a cut changes, and all that
    /// a restore may touch. What was closed already was closed by another hand, which may open it.
    pub fn cuttable(&self, order: &CutOrder) -> ControlState {
        let open = self.parts_of(order).filter(|(_, part)| part.passage != Passage::Closed);
        ControlState { parts: open.map(|(name, part)| (name.clone(), part.clone())).collect() }
    }

    /// The parts that `other` has too.
    pub fn only(&self, other: &ControlState) -> ControlState {
        let mut shared = self.clone();
        shared.parts.retain(|name, _| other.parts.contains_key(name));
        shared
    }

    /// Whether every part of `other` is in it.
    pub fn has_all_of(&self, other: &ControlState) -> bool {
        other.parts.keys().all(|name| self.parts.contains_key(name))
    }

    /// Whether this state says that `order` is in force: there is something to cut, and all of it is. A part that
    /// another hand had closed before stays closed under [`Mode::Degrade`] too.
    pub fn is_cut(&self, order: &CutOrder) -> bool {
        let wanted = match order.mode.kind() {
            ModeKind::Degrade => Passage::Degraded,
            _ => Passage::Closed,
        };
        let passages = || self.parts_of(order).map(|(_, part)| part.passage);
        passages().any(|passage| passage == wanted)
            && passages().all(|passage| passage == wanted || passage == Passage::Closed)
    }

    /// Whether any part that `order` is about lets traffic pass undisturbed.
    pub fn has_open(&self, order: &CutOrder) -> bool {
        self.parts_of(order).any(|(_, part)| part.passage == Passage::Open)
    }

    /// The names of the parts in which `self` and `other` differ, in order.
    pub fn differences(&self, other: &ControlState) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> =
            self.parts.keys().chain(other.parts.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.parts.get(*name) != other.parts.get(*name))
            .cloned()
            .collect()
    }
}

/// What passed towards the cut datacenter since the cut was confirmed, counted by the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct PathCounters {
    /// Connections that were tried, or were open when the cut came.
    pub connections: u64,
    /// Bytes that passed in either direction.
    pub bytes: u64,
}

/// What firedrill did to a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Prove that a cut and its way back can work.
    Preflight,
    /// Read its state.
    Inspect,
    /// Cut.
    Cut,
    /// Restore.
    Restore,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Preflight => "preflight",
            Act::Inspect => "inspect",
            Act::Cut => "cut",
            Act::Restore => "restore",
        })
    }
}

/// One call at a control, with how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlCall {
    /// The control's name.
    pub control: Name,
    /// What was asked.
    pub act: Act,
    /// When it was asked.
    #[serde(rename = "issued_ms")]
    pub issued: Offset,
    /// When the answer was there.
    #[serde(rename = "done_ms")]
    pub done: Offset,
    /// What went wrong, in words; `None` if nothing did.
    pub error: Option<String>,
    /// What was asked and answered for it at the provider, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
}

/// One request at a provider and its answer, both shortened and without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// What was asked, in the provider's own words: `PATCH /api/v1/…`, `set server app/web1 state maint`.
    pub asked: String,
    /// What was answered, or why there is no answer.
    pub answered: String,
    /// How long the answer took.
    #[serde(rename = "took_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_closed_before_does_not_keep_a_degraded_path_from_being_confirmed() {
        let east = DatacenterId(0);
        let is_cut = |mode, passages: &[Passage]| {
            let part = |passage| PartState { datacenter: east, passage, settings: BTreeMap::new() };
            let parts = passages.iter().enumerate();
            let parts = parts.map(|(place, passage)| (place.to_string(), part(*passage))).collect();
            ControlState { parts }.is_cut(&CutOrder::of(east, mode))
        };
        let degrade = Mode::Degrade(Degrade::default());
        assert!(is_cut(degrade, &[Passage::Degraded, Passage::Closed]));
        assert!(!is_cut(degrade, &[Passage::Degraded, Passage::Open]));
        assert!(!is_cut(degrade, &[Passage::Closed]), "nothing of it is degraded");
        assert!(is_cut(Mode::Reset, &[Passage::Closed, Passage::Closed]));
        assert!(!is_cut(Mode::Reset, &[Passage::Closed, Passage::Degraded]));
        assert!(!is_cut(Mode::Reset, &[]));
    }

    #[test]
    fn what_was_closed_before_the_cut_is_neither_restored_nor_compared() {
        let (east, west) = (DatacenterId(0), DatacenterId(1));
        let part =
            |datacenter, passage| PartState { datacenter, passage, settings: BTreeMap::new() };
        let state = |parts: &[(&str, DatacenterId, Passage)]| ControlState {
            parts: parts.iter().map(|(n, d, p)| ((*n).to_owned(), part(*d, *p))).collect(),
        };
        let before = state(&[
            ("e1", east, Passage::Open),
            ("e2", east, Passage::Closed),
            ("w1", west, Passage::Open),
        ]);
        let ours = before.cuttable(&CutOrder::of(east, Mode::Reset));
        assert_eq!(ours.parts.keys().collect::<Vec<_>>(), ["e1"]);
        let another_hand = state(&[("e1", east, Passage::Open), ("e2", east, Passage::Open)]);
        assert_eq!(another_hand.only(&ours), ours, "who opened e2 meanwhile is not undone");
        let still_cut = state(&[("e1", east, Passage::Closed), ("e2", east, Passage::Closed)]);
        assert_ne!(still_cut.only(&ours), ours);
    }
}
