//! What the verdict rests on: the proof of the cut, where the time went, what the probes counted.

use std::time::Duration;

use maud::{Markup, html};

use super::text::{class, entries, section, shown, span};
use crate::model::{Latency, ProbeRecord, RunRecord, ServiceRecord, Split, Stage};
use crate::report::page::{Entry, Ink};
use crate::report::words::{grouped, plural, time};
use crate::report::{self, impact, probes, proof, split};

/// Services told one by one in a section; those beyond are counted.
const SERVICES: usize = 60;
/// Probes with a row of their own.
const PROBES: usize = 300;
/// Loads told one by one.
const LOADS: usize = 60;
/// Guardrails told one by one.
const GUARDRAILS: usize = 200;

/// How many are left out, if any.
fn more(count: usize, what: &str) -> Markup {
    html! { @if count > 0 { p.dim { "and " (grouped(count as u64)) " more " (what) ", in the run record" } } }
}

/// The proof of the cut.
pub fn cut(record: &RunRecord) -> Markup {
    if record.marks.cut_issued.is_none() {
        return html! {};
    }
    let (told, hidden) = proof::entries(record, SERVICES);
    let body = html! {
        @if record.proof.holds() {
            p { "The controls, read back, said that it was cut, and what users were answered says so too." }
        } @else {
            p { "What is missing stands above under \u{201c}Why\u{201d}, or below." }
        }
        (entries(&told)) (more(hidden, "services"))
    };
    section("proof", "Proof of the cut", Some(proof::state(record)), body)
}

/// Where the time went, a bar for each part.
pub fn time_went(record: &RunRecord) -> Markup {
    let splits: Vec<(&ServiceRecord, Split)> = split::splits(record).collect();
    if splits.is_empty() {
        return html! {};
    }
    let body = html! {
        @for (service, split) in splits.iter().take(SERVICES) {
            h3 { (shown(service.name.as_str())) ", " (time(split.whole())) " in all" }
            (parts(split))
        }
        (more(splits.len().saturating_sub(SERVICES), "services"))
    };
    section("time", "Where the time went", None, body)
}

fn parts(split: &Split) -> Markup {
    let whole = split.whole().as_secs_f64().max(1e-9);
    let mut before = Duration::ZERO;
    let places = split::parts(split).map(|(label, part)| {
        let left = before.as_secs_f64() / whole * 100.0;
        before = before.saturating_add(part);
        let least = if part.is_zero() { 0.0 } else { 0.4 };
        (label, part, left, (part.as_secs_f64() / whole * 100.0).max(least))
    });
    html! {
        dl.entries {
            @for (label, part, left, width) in places {
                dt.part { (label) " " b { (time(part)) } }
                dd { div.bar aria-hidden="true" { i.sure style=(format!("left:{left:.1}%;width:{width:.1}%")) {} } }
            }
        }
    }
}

/// What users lost.
pub fn lost(record: &RunRecord) -> Markup {
    let told: Vec<&ServiceRecord> =
        record.services.iter().filter(|service| impact::is_news(service)).collect();
    let shown: Vec<Entry> =
        told.iter().take(SERVICES).flat_map(|service| impact::entries(service)).collect();
    listed("impact", "Impact", &shown, told.len().saturating_sub(SERVICES), "services")
}

/// What became of the ledgers' records.
pub fn ledgers(record: &RunRecord) -> Markup {
    let (told, hidden) = report::ledgers::entries(record, SERVICES);
    listed("ledgers", "Ledgers", &told, hidden, "ledgers")
}

/// What the loads offered.
pub fn loads(record: &RunRecord) -> Markup {
    let told: Vec<Entry> = record.loads.iter().take(LOADS).map(report::loads::entry).collect();
    listed("loads", "Load", &told, record.loads.len().saturating_sub(LOADS), "loads")
}

/// What the guardrails saw.
pub fn guardrails(record: &RunRecord) -> Markup {
    let mut told = report::guardrails::entries(record);
    let hidden = told.len().saturating_sub(GUARDRAILS);
    told.truncate(GUARDRAILS);
    listed("guardrails", "Guardrails", &told, hidden, "guardrails")
}

/// What was expected beside what was measured.
pub fn placement(record: &RunRecord) -> Markup {
    let Some(told) = report::placement::of_run(record) else { return html! {} };
    let body = html! {
        (entries(&told.entries))
        @if let Some(quiet) = told.quiet { p { (span(quiet)) } }
    };
    section("placement", "Placement, predicted and measured", Some(told.note), body)
}

/// What the lab knows to be true.
pub fn lab(record: &RunRecord) -> Markup {
    listed("lab", "What the lab knows", &report::lab::entries(record), 0, "")
}

fn listed(id: &str, title: &str, told: &[Entry], hidden: usize, what: &str) -> Markup {
    if told.is_empty() {
        return html! {};
    }
    section(id, title, None, html! { (entries(told)) (more(hidden, what)) })
}

type Row<'a> = (&'a ServiceRecord, &'a ProbeRecord);

/// What each probe counted: those with something amiss first, if not all fit.
pub fn probes(record: &RunRecord) -> Markup {
    let mut rows: Vec<Row<'_>> = record
        .services
        .iter()
        .flat_map(|service| service.probes.iter().map(move |probe| (service, probe)))
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    if rows.len() > PROBES {
        rows.sort_by_key(|(_, probe)| std::cmp::Reverse(probe.counts.bad));
    }
    let shown = &rows[..rows.len().min(PROBES)];
    let notes: Vec<Entry> = shown
        .iter()
        .filter_map(|(service, probe)| probes::note(service, probe, &record.marks))
        .collect();
    let body = html! {
        div.scroll tabindex="0" role="region" aria-label="Probes" {
            table.stack {
                thead { tr {
                    th scope="col" { "Probe" }
                    @for title in COUNTS { th.num scope="col" { (title) } }
                    th.num scope="col" { (BEFORE) } th.num scope="col" { (DURING) }
                } }
                tbody { @for (service, probe) in shown { (row(service, probe)) } }
            }
        }
        @if rows.len() > PROBES {
            p.dim { "and " (plural((rows.len() - PROBES) as u64, "more probe", "more probes")) " with fewer bad samples, in the run record" }
        }
        @if !notes.is_empty() { details.panel open[notes.len() <= 12] { summary { "What they saw" } (entries(&notes)) } }
    };
    section("probes", "Probes", None, body)
}

const COUNTS: [&str; 7] = ["Due", "Sent", "Good", "Bad", "Stalled", "Unknown", "Late"];
const BEFORE: &str = "p50 / p99 before";
const DURING: &str = "while cut";

fn row(service: &ServiceRecord, probe: &ProbeRecord) -> Markup {
    let it = &probe.counts;
    let counts = [it.due, it.sent, it.good, it.bad, it.stalled, it.unknown, it.late];
    let ink = |place: usize, count: u64| match (place, count) {
        (3, 1..) => class(Ink::Bad),
        (4.., 1..) => class(Ink::Doubt),
        _ => class(Ink::Plain),
    };
    let latency = |stage| {
        let latency: Option<&Latency> = probe.latency.get(&stage);
        probes::latency(latency, " / ")
    };
    html! {
        tr {
            th scope="row" { (shown(&probes::label(service, probe))) }
            @for (place, count) in counts.into_iter().enumerate() {
                td.num data-of=(COUNTS[place]) { span class=(ink(place, count)) { (grouped(count)) } }
            }
            td.num data-of=(BEFORE) { (latency(Stage::Baseline)) }
            td.num data-of=(DURING) { (latency(Stage::Observe)) }
        }
    }
}
