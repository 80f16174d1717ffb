//! Two runs, side by side.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};

use super::TableStyle;
use super::headline::ink;
use super::history::{change_ink, changed, named};
use super::page::{Entry, Ink, Page, Span, cell, ruled};
use super::promises::numbers;
use super::words::{bounds, grouped, plural, time};
use crate::model::{
    Bounds, Change, ComparedLoss, ComparedMinutes, ComparedPromise, ComparedTime, Comparison,
    CountBounds, Judgement, Kept, Name, PlanChange, Summary, Timed, UserMinutes,
};

/// More rows than this are not shown; those that are not have no news.
const ROWS: usize = 200;

/// What is different between two runs: what got slower first.
pub fn comparison(comparison: &Comparison, style: TableStyle) -> String {
    let mut page = Page::new(style);
    head(comparison, &mut page);
    times(comparison, &mut page);
    promises(comparison, &mut page);
    minutes(comparison, &mut page);
    losses(comparison, &mut page);
    page.finish()
}

fn head(comparison: &Comparison, page: &mut Page) {
    let side = |run: &Summary| {
        let lab = if run.lab { " in a lab" } else { "" };
        let cut = format!("{} by {}{lab}", run.cut, run.mode.kind());
        vec![
            (ink(run.verdict), run.verdict.to_string()),
            (Ink::Plain, format!(" {}: {cut}; {}", run.plan, named(run))),
        ]
    };
    let (ink, text) = plan(comparison.plan);
    let mut entries = vec![
        Entry { label: "before".to_owned(), text: side(&comparison.before) },
        Entry { label: "after".to_owned(), text: side(&comparison.after) },
        Entry { label: "plan".to_owned(), text: vec![(ink, text.to_owned())] },
    ];
    entries.extend(
        comparison
            .notes
            .iter()
            .map(|note| Entry { label: "note".to_owned(), text: vec![(Ink::Doubt, note.clone())] }),
    );
    page.entries_at(0, &entries);
}

fn plan(change: PlanChange) -> (Ink, &'static str) {
    match change {
        PlanChange::Same => (Ink::Plain, "the same in both"),
        PlanChange::OtherVars => (Ink::Doubt, "the same text, with other values by --var"),
        PlanChange::Edited => (Ink::Doubt, "edited in between"),
        PlanChange::Another => (Ink::Doubt, "two different plans"),
        PlanChange::Unknown => {
            (Ink::Doubt, "whether it was edited is not known: an older firedrill did not keep it")
        }
    }
}

fn times(comparison: &Comparison, page: &mut Page) {
    let mut probes: BTreeMap<&Name, usize> = BTreeMap::new();
    for time in comparison.times.iter().filter(|time| time.what == Timed::Recovery) {
        *probes.entry(&time.service).or_default() += usize::from(time.probe.is_some());
    }
    // The only probe of a service says what the service says.
    let told = |time: &&ComparedTime| {
        time.probe.is_none() || probes.get(&time.service).is_some_and(|probes| *probes > 1)
    };
    let mut rows: Vec<&ComparedTime> = comparison.times.iter().filter(told).collect();
    rows.sort_by_key(|time| weight(time.change));
    let count = |change| rows.iter().filter(|time| time.change == change).count();
    let told = [Change::Slower, Change::Faster, Change::NotMeasuredBefore, Change::NotMeasuredNow]
        .map(|change| (count(change), changed(change)))
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"));
    let told: Vec<String> = told.collect();
    let note = if told.is_empty() { "no difference shown".to_owned() } else { told.join(", ") };
    page.heading("Times", &[(Ink::Plain, note)]);
    if rows.is_empty() {
        page.paragraph(2, 2, &[(Ink::Doubt, "neither run measured a service".to_owned())]);
        return;
    }
    page.table(fitting(page, |narrow| times_table(&rows, narrow)));
    left_out(rows.len(), page);
}

/// The table as it is best read; where it does not fit, the narrow one.
fn fitting(page: &Page, table: impl Fn(bool) -> Table) -> Table {
    Some(table(false)).filter(|wide| page.fits(wide)).unwrap_or_else(|| table(true))
}

fn times_table(rows: &[&ComparedTime], narrow: bool) -> Table {
    let (left, right) = (CellAlignment::Left, CellAlignment::Right);
    let mut table = ruled(&[
        ("Service", left),
        ("Time", left),
        ("Before", right),
        ("After", right),
        ("", left),
    ]);
    for time in rows.iter().take(ROWS) {
        table.add_row(vec![
            cell(Ink::Plain, &label(&time.service, time.probe.as_ref())),
            cell(Ink::Plain, if time.what == Timed::Recovery { "recovery" } else { "failback" }),
            cell(Ink::Plain, &measured(time.before, narrow)),
            cell(Ink::Plain, &measured(time.after, narrow)),
            cell(change_ink(time.change), changed(time.change)),
        ]);
    }
    table
}

/// What should be read first.
fn weight(change: Change) -> u8 {
    match change {
        Change::Slower => 0,
        Change::NotMeasuredNow => 1,
        Change::Faster => 2,
        Change::NotMeasuredBefore => 3,
        Change::NeverMeasured => 4,
        Change::NoDifferenceShown => 5,
    }
}

fn left_out(rows: usize, page: &mut Page) {
    if let Some(more @ 1..) = rows.checked_sub(ROWS) {
        let more = plural(more as u64, "more row", "more rows");
        page.paragraph(2, 2, &[(Ink::Dim, format!("and {more}; --format json has all"))]);
    }
}

fn label(service: &Name, probe: Option<&Name>) -> String {
    probe.map_or(service.to_string(), |probe| format!("{service}/{probe}"))
}

/// With `narrow`, each end of the bounds has a line of its own.
pub fn measured(measured: Option<Bounds>, narrow: bool) -> String {
    match measured {
        None => "not measured".to_owned(),
        Some(measured) if narrow => {
            let high = measured.high.map(|high| format!("≤ {}", time(high)));
            format!("≥ {}\n{}", time(measured.low), high.unwrap_or("not seen".to_owned()))
        }
        Some(measured) => bounds(measured),
    }
}

fn promises(comparison: &Comparison, page: &mut Page) {
    if comparison.promises.is_empty() {
        return;
    }
    let mut rows: Vec<&ComparedPromise> = comparison.promises.iter().collect();
    rows.sort_by_key(|promise| std::cmp::Reverse(news(promise)));
    page.heading("Promises", &[]);
    page.table(fitting(page, |narrow| promises_table(&rows, narrow)));
    left_out(rows.len(), page);
}

fn promises_table(rows: &[&ComparedPromise], narrow: bool) -> Table {
    let left = CellAlignment::Left;
    let mut table =
        ruled(&[("Service", left), ("Promise", left), ("Before", left), ("After", left)]);
    for promise in rows.iter().take(ROWS) {
        let (before_ink, before) = kept(promise.before, narrow);
        let (after_ink, after) = kept(promise.after, narrow);
        table.add_row(vec![
            cell(Ink::Plain, &label(&promise.service, promise.feature.as_ref())),
            cell(Ink::Plain, &promise.promise.to_string()),
            cell(before_ink, &before),
            cell(after_ink, &after),
        ]);
    }
    table
}

/// How much there is to say of a promise: whether the judgement is another one, and how bad it is now.
fn news(promise: &ComparedPromise) -> (bool, Option<Judgement>) {
    let judged = |kept: Option<Kept>| kept.map(|kept| kept.judgement);
    (judged(promise.before) != judged(promise.after), judged(promise.after))
}

fn kept(kept: Option<Kept>, narrow: bool) -> (Ink, String) {
    let Some(kept) = kept else { return (Ink::Doubt, "not promised".to_owned()) };
    let (ink, word) = match kept.judgement {
        Judgement::Kept => (Ink::Good, "kept"),
        Judgement::Undecided => (Ink::Doubt, "undecided"),
        Judgement::Broken => (Ink::Bad, "broken"),
    };
    let gap = if narrow { "\n" } else { " " };
    let budget = kept.budget.map(|budget| format!("{gap}(budget {})", time(budget)));
    let budget = budget.unwrap_or_default();
    (ink, format!("{word}{budget}"))
}

fn minutes(comparison: &Comparison, page: &mut Page) {
    let mut rows: Vec<&ComparedMinutes> = comparison.user_minutes.iter().collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|row| weight(row.change));
    page.heading("User-minutes lost", &[]);
    let entry = |row: &&ComparedMinutes| {
        counted(row.service.to_string(), (lost(row.before), lost(row.after)), row.change)
    };
    let entries: Vec<Entry> = rows.iter().take(ROWS).map(entry).collect();
    page.entries(&entries);
    left_out(rows.len(), page);
}

/// What was counted in two runs, and what became of it.
fn counted(label: String, (before, after): (String, String), change: Change) -> Entry {
    let word = match change {
        Change::Slower => "more",
        Change::Faster => "fewer",
        other => changed(other),
    };
    let text: Vec<Span> = vec![
        (Ink::Plain, format!("{before}, then {after}: ")),
        (change_ink(change), word.to_owned()),
    ];
    Entry { label, text }
}

fn losses(comparison: &Comparison, page: &mut Page) {
    let mut rows: Vec<&ComparedLoss> = comparison.losses.iter().collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|row| weight(row.change));
    page.heading("Acknowledged writes lost", &[]);
    let told = |lost: Option<CountBounds>| match lost {
        Some(CountBounds { high: Some(0), .. }) => "none".to_owned(),
        Some(count) => numbers(count),
        None => "no ledger".to_owned(),
    };
    let entry = |row: &&ComparedLoss| {
        let label = label(&row.service, Some(&row.probe));
        counted(label, (told(row.before), told(row.after)), row.change)
    };
    let entries: Vec<Entry> = rows.iter().take(ROWS).map(entry).collect();
    page.entries(&entries);
    left_out(rows.len(), page);
}

fn lost(minutes: Option<UserMinutes>) -> String {
    let Some(minutes) = minutes else { return "not known".to_owned() };
    let count = |minutes: f64| grouped(minutes.round() as u64);
    match (count(minutes.low), count(minutes.high)) {
        (low, high) if low == high => high,
        (low, high) => format!("{low} to {high}"),
    }
}
