//! Events in words, one line each.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{
    Act, ControlCall, DrillEvent, Name, Offset, ServiceNow, Share, Shown, Stage, Verdict, printable,
};

/// A service gets no second line before this has passed, so that one that flaps fills no log.
const QUIET: Duration = Duration::from_secs(1);
/// More lines than this are not written for one look at the services.
const LINES: usize = 5;

/// What a line means, which its colour says again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A step of the drill.
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be, or not known.
    Doubt,
    /// Broken.
    Bad,
    /// Not of interest now.
    Faint,
}

impl Tone {
    /// `text` in the tone's colour, if colour is wanted.
    pub fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Tone::Good => "32",
            Tone::Doubt => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Plain => return text.to_owned(),
        };
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The tone of a share of good samples.
    pub fn of(good: Share) -> Tone {
        match good {
            Share { whole: 0, .. } => Tone::Plain,
            Share { part: 0, .. } => Tone::Bad,
            Share { part, whole } if part < whole => Tone::Doubt,
            _ => Tone::Good,
        }
    }
}

/// The line for an event, if it deserves one by itself. Looks at services never do: `Teller` says
/// only what changed between them.
pub fn plain_line(event: &DrillEvent) -> Option<(Tone, String)> {
    let (at, tone, text) = match event {
        DrillEvent::Started { run, lost, services, .. } => {
            let number = services.len();
            let noun = if number == 1 { "service" } else { "services" };
            let text = format!("run {run}: {lost} goes, under {number} {noun}");
            (Offset::ZERO, Tone::Plain, text)
        }
        DrillEvent::Entered { stage, at, at_most } => (*at, Tone::Plain, entered(*stage, *at_most)),
        DrillEvent::Called(call) => {
            let (tone, text) = called(call)?;
            (call.done, tone, text)
        }
        DrillEvent::Waiting { at, why, at_most } => {
            let text = format!("the cut waits, for at most {}: {}", Shown(*at_most), why.text);
            (*at, Tone::Doubt, text)
        }
        DrillEvent::Watched { .. } => return None,
        DrillEvent::Decided { at, service, text } => {
            (*at, Tone::Plain, format!("{service}: {text}"))
        }
        DrillEvent::Stopping { at, why } => {
            (*at, Tone::Doubt, format!("STOPPING: {}; traffic is being restored", why.text))
        }
        DrillEvent::Ended { at, verdict } => {
            let tone = match verdict {
                Verdict::Pass => Tone::Good,
                Verdict::Fail | Verdict::NotRestored => Tone::Bad,
                _ => Tone::Doubt,
            };
            (*at, tone, format!("ended: {verdict}"))
        }
    };
    Some((tone, line(at, &text)))
}

/// A line with its instant in front, seconds since the drill's clock started.
fn line(at: Offset, text: &str) -> String {
    let seconds = Duration::from_nanos(at.as_nanos()).as_secs_f64();
    format!("{seconds:>8.3} s  {}", printable(text))
}

fn entered(stage: Stage, at_most: Option<Duration>) -> String {
    let what = match stage {
        Stage::Preflight => "controls are read",
        Stage::Baseline => "services are watched as they are",
        Stage::Cut => "traffic is being cut",
        Stage::Observe => "the failover is watched",
        Stage::Hold => "all is decided; the cut is kept",
        Stage::Restore => "traffic is being put back",
        Stage::Failback => "services are watched until they are as before",
    };
    match at_most {
        Some(time) => format!("{stage}: {what}, for at most {}", Shown(time)),
        None => format!("{stage}: {what}"),
    }
}

/// Readings that succeed are many, and say nothing.
fn called(call: &ControlCall) -> Option<(Tone, String)> {
    let ControlCall { control, act, error, .. } = call;
    let took = Shown(call.done.since(call.issued));
    Some(match (act, error) {
        (Act::Preflight | Act::Inspect, None) => return None,
        (Act::Cut, None) => (Tone::Plain, format!("cut confirmed through {control} after {took}")),
        (Act::Restore, None) => (Tone::Plain, format!("restored through {control} after {took}")),
        (act, Some(error)) => {
            let verb = match act {
                Act::Preflight => "asking",
                Act::Inspect => "reading",
                Act::Cut => "cutting through",
                Act::Restore => "restoring through",
            };
            (Tone::Bad, format!("{verb} {control} failed after {took}: {error}"))
        }
    })
}

/// Says what changed, and when.
#[derive(Debug, Default)]
pub struct Teller {
    datacenters: Vec<Name>,
    last: Vec<Told>,
}

/// What was last said of a service.
#[derive(Debug, Clone, Default, PartialEq)]
struct Told {
    at: Option<Offset>,
    tone: Option<Tone>,
    serving: Vec<bool>,
}

impl Teller {
    /// The lines that `event` deserves.
    pub fn tell(&mut self, event: &DrillEvent) -> Vec<(Tone, String)> {
        match event {
            DrillEvent::Started { datacenters, services, .. } => {
                self.datacenters.clone_from(datacenters);
                self.last = vec![Told::default(); services.len()];
            }
            DrillEvent::Watched { at, services, .. } => return self.changes(*at, services),
            _ => {}
        }
        plain_line(event).into_iter().collect()
    }

    fn changes(&mut self, at: Offset, services: &[ServiceNow]) -> Vec<(Tone, String)> {
        let mut lines = vec![];
        let mut changed = 0;
        for (now, told) in services.iter().zip(&mut self.last) {
            let tone = Tone::of(now.good);
            let serving: Vec<bool> = now.served.iter().map(|answers| *answers > 0).collect();
            let same = told.tone == Some(tone) && told.serving == serving;
            let too_soon = told.at.is_some_and(|last| at.since(last) < QUIET);
            if same || too_soon || now.good.whole == 0 {
                continue;
            }
            *told = Told { at: Some(at), tone: Some(tone), serving };
            changed += 1;
            if changed <= LINES {
                lines.push((tone, line(at, &self::service(now, &self.datacenters))));
            }
        }
        if changed > LINES {
            lines.push((Tone::Plain, line(at, &format!("and {} more changed", changed - LINES))));
        }
        lines
    }
}

fn service(now: &ServiceNow, datacenters: &[Name]) -> String {
    let mut text = format!("{}: {} good", now.service, percent(now.good));
    let served = served(&now.served, datacenters);
    if !served.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ", served by {served}");
    }
    if !now.state.is_empty() {
        let _ = write!(text, "; {}", now.state);
    }
    text
}

/// Who gave answers, with their shares: `east 50 %, west 50 %`.
pub fn served(answers: &[u64], datacenters: &[Name]) -> String {
    let whole = answers.iter().sum();
    let serving: Vec<String> = datacenters
        .iter()
        .zip(answers)
        .filter(|(_, part)| **part > 0)
        .map(|(name, part)| format!("{name} {}", percent(Share { part: *part, whole })))
        .collect();
    serving.join(", ")
}

/// A share in per cent; only none is shown as 0 and only all as 100.
pub fn percent(share: Share) -> String {
    match share.value() {
        None => "-".to_owned(),
        Some(_) if share.part == 0 => "0 %".to_owned(),
        Some(_) if share.part >= share.whole => "100 %".to_owned(),
        Some(value) => format!("{:.0} %", (value * 100.0).clamp(1.0, 99.0)),
    }
}
