//! Drill events as lines of JSON, for programs that follow a drill.

use std::time::Duration;

use serde::Serialize;

use super::json::Harmless;
use crate::model::{ControlCall, DrillEvent, Name, Offset, ServiceNow, Share, Stage, Verdict, Why};

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
}

impl<'a> From<&'a ServiceNow> for Watched<'a> {
    fn from(now: &'a ServiceNow) -> Self {
        let ServiceNow { service, good, served, state } = now;
        Watched { service, good: *good, served, state }
    }
}

/// The line of an event, the `number`th of its drill, with its line break.
///
/// # Errors
/// None are known; serde's type leaves room for them.
pub fn event_line(event: &DrillEvent, number: u64) -> Result<Vec<u8>, serde_json::Error> {
    let (word, rest) = match event {
        DrillEvent::Started { run, plan, lost, datacenters, services } => {
            ("started", Rest::Started { run, plan, cut: lost, datacenters, services })
        }
        DrillEvent::Entered { stage, at_most, .. } => {
            ("entered", Rest::Entered { stage: *stage, at_most_ms: at_most.map(millis) })
        }
        DrillEvent::Called(call) => ("called", Rest::Called(call)),
        DrillEvent::Waiting { why, at_most, .. } => {
            ("waiting", Rest::Waiting { why, at_most_ms: millis(*at_most) })
        }
        DrillEvent::Watched { services, .. } => {
            ("watched", Rest::Watched { services: services.iter().map(Watched::from).collect() })
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
