//! What became of the traffic, and what to do if it may still be cut.

use std::time::Duration;

use super::page::{Entry, Ink, Page, Span};
use super::words::{list, moment, plural, time};
use crate::model::{Act, ControlRecord, PartState, Passage, Restored, RunRecord, Verdict};

/// Parts that are told one by one.
const PARTS: usize = 20;
/// A cut that is in effect by then needs no telling.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Writes, if traffic may still be cut, that it may, where, and how to put it back.
pub fn write_alarm(record: &RunRecord, page: &mut Page) {
    let Some(places) = alarm(record) else { return };
    page.blank();
    let alarm = format!(" {ALARM} ").replace(' ', "\u{a0}");
    page.paragraph(0, 0, &[(Ink::Alarm, alarm)]);
    page.entries(&STEPS.map(|(number, text)| Entry::plain(number, text)));
    page.verbatim(4, &again(record));
    for place in places {
        page.paragraph(4, 6, &[(Ink::Bold, place.place)]);
        for note in place.notes {
            page.paragraph(6, 8, &[(Ink::Plain, note)]);
        }
        page.entries_at(6, &place.parts);
        for command in place.commands {
            page.verbatim(6, command);
        }
        if let Some(more) = place.more {
            page.paragraph(6, 8, &[(Ink::Plain, more)]);
        }
    }
}

/// What is said first if traffic may still be cut.
pub const ALARM: &str = "TRAFFIC MAY STILL BE CUT. Do this now:";

/// What to do about it.
pub const STEPS: [(&str, &str); 3] = [
    ("1.", "call the line below, which tries it all once more"),
    ("2.", "if that fails, put back by hand what differs, at each place below"),
    ("3.", "read it back there, and see that users are served"),
];

/// The line that tries once more.
pub fn again(record: &RunRecord) -> String {
    format!("firedrill restore {}", record.run)
}

/// A control that may still be cut, and how to put it back.
pub struct ByHand<'a> {
    /// The control.
    pub place: String,
    /// What went wrong, and what is not known.
    pub notes: Vec<String>,
    /// Parts that differ, or all of them if that is not known.
    pub parts: Vec<Entry>,
    /// What a person would do, to be copied.
    pub commands: &'a [String],
    /// What is left out.
    pub more: Option<String>,
}

/// The places to put back by hand; `None` if traffic is back.
pub fn alarm(record: &RunRecord) -> Option<Vec<ByHand<'_>>> {
    let broken: Vec<&ControlRecord> =
        record.controls.iter().filter(|control| control.restored == Restored::No).collect();
    if record.verdict != Verdict::NotRestored && broken.is_empty() {
        return None;
    }
    Some(broken.into_iter().map(|control| by_hand(record, control)).collect())
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

/// What became of a control.
pub fn entry(record: &RunRecord, control: &ControlRecord) -> Entry {
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
    if let Some(delay) = delay(record, control) {
        text.push((Ink::Plain, delay));
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

/// How long a cut took to be in effect, where that was not at once.
fn delay(record: &RunRecord, control: &ControlRecord) -> Option<String> {
    // A cut that was never in effect is read to the end, too.
    record.marks.cut_confirmed?;
    let good = || record.calls.iter().filter(|c| c.control == control.name && c.error.is_none());
    let asked = good().rfind(|call| call.act == Act::Cut)?;
    let read = good().find(|call| call.act == Act::Inspect && call.issued >= asked.done)?;
    let (accepted, in_effect) = (asked.done.since(asked.issued), read.done.since(asked.issued));
    (in_effect >= AT_ONCE).then(|| {
        format!(
            "; the cut was accepted after {}, and in effect after {}",
            time(accepted),
            time(in_effect)
        )
    })
}

/// A control with its provider.
pub fn place(control: &ControlRecord) -> String {
    format!("{} ({})", control.name, control.provider.key())
}

/// The last thing that went wrong at a control.
pub fn last_error(record: &RunRecord, control: &ControlRecord) -> Option<String> {
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
fn by_hand<'a>(record: &RunRecord, control: &'a ControlRecord) -> ByHand<'a> {
    let mut notes: Vec<String> = last_error(record, control).into_iter().collect();
    let names = match (&control.before, &control.after) {
        (None, _) => {
            notes.push("its state before the drill is not known".to_owned());
            Vec::new()
        }
        (Some(before), Some(after)) => before.differences(after),
        (Some(before), None) => {
            notes.push("could not be read back; as it was before the drill:".to_owned());
            before.parts.keys().cloned().collect()
        }
    };
    let entry = |name: &String| {
        let was = control.before.as_ref().and_then(|before| before.parts.get(name));
        let now = control.after.as_ref().map(|after| after.parts.get(name));
        Entry::plain(name.as_str(), difference(was, now))
    };
    let commands = match control.before {
        Some(_) => &control.by_hand[..control.by_hand.len().min(PARTS)],
        None => &[],
    };
    let more = names.len().saturating_sub(PARTS);
    let more = (more > 0).then(|| {
        format!("and {more} more, in the run record, and by `firedrill restore --dry-run`")
    });
    let parts = names.iter().take(PARTS).map(entry).collect();
    ByHand { place: place(control), notes, parts, commands, more }
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

/// A part's state in words.
pub fn described<'a>(
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
