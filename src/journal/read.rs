//! Journals read back: what a run did, as far as it is durable.

use std::fs::File;
use std::io::{self, Read, Seek};

use super::record::{NotOurs, Opened, Record, parse};
use super::table::Last;
use super::{FORMAT, Hand};
use crate::model::{ControlSpec, ControlState, Name, Verdict};

/// What a journal says.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first record.
    pub opened: Opened,
    /// The controls, in the order of the cut.
    pub controls: Vec<Entry>,
    /// How the drill ended; `None` when it did not, or was ended by another hand.
    pub closed: Option<Verdict>,
    /// Bytes of the lines that are to be kept.
    pub whole: u64,
    /// What follows them.
    pub tail: Tail,
    /// Lines that are not what was written, from 1. What stood there nobody knows.
    pub damaged: Vec<usize>,
    /// Controls without a snapshot here that were restored all the same, as a later line says, and by whom.
    pub settled: Vec<(Name, Hand)>,
}

/// How a journal ends, and with it what has to be done before the next record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With the end of a line.
    Whole,
    /// With a piece of a line that a crash tore off: it goes.
    Torn,
    /// With a line of which the end is damaged: it stays, since it tells that something was written there, and is ended.
    Unended,
}

/// A control in a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// How to reach it.
    pub control: ControlSpec,
    /// Its state before any change.
    pub before: ControlState,
    /// What the parts that the cut may change say once it is in force.
    pub cut: ControlState,
    /// The last durable record.
    pub last: Last,
    /// Who restored it, if somebody did.
    pub by: Option<Hand>,
}

/// Why a journal says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No whole record is in it: its run touched nothing.
    #[error("it is empty: its run was ended before it touched anything")]
    Empty,
    /// It begins with something else.
    #[error("it does not begin as a journal of firedrill does, so nothing of it can be trusted")]
    NotAJournal,
    /// It was written by another version.
    #[error("{}", other_format(*found))]
    OtherFormat {
        /// Its format.
        found: u64,
        /// Whether it says, in the way of all formats, that its run ended with its traffic back.
        ended: bool,
    },
}

impl Run {
    /// Reads the journal in `file` from its beginning.
    ///
    /// # Errors
    /// When it cannot be read; inside of that, as [`Run::read`].
    pub fn read_from(file: &mut File) -> io::Result<Result<Run, Unusable>> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(Run::read(&bytes))
    }

    /// Reads a journal. A torn last line is left out; a damaged one before it is named, and the
    /// controls are then taken to be cut as far as nothing else is known.
    ///
    /// # Errors
    /// When it holds nothing that can be used.
    pub fn read(bytes: &[u8]) -> Result<Run, Unusable> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').zip(1..);
        let Some((first, _)) = lines.next() else { return Err(Unusable::Empty) };
        let opened = match (record(first), first.ends_with(b"\n")) {
            (_, false) => return Err(Unusable::Empty),
            (Some(Ok(Record::Opened(opened))), true) => opened,
            (Some(Err(NotOurs { format: Some(found) })), true) => {
                return Err(Unusable::OtherFormat { found, ended: ended(bytes) });
            }
            _ => return Err(Unusable::NotAJournal),
        };
        if opened.format != FORMAT {
            let found = u64::from(opened.format);
            return Err(Unusable::OtherFormat { found, ended: ended(bytes) });
        }
        let whole = first.len() as u64;
        let mut run = Run {
            opened,
            controls: Vec::new(),
            closed: None,
            whole,
            tail: Tail::Whole,
            damaged: Vec::new(),
            settled: Vec::new(),
        };
        for (line, number) in lines {
            match (record(line), line.ends_with(b"\n")) {
                (_, false) if !has_lost_its_end(line) => run.tail = Tail::Torn,
                (_, false) => {
                    run.tail = Tail::Unended;
                    run.whole += line.len() as u64;
                    run.take_damaged(number);
                }
                (record, true) => {
                    run.whole += line.len() as u64;
                    match record {
                        Some(Ok(record)) => run.take(record),
                        _ => run.take_damaged(number),
                    }
                }
            }
        }
        if !run.damaged.is_empty() {
            // The line may have been the intent; restoring what is as it was changes nothing.
            let silent = run.controls.iter_mut().filter(|entry| entry.last == Last::None);
            silent.for_each(|entry| entry.last = Last::CutIntended);
        }
        Ok(run)
    }

    fn take(&mut self, record: Record) {
        let (control, last, hand) = match record {
            Record::Opened(_) => return,
            Record::Closed { verdict } => {
                self.closed = Some(verdict);
                return;
            }
            Record::Snapshot { control, before, cut } => {
                let last = Last::None;
                self.controls.push(Entry { control, before, cut, last, by: None });
                return;
            }
            Record::CutIntended { control } => (control, Last::CutIntended, None),
            Record::CutConfirmed { control } => (control, Last::CutConfirmed, None),
            Record::RestoreIntended { control, by } => (control, Last::RestoreIntended, Some(by)),
            Record::RestoreConfirmed { control, by } => (control, Last::RestoreConfirmed, Some(by)),
        };
        if let Some(entry) = self.controls.iter_mut().find(|entry| entry.control.name == control) {
            (entry.last, entry.by) = (last, hand);
            return;
        }
        // Whatever is done to it after that has to be put back anew.
        self.settled.retain(|(settled, _)| *settled != control);
        if let (Last::RestoreConfirmed, Some(by)) = (last, hand) {
            self.settled.push((control, by));
        }
    }

    /// Takes a line that nobody can read. What the drill itself has put back it may cut again, and here may be written that it
    /// was about to; who puts back after its death cuts nothing.
    fn take_damaged(&mut self, number: usize) {
        self.damaged.push(number);
        let by_the_drill = (Last::RestoreConfirmed, Some(Hand::Drill));
        for entry in self.controls.iter_mut().filter(|it| (it.last, it.by) == by_the_drill) {
            (entry.last, entry.by) = (Last::CutIntended, None);
        }
        self.settled.retain(|(_, by)| *by != Hand::Drill);
    }

    /// The controls whose traffic may be cut by this run.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.controls.iter().filter(|entry| entry.last.is_open())
    }

    /// The controls that may be cut and whose snapshot is damaged: nobody can put them back from this journal.
    pub fn lost(&self) -> impl Iterator<Item = &Name> {
        let known = |name: &Name| self.controls.iter().any(|entry| entry.control.name == *name);
        let settled = |name: &Name| self.settled.iter().any(|(settled, _)| settled == name);
        let lost = move |name: &&Name| !known(name) && !settled(name);
        self.opened.through.iter().filter(move |name| !self.damaged.is_empty() && lost(name))
    }

    /// What was to be cut, in words.
    pub fn lost_traffic(&self) -> String {
        self.opened.order.words(&self.opened.datacenters)
    }
}

fn other_format(found: u64) -> String {
    if found == u64::from(FORMAT) {
        return format!(
            "its first line says format {FORMAT} and is not of it, so nothing of it can be trusted"
        );
    }
    format!(
        "it has the format {found}, and this firedrill reads {FORMAT}; restore with the firedrill that wrote it"
    )
}

/// Whether the last line is the end of a run that left nothing cut.
fn ended(bytes: &[u8]) -> bool {
    let last = bytes.split_inclusive(|byte| *byte == b'\n').next_back().and_then(record);
    matches!(last, Some(Ok(Record::Closed { verdict })) if verdict != Verdict::NotRestored)
}

/// Whether the last line of a file is a whole record but for the byte that ends it. No crash leaves that: what it tears off is
/// missing. What a crash took of a line behind it may read as zeros.
fn has_lost_its_end(line: &[u8]) -> bool {
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    let line = &line[..line.len() - zeros];
    let is_record = |text: &[u8]| std::str::from_utf8(text).ok().and_then(parse).is_some();
    (zeros > 0 && is_record(line)) || line.split_last().is_some_and(|(_, text)| is_record(text))
}

fn record(line: &[u8]) -> Option<Result<Record, NotOurs>> {
    parse(std::str::from_utf8(line).ok()?.strip_suffix('\n')?)
}
