//! Who was told of the drill: a line. It has no part in the verdict.

use super::page::{Entry, Ink, Page};
use super::words::plural;
use crate::model::{Delivery, NotificationRecord, Plan, RunRecord};

/// Messages that did not arrive and are told one by one.
const SHOWN: usize = 5;

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
    let mut names: Vec<&str> = Vec::new();
    for told in all {
        if !names.contains(&told.name.as_str()) {
            names.push(told.name.as_str());
        }
    }
    let counts = names.iter().map(|name| {
        let theirs = all.iter().filter(|told| told.name.as_str() == *name);
        let arrived = theirs.clone().filter(|told| told.outcome == Delivery::Delivered);
        format!("{name} {} of {}", arrived.count(), theirs.count())
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return None;
    }
    let mut text = format!("told: {}", counts.join(", "));
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
