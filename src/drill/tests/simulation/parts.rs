//! The parts of a simulated control: what they are, and what they were.

use crate::model::{ControlState, DatacenterId, Mode, ModeKind, Offset, PartState, Passage};

use super::faults::Who;

/// Whether a part lets traffic pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Ready,
    Slow,
    Maint,
    Drain,
    Gone,
}

/// A part's settings: two of them, so that a cut can be carried out by half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub door: Door,
    pub agent: bool,
}

impl Setup {
    /// Whether requests pass.
    pub fn passes(self) -> bool {
        matches!(self.door, Door::Ready | Door::Slow)
    }

    /// What our cut makes of it.
    pub fn cut(mode: Mode) -> Setup {
        let door = if mode.kind() == ModeKind::Degrade { Door::Slow } else { Door::Maint };
        Setup { door, agent: false }
    }

    /// As a control says it; `None` for a part that is gone.
    pub fn state(self, datacenter: DatacenterId) -> Option<PartState> {
        let (word, passage) = match self.door {
            Door::Ready => ("ready", Passage::Open),
            Door::Slow => ("slow", Passage::Degraded),
            Door::Maint => ("maint", Passage::Closed),
            Door::Drain => ("drain", Passage::Closed),
            Door::Gone => return None,
        };
        let agent = if self.agent { "on" } else { "off" };
        let settings = [("state", word), ("agent", agent)];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Some(PartState { datacenter, passage, settings })
    }

    /// As a control was told it.
    pub fn of(state: &PartState) -> Setup {
        let door = match state.settings["state"].as_str() {
            "ready" => Door::Ready,
            "slow" => Door::Slow,
            "maint" => Door::Maint,
            _ => Door::Drain,
        };
        Setup { door, agent: state.settings["agent"] == "on" }
    }
}

/// A part, and all that it was.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    pub datacenter: DatacenterId,
    /// Every state, with the time from which on it held and whose doing it was.
    pub history: Vec<(Offset, Setup, Who)>,
}

impl Part {
    pub fn new(name: String, datacenter: DatacenterId, setup: Setup) -> Part {
        Part { name, datacenter, history: vec![(Offset::ZERO, setup, Who::World)] }
    }

    pub fn now(&self) -> Setup {
        self.history[self.history.len() - 1].1
    }

    /// What it was at `at`.
    pub fn at(&self, at: Offset) -> Setup {
        let known = self.history.iter().rev().find(|(since, ..)| *since <= at);
        known.map_or(self.history[0].1, |(_, setup, _)| *setup)
    }

    /// Makes it something else. True: it was not that already.
    pub fn set(&mut self, at: Offset, setup: Setup, who: Who) -> bool {
        let changes = self.now() != setup && self.now().door != Door::Gone;
        if changes {
            self.history.push((at, setup, who));
        }
        changes
    }

    /// Whether a balancer sends requests to it at `at`: it is taken out when it was closed for `failover`, and
    /// put back when it was open for `failback`.
    pub fn is_in(
        &self,
        at: Offset,
        failover: std::time::Duration,
        failback: std::time::Duration,
    ) -> bool {
        let mut is_in = self.history[0].1.passes();
        for (place, (since, setup, _)) in self.history.iter().enumerate() {
            if *since > at {
                break;
            }
            let until = self.history.get(place + 1).map_or(at, |(next, ..)| (*next).min(at));
            let turns = since.plus(if setup.passes() { failback } else { failover });
            if until >= turns {
                is_in = setup.passes();
            }
        }
        is_in
    }
}

/// What a control says of `parts`, each as it was at `at`.
pub fn reading(parts: &[Part], at: Offset) -> ControlState {
    let parts = parts.iter().filter_map(|part| {
        part.at(at).state(part.datacenter).map(|state| (part.name.clone(), state))
    });
    ControlState { parts: parts.collect() }
}
