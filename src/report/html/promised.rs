//! The promises: what was demanded beside what was measured, as numbers and as a picture.

use std::time::Duration;

use maud::{Markup, html};

use super::picture::chip;
use super::text::{section, shown};
use crate::model::{Bounds, Judgement, PromiseResult, RunRecord, ServiceRecord};
use crate::report::promises::{budget, counts, decided_by, margin, measured, whose};
use crate::report::words::{grouped, time};

/// Rows of promises; those that were kept and do not fit are counted, all others are named.
const ROWS: usize = 300;

type Row<'a> = (&'a ServiceRecord, &'a PromiseResult);

/// The section.
pub fn draw(record: &RunRecord) -> Markup {
    let mut rows: Vec<Row<'_>> = record
        .services
        .iter()
        .flat_map(|service| service.promises.iter().map(move |promise| (service, promise)))
        .collect();
    rows.sort_by_key(|(_, promise)| std::cmp::Reverse(promise.judgement));
    let hidden = rows.split_off(rows.len().min(ROWS));
    let body = html! {
        @if rows.is_empty() { p { "The plan makes no promises." } }
        @else if record.marks.cut_issued.is_none() { p { "Not measured, since nothing was cut." } }
        @else {
            (table(&rows))
            (rest(&hidden))
            p.dim { "In the bars, the filled part is certain, the hollow part is possible, and the upright line is the budget." }
        }
    };
    section("promises", "Promises", None, body)
}

fn table(rows: &[Row<'_>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Promises" {
            table.stack {
                thead { tr {
                    th scope="col" { "Who promised" } th scope="col" { "Judgement" } th scope="col" { "Promise" }
                    th.num scope="col" { "Budget" } th scope="col" { "Measured" } th scope="col" { "Against the budget" }
                    th.num scope="col" { "Margin" } th.num scope="col" { "Bad / sent" } th scope="col" { "Why" }
                } }
                tbody { @for (service, promise) in rows { (row(service, promise)) } }
            }
        }
    }
}

fn row(service: &ServiceRecord, promise: &PromiseResult) -> Markup {
    let counts = counts(service, promise);
    html! {
        tr {
            th scope="row" { (shown(&whose(service, promise))) }
            td data-of="Judgement" { (chip(promise.judgement)) }
            td data-of="Promise" { code { (promise.promise.to_string()) } }
            td.num data-of="Budget" { (budget(promise)) }
            td data-of="Measured" { (measured(promise, crate::report::words::bounds)) }
            td data-of="Against the budget" { (bar(promise)) }
            td.num data-of="Margin" { (margin(promise, " ")) }
            td.num data-of="Bad / sent" { (grouped(counts.bad)) " / " (grouped(counts.sent)) }
            td data-of="Why" { (shown(&promise.why)) (decided_by(service, promise)) }
        }
    }
}

/// The bounds and the budget on one line; nothing for what is counted.
fn bar(promise: &PromiseResult) -> Markup {
    let (Some(budget), Some(Bounds { low, high })) = (promise.budget, promise.measured) else {
        return html! {};
    };
    let longest = budget.max(high.unwrap_or(low)).as_secs_f64().max(1e-9) * 1.15;
    let place = |at: Duration| format!("{:.1}", at.as_secs_f64() / longest * 100.0);
    let end = high.map_or(100.0, |high| high.as_secs_f64() / longest * 100.0);
    let words = match high {
        Some(high) => format!("{} to {}, budget {}", time(low), time(high), time(budget)),
        None => format!("at least {}, budget {}", time(low), time(budget)),
    };
    html! {
        div.bar role="img" aria-label=(words) {
            i.sure style={ "left:0;width:" (place(low)) "%" } {}
            i.may style={ "left:" (place(low)) "%;right:" (format!("{:.1}", 100.0 - end)) "%" } {}
            b style={ "left:" (place(budget)) "%" } {}
        }
    }
}

fn rest(hidden: &[Row<'_>]) -> Markup {
    let (kept, others): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        hidden.iter().partition(|(_, promise)| promise.judgement == Judgement::Kept);
    html! {
        @if !others.is_empty() {
            details.panel {
                summary { (grouped(others.len() as u64)) " more that were not kept" }
                ul.names {
                    @for (service, promise) in others {
                        li { (shown(&whose(service, promise))) " " (promise.promise.to_string()) " " (chip(promise.judgement)) }
                    }
                }
            }
        }
        @if !kept.is_empty() { p.dim { "And " (grouped(kept.len() as u64)) " more that were kept." } }
    }
}
