//! A gate's decision, and why.

use super::TableStyle;
use super::headline::ink;
use super::history::named;
use super::page::{Ink, Page, Span};
use super::words::{bounds, plural};
use crate::model::{Gate, GatedPlan, UnprovenService};

/// More services than this are counted and not named.
const SERVICES: usize = 50;

/// Whether the gate is open, and what each plan has to do with it; those that close it first.
pub fn gate(gate: &Gate, style: TableStyle) -> String {
    let mut page = Page::new(style);
    let closed = gate.plans.iter().filter(|plan| !plan.objections.is_empty()).count();
    page.paragraph(0, 6, &[verdict(gate), (Ink::Plain, format!(": {}", summary(gate, closed)))]);
    for why in &gate.objections {
        page.paragraph(0, 2, &[(Ink::Bad, why.text.clone())]);
    }
    let (open, shut): (Vec<_>, Vec<_>) =
        gate.plans.iter().partition(|plan| plan.objections.is_empty());
    shut.into_iter().chain(open).for_each(|gated| plan(gated, &mut page));
    unproven(gate, &mut page);
    page.finish()
}

fn verdict(gate: &Gate) -> Span {
    match gate.open {
        true => (Ink::Good, "OPEN".to_owned()),
        false => (Ink::Bad, "CLOSED".to_owned()),
    }
}

fn summary(gate: &Gate, closed: usize) -> String {
    let plans = plural(gate.plans.len() as u64, "plan", "plans");
    let missing = gate.unproven.len();
    let services = || plural(missing as u64, "service", "services");
    match (gate.plans.len(), closed) {
        (0, _) => "no plan was named, and none was ever drilled".to_owned(),
        (_, 0) if !gate.objections.is_empty() => {
            "traffic may be cut, whatever the last drills said".to_owned()
        }
        (_, 0) if missing > 0 && gate.all_required => {
            format!("{} of {plans} without a passed drill", services())
        }
        (1, 0) => "the plan's last drill passed, and ran it as it is now".to_owned(),
        (_, 0) => format!("the last drills of {plans} passed, and ran them as they are now"),
        (1, _) => "the plan is not verified".to_owned(),
        (_, closed) => format!("{closed} of {plans} not verified"),
    }
}

fn plan(gated: &GatedPlan, page: &mut Page) {
    page.blank();
    let mut text = vec![
        match gated.objections.is_empty() {
            true => (Ink::Good, "yes".to_owned()),
            false => (Ink::Bad, "no".to_owned()),
        },
        (Ink::Bold, format!(" {}", gated.plan)),
        (Ink::Plain, format!(" ({})", gated.file)),
    ];
    if let Some(last) = &gated.last {
        text.push((Ink::Plain, ": ".to_owned()));
        text.push((ink(last.verdict), last.verdict.to_string()));
        let took = match last.recovery() {
            Some(recovery) => format!(", recovery {}", bounds(recovery)),
            None => String::new(),
        };
        text.push((Ink::Plain, format!("{took}; {}", named(last))));
    }
    page.paragraph(0, 4, &text);
    for why in &gated.objections {
        page.paragraph(4, 6, &[(Ink::Bad, format!("- {}", why.text))]);
    }
    for note in &gated.notes {
        page.paragraph(4, 6, &[(Ink::Doubt, format!("- note: {note}"))]);
    }
}

fn unproven(gate: &Gate, page: &mut Page) {
    if gate.unproven.is_empty() {
        return;
    }
    let weight = match gate.all_required {
        true => "each closes the gate",
        false => "with --require-all each would close the gate",
    };
    page.heading("Services without a passed drill", &[(Ink::Plain, weight.to_owned())]);
    for service in gate.unproven.iter().take(SERVICES) {
        page.paragraph(2, 4, &[(Ink::Bad, unproven_service(service))]);
    }
    if let Some(more @ 1..) = gate.unproven.len().checked_sub(SERVICES) {
        let more = plural(more as u64, "more", "more");
        page.paragraph(2, 2, &[(Ink::Bad, format!("and {more}; --format json has all"))]);
    }
}

fn unproven_service(service: &UnprovenService) -> String {
    let last = match service.last_passed {
        None => "never".to_owned(),
        Some(at) => format!("on {}, too long ago", at.strftime("%Y-%m-%d")),
    };
    format!("{} of {}: passed {last}", service.service, service.plan)
}
