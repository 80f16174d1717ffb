//! What each probe saw: a row of counts, and a note where there is something to tell.

use std::collections::BTreeMap;

use comfy_table::CellAlignment::{Left, Right};
use comfy_table::Table;

use super::page::{Entry, Ink, Page, cell, ruled};
use super::words::{grouped, moment, plural, time};
use crate::model::{
    Cohort, DnsCache, Latency, Marks, Outage, ProbeCounts, ProbeRecord, RunRecord, ServiceRecord,
    Stage,
};

/// More probes than this are counted.
const ROWS: usize = 12;
/// Outages told one by one.
const OUTAGES: usize = 3;

type Row<'a> = (&'a ServiceRecord, &'a ProbeRecord);

/// Writes the table of probes and the notes below it.
pub fn write(record: &RunRecord, page: &mut Page) {
    let probes: Vec<Row<'_>> = record
        .services
        .iter()
        .flat_map(|service| service.probes.iter().map(move |probe| (service, probe)))
        .collect();
    if probes.is_empty() {
        return;
    }
    let shown = &probes[..probes.len().min(ROWS)];
    page.heading("Probes", &[]);
    page.first_that_fits([wide(shown), narrow(shown), slim(shown)]);
    if probes.len() > ROWS {
        let text = format!("and {} more probes", probes.len() - ROWS);
        page.paragraph(2, 2, &[(Ink::Dim, text)]);
    }
    let notes: Vec<Entry> =
        shown.iter().filter_map(|(service, probe)| note(service, probe, &record.marks)).collect();
    page.notes(&notes);
}

/// One line for each, a column for each count.
fn wide(probes: &[Row<'_>]) -> Table {
    let counts = ["Due", "Sent", "Good", "Bad", "Stalled", "Unknown", "Late"];
    let mut head = vec![("Probe", Left)];
    head.extend(counts.map(|title| (title, Right)));
    head.extend([("p50 / p99 before", Left), ("while cut", Left)]);
    let mut table = ruled(&head);
    for (service, probe) in probes {
        let ProbeCounts { due, sent, good, bad, stalled, unknown, late, .. } = probe.counts;
        let mut row = vec![cell(Ink::Plain, &label(service, probe))];
        row.extend([due, sent, good].map(|count| cell(Ink::Plain, &grouped(count))));
        row.push(worth_a_look(bad, Ink::Bad));
        row.extend([stalled, unknown, late].map(|count| worth_a_look(count, Ink::Doubt)));
        row.extend(latencies(probe, " / "));
        table.add_row(row);
    }
    table
}

/// Two lines for each probe, where the columns of [`wide`] do not fit.
fn narrow(probes: &[Row<'_>]) -> Table {
    let mut table = ruled(&[
        ("Probe", Left),
        ("Due\nSent", Right),
        ("Good\nBad", Right),
        ("Stalled\nUnknown", Right),
        ("\nLate", Right),
        ("p50, p99\nbefore", Left),
        ("\nwhile cut", Left),
    ]);
    for (service, probe) in probes {
        let ProbeCounts { due, sent, good, bad, stalled, unknown, late, .. } = probe.counts;
        let two =
            |first, second| cell(Ink::Plain, &format!("{}\n{}", grouped(first), grouped(second)));
        let mut row = vec![
            cell(Ink::Plain, &label(service, probe)),
            two(due, sent),
            two(good, bad),
            two(stalled, unknown),
            worth_a_look(late, Ink::Doubt),
        ];
        row.extend(latencies(probe, "\n"));
        table.add_row(row);
    }
    table
}

/// Three lines for each probe, where not even [`narrow`] fits.
fn slim(probes: &[Row<'_>]) -> Table {
    let mut table = ruled(&[
        ("Probe", Left),
        ("Due\nSent", Right),
        ("Good\nBad", Right),
        ("Stalled\nUnknown\nLate", Right),
        ("p50, p99\nbefore", Left),
        ("\nwhile cut", Left),
    ]);
    for (service, probe) in probes {
        let ProbeCounts { due, sent, good, bad, stalled, unknown, late, .. } = probe.counts;
        let stack = |counts: &[u64]| {
            let counts: Vec<String> = counts.iter().map(|count| grouped(*count)).collect();
            cell(Ink::Plain, &counts.join("\n"))
        };
        let mut row = vec![
            cell(Ink::Plain, &format!("{}/\n{}", service.name, probe.name)),
            stack(&[due, sent]),
            stack(&[good, bad]),
            stack(&[stalled, unknown, late]),
        ];
        row.extend(latencies(probe, "\n"));
        table.add_row(row);
    }
    table
}

fn latencies(probe: &ProbeRecord, between: &str) -> [comfy_table::Cell; 2] {
    [Stage::Baseline, Stage::Observe]
        .map(|stage| cell(Ink::Plain, &latency(probe.latency.get(&stage), between)))
}

fn worth_a_look(count: u64, ink: Ink) -> comfy_table::Cell {
    cell(if count == 0 { Ink::Plain } else { ink }, &grouped(count))
}

/// The name of a probe among those of all services.
pub fn label(service: &ServiceRecord, probe: &ProbeRecord) -> String {
    format!("{}/{}", service.name, probe.name)
}

/// Median and 99th percentile.
pub fn latency(latency: Option<&Latency>, between: &str) -> String {
    match latency {
        Some(latency) => format!("{}{between}{}", time(latency.p50), time(latency.p99)),
        None => "-".to_owned(),
    }
}

/// A note of all that the counts do not tell; `None` where there is nothing.
pub fn note(service: &ServiceRecord, probe: &ProbeRecord, marks: &Marks) -> Option<Entry> {
    let text = told(probe, marks);
    (!text.is_empty()).then(|| Entry::plain(label(service, probe), text))
}

/// All that the counts do not tell; empty where there is nothing.
pub fn told(probe: &ProbeRecord, marks: &Marks) -> String {
    let mut parts = vec![];
    if !probe.required {
        parts.push("not required".to_owned());
    }
    if probe.may_stay {
        parts.push("may stay where it went".to_owned());
    }
    if probe.keep_alive {
        parts.push("connections kept open".to_owned());
    }
    if let Some(cohort) = &probe.cohort {
        parts.extend(clients(cohort));
        parts.extend(recovered(probe));
        parts.extend(
            cohort
                .last_led_there
                .map(|at| format!("last led to what was cut {}", moment(at, marks))),
        );
    }
    if !probe.counts.reasons.is_empty() {
        parts.push(format!("bad: {}", tally(&probe.counts.reasons)));
    }
    if !probe.counts.blindness.is_empty() {
        parts.push(format!("unknown: {}", tally(&probe.counts.blindness)));
    }
    if probe.counts.late > 0 {
        parts.push(format!("late by up to {}", time(probe.counts.late_by_at_most)));
    }
    parts.extend(outages(probe, marks));
    parts.extend(relapses(probe));
    parts.join("; ")
}

/// Which clients a cohort is of.
fn clients(cohort: &Cohort) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(cohort.name.as_ref().map(|name| format!("cohort {name}")));
    parts.extend(match cohort.cache {
        Some(DnsCache::None) => Some("every name looked up anew".to_owned()),
        Some(DnsCache::Ttl) => Some("DNS answers kept for their TTL".to_owned()),
        Some(DnsCache::For(time_kept)) => {
            Some(format!("DNS answers kept for {}, whatever their TTL", time(time_kept)))
        }
        None => None,
    });
    if cohort.every_address {
        parts.push("every address asked".to_owned());
    }
    if !cohort.servers.is_empty() && cohort.cache.is_some() {
        parts.push(format!("DNS of {}", cohort.servers.join(", ")));
    }
    parts
}

/// The recovery time of a cohort, which is what it is asked for.
fn recovered(probe: &ProbeRecord) -> Option<String> {
    let recovery = probe.recovery?;
    let low = time(recovery.bounds.low);
    Some(match recovery.bounds.high {
        Some(high) if recovery.seamless => format!("never failed, to within {}", time(high)),
        Some(high) => format!("recovered after {low} to {}", time(high)),
        None if recovery.seamless => return None,
        None => format!("not recovered after {low}"),
    })
}

/// Counts by name, the most frequent first.
fn tally(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let parts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{} {name}", grouped(**count))).collect();
    parts.join(", ")
}

fn outages(probe: &ProbeRecord, marks: &Marks) -> Option<String> {
    if probe.outage_count == 0 {
        return None;
    }
    let told: Vec<String> =
        probe.outages.iter().take(OUTAGES).map(|outage| span(outage, marks)).collect();
    let count = plural(probe.outage_count, "outage", "outages");
    let more = if (told.len() as u64) < probe.outage_count { "; and more" } else { "" };
    Some(if told.is_empty() { count } else { format!("{count}, {}{more}", told.join("; ")) })
}

fn span(outage: &Outage, marks: &Marks) -> String {
    let from = format!("from {}", moment(outage.began_by, marks));
    let low = outage.ended_after.since(outage.began_by);
    match outage.ended_by {
        Some(end) => {
            format!("{from}, {} to {} long", time(low), time(end.since(outage.began_after)))
        }
        None => format!("{from}, at least {} long, its end not seen", time(low)),
    }
}

fn relapses(probe: &ProbeRecord) -> Option<String> {
    let count = probe.recovery.map_or(0, |recovery| recovery.relapses);
    (count > 0).then(|| plural(count.into(), "relapse", "relapses"))
}
