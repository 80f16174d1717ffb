//! What became of the traffic, and what to do if it may still be cut.

use super::page::{Entry, Ink, Page, Span};
use super::words::{list, moment, plural};
use crate::model::{Act, ControlRecord, PartState, Passage, Restored, RunRecord, Verdict};

/// Parts that are told one by one.
const PARTS: usize = 20;

/// Writes, if traffic may still be cut, that it may, where, and how to put it back.
pub fn write_alarm(record: &RunRecord, page: &mut Page) {
    let broken: Vec<&ControlRecord> =
        record.controls.iter().filter(|control| control.restored == Restored::No).collect();
    if record.verdict != Verdict::NotRestored && broken.is_empty() {
        return;
    }
    page.blank();
    let alarm = " TRAFFIC MAY STILL BE CUT. Do this now: ".replace(' ', "\u{a0}");
    page.paragraph(0, 0, &[(Ink::Alarm, alarm)]);
    page.entries(&[
        Entry::plain("1.", "call the line below, which tries it all once more"),
        Entry::plain("2.", "if that fails, put back by hand what differs, at each place below"),
        Entry::plain("3.", "read it back there, and see that users are served"),
    ]);
    page.verbatim(4, &format!("firedrill restore {}", record.run));
    for control in broken {
        page.paragraph(4, 6, &[(Ink::Bold, place(control))]);
        if let Some(error) = last_error(record, control) {
            page.paragraph(6, 8, &[(Ink::Plain, error)]);
        }
        by_hand(control, page);
    }
}

/// Writes the state of each control.
pub fn write(record: &RunRecord, page: &mut Page) {
    if record.controls.is_empty() {
        return;
    }
    page.heading("Traffic", &[]);
    let entries: Vec<Entry> = record.controls.iter().map(|c| entry(record, c)).collect();
    page.entries(&entries);
}

fn entry(record: &RunRecord, control: &ControlRecord) -> Entry {
    let mut text: Vec<Span> = vec![];
    match control.restored {
        Restored::Untouched => text.push((Ink::Plain, "never changed".to_owned())),
        Restored::Yes => {
            text.push((Ink::Good, "restored".to_owned()));
            let parts = control.before.as_ref().map_or(0, |before| before.parts.len() as u64);
            let parts = plural(parts, "part", "parts");
            text.push((Ink::Plain, format!(": read back, {parts} as before")));
        }
        Restored::No => {
            text.push((Ink::Alarm, "NOT\u{a0}RESTORED".to_owned()));
            text.push((Ink::Plain, ": put it back by hand now, as said above".to_owned()));
        }
    }
    let failed = record.calls.iter().filter(|c| c.control == control.name && c.error.is_some());
    let failed = failed.count() as u64;
    // Those of a control that is not restored are told in the alarm.
    if failed > 0 && control.restored != Restored::No {
        text.push((Ink::Doubt, format!("; {} failed", plural(failed, "call", "calls"))));
        if let Some(error) = last_error(record, control) {
            text.push((Ink::Plain, format!(", the last: {error}")));
        }
    }
    Entry { label: place(control), text }
}

fn place(control: &ControlRecord) -> String {
    format!("{} ({})", control.name, control.provider.key())
}

fn last_error(record: &RunRecord, control: &ControlRecord) -> Option<String> {
    let call =
        record.calls.iter().rev().find(|c| c.control == control.name && c.error.is_some())?;
    let act = match call.act {
        Act::Preflight => "asking",
        Act::Inspect => "reading",
        Act::Cut => "cutting",
        Act::Restore => "restoring",
    };
    let error = call.error.as_deref().unwrap_or_default();
    Some(format!("{act} {}: {error}", moment(call.done, &record.marks)))
}

/// Every part that differs from the snapshot, or all of them if nothing could be read back.
fn by_hand(control: &ControlRecord, page: &mut Page) {
    let Some(before) = &control.before else {
        page.paragraph(6, 8, &[(Ink::Plain, "its state before the drill is not known".into())]);
        return;
    };
    let names = match &control.after {
        Some(after) => before.differences(after),
        None => {
            let text = "could not be read back; as it was before the drill:";
            page.paragraph(6, 8, &[(Ink::Plain, text.into())]);
            before.parts.keys().cloned().collect()
        }
    };
    let entries: Vec<Entry> = names
        .iter()
        .take(PARTS)
        .map(|name| {
            let was = before.parts.get(name);
            let now = control.after.as_ref().map(|after| after.parts.get(name));
            Entry::plain(name.as_str(), difference(was, now))
        })
        .collect();
    page.entries_at(6, &entries);
    for command in control.by_hand.iter().take(PARTS) {
        page.verbatim(6, command);
    }
    if names.len() > PARTS {
        let more = format!(
            "and {} more, in the run record, and by `firedrill restore --dry-run`",
            names.len() - PARTS
        );
        page.paragraph(6, 8, &[(Ink::Plain, more)]);
    }
}

/// How a part was, and, if it was read back, how it is.
fn difference(was: Option<&PartState>, now: Option<Option<&PartState>>) -> String {
    let Some(was) = was else { return "was not there, and is now".to_owned() };
    let wanted = format!("must be {}", described(was.passage, was.settings.iter()));
    match now {
        None => wanted,
        Some(None) => format!("{wanted}; is gone"),
        Some(Some(now)) => {
            let differs =
                |(name, value): &(&String, &String)| was.settings.get(*name) != Some(value);
            let settings = now.settings.iter().filter(differs);
            format!("{wanted}; is {}", described(now.passage, settings))
        }
    }
}

fn described<'a>(
    passage: Passage,
    settings: impl Iterator<Item = (&'a String, &'a String)>,
) -> String {
    let passage = match passage {
        Passage::Open => "open",
        Passage::Degraded => "degraded",
        Passage::Closed => "closed",
    };
    let settings: Vec<String> =
        settings.map(|(name, value)| format!("{name}\u{a0}{value}")).collect();
    if settings.is_empty() {
        return passage.to_owned();
    }
    format!("{passage} with {}", list(&settings))
}
