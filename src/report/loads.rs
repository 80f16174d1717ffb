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
    let rate = format!("up to {}{GLUE}requests a second: ", grouped(load.rate.round() as u64));
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
