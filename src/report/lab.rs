//! What the lab knows to be true, beside what was measured.

use super::page::{Entry, Ink, Page, Span};
use super::words::{bounds, time};
use crate::model::{LabServiceTruth, Marks, Recovery, RunRecord};

/// More services than this are not told.
const SERVICES: usize = 8;
/// More changes of the balancer than this are counted.
const CHANGES: usize = 8;

/// Writes the ground truth, if a lab was drilled.
pub fn write(record: &RunRecord, page: &mut Page) {
    let (Some(lab), Some(_)) = (&record.lab, record.marks.cut_issued) else { return };
    let mut entries = vec![];
    for service in record.services.iter().take(SERVICES) {
        let Some(truth) = lab.services.get(&service.name) else { continue };
        let mut text = told("recovery", truth.recovery, service.recovery);
        let failback = told("failback", truth.failback, service.failback);
        if !text.is_empty() && !failback.is_empty() {
            text.push((Ink::Plain, "; ".to_owned()));
        }
        text.extend(failback);
        if text.is_empty() {
            text.push((Ink::Plain, "the balancer never took the cut datacenter out".to_owned()));
        }
        entries.push(Entry { label: service.name.to_string(), text });
        if let Some(changes) = changes(truth, &record.marks) {
            entries.push(Entry { label: String::new(), text: vec![(Ink::Dim, changes)] });
        }
    }
    if entries.is_empty() {
        return;
    }
    page.heading("What the lab knows", &[]);
    page.entries(&entries);
}

/// The truth, and whether the measured bounds hold it.
fn told(what: &str, truth: Option<std::time::Duration>, measured: Option<Recovery>) -> Vec<Span> {
    let Some(truth) = truth else { return vec![] };
    let mut text = vec![(Ink::Plain, format!("{what} took {}", time(truth)))];
    if let Some(Recovery { bounds: measured, .. }) = measured {
        text.push(match measured.contains(truth) {
            true => (Ink::Plain, ", within the measured bounds".to_owned()),
            false => (Ink::Bad, format!(", OUTSIDE the measured {}", bounds(measured))),
        });
    }
    text
}

fn changes(truth: &LabServiceTruth, marks: &Marks) -> Option<String> {
    let origin = marks.cut_issued?;
    let after_cut: Vec<String> = truth
        .changes
        .iter()
        .filter(|change| change.at >= origin)
        .map(|change| {
            let way = if change.is_in { "in" } else { "out" };
            let at = time(change.at.since(origin));
            format!("{}/{} {way} at {at}", change.datacenter, change.replica)
        })
        .collect();
    if after_cut.is_empty() {
        return None;
    }
    let hidden = after_cut.len().saturating_sub(CHANGES);
    let shown = after_cut.iter().take(CHANGES).map(|c| c.replace(' ', "\u{a0}"));
    let mut text = format!("after the cut: {}", shown.collect::<Vec<_>>().join(", "));
    if hidden > 0 {
        text.push_str(&format!(" and {hidden} more"));
    }
    Some(text)
}
