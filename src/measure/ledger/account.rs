//! Acknowledged and missing, unknown and present: what becomes of each write.
//!
//! The classes are those of Jepsen's set checkers, with what an operator wants to know beside them: when, and where.

use std::time::Duration;

use super::book::Entry;
use super::reading::{Ledger, Reading, is_due_in};
use super::window::{Took, Windows};
use crate::model::{
    Bounds, CountBounds, DatacenterId, Fate, LedgerReads, LedgerRecord, Marks, ReadStage, SeqSet,
};

/// Why a reading that came to its end still proves nothing.
pub(super) const IMPATIENT: &str = "the reading was ended before what is missing had its time";

/// What a reading says of an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing: no attempt came to its end.
    Unread,
    /// Nothing: it was acknowledged too late to have to be there.
    NotDue,
    /// It is there.
    There,
    /// It is missing, and may still appear; or an attempt did have it.
    Missing,
    /// It is gone: it was missing for as long as the plan waits.
    Gone,
}

/// What became of an acknowledged write at both ends.
#[derive(Debug, Clone, Copy)]
struct Kept {
    failover: Said,
    failback: Said,
}

impl Kept {
    fn may_be_lost(self) -> bool {
        [self.failover, self.failback].iter().any(|said| matches!(said, Said::Missing | Said::Gone))
    }

    fn is_lost(self) -> bool {
        self.failover == Said::Gone || self.failback == Said::Gone
    }

    fn is_back(self) -> bool {
        self.failover == Said::Gone && self.failback == Said::There
    }

    /// What the cut did to it.
    fn at_cut(self) -> Took {
        match self.failover {
            Said::Unread | Said::NotDue => Took::Unseen,
            Said::There => Took::Not,
            Said::Missing => Took::Perhaps,
            Said::Gone => Took::Surely,
        }
    }

    /// What failback did to it: what the cut took was there no more.
    fn at_failback(self) -> Took {
        match (self.failover, self.failback) {
            (_, Said::Unread | Said::NotDue) => Took::Unseen,
            (_, Said::There) | (Said::Gone, _) => Took::Not,
            (Said::There | Said::NotDue, Said::Gone) => Took::Surely,
            _ => Took::Perhaps,
        }
    }
}

impl Ledger {
    /// What became of all writes, as far as is known at `marks`; `name` says what a datacenter is called.
    pub fn account(&self, marks: &Marks, name: impl Fn(DatacenterId) -> String) -> LedgerRecord {
        let mut record = LedgerRecord::default();
        let mut windows = Windows::default();
        let mut most_lost = 0;
        for entry in self.book.entries() {
            self.count(&mut record, entry);
            if entry.fate != Some(Fate::Acknowledged) {
                continue;
            }
            let before_cut = Some(entry.done).filter(|done| Some(*done) <= marks.cut_issued);
            record.last_before_cut = record.last_before_cut.max(before_cut);
            let kept = self.kept(entry);
            windows.take(entry, (kept.at_cut(), kept.at_failback()), marks);
            let by = entry.by.map_or_else(|| "?".to_owned(), &name);
            let datacenter = record.datacenters.entry(by).or_default();
            datacenter.acknowledged += 1;
            if is_while_cut(entry, marks) {
                datacenter.while_cut += 1;
                datacenter.first_while_cut.get_or_insert(entry.due);
                datacenter.last_while_cut = datacenter.last_while_cut.max(Some(entry.done));
            }
            if !kept.may_be_lost() {
                continue;
            }
            windows.lost(entry, kept.is_lost());
            datacenter.lost += 1;
            most_lost += 1;
            record.lost.low += u64::from(kept.is_lost());
            record.returned += u64::from(kept.is_back());
            record.lost_after_cut +=
                u64::from(marks.cut_confirmed.is_some_and(|cut| entry.due >= cut));
        }
        let all_read = self.was_all_read(marks);
        record.lost.high = all_read.then_some(most_lost);
        record.duplicated = self.duplicated(all_read);
        record.unexpected += self.made_up();
        record.window = windows.larger(marks, all_read);
        if let Some((at_cut, at_failback)) = windows.of_each(marks, all_read) {
            (record.window_at_cut, record.window_at_failback) = (Some(at_cut), at_failback);
        }
        (record.first_lost, record.last_lost) = windows.ends().unzip();
        record.left_behind.clone_from(&self.left_behind);
        record.reads = self.readings().map(|(stage, it)| self.reads(stage, it, marks)).collect();
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

    fn kept(&self, entry: Entry) -> Kept {
        let said = |stage, reading: &Option<Reading>| {
            reading.as_ref().map_or(Said::Unread, |reading| said(stage, reading, entry))
        };
        Kept {
            failover: said(ReadStage::AfterFailover, &self.failover),
            failback: said(ReadStage::AfterFailback, &self.failback),
        }
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
        // Where records were asked for one by one, nobody saw a copy that is there.
        let shown = all_read && self.readings().all(|(_, reading)| !reading.one_by_one);
        CountBounds { low: count(&last), high: shown.then(|| count(&ever)) }
    }

    fn reads(&self, stage: ReadStage, reading: &Reading, marks: &Marks) -> LedgerReads {
        let (mut missing, mut of_the_cut, mut since) = (0, 0, 0);
        let acknowledged = self.book.entries().filter(|it| it.fate == Some(Fate::Acknowledged));
        for entry in acknowledged {
            match said(stage, reading, entry) {
                Said::NotDue => since += u64::from(is_before_restore(entry, marks)),
                Said::Unread => continue,
                Said::There => {}
                Said::Missing | Said::Gone => missing += 1,
            }
            let is_due = is_due_in(stage, reading.due_by, entry.done);
            of_the_cut += u64::from(is_due && is_while_cut(entry, marks));
        }
        let impatient = || {
            let waiting = !reading.had_its_time && missing > 0;
            waiting.then(|| IMPATIENT.to_owned())
        };
        LedgerReads {
            stage,
            attempts: reading.attempts,
            began: reading.span.0,
            ended: reading.span.1,
            records: reading.last.as_ref().map_or(0, |(_, last)| last.len()),
            missing,
            of_the_cut,
            since,
            foreign: reading.foreign,
            one_by_one: reading.one_by_one,
            unfinished: reading.failed.clone().or_else(impatient),
        }
    }
}

/// What a reading at `stage` says of an acknowledged write.
fn said(stage: ReadStage, reading: &Reading, entry: Entry) -> Said {
    let Some((due_by, last)) = &reading.last else { return Said::Unread };
    match () {
        () if !is_due_in(stage, *due_by, entry.done) => Said::NotDue,
        () if last.contains(entry.seq) => Said::There,
        () if reading.had_its_time && !reading.ever.contains(entry.seq) => Said::Gone,
        () => Said::Missing,
    }
}

/// Whether a write was sent while the cut was in force, and acknowledged before traffic was put back.
fn is_while_cut(entry: Entry, marks: &Marks) -> bool {
    marks.cut_confirmed.is_some_and(|cut| entry.due >= cut) && is_before_restore(entry, marks)
}

fn is_before_restore(entry: Entry, marks: &Marks) -> bool {
    marks.restore_issued.is_none_or(|restore| entry.done <= restore)
}
