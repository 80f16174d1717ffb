//! Acknowledged and missing, unknown and present: what becomes of each write.
//!
//! The classes are those of Jepsen's set checkers, with what an operator wants to know beside them: when, and where.

use std::time::Duration;

use super::book::Entry;
use super::reading::{Ledger, Reading, is_due_in};
use crate::model::{
    Bounds, CountBounds, DatacenterId, Fate, LedgerReads, LedgerRecord, LostWrite, Marks, Offset,
    ReadStage, SeqSet,
};

/// Why a reading that came to its end still proves nothing.
pub(super) const IMPATIENT: &str = "the reading was ended before what is missing had its time";

/// What is known of a write that may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing {
    /// It is lost, whatever is still unread.
    certain: bool,
    /// It was missing after failover, for as long as was waited, and is there after failback.
    returned: bool,
}

/// The oldest and the newest of some writes.
#[derive(Debug, Clone, Copy, Default)]
struct Span(Option<(Entry, Entry)>);

impl Span {
    fn take(&mut self, entry: Entry) {
        let (first, _) = self.0.unwrap_or((entry, entry));
        self.0 = Some((first, entry));
    }
}

impl Ledger {
    /// What became of all writes, as far as is known at `marks`; `name` says what a datacenter is called.
    pub fn account(&self, marks: &Marks, name: impl Fn(DatacenterId) -> String) -> LedgerRecord {
        let mut record = LedgerRecord::default();
        let (mut certain, mut possible) = (Span::default(), Span::default());
        // The newest write that is known to be there and is older than all that may be lost.
        let mut safe = None;
        let mut most_lost = 0;
        for entry in self.book.entries() {
            self.count(&mut record, entry);
            if entry.fate != Some(Fate::Acknowledged) {
                continue;
            }
            let missing = self.missing(entry);
            let by = entry.by.map_or_else(|| "?".to_owned(), &name);
            let datacenter = record.datacenters.entry(by).or_default();
            datacenter.acknowledged += 1;
            if is_while_cut(entry, marks) {
                datacenter.while_cut += 1;
                datacenter.first_while_cut.get_or_insert(entry.due);
                datacenter.last_while_cut = datacenter.last_while_cut.max(Some(entry.done));
            }
            let Some(missing) = missing else {
                let before_cut = marks.cut_issued.is_some_and(|cut| entry.done <= cut);
                if before_cut && possible.0.is_none() {
                    safe = Some(entry);
                }
                continue;
            };
            datacenter.lost += 1;
            most_lost += 1;
            possible.take(entry);
            record.returned += u64::from(missing.returned);
            record.lost_after_cut +=
                u64::from(marks.cut_confirmed.is_some_and(|cut| entry.due >= cut));
            if missing.certain {
                record.lost.low += 1;
                certain.take(entry);
            }
        }
        let all_read = self.was_all_read(marks);
        record.lost.high = all_read.then_some(most_lost);
        record.duplicated = self.duplicated(all_read);
        record.unexpected += self.made_up();
        record.window = window(marks, certain, possible, safe.filter(|_| all_read));
        record.first_lost = possible.0.map(|(first, _)| lost_write(first));
        record.last_lost = possible.0.map(|(_, last)| lost_write(last));
        record.left_behind.clone_from(&self.left_behind);
        record.reads = self.readings().map(|(stage, it)| self.reads(stage, it)).collect();
        record
    }

    /// As [`Ledger::account`], without who acknowledged what. It costs nothing while nothing was read back: this is asked several
    /// times a second.
    pub(super) fn judged_by(&self, marks: &Marks) -> LedgerRecord {
        if self.readings().next().is_some() {
            return self.account(marks, |_| String::new());
        }
        let low = Duration::ZERO;
        LedgerRecord {
            acknowledged: self.book.acknowledged(),
            window: marks.cut_issued.map(|_| Bounds { low, high: None }),
            ..LedgerRecord::default()
        }
    }

    fn readings(&self) -> impl Iterator<Item = (ReadStage, &Reading)> {
        let all = [
            (ReadStage::AfterFailover, &self.failover),
            (ReadStage::AfterFailback, &self.failback),
        ];
        all.into_iter().filter_map(|(stage, reading)| Some((stage, reading.as_ref()?)))
    }

    /// Whether both ends of the drill were read completely. Where nothing was cut, there is no failover to read after.
    fn was_all_read(&self, marks: &Marks) -> bool {
        let read = |reading: &Option<Reading>| reading.as_ref().is_some_and(|it| it.last.is_some());
        (marks.cut_issued.is_none() || read(&self.failover)) && read(&self.failback)
    }

    /// Counts a write by its fate, and by whether it is there.
    fn count(&self, record: &mut LedgerRecord, entry: Entry) {
        let there = self.readings().any(|(_, reading)| reading.ever.contains(entry.seq));
        match entry.fate {
            Some(Fate::Acknowledged) => {
                record.acknowledged += 1;
                let is_stale = |(_, it): (_, &Reading)| {
                    let found = it.last.as_ref().is_some_and(|(_, last)| last.contains(entry.seq));
                    found && it.missed.contains(entry.seq)
                };
                record.stale += u64::from(self.readings().any(is_stale));
            }
            Some(Fate::Refused) => {
                record.refused += 1;
                record.unexpected += u64::from(there);
            }
            Some(Fate::NotSent) => {
                record.not_sent += 1;
                record.unexpected += u64::from(there);
            }
            // What was under way when the drill ended was not heard of either.
            Some(Fate::Unknown) | None => {
                record.unknown += 1;
                record.recovered += u64::from(there);
            }
        }
    }

    /// Whether an acknowledged write is missing anywhere.
    fn missing(&self, entry: Entry) -> Option<Missing> {
        let mut missing = None;
        for (stage, reading) in self.readings() {
            let Some((due_by, last)) = &reading.last else { continue };
            if !is_due_in(stage, *due_by, entry.done) || last.contains(entry.seq) {
                continue;
            }
            let certain = reading.settled && !reading.ever.contains(entry.seq);
            let missing = missing.get_or_insert(Missing { certain: false, returned: false });
            missing.certain |= certain;
            missing.returned |= stage == ReadStage::AfterFailover && certain && self.is_back(entry);
        }
        missing
    }

    fn is_back(&self, entry: Entry) -> bool {
        let last = self.failback.as_ref().and_then(|reading| reading.last.as_ref());
        last.is_some_and(|(_, seen)| seen.contains(entry.seq))
    }

    /// Records with numbers that were never given out.
    fn made_up(&self) -> u64 {
        let mut made_up = SeqSet::default();
        let mut beyond = 0;
        for (_, reading) in self.readings() {
            beyond = reading.ever.beyond().max(beyond);
            let given = self.book.len();
            reading.ever.iter().filter(|seq| *seq >= given).for_each(|seq| made_up.insert(seq));
        }
        made_up.len() + beyond
    }

    fn duplicated(&self, all_read: bool) -> CountBounds {
        let last = |reading: &Reading| -> Vec<u64> {
            reading.last.iter().flat_map(|(_, last)| last.more_than_once()).collect()
        };
        let ever = |reading: &Reading| -> Vec<u64> { reading.ever.more_than_once().collect() };
        let count = |of: &dyn Fn(&Reading) -> Vec<u64>| {
            self.readings().flat_map(|(_, reading)| of(reading)).collect::<SeqSet>().len()
        };
        CountBounds { low: count(&last), high: all_read.then(|| count(&ever)) }
    }

    fn reads(&self, stage: ReadStage, reading: &Reading) -> LedgerReads {
        let missing = |(due_by, last): &(Offset, SeqSet)| {
            let due = self.book.entries().filter(|entry| {
                entry.fate == Some(Fate::Acknowledged) && is_due_in(stage, *due_by, entry.done)
            });
            due.filter(|entry| !last.contains(entry.seq)).count() as u64
        };
        let impatient = || {
            let waiting = !reading.settled && reading.last.is_some();
            waiting.then(|| IMPATIENT.to_owned())
        };
        LedgerReads {
            stage,
            attempts: reading.attempts,
            began: reading.span.0,
            ended: reading.span.1,
            records: reading.last.as_ref().map_or(0, |(_, last)| last.len()),
            missing: reading.last.as_ref().map_or(0, missing),
            foreign: reading.foreign,
            unfinished: reading.failed.clone().or_else(impatient),
        }
    }
}

/// Whether a write was sent while the cut was in force, and acknowledged before traffic was put back.
fn is_while_cut(entry: Entry, marks: &Marks) -> bool {
    marks.cut_confirmed.is_some_and(|cut| entry.due >= cut)
        && marks.restore_issued.is_none_or(|restore| entry.done <= restore)
}

fn lost_write(entry: Entry) -> LostWrite {
    LostWrite { seq: entry.seq, due: entry.due, acknowledged: entry.done }
}

/// How far back from the cut, or from the newest lost write if that is later, writes were lost: as far as the oldest that is,
/// and not as far as the `safe` one. Between the two nothing was written.
fn window(marks: &Marks, certain: Span, possible: Span, safe: Option<Entry>) -> Option<Bounds> {
    let issued = marks.cut_issued?;
    let confirmed = marks.cut_confirmed.unwrap_or(issued);
    let low = certain
        .0
        .map_or(Duration::ZERO, |(oldest, newest)| issued.max(newest.due).since(oldest.done));
    let end = possible.0.map_or(confirmed, |(_, newest)| confirmed.max(newest.done));
    Some(Bounds { low, high: safe.map(|safe| end.since(safe.due)) })
}
