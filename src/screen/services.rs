//! A line for each service, or for the worst of many.

use std::time::Duration;

use super::draw::Look;
use super::line::Line;
use super::tell::{Tone, percent, served};
use super::view::{LOOKS, View};
use crate::model::{Offset, ServiceNow, Share, Shown, printable};

/// Names are cut off here.
pub const NAME: usize = 24;
/// Cells of the bar of a budget.
const BAR: usize = 6;
/// Columns that the state takes at least, so that the others do not move with each tenth of a second.
const STATE: usize = 19;
/// Columns of a share.
const SHARE: usize = 5;
/// Between two columns.
const GAP: usize = 2;

/// What is shown of a service.
#[derive(Debug, Clone, Copy)]
struct Layout {
    name: usize,
    bounds: bool,
    looks: usize,
    share: bool,
    served: bool,
    budget: Budget,
}

/// How much is said of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    Bar,
    Words,
    Nothing,
}

/// The layouts, the widest first: what matters least goes first.
const LAYOUTS: [Layout; 9] = [
    WIDEST,
    Layout { looks: 16, ..WIDEST },
    Layout { looks: 16, bounds: false, ..WIDEST },
    Layout { looks: 8, bounds: false, ..WIDEST },
    Layout { looks: 16, served: false, bounds: false, ..WIDEST },
    Layout { looks: 8, ..NARROW },
    NARROW,
    Layout { name: 12, share: false, ..NARROW },
    Layout { name: 10, budget: Budget::Nothing, ..NARROW },
];

const WIDEST: Layout = Layout {
    name: NAME,
    bounds: true,
    looks: LOOKS,
    share: true,
    served: true,
    budget: Budget::Bar,
};

const NARROW: Layout =
    Layout { name: 14, bounds: false, looks: 0, share: true, served: false, budget: Budget::Words };

/// What stands in the line of a service.
struct Cells {
    name: Line,
    bounds: Line,
    state: Line,
    share: Line,
    bar: Line,
    budget: Line,
    served: Line,
    place: usize,
}

/// How many of `all` services are shown in `room` lines: where not all are, the last line says so, if there is one
/// to spare.
pub fn page(all: usize, room: usize) -> usize {
    if all > room { room.saturating_sub(1).max(room.min(1)) } else { room }
}

/// The services in at most `room` lines.
pub fn lines(view: &View, look: &Look, room: usize) -> Vec<Line> {
    let all = view.services.len();
    let rows = page(all, room);
    let shown = view.shown(rows, look.from);
    let (first, count) = (shown.first().map_or(0, |first| first + 1), shown.len());
    let rows: Vec<Cells> = shown.into_iter().map(|place| cells(view, place)).collect();
    let columns = look.columns.saturating_sub(1);
    let fitting = LAYOUTS.iter().find(|layout| total(&widths(&rows, layout)) <= columns);
    let layout = fitting.unwrap_or(&LAYOUTS[LAYOUTS.len() - 1]);
    let widths = widths(&rows, layout);
    let mut lines: Vec<Line> = rows.iter().map(|row| line(view, row, layout, &widths)).collect();
    if count < all && room > count {
        let mut text = match look.from {
            None => format!("  and {} more, none of them worse", all - count),
            Some(_) => format!("  services {first} to {} of {all}", first + count - 1),
        };
        match (look.keys, look.from) {
            (false, _) => {}
            (true, None) => text.push_str(" (j and k scroll)"),
            (true, Some(_)) => text.push_str(" (w: the worst)"),
        }
        lines.push(Line::of(Tone::Faint, text));
    }
    lines
}

/// The columns of name, state, looks, share, budget and served; nothing where one is not shown.
type Widths = [usize; 6];

fn widths(rows: &[Cells], layout: &Layout) -> Widths {
    let widest =
        |pick: fn(&Cells) -> &Line| rows.iter().map(|row| pick(row).width()).max().unwrap_or(0);
    let only = |shown: bool, width: usize| if shown { width } else { 0 };
    [
        widest(|row| &row.name).min(layout.name),
        match layout.bounds {
            true => widest(|row| &row.bounds).max(STATE),
            false => widest(|row| &row.state).max(only(layout.looks > 0, STATE)),
        },
        layout.looks,
        only(layout.share, SHARE),
        match layout.budget {
            Budget::Bar => widest(|row| &row.bar),
            Budget::Words => widest(|row| &row.budget),
            Budget::Nothing => 0,
        },
        only(layout.served, widest(|row| &row.served)),
    ]
}

fn total(widths: &Widths) -> usize {
    widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum()
}

fn line(view: &View, row: &Cells, layout: &Layout, widths: &Widths) -> Line {
    let looks = looks(view, row.place, layout.looks);
    let share = right(&row.share, SHARE);
    let budget = if layout.budget == Budget::Bar { &row.bar } else { &row.budget };
    let state = if layout.bounds { &row.bounds } else { &row.state };
    let cells = [&row.name, state, &looks, &share, budget, &row.served];
    let mut line = Line::default();
    for (cell, width) in cells.into_iter().zip(widths).filter(|(_, width)| **width > 0) {
        line.push(Tone::Plain, &" ".repeat(GAP));
        line.extend(&cell.clone().padded(*width));
    }
    line
}

fn right(cell: &Line, columns: usize) -> Line {
    let mut line = Line::of(Tone::Plain, " ".repeat(columns.saturating_sub(cell.width())));
    line.extend(cell);
    line
}

fn cells(view: &View, place: usize) -> Cells {
    let now = &view.services[place];
    let served = match served(&now.served, &view.datacenters) {
        none if none.is_empty() => Line::of(Tone::Faint, "nobody serves"),
        some => Line::of(Tone::Plain, printable(&some)),
    };
    Cells {
        name: Line::of(Tone::Plain, printable(now.service.as_str())),
        bounds: state(now, view.now, true),
        state: state(now, view.now, false),
        share: Line::of(Tone::of(now.good), percent(now.good)),
        bar: budget(now, view.now, true),
        budget: budget(now, view.now, false),
        served,
        place,
    }
}

/// How it is, in words; after what time it is back with both bounds, or with the upper one.
fn state(now: &ServiceNow, at: Offset, bounds: bool) -> Line {
    let (tone, text) = match (now.down_since, now.good) {
        (_, Share { whole: 0, .. }) => (Tone::Doubt, "not observed".to_owned()),
        (Some(since), Share { part: 0, .. }) => {
            (Tone::Bad, format!("down for {}", tenths(at.since(since))))
        }
        (Some(since), good) if good.part < good.whole => {
            (Tone::Doubt, format!("failing for {}", tenths(at.since(since))))
        }
        (Some(_), _) => (Tone::Doubt, "good, not yet stable".to_owned()),
        (None, good) if good.part < good.whole => (Tone::Doubt, "some fail".to_owned()),
        (None, _) => (Tone::Good, good(&now.state, bounds)),
    };
    Line::of(tone, text)
}

/// What is said of a service that is good now: since when, if it ever was not.
fn good(state: &str, both: bool) -> String {
    if let Some(bounds) = state.strip_prefix("recovery [") {
        let high = bounds.split_once(", ").and_then(|(_, high)| high.strip_suffix(']'));
        return match high.filter(|_| !both) {
            Some(high) => format!("back within {}", printable(high)),
            None => format!("back after [{}", printable(bounds)),
        };
    }
    match state {
        _ if state.starts_with("failback [") => "good, all as before".to_owned(),
        _ if state.starts_with("failback") => "good, failing back".to_owned(),
        _ => "good".to_owned(),
    }
}

/// The promised time that runs out, with a bar or without, or what became of the promises.
fn budget(now: &ServiceNow, at: Offset, bar: bool) -> Line {
    let over = |text: String| Line::of(Tone::Bad, format!("✗ {text}"));
    if let Some(budget) = now.budget {
        let used = at.since(budget.from);
        if used > budget.within {
            return over(format!("over budget by {}", tenths(used - budget.within)));
        }
        let left = budget.within - used;
        let share = left.as_secs_f64() / budget.within.as_secs_f64().max(f64::MIN_POSITIVE);
        let full = ((share * BAR as f64).ceil() as usize).min(BAR);
        let tone = if share < 0.25 { Tone::Bad } else { Tone::Doubt };
        let mut line = match now.broken {
            0 if bar => Line::of(tone, "█".repeat(full)),
            0 => Line::default(),
            broken => over(format!("{broken} broken, ")),
        };
        if now.broken == 0 && bar {
            line.push(Tone::Faint, &"░".repeat(BAR - full));
            line.push(tone, " ");
        }
        line.push(tone, &format!("{} of {} left", tenths(left), Shown(budget.within)));
        return line;
    }
    let ServiceNow { promises, kept, broken, .. } = *now;
    match (promises, kept, broken) {
        (1, _, 1) => over("promise broken".to_owned()),
        (_, _, 1..) => over(format!("{broken} of {promises} broken")),
        (1, 1, _) => Line::of(Tone::Good, "✓ promise kept"),
        (_, 0, _) => Line::default(),
        (all, kept, _) if kept == all => Line::of(Tone::Good, format!("✓ all {all} kept")),
        (all, kept, _) => Line::of(Tone::Plain, format!("✓ {kept} of {all} kept")),
    }
}

/// The last shares of good samples, the newest at the right.
fn looks(view: &View, place: usize, columns: usize) -> Line {
    const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let mut line = Line::default();
    let Some(looks) = view.looks.get(place) else { return line };
    let newest = looks.iter().skip(looks.len().saturating_sub(columns));
    line.push(Tone::Plain, &" ".repeat(columns.saturating_sub(looks.len())));
    for good in newest {
        // Rounded down, so that only all is shown as full; and only none as the lowest.
        let sign = match good.value() {
            None => " ",
            Some(_) if good.part == 0 => LEVELS[0],
            Some(value) => LEVELS[((value * 7.0) as usize).clamp(1, 7)],
        };
        line.push(Tone::of(*good), sign);
    }
    line
}

/// A duration that runs, with tenths while they can be followed.
fn tenths(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", (time.as_secs_f64() * 10.0).floor() / 10.0),
        _ => Shown(time).to_string(),
    }
}
