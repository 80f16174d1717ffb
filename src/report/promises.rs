//! The table of promises: what was demanded, what was measured, and what follows.

use std::time::Duration;

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::Table;

use super::page::{Entry, Ink, Page, cell, ruled};
use super::words::{bounds, grouped, percent, plural, time, wanted};
use crate::model::{
    Bounds, CountBounds, Judgement, ProbeCounts, ProbeRecord, Promise, PromiseResult, RunRecord,
    ServiceRecord, Verdict,
};

/// More rows than this are not looked at; the kept ones beyond are counted.
const ROWS: usize = 20;
/// Among more than this, only those that were not kept have their reason told.
const FEW: usize = 8;

/// A promise, with who made it.
pub type Row<'a> = (&'a ServiceRecord, &'a PromiseResult);

/// The promises to be shown, the slowest service first, and those beyond. Where some are not shown, all that were
/// not kept come before all that were.
pub fn rows(record: &RunRecord) -> (Vec<Row<'_>>, Vec<Row<'_>>) {
    let mut rows: Vec<Row<'_>> = record
        .services
        .iter()
        .flat_map(|service| service.promises.iter().map(move |promise| (service, promise)))
        .collect();
    if rows.len() > ROWS {
        // Stable: among equals, the slowest service stays first.
        rows.sort_by_key(|(_, promise)| std::cmp::Reverse(promise.judgement));
    }
    let hidden = rows.split_off(rows.len().min(ROWS));
    (rows, hidden)
}

/// Writes the table and, below it, why each promise was judged as it was.
pub fn write(record: &RunRecord, page: &mut Page) {
    let (rows, hidden) = rows(record);
    if rows.is_empty() {
        return;
    }
    if record.marks.cut_issued.is_none() {
        let text = "not measured, since nothing was cut";
        page.heading("Promises", &[(Ink::Plain, text.to_owned())]);
        return;
    }
    page.heading("Promises", &[]);
    page.first_that_fits([wide(&rows), narrow(&rows), slim(&rows)]);
    if let Some(text) = beyond(&hidden) {
        page.paragraph(2, 2, &[(Ink::Dim, text)]);
    }
    page.notes(&whys(record, &rows));
}

/// How many promises are not shown, and how many of them were kept; `None` where there are none.
pub fn beyond(hidden: &[Row<'_>]) -> Option<String> {
    let kept = hidden.iter().filter(|(_, p)| p.judgement == Judgement::Kept).count();
    let all = hidden.len();
    let kept = if kept == all { "all".to_owned() } else { format!("{kept} of them") };
    (all > 0).then(|| format!("and {all} more, {kept} kept"))
}

/// One line for each, a column for each count.
fn wide(rows: &[Row<'_>]) -> Table {
    let mut table = ruled(&[
        ("Service", Left),
        ("Promise", Left),
        ("Budget", Right),
        ("Measured", Left),
        ("Margin", Right),
        ("Due", Right),
        ("Sent", Right),
        ("Bad", Right),
        ("Late", Right),
        ("Judgement", Left),
    ]);
    for (service, promise) in rows {
        let counts = counts(service, promise);
        table.add_row([
            cell(Ink::Plain, &whose(service, promise)),
            cell(Ink::Plain, &promise.promise.to_string()),
            cell(Ink::Plain, &budget(promise)),
            cell(Ink::Plain, &measured(promise, bounds)),
            cell(Ink::Plain, &margin(promise, " ")),
            cell(Ink::Plain, &grouped(counts.due)),
            cell(Ink::Plain, &grouped(counts.sent)),
            cell(Ink::Plain, &grouped(counts.bad)),
            cell(Ink::Plain, &grouped(counts.late)),
            cell(ink(promise.judgement), word(promise.judgement)),
        ]);
    }
    table
}

/// Two lines for each promise, where the columns of [`wide`] do not fit.
fn narrow(rows: &[Row<'_>]) -> Table {
    let mut table = ruled(&[
        ("Service", Left),
        ("Promise", Left),
        ("Budget", Right),
        ("Measured", Left),
        ("Margin", Right),
        ("Due\nSent", Right),
        ("Bad\nLate", Right),
    ]);
    for (service, promise) in rows {
        let counts = counts(service, promise);
        let judged = ink(promise.judgement);
        table.add_row([
            cell(Ink::Plain, &whose(service, promise)),
            cell(judged, &format!("{}\n{}", promise.promise, word(promise.judgement))),
            cell(Ink::Plain, &budget(promise)),
            cell(Ink::Plain, &measured(promise, stacked)),
            cell(Ink::Plain, &margin(promise, "\n")),
            cell(Ink::Plain, &format!("{}\n{}", grouped(counts.due), grouped(counts.sent))),
            cell(Ink::Plain, &format!("{}\n{}", grouped(counts.bad), grouped(counts.late))),
        ]);
    }
    table
}

/// Up to three lines for each, without the counts, where not even [`narrow`] fits.
fn slim(rows: &[Row<'_>]) -> Table {
    let mut table = ruled(&[
        ("Service\nPromise", Left),
        ("Budget", Right),
        ("Measured", Left),
        ("Margin\nJudgement", Right),
    ]);
    for (service, promise) in rows {
        let margin = format!("{}\n{}", margin(promise, "\n"), word(promise.judgement));
        table.add_row([
            cell(Ink::Plain, &format!("{}\n{}", whose(service, promise), promise.promise)),
            cell(Ink::Plain, &budget(promise)),
            cell(Ink::Plain, &measured(promise, stacked)),
            cell(ink(promise.judgement), &margin),
        ]);
    }
    table
}

/// Why, where the reasons above have not said it yet.
fn whys(record: &RunRecord, rows: &[Row<'_>]) -> Vec<Entry> {
    let said = |why: &str| {
        record.verdict != Verdict::Pass
            && record.reasons.iter().any(|reason| reason.text.contains(why))
    };
    rows.iter()
        .filter(|(_, promise)| rows.len() <= FEW || promise.judgement != Judgement::Kept)
        .filter(|(_, promise)| !promise.why.is_empty() && !said(&promise.why))
        .map(|(service, promise)| {
            let ink = match promise.judgement {
                Judgement::Kept => Ink::Dim,
                _ => Ink::Plain,
            };
            Entry {
                label: format!("{} {}", whose(service, promise), promise.promise),
                text: vec![(ink, format!("{}{}", promise.why, decided_by(service, promise)))],
            }
        })
        .collect()
}

/// Who promised it: the service, or a feature of it.
pub fn whose(service: &ServiceRecord, promise: &PromiseResult) -> String {
    match &promise.feature {
        Some(feature) => format!("{}/{feature}", service.name),
        None => service.name.to_string(),
    }
}

/// Which of several probes was the slowest.
pub fn decided_by(service: &ServiceRecord, promise: &PromiseResult) -> String {
    match &promise.probe {
        Some(probe) if service.probes.len() > 1 && promise.feature.is_none() => {
            format!(" (probe {probe})")
        }
        _ => String::new(),
    }
}

/// Whether `probe` is the one that decided, or, where none did, one that the service waits for.
pub fn decided(probe: &ProbeRecord, promise: &PromiseResult) -> bool {
    match &promise.probe {
        Some(name) => *name == probe.name,
        None => probe.required,
    }
}

/// The counts of the probe that decided, or of all that the service waits for.
pub fn counts(service: &ServiceRecord, promise: &PromiseResult) -> ProbeCounts {
    let mut sum = ProbeCounts::default();
    for probe in service.probes.iter().filter(|probe| decided(probe, promise)) {
        sum.due += probe.counts.due;
        sum.sent += probe.counts.sent;
        sum.bad += probe.counts.bad;
        sum.late += probe.counts.late;
    }
    sum
}

/// What was demanded.
pub fn budget(promise: &PromiseResult) -> String {
    match (promise.budget, promise.at_most, promise.at_least) {
        (Some(budget), ..) => time(budget),
        (None, Some(0), _) => "none".to_owned(),
        (None, Some(most), _) => plural(most, "record", "records"),
        (None, None, Some(share)) => wanted(share),
        (None, None, None) => "no bad".to_owned(),
    }
}

/// What was measured, its bounds as `shown`.
pub fn measured(promise: &PromiseResult, shown: fn(Bounds) -> String) -> String {
    match (promise.promise, promise.bad, promise.measured) {
        (Promise::Sustain, Some(bad), _) => format!("{} bad", grouped(bad)),
        (Promise::GoodWhileCut, ..) => {
            format!("{} good", percent(promise.held.unwrap_or_default().certain()))
        }
        (_, _, Some(measured)) => shown(measured),
        (Promise::LoseAtMost, ..) => counted(promise, "lost"),
        (Promise::DuplicateAtMost, ..) => counted(promise, "twice"),
        (_, _, None) => "not measured".to_owned(),
    }
}

/// So many records of a ledger.
fn counted(promise: &PromiseResult, what: &str) -> String {
    match promise.counted {
        None => "not measured".to_owned(),
        Some(CountBounds { low: 0, high: None }) => NOBODY_KNOWS.to_owned(),
        Some(count) => format!("{} {what}", numbers(count)),
    }
}

/// Nothing was seen, and not all was read.
const NOBODY_KNOWS: &str = "not known";

/// A count between two bounds.
pub fn numbers(count: CountBounds) -> String {
    match count {
        CountBounds { low, high: Some(high) } if low == high => grouped(high),
        CountBounds { low, high: Some(high) } => format!("{} to {}", grouped(low), grouped(high)),
        CountBounds { low: 0, high: None } => NOBODY_KNOWS.to_owned(),
        CountBounds { low, high: None } => format!("{} or more", grouped(low)),
    }
}

fn stacked(bounds: Bounds) -> String {
    match bounds.high {
        Some(high) => format!("≥ {}\n≤ {}", time(bounds.low), time(high)),
        None => format!("≥ {}\nno end seen", time(bounds.low)),
    }
}

/// What is left of the budget, or by how much it is overdrawn, at both bounds where they disagree.
pub fn margin(promise: &PromiseResult, between: &str) -> String {
    if let (Some(most), Some(count)) = (promise.at_most, promise.counted) {
        return margin_of(most, count, promise.judgement);
    }
    let (Some(budget), Some(Bounds { low, high })) = (promise.budget, promise.measured) else {
        return "-".to_owned();
    };
    match (promise.judgement, high) {
        (Judgement::Kept, Some(high)) => signed(budget, high),
        (Judgement::Broken, _) => signed(budget, low),
        (_, Some(high)) => format!("{}{between}to {}", signed(budget, high), signed(budget, low)),
        (_, None) => format!("at most{between}{}", signed(budget, low)),
    }
}

/// What is left of a budget of records, or by how many it is overdrawn, at the bound that decided.
fn margin_of(most: u64, count: CountBounds, judgement: Judgement) -> String {
    let by = |count: u64| match most.checked_sub(count) {
        Some(left) => format!("+{}", grouped(left)),
        None => format!("-{}", grouped(count - most)),
    };
    match (judgement, count.high) {
        (Judgement::Broken, _) => by(count.low),
        (Judgement::Kept, Some(high)) => by(high),
        _ => "-".to_owned(),
    }
}

fn signed(budget: Duration, took: Duration) -> String {
    match budget.checked_sub(took) {
        Some(left) => format!("+{}", time(left)),
        None => format!("-{}", time(took - budget)),
    }
}

/// The ink of a judgement.
pub fn ink(judgement: Judgement) -> Ink {
    match judgement {
        Judgement::Kept => Ink::Good,
        Judgement::Undecided => Ink::Doubt,
        Judgement::Broken => Ink::Bad,
    }
}

/// The judgement in a word that stands out unless it is as wanted.
pub fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Kept => "kept",
        Judgement::Undecided => "UNDECIDED",
        Judgement::Broken => "BROKEN",
    }
}
