//! What the plan's loads offered, and what came back.

use super::page::{Entry, GLUE, Ink, Page};
use super::words::{grouped, plural, time};
use crate::model::{LoadRecord, RunRecord};

/// Writes a line for each load.
pub fn write(record: &RunRecord, page: &mut Page) {
    let entries: Vec<Entry> = record.loads.iter().map(entry).collect();
    if !entries.is_empty() {
        page.heading("Load", &[]);
        page.entries(&entries);
    }
}

/// What one load offered, and what came back.
pub fn entry(load: &LoadRecord) -> Entry {
    let counts = &load.counts;
    let reached = match peak(load) {
        Some(peak) => format!("{} of ", grouped(peak)),
        None => String::new(),
    };
    let top = grouped(load.rate.round() as u64);
    let rate = format!("up to {reached}{top}{GLUE}requests a second: ");
    let sent = format!("{} sent, {} good, ", grouped(counts.sent), grouped(counts.good));
    let bad = if counts.bad == 0 { Ink::Plain } else { Ink::Bad };
    let mut text =
        vec![(Ink::Plain, rate + &sent), (bad, format!("{}{GLUE}bad", grouped(counts.bad)))];
    if counts.unknown > 0 {
        let unknown = plural(counts.unknown, "request", "requests");
        text.push((Ink::Doubt, format!(", {unknown} not sent")));
    }
    // The slowest stage tells how the crowd fared.
    if let Some(p99) = load.latency.values().map(|latency| latency.p99).max() {
        text.push((Ink::Plain, format!("; p99 up to {}", time(p99))));
    }
    Entry { label: load.name.to_string(), text }
}

/// The most requests a second that were really sent, in any second or cell of its course; `None` where the record does not
/// tell, or it came to the plan's rate.
fn peak(load: &LoadRecord) -> Option<u64> {
    let course = &load.course;
    let sent = course.good.iter().zip(&course.bad).zip(&course.stalled);
    let sent: Vec<u64> = sent
        .map(|((good, bad), stalled)| good.saturating_add(*bad).saturating_add(*stalled))
        .collect();
    let cells = (1.0 / course.cell.as_secs_f64()).ceil().max(1.0) as usize;
    let seconds = cells as f64 * course.cell.as_secs_f64();
    let most = sent
        .windows(cells.min(sent.len()).max(1))
        .map(|cells| cells.iter().fold(0u64, |sum, cell| sum.saturating_add(*cell)))
        .max()?;
    let rate = most as f64 / seconds;
    (rate < 0.95 * load.rate).then_some(rate.round() as u64)
}
