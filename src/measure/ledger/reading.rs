//! A ledger: its writer's book, and what was read back of it.

use std::time::Duration;

use super::book::{Book, Entry};
use crate::model::{Fate, Offset, ReadBack, ReadStage, Sample, SeqSet};

/// One writer's records.
#[derive(Debug)]
pub struct Ledger {
    pub(super) book: Book,
    pub(super) failover: Option<Reading>,
    pub(super) failback: Option<Reading>,
    pub(super) left_behind: Option<String>,
}

/// The attempts to read back at one end of the drill.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub attempts: u64,
    /// When the last attempt began and ended.
    pub span: (Offset, Offset),
    /// When the first attempt began: what was acknowledged by then has to be there. What was acknowledged while it is tried
    /// again has not had its time to appear.
    pub due_by: Offset,
    /// What the last complete attempt saw, and what had to be there: whatever was acknowledged by then.
    pub last: Option<(Offset, SeqSet)>,
    /// What any attempt saw.
    pub ever: SeqSet,
    /// What a complete attempt missed.
    pub missed: SeqSet,
    pub foreign: u64,
    /// Records were asked for one by one.
    pub one_by_one: bool,
    /// The last attempt missed nothing that was known to be acknowledged by then.
    pub had_all: bool,
    /// What the last attempt misses stays missing: it was waited for as long as the plan says.
    pub had_its_time: bool,
    /// Why the last attempt came to no end.
    pub failed: Option<String>,
}

impl Ledger {
    /// One of a writer with the period `every`, nothing written yet.
    pub fn new(every: Duration) -> Ledger {
        Ledger { book: Book::new(every), failover: None, failback: None, left_behind: None }
    }

    /// Takes in what became of a write.
    pub fn push(&mut self, sample: &Sample) {
        self.book.push(sample);
    }

    /// Takes in an attempt to read it back.
    pub fn read(&mut self, read: ReadBack) {
        let due_by = self.reading(read.stage).map_or(read.began, |reading| reading.due_by);
        let missing = read.end.is_ok().then(|| self.missing_in(&read, due_by));
        let reading = self.slot(read.stage).get_or_insert_default();
        reading.due_by = due_by;
        reading.attempts += 1;
        reading.span = (read.began, read.ended);
        reading.foreign = reading.foreign.max(read.foreign);
        reading.one_by_one |= read.one_by_one;
        reading.ever.add(&read.seen);
        reading.failed = read.end.err();
        reading.had_all = missing.as_ref().is_some_and(SeqSet::is_empty);
        // A write that is heard of only after this may be missing from what had all: nobody has waited for it.
        reading.had_its_time = false;
        if let Some(missing) = missing {
            reading.missed.add(&missing);
            reading.last = Some((due_by, read.seen));
        }
    }

    /// The patience that the plan has for what is missing is over.
    pub fn settle(&mut self, stage: ReadStage) {
        if let Some(reading) = self.slot(stage) {
            reading.had_its_time = reading.failed.is_none() && reading.last.is_some();
        }
    }

    /// Whether another attempt cannot bring anything: the last was read to its end, and nothing acknowledged was missing.
    pub fn has_all(&self, stage: ReadStage) -> bool {
        self.reading(stage).is_some_and(|reading| reading.had_all || reading.had_its_time)
    }

    /// Whether none of what was acknowledged by then is among what was `seen`, where anything was.
    pub fn is_elsewhere(&self, seen: &SeqSet, by: Offset) -> bool {
        let acknowledged = |entry: &Entry| entry.fate == Some(Fate::Acknowledged);
        let mut due = self.book.entries().filter(|it| acknowledged(it) && it.done <= by).peekable();
        due.peek().is_some() && due.all(|entry| !seen.contains(entry.seq))
    }

    /// Records of the drill could not be removed: why.
    pub fn left_behind(&mut self, why: String) {
        self.left_behind = Some(why);
    }

    /// Whether an attempt began at `at` or later.
    pub fn was_tried_after(&self, stage: ReadStage, at: Offset) -> bool {
        self.reading(stage).is_some_and(|reading| reading.span.0 >= at)
    }

    fn reading(&self, stage: ReadStage) -> Option<&Reading> {
        match stage {
            ReadStage::AfterFailover => self.failover.as_ref(),
            ReadStage::AfterFailback => self.failback.as_ref(),
        }
    }

    fn slot(&mut self, stage: ReadStage) -> &mut Option<Reading> {
        match stage {
            ReadStage::AfterFailover => &mut self.failover,
            ReadStage::AfterFailback => &mut self.failback,
        }
    }

    fn missing_in(&self, read: &ReadBack, due_by: Offset) -> SeqSet {
        let expected = self.book.entries().filter(|entry| {
            entry.fate == Some(Fate::Acknowledged) && is_due_in(read.stage, due_by, entry.done)
        });
        expected.map(|entry| entry.seq).filter(|seq| !read.seen.contains(*seq)).collect()
    }
}

/// Whether a write that was acknowledged at `done` has to be in what was read first at `due_by`.
pub(super) fn is_due_in(stage: ReadStage, due_by: Offset, done: Offset) -> bool {
    match stage {
        ReadStage::AfterFailover => done <= due_by,
        // Nothing is written any more.
        ReadStage::AfterFailback => true,
    }
}
