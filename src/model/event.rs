//! What the conductor tells everyone who shows or logs.

use std::time::Duration;

use super::{ControlCall, Name, Offset, Share, Stage, Verdict, Why};

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
}
