//! What the conductor tells everyone who shows or logs.

use std::time::Duration;

use super::{ControlCall, GuardrailKind, Name, Offset, Promise, Share, Stage, Verdict, Why};

/// The one event type between the conductor and everything that shows or logs.
#[derive(Debug, Clone, PartialEq)]
pub enum DrillEvent {
    /// The drill began.
    Started {
        /// The run's id.
        run: String,
        /// The plan's name.
        plan: Name,
        /// What is to be cut, in words.
        lost: String,
        /// The datacenters, in the plan's order.
        datacenters: Vec<Name>,
        /// The services, in the plan's order.
        services: Vec<Name>,
        /// How long traffic may stay cut.
        at_most: Duration,
    },
    /// A stage began.
    Entered {
        /// Which one.
        stage: Stage,
        /// When.
        at: Offset,
        /// How long it takes at most, where that is known.
        at_most: Option<Duration>,
    },
    /// A call at a control ended.
    Called(ControlCall),
    /// The cut waits for a guardrail that was not read yet, or is beyond its limit and not yet broken.
    Waiting {
        /// When.
        at: Offset,
        /// For what.
        why: Why,
        /// How long it waits at most.
        at_most: Duration,
    },
    /// How the services are now: sent a few times a second.
    Watched {
        /// When.
        at: Offset,
        /// Per service, in the plan's order.
        services: Vec<ServiceNow>,
        /// Per guardrail, in the plan's order.
        guardrails: Vec<GuardrailNow>,
        /// Per load, in the plan's order.
        loads: Vec<LoadNow>,
    },
    /// A service's promises are all decided for the time of the cut.
    Decided {
        /// When.
        at: Offset,
        /// Which service.
        service: Name,
        /// In a sentence.
        text: String,
    },
    /// The drill was told to stop; it restores now.
    Stopping {
        /// When.
        at: Offset,
        /// By whom, or by what.
        why: Why,
    },
    /// The drill ended.
    Ended {
        /// When.
        at: Offset,
        /// How.
        verdict: Verdict,
    },
}

impl DrillEvent {
    /// When it was; a call, when it ended.
    pub fn at(&self) -> Offset {
        match self {
            DrillEvent::Started { .. } => Offset::ZERO,
            DrillEvent::Called(call) => call.done,
            DrillEvent::Entered { at, .. }
            | DrillEvent::Waiting { at, .. }
            | DrillEvent::Watched { at, .. }
            | DrillEvent::Decided { at, .. }
            | DrillEvent::Stopping { at, .. }
            | DrillEvent::Ended { at, .. } => *at,
        }
    }
}

/// A service as it was in the last second.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceNow {
    /// Which one.
    pub service: Name,
    /// Good samples among those that ended.
    pub good: Share,
    /// Answers per datacenter, in the plan's order.
    pub served: Vec<u64>,
    /// Bounds of the present outage or the last recovery, in words; empty when there is none.
    pub state: String,
    /// When the present outage began: the first bad sample of the probe that is judged and fails the longest. `None`:
    /// there is none.
    pub down_since: Option<Offset>,
    /// The time that runs out first while it is down; `None` where none runs.
    pub budget: Option<BudgetNow>,
    /// How many promises it made, with those of its features.
    pub promises: u32,
    /// How many of them are kept so far. One that is judged by all that is seen while cut counts only once that is over.
    pub kept: u32,
    /// How many of them are broken.
    pub broken: u32,
}

/// A promised time that is running out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetNow {
    /// By which promise.
    pub promise: Promise,
    /// From when on it runs.
    pub from: Offset,
    /// How long it is.
    pub within: Duration,
}

/// A guardrail as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardrailNow {
    /// Which one.
    pub name: Name,
    /// What it looks at.
    pub kind: GuardrailKind,
    /// How it stands.
    pub standing: Standing,
    /// The last value that was read, in the unit of its kind.
    pub value: Option<f64>,
}

/// How a guardrail stands to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not read yet.
    Unread,
    /// Within its limit.
    Within,
    /// Beyond its limit, and not for long enough to stop the drill.
    Beyond {
        /// From when on.
        since: Offset,
        /// It breaks after this.
        lasting: Duration,
    },
    /// It cannot be read.
    Unreadable {
        /// When it was read last.
        since: Offset,
        /// It breaks after this.
        lasting: Duration,
    },
    /// Broken: it stops the drill.
    Broken,
}

/// A load as it was in the last second.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadNow {
    /// Which one.
    pub name: Name,
    /// Requests a second that the plan wants now.
    pub wanted: f64,
    /// Requests a second that were made, and have ended.
    pub offered: f64,
    /// Good answers among them.
    pub good: Share,
}
