//! Data loss windows: how far back writes are lost, for each of the two events at which data dies.

use std::time::Duration;

use super::book::Entry;
use crate::model::{Bounds, LostWrite, Marks, Offset};

/// The windows of both events. All writes that were acknowledged are told to it, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Windows {
    cut: Event,
    failback: Event,
    /// All that may be lost, and all that certainly are, at whichever event.
    possible: Span,
    certain: Span,
    around_cut: Around,
}

/// What an event did to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// It left it.
    Not,
    /// It may have.
    Perhaps,
    /// It did.
    Surely,
    /// It is not known: the write was not looked for.
    Unseen,
}

/// Some writes: the oldest, the newest, and when the last of them was acknowledged.
#[derive(Debug, Clone, Copy, Default)]
struct Span(Option<(Entry, Entry, Offset)>);

/// What one event may have taken.
#[derive(Debug, Clone, Copy, Default)]
struct Event {
    possible: Span,
    certain: Span,
    /// The newest write that it left of those that are older than all that it may have taken.
    safe: Option<Entry>,
}

/// The writes that the cut left, around the time when it may have taken effect.
#[derive(Debug, Clone, Copy, Default)]
struct Around {
    first: Option<Entry>,
    last: Option<Entry>,
    widest: Duration,
}

impl Span {
    fn take(&mut self, entry: Entry) {
        let (first, _, until) = self.0.unwrap_or((entry, entry, entry.done));
        self.0 = Some((first, entry, until.max(entry.done)));
    }
}

impl Event {
    fn take(&mut self, entry: Entry, took: Took) {
        match took {
            Took::Unseen => {}
            Took::Not if self.possible.0.is_none() => self.safe = Some(entry),
            Took::Not => {}
            Took::Perhaps => self.possible.take(entry),
            Took::Surely => {
                self.possible.take(entry);
                self.certain.take(entry);
            }
        }
    }

    /// At least so far back from `issued`, or from the newest that it certainly took.
    fn low(&self, issued: Offset) -> Duration {
        let certain = self.certain.0;
        certain
            .map_or(Duration::ZERO, |(oldest, newest, _)| issued.max(newest.due).since(oldest.done))
    }

    /// Less far back from `confirmed`, or from the newest that it may have taken; 0 where it took none, `None` where
    /// nothing older was left.
    fn high(&self, confirmed: Offset) -> Option<Duration> {
        match self.possible.0 {
            Some((_, _, until)) => self.safe.map(|safe| confirmed.max(until).since(safe.due)),
            None => Some(Duration::ZERO),
        }
    }
}

impl Around {
    /// Takes in a write that was left. The cut may have taken effect at any time from `issued` to `confirmed`: what is lost
    /// then reaches no further back than to the newest write before it, and it lies between two neighbours.
    fn take(&mut self, entry: Entry, issued: Offset, confirmed: Offset) {
        self.first.get_or_insert(entry);
        if let Some(last) = self.last.filter(|_| entry.done > issued) {
            self.widest = self.widest.max(entry.done.min(confirmed).since(last.due));
        }
        self.last = Some(entry);
    }

    /// `None` where no write before the cut was left.
    fn high(&self, issued: Offset, confirmed: Offset) -> Option<Duration> {
        self.first.filter(|first| first.done <= issued)?;
        self.last.map(|last| self.widest.max(confirmed.since(last.due)))
    }
}

impl Windows {
    /// Takes in an acknowledged write: what the cut did to it, and what failback did.
    pub fn take(&mut self, entry: Entry, (cut, failback): (Took, Took), marks: &Marks) {
        self.cut.take(entry, cut);
        self.failback.take(entry, failback);
        if let (Took::Not, Some(issued)) = (cut, marks.cut_issued) {
            self.around_cut.take(entry, issued, marks.cut_confirmed.unwrap_or(issued));
        }
    }

    /// Takes in a write that may be lost, and is so certainly if `certain`, at whichever event.
    pub fn lost(&mut self, entry: Entry, certain: bool) {
        self.possible.take(entry);
        if certain {
            self.certain.take(entry);
        }
    }

    /// The first and the last that may be lost.
    pub fn ends(&self) -> Option<(LostWrite, LostWrite)> {
        let write = |it: Entry| LostWrite { seq: it.seq, due: it.due, acknowledged: it.done };
        self.possible.0.map(|(first, last, _)| (write(first), write(last)))
    }

    /// The window at the cut, and that at failback if it may have taken any; without an end where not all was read. `None`:
    /// nothing was cut.
    pub fn of_each(&self, marks: &Marks, all_read: bool) -> Option<(Bounds, Option<Bounds>)> {
        let issued = marks.cut_issued?;
        let confirmed = marks.cut_confirmed.unwrap_or(issued);
        let bounds = |event: &Event, high: Option<Duration>| Bounds {
            low: event.low(issued),
            high: high.filter(|_| all_read),
        };
        let around = self.around_cut.high(issued, confirmed);
        let at_cut = self.cut.high(confirmed).zip(around).map(|(lost, around)| lost.max(around));
        let at_failback = bounds(&self.failback, self.failback.high(confirmed));
        let any = self.failback.possible.0.is_some();
        Some((bounds(&self.cut, at_cut), any.then_some(at_failback)))
    }

    /// The larger of both.
    pub fn larger(&self, marks: &Marks, all_read: bool) -> Option<Bounds> {
        let (at_cut, at_failback) = self.of_each(marks, all_read)?;
        let mut larger = at_failback.map_or(at_cut, |it| Bounds {
            low: at_cut.low.max(it.low),
            high: at_cut.high.zip(it.high).map(|(one, other)| one.max(other)),
        });
        // Of a write that is lost at nobody knows which event, so much is certain: it was acknowledged so long before the cut.
        if let (Some(issued), Some((oldest, ..))) = (marks.cut_issued, self.certain.0) {
            larger.low = larger.low.max(issued.since(oldest.done));
        }
        Some(larger)
    }
}
