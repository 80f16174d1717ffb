//! Who was told of the drill: a line. It has no part in the verdict.

use std::collections::BTreeMap;

use super::page::{Entry, Ink, Page};
use super::words::plural;
use crate::model::{Delivery, NotificationRecord, Plan, RunRecord};

/// So many names, and messages that did not arrive, are told one by one.
const SHOWN: usize = 10;

/// Writes the line, if anybody was to be told.
pub fn write(record: &RunRecord, page: &mut Page) {
    if let Some(text) = line(record) {
        let failed = record.notifications.iter().any(|told| told.outcome != Delivery::Delivered);
        let ink = if failed { Ink::Doubt } else { Ink::Dim };
        page.paragraph(0, 0, &[(ink, text)]);
    }
}

/// `told: oncall 3 of 3, team 1 of 2; failed: verdict to team (status 500)`; nothing if nobody was to be told.
pub fn line(record: &RunRecord) -> Option<String> {
    let all = &record.notifications;
    // In the order in which they were told first.
    let mut counts: Vec<(&str, u64, u64)> = Vec::new();
    let mut places = BTreeMap::new();
    for told in all {
        let name = told.name.as_str();
        let place = *places.entry(name).or_insert(counts.len());
        if place == counts.len() {
            counts.push((name, 0, 0));
        }
        counts[place].1 += u64::from(told.outcome == Delivery::Delivered);
        counts[place].2 += 1;
    }
    if counts.is_empty() {
        return None;
    }
    let some = counts.iter().take(SHOWN).map(|(name, part, all)| format!("{name} {part} of {all}"));
    let mut text = format!("told: {}", some.collect::<Vec<_>>().join(", "));
    if let more @ 1.. = counts.len().saturating_sub(SHOWN) {
        text.push_str(&format!(" and {more} more"));
    }
    let lost: Vec<&NotificationRecord> =
        all.iter().filter(|told| told.outcome != Delivery::Delivered).collect();
    if !lost.is_empty() {
        let one = |told: &&NotificationRecord| {
            let why = told.why.as_deref().map_or(String::new(), |why| format!(" ({why})"));
            format!("{} to {}{why}", told.event, told.name)
        };
        let some: Vec<String> = lost.iter().take(SHOWN).map(one).collect();
        text.push_str(&format!("; failed: {}", some.join(", ")));
        if let more @ 1.. = lost.len().saturating_sub(SHOWN) {
            text.push_str(&format!(" and {} more", plural(more as u64, "message", "messages")));
        }
    }
    Some(text)
}

/// Writes whom a drill of `plan` would tell of what.
pub fn write_ahead(plan: &Plan, page: &mut Page) {
    if plan.notify.is_empty() {
        return;
    }
    page.heading("Who is told", &[]);
    let entry = |to: &crate::model::Notification| {
        let text = format!("{} at {}: {}", to.kind.key(), to.host(), to.told());
        Entry::plain(to.name.as_str(), text)
    };
    page.entries(&plan.notify.iter().map(entry).collect::<Vec<_>>());
}
