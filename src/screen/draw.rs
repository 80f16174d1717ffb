//! The live view as lines: pure, so that every size of a terminal can be tested.

use std::time::Duration;

use super::line::{Line, width};
use super::services;
use super::tell::{Tone, percent};
use super::view::{STAGES, View};
use crate::model::{
    GuardrailKind, GuardrailNow, LoadNow, Offset, Shown, Stage, Standing, printable,
};

/// How it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub columns: usize,
    /// Rows of the terminal.
    pub rows: usize,
    /// Whether its signs are ASCII alone.
    pub ascii: bool,
    /// Whether tones are coloured.
    pub color: bool,
    /// The first service that is shown; `None`: the worst are.
    pub from: Option<usize>,
    /// Whether keys are read, with which the services are scrolled.
    pub keys: bool,
    /// How often it was drawn: it shows that the drill lives.
    pub tick: usize,
}

/// Signs that follow each other.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const SPINNER_IN_ASCII: [&str; 4] = ["-", "\\", "|", "/"];

/// The view for a terminal: as many lines as it has room for, none wider than it is.
pub fn draw(view: &View, look: &Look) -> Vec<String> {
    let height = height(look.rows);
    let mut lines = vec![title(view, look)];
    if height > 2 {
        lines.push(stages(view, look.columns));
    }
    let feet = feet(view, height);
    let room = height.saturating_sub(lines.len() + feet.len());
    lines.extend(services::lines(view, look, room));
    lines.extend(feet);
    lines.truncate(height);
    // One column stays free: some terminals wrap a line that ends in the last one.
    let columns = look.columns.saturating_sub(1).max(1);
    lines.into_iter().map(|line| line.fit(columns).paint(look.color, look.ascii)).collect()
}

/// Lines of the view on a terminal of so many rows: the last events stay in sight above it, and the cursor has a line
/// below it.
fn height(rows: usize) -> usize {
    rows.saturating_sub((rows / 4).max(4)).max(1)
}

/// How many lines there are for services.
pub fn room(view: &View, rows: usize) -> usize {
    let height = height(rows);
    height.saturating_sub(1 + usize::from(height > 2) + feet(view, height).len())
}

fn title(view: &View, look: &Look) -> Line {
    let spinner: &[&str] = if look.ascii { &SPINNER_IN_ASCII } else { &SPINNER };
    let mut line = Line::of(Tone::Plain, spinner[look.tick % spinner.len()]);
    line.push(Tone::Plain, " ");
    line.push(Tone::Plain, &view.plan);
    let Some((stage, _)) = view.stage else {
        line.push(Tone::Plain, ": starting");
        return line;
    };
    if view.stopping {
        line.push(Tone::Doubt, "  STOPPING");
    }
    if let Some((cut, latest)) = view.cut {
        line.push(Tone::Plain, &format!("  cut for {}", whole_seconds(view.now.since(cut))));
        match stage {
            Stage::Restore => line.push(Tone::Plain, ", is being undone"),
            _ => {
                let left = whole_seconds(until(view.now, latest));
                line.push(Tone::Plain, &format!(", undone in {left} at the latest"));
            }
        }
    }
    line
}

/// Where the drill is: every stage, or where there is no room for them the present one.
fn stages(view: &View, columns: usize) -> Line {
    let present = view.stage.map(|(stage, _)| stage);
    let mut line = Line::of(Tone::Plain, "  ");
    for (place, stage) in STAGES.into_iter().enumerate() {
        if place > 0 {
            line.push(Tone::Plain, "  ");
        }
        let name = stage.to_string();
        if present == Some(stage) {
            line.extend(&present_stage(view));
        } else if view.broken_off == Some(stage) {
            line.push(Tone::Doubt, &format!("{name} ✗"));
        } else if view.passed.contains(&stage) {
            line.push(Tone::Good, &format!("{name} ✓"));
        } else {
            line.push(Tone::Faint, &name);
        }
    }
    if line.width() < columns {
        return line;
    }
    let mut line = Line::of(Tone::Plain, "  ");
    line.extend(&present_stage(view));
    if present.is_none() {
        return line;
    }
    let number =
        STAGES.iter().position(|stage| Some(*stage) == present).map_or(0, |place| place + 1);
    line.push(Tone::Faint, &format!("  ({number} of {})", STAGES.len()));
    line
}

fn present_stage(view: &View) -> Line {
    let Some((stage, ends)) = view.stage else { return Line::default() };
    let mut line = Line::of(Tone::Plain, format!("{stage} ▸"));
    if let Some(ends) = ends {
        let left = whole_seconds(until(view.now, ends));
        line.push(Tone::Plain, &format!(" {left} left"));
    }
    line
}

/// Guardrails and loads. Of many, those that are not as they should be, and how many others there are.
fn feet(view: &View, height: usize) -> Vec<Line> {
    let most = height / 4;
    let mut lines = Vec::new();
    let mut guardrails: Vec<&GuardrailNow> = view.guardrails.iter().collect();
    let room = most.saturating_sub(view.loads.len().min(most / 2));
    if guardrails.len() > room {
        guardrails.retain(|now| !matches!(now.standing, Standing::Within | Standing::Unread));
        guardrails.truncate(room.saturating_sub(1));
    }
    let others = view.guardrails.len() - guardrails.len();
    let names = guardrails.iter().map(|now| width(&printable(now.name.as_str())));
    let names = names.max().unwrap_or(0).min(services::NAME);
    lines.extend(guardrails.iter().map(|now| guardrail(now, names, view.now)));
    if others > 0 && room > 0 {
        let more = if lines.is_empty() { "" } else { " more" };
        lines.push(Line::of(
            Tone::Faint,
            format!("  {others}{more} guardrails, {}", others_are(view)),
        ));
    }
    let room = most.saturating_sub(lines.len());
    lines.extend(view.loads.iter().take(room).map(load));
    lines
}

/// What can be said of the guardrails that are not shown.
fn others_are(view: &View) -> &'static str {
    let is_unread = view.guardrails.iter().any(|now| now.standing == Standing::Unread);
    let is_within = view
        .guardrails
        .iter()
        .all(|now| matches!(now.standing, Standing::Within | Standing::Unread));
    match (is_within, is_unread) {
        (_, true) => "some not read yet",
        (true, false) => "all within their limits",
        (false, false) => "none of them worse",
    }
}

fn guardrail(now: &GuardrailNow, names: usize, at: Offset) -> Line {
    let of = |since: Offset, lasting: Duration| match lasting.is_zero() {
        true => String::new(),
        false => format!(" for {} of {}", whole_seconds(at.since(since)), Shown(lasting)),
    };
    let (tone, words) = match (now.kind, now.standing) {
        (_, Standing::Unread) => (Tone::Doubt, "not read yet".to_owned()),
        (GuardrailKind::KillSwitch, Standing::Within) => (Tone::Good, "not set".to_owned()),
        (GuardrailKind::KillSwitch, Standing::Broken) => (Tone::Bad, "SET".to_owned()),
        (_, Standing::Within) => (Tone::Good, "within".to_owned()),
        (_, Standing::Beyond { since, lasting }) => {
            (Tone::Bad, format!("beyond{}", of(since, lasting)))
        }
        (_, Standing::Unreadable { since, lasting }) => {
            (Tone::Doubt, format!("cannot be read{}", of(since, lasting)))
        }
        (_, Standing::Broken) => (Tone::Bad, "BROKEN".to_owned()),
    };
    let noun = if now.kind == GuardrailKind::KillSwitch { "kill switch" } else { "guardrail  " };
    let mut line = Line::of(Tone::Faint, format!("  {noun} "));
    let name = Line::of(Tone::Plain, printable(now.name.as_str()));
    line.extend(&name.padded(names));
    line.push(Tone::Plain, "  ");
    line.push(tone, &words);
    if let Some(value) = now.value.and_then(|value| measured(now.kind, value)) {
        line.push(Tone::Faint, &format!("  {value}"));
    }
    line
}

/// A guardrail's value for people; where it says no more than how the guardrail stands, none.
fn measured(kind: GuardrailKind, value: f64) -> Option<String> {
    match kind {
        GuardrailKind::GoodShare => Some(format!("{:.1} % good", (value * 1000.0).floor() / 10.0)),
        GuardrailKind::Latency => {
            let time = Duration::try_from_secs_f64(value / 1000.0).ok()?;
            Some(format!("p95 {}", Shown(time)))
        }
        GuardrailKind::Prometheus => Some(format!("value {}", (value * 1000.0).round() / 1000.0)),
        GuardrailKind::Alertmanager => Some(format!("{value:.0} firing")),
        GuardrailKind::Http | GuardrailKind::KillSwitch => None,
    }
}

fn load(now: &LoadNow) -> Line {
    let mut line = Line::of(Tone::Faint, "  load        ");
    line.push(Tone::Plain, &printable(now.name.as_str()));
    let (offered, wanted) = (now.offered.round(), now.wanted.round());
    // What is under way is not counted, so a load that rises is always a little behind.
    let tone = if offered < wanted * 0.8 { Tone::Doubt } else { Tone::Plain };
    line.push(tone, &format!("  {offered}/s of {wanted}/s"));
    if now.good.whole > 0 {
        line.push(Tone::of(now.good), &format!("  {} good", percent(now.good)));
    }
    line
}

/// The time that is left, not below zero, and rounded up: it is over when it says so.
fn until(now: Offset, end: Offset) -> Duration {
    end.since(now) + Duration::from_millis(999)
}

fn whole_seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => "0 s".to_owned(),
        seconds => Shown(Duration::from_secs(seconds)).to_string(),
    }
}
