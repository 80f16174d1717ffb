//! The run, the plan, and how to read the numbers.

use maud::{Markup, html};

use super::text::{section, shown};
use crate::model::{RunRecord, printable};
use crate::report::environment::line;
use crate::report::notified;
use crate::report::words::time;

/// Which run this was, and what it ran with.
pub fn run(record: &RunRecord) -> Markup {
    let plan = &record.plan;
    let body = html! {
        dl.entries {
            dt { "Run" } dd { code { (shown(&record.run)) } }
            dt { "Started" } dd { (record.started_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) }
            dt { "Plan" } dd { (shown(plan.name.as_str())) ", from " code { (shown(&plan.file)) } }
            dt { "Good for" } dd { "a service counts as recovered once it stayed good for " (time(plan.stable_for)) }
            dt { "At most" } dd { "traffic could stay cut for " (time(plan.at_most)) }
            dt { "firedrill" } dd { (shown(&record.firedrill)) }
            @if let Some(machine) = &record.environment { dt { "Machine" } dd { (shown(&line(machine))) } }
            @if let Some(told) = notified::line(record) { dt { "Told" } dd { (shown(told.trim_start_matches("told: "))) } }
        }
    };
    section("run", "Run", None, body)
}

/// The plan as it was run. Secrets are not in it: `${env:NAME}` stands where they were used.
pub fn plan(record: &RunRecord) -> Markup {
    /// Lines of a plan that are shown.
    const LINES: usize = 5_000;
    let plan = &record.plan;
    let Some(text) = &plan.text else { return html! {} };
    let more = text.lines().count().saturating_sub(LINES);
    let body = html! {
        @if !plan.vars.is_empty() {
            dl.entries { @for (name, value) in &plan.vars { dt { code { (shown(name)) } } dd { (shown(value)) } } }
        }
        details.panel {
            summary { "The text of " (shown(&plan.file)) }
            pre { @for line in text.lines().take(LINES) { (printable(line)) "\n" } }
            @if more > 0 { p.dim { "and " (more) " more lines, in the run record" } }
        }
        @if let Some(hash) = &plan.hash { p.dim { "SHA-256 of it: " code { (shown(hash)) } } }
    };
    section("plan", "The plan as it was run", None, body)
}

/// What the words and numbers mean, in short.
pub fn reading() -> Markup {
    const WORDS: [(&str, &str); 10] = [
        (
            "Two numbers for one time",
            "A service is asked again and again, and nothing is known of the time between two requests. So each time is a pair: it took at least the first, and at most the second. A promise is kept only if the second is within the budget, and broken only if the first is beyond it; anything else is undecided, and never a pass.",
        ),
        (
            "Recovery time",
            "From the cut to the first good answer after which the service stayed good. A service is as slow as its slowest required probe, and there are no averages across services.",
        ),
        (
            "Bad, stalled, not observed",
            "Bad is what a user would call broken. Stalled was answered so late that nothing can have answered when it was asked. Not observed is our own fault: the request could not be sent, so nothing is known, and it is never counted as good.",
        ),
        (
            "User-minutes",
            "The time that a service was bad, in minutes, for all of its users. Services are not added up, since many people use several.",
        ),
        (
            "Proof of the cut",
            "A service that survives proves nothing if nothing was cut. The controls must say so when they are read back, and so must the answers: none may come from what was cut.",
        ),
        (
            "Failback",
            "The same measured from the restore on: until what was cut serves again and users feel nothing of it.",
        ),
        (
            "Lost writes",
            "Lost is what a store acknowledged and does not have when it is read back, after failover or after failback. Writes whose answer never came may be there or not: they are unknown, and never lost. The data loss window is how far back writes are lost; it is a pair, since nothing is known between two writes. What was not read to the end is not known, and never none.",
        ),
        (
            "PASS and FAIL",
            "PASS: every promise was kept and the cut is proven. FAIL: a promise was broken.",
        ),
        (
            "INCONCLUSIVE, STOPPED, NOT STARTED",
            "None of them is a pass. INCONCLUSIVE: not proven either way. STOPPED: ended early by a guardrail, a deadline or a person. NOT STARTED: refused before anything was cut.",
        ),
        ("NOT RESTORED", "Traffic may still be cut; outranks everything else."),
    ];
    let body = html! { dl.entries { @for (word, text) in WORDS { dt { (word) } dd { (text) } } } };
    section("reading", "How to read the numbers", None, body)
}
