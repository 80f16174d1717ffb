//! The report as one HTML file: no script, nothing from outside, light and dark, for screens and paper.
//!
//! Its size is bounded by what can be looked at, not by the drill: so many lanes, charts, rows and entries, each of a
//! bounded size, since all are drawn from summaries. What does not fit is counted, and what was not as it should be is
//! named.

mod charts;
mod control;
mod course;
mod evidence;
mod guide;
mod key;
mod lane;
mod picture;
mod promised;
mod scale;
mod story;
mod style;
mod text;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::model::{RunRecord, printable};
use picture::Cast;
use scale::Scale;
use text::section;

/// Nothing is loaded and no script runs, whatever a name in the record tries.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The whole report.
pub fn html(record: &RunRecord) -> String {
    let title = format!("{}: {}", record.verdict, printable(record.plan.name.as_str()));
    let page = html! {
        (DOCTYPE)
        html lang="en" dir="ltr" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "firedrill " (printable(&record.firedrill)) };
                title { (title) }
                style { (PreEscaped(style::sheet())) }
            }
            body {
                a.skip href="#picture" { "To the picture" }
                (key::patterns())
                main { (body(record)) }
                footer { "Drawn by firedrill from the run record alone. No part of it was loaded from elsewhere." }
            }
        }
    };
    page.into_string()
}

fn body(record: &RunRecord) -> Markup {
    let scale = Scale::of(record);
    let cast = Cast::of(record);
    let why = story::reasons(record);
    html! {
        (story::banner(record))
        (story::alarm(record))
        @if !why.0.is_empty() { (section("why", "Why", None, why)) }
        (section("picture", "What happened", None, picture::draw(record, &cast, &scale)))
        (section("charts", "Who answered, how fast, and how much was asked", None, charts::draw(record, &cast, &scale)))
        (promised::draw(record))
        (evidence::lost(record))
        (evidence::time_went(record))
        (evidence::cut(record))
        (control::draw(record))
        (evidence::guardrails(record))
        (evidence::placement(record))
        (evidence::loads(record))
        (evidence::probes(record))
        (evidence::ledgers(record))
        (evidence::lab(record))
        (guide::run(record))
        (guide::plan(record))
        (guide::reading())
    }
}
