//! Drill events as lines of JSON, for programs that follow a drill.

use std::time::Duration;

use serde::Serialize;

use super::json::Harmless;
use crate::model::{
    BudgetNow, ControlCall, DrillEvent, GuardrailKind, GuardrailNow, LoadNow, Name, Offset,
    Promise, ServiceNow, Share, Stage, Standing, Verdict, Why,
};

/// The version of the format of the lines.
pub const FORMAT: u32 = 1;

/// A line: when, what, and the rest of it.
#[derive(Serialize)]
struct Line<'a> {
    format: u32,
    number: u64,
    at_ms: Offset,
    event: &'static str,
    #[serde(flatten)]
    rest: Rest<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rest<'a> {
    Started {
        run: &'a str,
        plan: &'a Name,
        cut: &'a str,
        datacenters: &'a [Name],
        services: &'a [Name],
        at_most_ms: f64,
    },
    Entered {
        stage: Stage,
        at_most_ms: Option<f64>,
    },
    Called(&'a ControlCall),
    Waiting {
        why: &'a Why,
        at_most_ms: f64,
    },
    Watched {
        services: Vec<Watched<'a>>,
        guardrails: Vec<Guarded<'a>>,
        loads: Vec<Loaded<'a>>,
    },
    Decided {
        service: &'a Name,
        text: &'a str,
    },
    Stopping {
        why: &'a Why,
    },
    Ended {
        verdict: Verdict,
    },
    LeftOut {
        count: u64,
    },
}

#[derive(Serialize)]
struct Watched<'a> {
    service: &'a Name,
    good: Share,
    served: &'a [u64],
    state: &'a str,
    down_since_ms: Option<Offset>,
    budget: Option<Budget>,
    promises: u32,
    kept: u32,
    broken: u32,
}

#[derive(Serialize)]
struct Budget {
    promise: Promise,
    from_ms: Offset,
    within_ms: f64,
}

impl<'a> From<&'a ServiceNow> for Watched<'a> {
    fn from(now: &'a ServiceNow) -> Self {
        let ServiceNow { service, good, served, state, .. } = now;
        let budget = |BudgetNow { promise, from, within }| Budget {
            promise,
            from_ms: from,
            within_ms: millis(within),
        };
        Watched {
            service,
            good: *good,
            served,
            state,
            down_since_ms: now.down_since,
            budget: now.budget.map(budget),
            promises: now.promises,
            kept: now.kept,
            broken: now.broken,
        }
    }
}

#[derive(Serialize)]
struct Guarded<'a> {
    guardrail: &'a Name,
    kind: GuardrailKind,
    standing: &'static str,
    since_ms: Option<Offset>,
    lasting_ms: Option<f64>,
    value: Option<f64>,
}

impl<'a> From<&'a GuardrailNow> for Guarded<'a> {
    fn from(now: &'a GuardrailNow) -> Self {
        let (standing, since) = match now.standing {
            Standing::Unread => ("unread", None),
            Standing::Within => ("within", None),
            Standing::Beyond { since, lasting } => ("beyond", Some((since, lasting))),
            Standing::Unreadable { since, lasting } => ("unreadable", Some((since, lasting))),
            Standing::Broken => ("broken", None),
        };
        Guarded {
            guardrail: &now.name,
            kind: now.kind,
            standing,
            since_ms: since.map(|(since, _)| since),
            lasting_ms: since.map(|(_, lasting)| millis(lasting)),
            value: now.value,
        }
    }
}

#[derive(Serialize)]
struct Loaded<'a> {
    load: &'a Name,
    wanted: f64,
    offered: f64,
    good: Share,
}

impl<'a> From<&'a LoadNow> for Loaded<'a> {
    fn from(LoadNow { name, wanted, offered, good }: &'a LoadNow) -> Self {
        Loaded { load: name, wanted: *wanted, offered: *offered, good: *good }
    }
}

/// The line of an event, the `number`th of its drill, with its line break.
///
/// # Errors
/// None are known; serde's type leaves room for them.
pub fn event_line(event: &DrillEvent, number: u64) -> Result<Vec<u8>, serde_json::Error> {
    let (word, rest) = match event {
        DrillEvent::Started { run, plan, lost, datacenters, services, at_most } => {
            let at_most_ms = millis(*at_most);
            ("started", Rest::Started { run, plan, cut: lost, datacenters, services, at_most_ms })
        }
        DrillEvent::Entered { stage, at_most, .. } => {
            ("entered", Rest::Entered { stage: *stage, at_most_ms: at_most.map(millis) })
        }
        DrillEvent::Called(call) => ("called", Rest::Called(call)),
        DrillEvent::Waiting { why, at_most, .. } => {
            ("waiting", Rest::Waiting { why, at_most_ms: millis(*at_most) })
        }
        DrillEvent::Watched { services, guardrails, loads, .. } => {
            let services = services.iter().map(Watched::from).collect();
            let guardrails = guardrails.iter().map(Guarded::from).collect();
            let loads = loads.iter().map(Loaded::from).collect();
            ("watched", Rest::Watched { services, guardrails, loads })
        }
        DrillEvent::Decided { service, text, .. } => ("decided", Rest::Decided { service, text }),
        DrillEvent::Stopping { why, .. } => ("stopping", Rest::Stopping { why }),
        DrillEvent::Ended { verdict, .. } => ("ended", Rest::Ended { verdict: *verdict }),
    };
    line(&Line { format: FORMAT, number, at_ms: event.at(), event: word, rest })
}

fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// The line that says that `count` events before it are missing, for nobody read them in time.
///
/// # Errors
/// As [`event_line`].
pub fn left_out_line(at: Offset, count: u64, number: u64) -> Result<Vec<u8>, serde_json::Error> {
    let rest = Rest::LeftOut { count };
    line(&Line { format: FORMAT, number, at_ms: at, event: "left-out", rest })
}

fn line(line: &Line<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Harmless))?;
    bytes.push(b'\n');
    Ok(bytes)
}
