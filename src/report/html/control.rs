//! What was called at which control, and how it was undone.

use maud::{Markup, html};

use super::text::{section, shown, span, spans};
use crate::model::{
    Act, ControlCall, ControlRecord, ControlState, PartState, RunRecord, printable,
};
use crate::report::page::Ink;
use crate::report::traffic::{described, entry, place};
use crate::report::words::{grouped, moment, time};

/// Parts of a control that are told one by one.
const PARTS: usize = 40;
/// Controls told one by one.
const CONTROLS: usize = 60;
/// Calls told one by one; readings are left out first.
const CALLS: usize = 200;
/// Of the requests of a call, as many are told one by one.
const EXCHANGES: usize = 12;

/// The section.
pub fn draw(record: &RunRecord) -> Markup {
    if record.controls.is_empty() {
        return html! {};
    }
    let more = record.controls.len().saturating_sub(CONTROLS);
    let body = html! {
        @for control in record.controls.iter().take(CONTROLS) {
            @let told = entry(record, control);
            p { b { (shown(&told.label)) } ": " (spans(&told.text)) }
            (parts(record, control))
        }
        @if more > 0 { p.dim { "and " (more) " more controls, in the run record" } }
        (calls(record))
    };
    section("traffic", "Traffic: what was called, and how it was undone", None, body)
}

/// The parts that the drill changed or found changed, before, while cut and after.
fn parts(record: &RunRecord, control: &ControlRecord) -> Markup {
    let states = [&control.before, &control.cut, &control.after];
    let differ = |a: &Option<ControlState>, b: &Option<ControlState>| match (a, b) {
        (Some(a), Some(b)) => a.differences(b),
        _ => Vec::new(),
    };
    let mut names = differ(&control.before, &control.cut);
    names.extend(differ(&control.before, &control.after));
    names.sort();
    names.dedup();
    if names.is_empty() {
        return html! {};
    }
    let more = names.len().saturating_sub(PARTS);
    let title = format!("Parts of {}", place(control));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(printable(&title)) {
            table.stack {
                thead { tr {
                    th scope="col" { "Part" } th scope="col" { "Leads to" }
                    @for title in WHEN { th scope="col" { (title) } }
                } }
                tbody {
                    @for name in names.iter().take(PARTS) {
                        @let seen = states.map(|state| state.as_ref().map(|state| state.parts.get(name)));
                        tr {
                            th scope="row" { (shown(name)) }
                            td data-of="Leads to" { (leads_to(record, seen)) }
                            @for (place, part) in seen.into_iter().enumerate() {
                                td data-of=(WHEN[place]) { (state(part)) }
                            }
                        }
                    }
                }
            }
        }
        @if more > 0 { p.dim { "and " (grouped(more as u64)) " more parts that were changed, in the run record" } }
    }
}

const WHEN: [&str; 3] = ["Before", "While cut", "After"];

type Seen<'a> = Option<Option<&'a PartState>>;

fn leads_to(record: &RunRecord, seen: [Seen<'_>; 3]) -> Markup {
    let part = seen.into_iter().flatten().flatten().next();
    let name = part.and_then(|part| record.plan.datacenters.get(part.datacenter.index()));
    html! { @if let Some(name) = name { (shown(name.as_str())) } @else { "?" } }
}

fn state(part: Seen<'_>) -> Markup {
    match part {
        None => span((Ink::Doubt, "not read".to_owned())),
        Some(None) => span((Ink::Plain, "was not there".to_owned())),
        Some(Some(part)) => shown(&described(part.passage, part.settings.iter())),
    }
}

fn calls(record: &RunRecord) -> Markup {
    let matters = |call: &&ControlCall| call.act != Act::Inspect || call.error.is_some();
    let read = record.calls.iter().filter(|call| !matters(call)).count();
    let told: Vec<&ControlCall> = match record.calls.len() > CALLS {
        true => record.calls.iter().filter(matters).take(CALLS).collect(),
        false => record.calls.iter().collect(),
    };
    let hidden = record.calls.len() - told.len();
    html! {
        @if !told.is_empty() {
            details.panel {
                summary { (grouped(record.calls.len() as u64)) " calls, " (grouped(read as u64)) " of them readings" }
                div.scroll tabindex="0" role="region" aria-label="Calls" {
                    table.stack {
                        thead { tr {
                            th scope="col" { "Control" } th scope="col" { "When" } th scope="col" { "Call" }
                            th.num scope="col" { "Took" } th scope="col" { "Answer" }
                        } }
                        tbody { @for call in &told { (row(record, call)) } }
                    }
                }
                @if hidden > 0 { p.dim { "and " (grouped(hidden as u64)) " more, mostly readings, in the run record" } }
            }
        }
    }
}

fn row(record: &RunRecord, call: &ControlCall) -> Markup {
    html! {
        tr {
            th scope="row" { (shown(call.control.as_str())) }
            td data-of="When" { (moment(call.issued, &record.marks)) }
            td data-of="Call" { code { (call.act.to_string()) } }
            td.num data-of="Took" { (time(call.done.since(call.issued))) }
            td data-of="Answer" {
                @match &call.error {
                    Some(error) => (span((Ink::Doubt, error.clone()))),
                    None => "ok",
                }
            }
        }
        @if !call.exchanges.is_empty() { tr { td.exchanges colspan="5" { (exchanges(call)) } } }
    }
}

/// What was asked at the provider for a call, and answered.
fn exchanges(call: &ControlCall) -> Markup {
    let more = call.exchanges.len().saturating_sub(EXCHANGES);
    html! {
        ol {
            @for exchange in call.exchanges.iter().take(EXCHANGES) {
                li {
                    code { (shown(&exchange.asked)) } " \u{2192} " (shown(&exchange.answered)) " "
                    span.dim { "(" (time(exchange.took)) ")" }
                }
            }
        }
        @if more > 0 { p.dim { "and " (more) " more, in the run record" } }
    }
}
