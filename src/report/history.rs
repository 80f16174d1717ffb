//! Past runs in a table, and how the recovery times of each plan went.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};

use super::TableStyle;
use super::comparison::measured;
use super::headline::ink;
use super::page::{Entry, GLUE, Ink, Page, Span, cell, ruled};
use super::words::{bounds, plural, time};
use crate::model::{Bounds, Change, History, Mode, Summary, Trend, Verdict, printable};

/// The columns of the longest bar.
const BAR: usize = 12;
/// The signs of a spark line, the lowest first.
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The past runs, the latest first, and their trends.
pub fn history(history: &History, style: TableStyle) -> String {
    let mut page = Page::new(style);
    let longest = history.runs.iter().filter_map(ended).max().unwrap_or_default();
    // What is left out first is what the others say too: the id holds the time.
    let tables = Layout::ALL.map(|layout| table(history, longest, layout));
    let fitting = tables.iter().find(|table| page.fits(table)).or(tables.last());
    if let Some(table) = fitting {
        page.table(table.clone());
    }
    if history.earlier > 0 {
        let earlier = plural(history.earlier as u64, "earlier run", "earlier runs");
        page.paragraph(2, 2, &[(Ink::Dim, format!("and {earlier}; --last N shows more"))]);
    }
    if !history.trends.is_empty() {
        page.heading("Recovery time, the latest run last", &[]);
        let entries: Vec<Entry> = history.trends.iter().map(trend).collect();
        page.entries(&entries);
    }
    page.finish()
}

/// What a table has room for.
#[derive(Debug, Clone, Copy)]
struct Layout {
    bars: bool,
    ids: bool,
    /// Each end of the bounds on a line of its own, and likewise date and time.
    narrow: bool,
}

impl Layout {
    /// The widest first.
    const ALL: [Layout; 4] = [
        Layout { bars: true, ids: true, narrow: false },
        Layout { bars: false, ids: true, narrow: false },
        Layout { bars: false, ids: false, narrow: false },
        Layout { bars: false, ids: false, narrow: true },
    ];
}

fn table(history: &History, longest: Duration, layout: Layout) -> Table {
    let left = CellAlignment::Left;
    let mut head = vec![("Plan", left), ("When (UTC)", left), ("Verdict", left), ("Slowest", left)];
    head.push(("Recovery", CellAlignment::Right));
    if layout.bars {
        head.push(("", left));
    }
    if layout.ids {
        head.push(("Run", left));
    }
    let gap = if layout.narrow { "\n" } else { " " };
    let mut table = ruled(&head);
    for run in &history.runs {
        let lab = if run.lab { format!("{gap}(lab)") } else { String::new() };
        let when = run.started_at.strftime("%Y-%m-%d %H:%M").to_string();
        let slowest = run.slowest.as_ref().map_or(String::new(), |it| it.service.to_string());
        let mut row = vec![
            cell(Ink::Plain, &format!("{}{lab}", printable(run.plan.as_str()))),
            cell(Ink::Plain, &when.replace(' ', gap)),
            cell(ink(run.verdict), &run.verdict.to_string().replace(' ', gap)),
            cell(Ink::Plain, &printable(&slowest)),
            cell(Ink::Plain, &measured(run.recovery(), layout.narrow)),
        ];
        if layout.bars {
            row.push(cell(bar_ink(run), &bar(run.recovery(), longest)));
        }
        if layout.ids {
            row.push(cell(Ink::Plain, &printable(&run.run)));
        }
        table.add_row(row);
    }
    table
}

fn bar_ink(run: &Summary) -> Ink {
    if run.verdict == Verdict::Pass { Ink::Good } else { Ink::Doubt }
}

/// When the recovery had surely ended, or how long it surely took if no end was seen.
fn ended(run: &Summary) -> Option<Duration> {
    run.recovery().map(|recovery| recovery.high.unwrap_or(recovery.low))
}

/// A bar from 0, as long as the high bound; what was not seen to end has an open end.
fn bar(recovery: Option<Bounds>, longest: Duration) -> String {
    let Some(recovery) = recovery else { return String::new() };
    let length = recovery.high.unwrap_or(recovery.low);
    let columns = share(length, longest, BAR);
    let end = if recovery.high.is_none() { ">" } else { "" };
    format!("{}{end}", "█".repeat(columns))
}

/// `part` of `whole` in steps: at least one, and all of them only for the whole.
fn share(part: Duration, whole: Duration, steps: usize) -> usize {
    if whole.is_zero() {
        return 1;
    }
    let share = part.as_secs_f64() / whole.as_secs_f64() * steps as f64;
    (share.ceil() as usize).clamp(1, steps)
}

fn trend(trend: &Trend) -> Entry {
    let mut text: Vec<Span> = vec![(Ink::Bold, sparks(trend))];
    if let Some(Some(last)) = trend.points.last().map(|point| point.recovery) {
        text.push((Ink::Plain, format!(" {}", bounds(last))));
    }
    let (ink, change) = match trend.change {
        None => (Ink::Dim, "the first of its kind".to_owned()),
        Some(change) => (change_ink(change), format!("{} the run before", against(change))),
    };
    text.push((Ink::Plain, ", ".to_owned()));
    text.push((ink, change));
    let cut = format!("; {} by {}", trend.cut, kind(&trend.mode));
    let lab = if trend.lab { " in a lab" } else { "" };
    text.push((Ink::Plain, format!("{cut}{lab}")));
    if let Some(p75) = trend.p75 {
        let passed = plural(trend.passed as u64, "passed run", "passed runs");
        let usual = format!("; 3 of 4 of {passed} took at most {}", time(p75));
        text.push((Ink::Plain, usual));
    }
    Entry { label: trend.plan.to_string(), text }
}

fn kind(mode: &Mode) -> String {
    mode.kind().to_string()
}

/// A sign for each run, its height the high bound; `?` was not measured, `!` was not seen to end.
fn sparks(trend: &Trend) -> String {
    let highs = || trend.points.iter().filter_map(|point| point.recovery?.high);
    let longest = highs().max().unwrap_or_default();
    let sign = |recovery: Option<Bounds>| match recovery.map(|recovery| recovery.high) {
        None => '?',
        Some(None) => '!',
        Some(Some(high)) => SPARKS[share(high, longest, SPARKS.len()) - 1],
    };
    trend.points.iter().map(|point| sign(point.recovery)).collect()
}

/// What became of a time, in words.
pub fn changed(change: Change) -> &'static str {
    match change {
        Change::Slower => "slower",
        Change::Faster => "faster",
        Change::NoDifferenceShown => "no difference shown",
        Change::NotMeasuredBefore => "not measured before",
        Change::NotMeasuredNow => "not measured now",
        Change::NeverMeasured => "not measured",
    }
}

fn against(change: Change) -> &'static str {
    match change {
        Change::Slower => "slower than",
        Change::Faster => "faster than",
        Change::NoDifferenceShown => "no difference shown to",
        Change::NotMeasuredBefore => "not measured in",
        Change::NotMeasuredNow => "not measured now, but in",
        Change::NeverMeasured => "not measured, nor in",
    }
}

/// The ink of what became of a time.
pub fn change_ink(change: Change) -> Ink {
    match change {
        Change::Slower => Ink::Bad,
        Change::Faster => Ink::Good,
        Change::NoDifferenceShown => Ink::Plain,
        Change::NotMeasuredBefore | Change::NotMeasuredNow | Change::NeverMeasured => Ink::Doubt,
    }
}

/// When a run was, and its id: as it is named in sentences.
pub fn named(run: &Summary) -> String {
    let when = run.started_at.strftime("%Y-%m-%d %H:%M").to_string();
    format!("{} ({} UTC)", run.run, when.replace(' ', &GLUE.to_string()))
}
