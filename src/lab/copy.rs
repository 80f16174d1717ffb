//! One copy of a store's data. No clock and no I/O: the caller says when it is.
//!
//! A *term* is the time for which one copy is the primary. A copy follows the primary of the latest
//! term that it heard of; what it had beyond that primary's data is dropped then.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::model::Offset;

/// Something that happened to the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A record with this id was stored.
    Write(String),
    /// And once more: it is there twice then.
    Again(String),
    /// All records were removed whose ids begin so.
    Remove(String),
}

/// A piece of the primary's log on its way to another copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// The term of the primary that it comes from.
    pub(super) term: u64,
    /// The place of the first entry in the log.
    pub(super) from: usize,
    /// The entries, in order.
    pub(super) entries: Vec<Entry>,
}

/// Where a record stands in the log, and how often it is there.
#[derive(Debug, Clone, Copy)]
struct Known {
    place: usize,
    times: u32,
}

/// The data of one copy.
#[derive(Debug, Default)]
pub(super) struct Data {
    term: u64,
    is_primary: bool,
    log: Vec<(Entry, Offset)>,
    known: HashMap<String, Known>,
}

impl Data {
    /// The primary of `term` from now on, with what it has.
    pub(super) fn lead(&mut self, term: u64) {
        (self.term, self.is_primary) = (term, true);
    }

    /// Whether it is the primary of `term`.
    pub(super) fn leads(&self, term: u64) -> bool {
        self.is_primary && self.term == term
    }

    /// Whether it takes itself for the primary: it heard of no later term than its own.
    pub(super) fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Takes in a write at `at`, and gives the length of the log that holds it. One that is there stays as it is.
    pub(super) fn write(&mut self, id: &str, at: Offset) -> usize {
        match self.known.get(id) {
            Some(known) => known.place + 1,
            None => self.apply(Entry::Write(id.to_owned()), at),
        }
    }

    /// Stores a record a second time.
    pub(super) fn again(&mut self, id: &str, at: Offset) -> usize {
        self.apply(Entry::Again(id.to_owned()), at)
    }

    /// Removes the records whose ids begin with `prefix`.
    pub(super) fn remove(&mut self, prefix: &str, at: Offset) -> usize {
        self.apply(Entry::Remove(prefix.to_owned()), at)
    }

    fn apply(&mut self, entry: Entry, at: Offset) -> usize {
        let place = self.log.len();
        match &entry {
            Entry::Write(id) => drop(self.known.insert(id.clone(), Known { place, times: 1 })),
            Entry::Again(id) => {
                let known = self.known.entry(id.clone()).or_insert(Known { place, times: 0 });
                known.times = known.times.saturating_add(1);
            }
            Entry::Remove(prefix) => self.known.retain(|id, _| !id.starts_with(prefix.as_str())),
        }
        self.log.push((entry, at));
        self.log.len()
    }

    /// Whether it has `id`.
    pub(super) fn has(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Whether it had `id` already at `at`.
    pub(super) fn had(&self, id: &str, at: Offset) -> bool {
        let first = self.known.get(id).and_then(|known| self.log.get(known.place));
        first.is_some_and(|(_, since)| *since <= at)
    }

    /// Whether it has `id` more than once.
    pub(super) fn has_twice(&self, id: &str) -> bool {
        self.known.get(id).is_some_and(|known| known.times > 1)
    }

    /// All ids that begin with `prefix`, in the order of their writes and as often as they are there; of what came after
    /// `until`, nothing.
    pub(super) fn ids(&self, prefix: &str, until: Offset) -> Vec<&str> {
        let log = self.log.iter().zip(0..).take_while(|((_, at), _)| *at <= until);
        let there = log.filter_map(|((entry, _), place)| {
            let (Entry::Write(id) | Entry::Again(id)) = entry else { return None };
            // What stands before its first place was removed since.
            let there = self.known.get(id).is_some_and(|known| place >= known.place);
            (there && id.starts_with(prefix)).then_some(id.as_str())
        });
        there.collect()
    }

    /// How long the log is.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    /// What was written from place `from` on and up to `until`; `None` unless it leads `term`.
    pub(super) fn piece(&self, term: u64, from: usize, until: Offset) -> Option<Piece> {
        if !self.leads(term) {
            return None;
        }
        let rest = self.log.get(from..)?.iter();
        let due = rest.take_while(|(_, at)| *at <= until).map(|(entry, _)| entry.clone());
        Some(Piece { term, from, entries: due.collect() })
    }

    /// Takes in a piece of the primary's log at `at`; `false` when it does not fit.
    pub(super) fn follow(&mut self, piece: Piece, at: Offset) -> bool {
        let older = piece.term < self.term || self.leads(piece.term);
        if older || (piece.term == self.term && piece.from > self.log.len()) {
            return false;
        }
        if piece.term > self.term {
            if piece.from > 0 {
                return false;
            }
            *self = Data { term: piece.term, ..Data::default() };
        }
        // Some of it may have come before, with the answer lost.
        let known = self.log.len() - piece.from;
        for entry in piece.entries.into_iter().skip(known) {
            self.apply(entry, at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: Offset = Offset::from_nanos(u64::MAX);

    fn at(millis: u64) -> Offset {
        Offset::from_millis(millis)
    }

    fn ids(data: &Data) -> Vec<&str> {
        data.ids("", ALWAYS)
    }

    fn primary(term: u64, writes: &[(&str, u64)]) -> Data {
        let mut data = Data::default();
        data.lead(term);
        for &(id, millis) in writes {
            data.write(id, at(millis));
        }
        data
    }

    #[test]
    fn a_follower_gets_what_is_due_once_and_in_order() {
        let primary = primary(0, &[("a", 1), ("b", 2), ("c", 3)]);
        let mut follower = Data::default();
        let first = primary.piece(0, 0, at(2)).unwrap();
        assert!(follower.follow(first.clone(), at(9)) && follower.follow(first, at(9)));
        assert_eq!(ids(&follower), ["a", "b"]);
        assert!(follower.follow(primary.piece(0, 1, at(3)).unwrap(), at(9)));
        assert_eq!(ids(&follower), ["a", "b", "c"]);
        let gap = Piece { term: 0, from: 4, entries: vec![Entry::Write("e".into())] };
        assert!(!follower.follow(gap, at(9)));
    }

    #[test]
    fn an_old_primary_follows_the_new_one_and_drops_what_it_had_beyond_it() {
        let mut old = primary(0, &[("a", 1), ("lost", 2)]);
        let new = primary(1, &[("a", 1), ("b", 3)]);
        let middle = Piece { term: 1, from: 1, entries: vec![] };
        assert!(!old.follow(middle, at(9)), "not from its middle");
        assert!(old.is_primary(), "it heard of nobody else yet");
        assert!(old.follow(new.piece(1, 0, at(9)).unwrap(), at(9)));
        assert_eq!(ids(&old), ["a", "b"]);
        assert!(!old.has("lost") && !old.leads(0) && !old.leads(1) && !old.is_primary());
        assert_eq!(old.piece(1, 0, at(9)), None, "a follower hands on nothing");
    }

    #[test]
    fn a_primary_follows_nobody_of_its_own_term_or_an_earlier_one() {
        let mut data = primary(2, &[("a", 1)]);
        for term in 0..=2 {
            let piece = Piece { term, from: 0, entries: vec![Entry::Write("x".into())] };
            assert!(!data.follow(piece, at(9)));
        }
        assert_eq!(data.write("a", at(5)), 1, "written again, it stays where it is");
    }

    #[test]
    fn what_is_removed_is_gone_everywhere_and_may_be_written_anew() {
        let mut data = primary(0, &[("x:1", 1), ("y:1", 2), ("x:2", 3)]);
        data.again("y:1", at(4));
        assert_eq!(ids(&data), ["x:1", "y:1", "x:2", "y:1"]);
        assert!(data.has_twice("y:1") && !data.has_twice("x:1"));
        data.remove("x:", at(5));
        data.write("x:2", at(6));
        assert_eq!(ids(&data), ["y:1", "y:1", "x:2"]);
        assert_eq!(data.ids("x:", ALWAYS), ["x:2"]);
        let mut follower = Data::default();
        assert!(follower.follow(data.piece(0, 0, ALWAYS).unwrap(), at(9)));
        assert_eq!((ids(&follower), follower.len()), (ids(&data), data.len()));
        assert!(follower.has_twice("y:1") && !follower.has("x:1"));
    }

    #[test]
    fn the_past_shows_what_was_there_by_then() {
        let data = primary(0, &[("a", 1), ("b", 2), ("c", 3)]);
        assert_eq!(data.ids("", at(2)), ["a", "b"]);
        assert!(data.had("b", at(2)) && !data.had("c", at(2)) && data.has("c"));
    }
}
