//! One copy of a store's data. No clock and no I/O: the caller says when it is.
//!
//! A *term* is the time for which one copy is the primary. A copy follows the primary of the latest
//! term that it heard of; what it had beyond that primary's data is dropped then.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::Offset;

/// A piece of the primary's log on its way to another copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// The term of the primary that it comes from.
    pub(super) term: u64,
    /// The place of the first id in the log.
    pub(super) from: usize,
    /// The ids, in the order of their writes.
    pub(super) ids: Vec<String>,
}

/// The data of one copy.
#[derive(Debug, Default)]
pub(super) struct Data {
    term: u64,
    is_primary: bool,
    log: Vec<(String, Offset)>,
    known: HashSet<String>,
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

    /// Takes in a write at `at`, and gives the length of the log that holds it.
    pub(super) fn write(&mut self, id: &str, at: Offset) -> usize {
        if self.known.insert(id.to_owned()) {
            self.log.push((id.to_owned(), at));
            return self.log.len();
        }
        let place = self.log.iter().position(|(known, _)| known == id);
        place.map_or(self.log.len(), |place| place + 1)
    }

    /// Whether it has `id`.
    pub(super) fn has(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// All ids, in the order of their writes.
    pub(super) fn ids(&self) -> Vec<&str> {
        self.log.iter().map(|(id, _)| id.as_str()).collect()
    }

    /// How many ids it has.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    /// What was written from place `from` on and up to `until`; `None` unless it leads `term`.
    pub(super) fn piece(&self, term: u64, from: usize, until: Offset) -> Option<Piece> {
        if !self.leads(term) {
            return None;
        }
        let rest = self.log.get(from..)?.iter();
        let due = rest.take_while(|(_, at)| *at <= until).map(|(id, _)| id.clone());
        Some(Piece { term, from, ids: due.collect() })
    }

    /// Takes in a piece of the primary's log at `at`; `false` when it does not fit.
    pub(super) fn follow(&mut self, piece: &Piece, at: Offset) -> bool {
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
        for id in piece.ids.iter().skip(known) {
            self.write(id, at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Offset {
        Offset::from_millis(millis)
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
        assert!(follower.follow(&first, at(9)) && follower.follow(&first, at(9)));
        assert_eq!(follower.ids(), ["a", "b"]);
        assert!(follower.follow(&primary.piece(0, 1, at(3)).unwrap(), at(9)));
        assert_eq!(follower.ids(), ["a", "b", "c"]);
        let gap = Piece { term: 0, from: 4, ids: vec!["e".into()] };
        assert!(!follower.follow(&gap, at(9)));
    }

    #[test]
    fn an_old_primary_follows_the_new_one_and_drops_what_it_had_beyond_it() {
        let mut old = primary(0, &[("a", 1), ("lost", 2)]);
        let new = primary(1, &[("a", 1), ("b", 3)]);
        assert!(
            !old.follow(&Piece { term: 1, from: 1, ids: vec![] }, at(9)),
            "not from its middle"
        );
        assert!(old.follow(&new.piece(1, 0, at(9)).unwrap(), at(9)));
        assert_eq!(old.ids(), ["a", "b"]);
        assert!(!old.has("lost") && !old.leads(0) && !old.leads(1));
        assert_eq!(old.piece(1, 0, at(9)), None, "a follower hands on nothing");
    }

    #[test]
    fn a_primary_follows_nobody_of_its_own_term_or_an_earlier_one() {
        let mut data = primary(2, &[("a", 1)]);
        for term in 0..=2 {
            assert!(!data.follow(&Piece { term, from: 0, ids: vec!["x".into()] }, at(9)));
        }
        assert_eq!(data.write("a", at(5)), 1, "written again, it stays where it is");
    }
}
