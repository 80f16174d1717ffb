//! What a store acknowledged, and what it kept of that: the truth that a ledger is held to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::copy::Data;
use crate::model::{LabStoreTruth, Offset, StoreFaults};

/// The acknowledged writes of a store, and what its faults did to them.
#[derive(Debug, Default)]
pub(super) struct Promised {
    faults: StoreFaults,
    acknowledged: Mutex<Acknowledged>,
    writes: AtomicU64,
    stored: AtomicU64,
    never_stored: AtomicU64,
    stale_reads: AtomicU64,
    by_deposed: AtomicU64,
}

#[derive(Debug, Default)]
struct Acknowledged {
    /// When each was acknowledged first.
    at: BTreeMap<String, Offset>,
    /// Of those that were removed since: what was true of them then.
    removed: u64,
    lost: Vec<(Offset, String)>,
    duplicated: Vec<String>,
}

impl Acknowledged {
    /// What is lost of those whose ids begin with `prefix`, if `primary` has what is there; the first acknowledged first.
    fn lost(&self, prefix: &str, primary: Option<&Data>) -> Vec<(Offset, String)> {
        let theirs = self.at.iter().filter(|(id, _)| id.starts_with(prefix));
        let gone = theirs.filter(|(id, _)| primary.is_none_or(|data| !data.has(id)));
        gone.map(|(id, at)| (*at, id.clone())).collect()
    }

    fn duplicated(&self, prefix: &str, primary: Option<&Data>) -> Vec<String> {
        let theirs = self.at.keys().filter(|id| id.starts_with(prefix));
        let twice = theirs.filter(|id| primary.is_some_and(|data| data.has_twice(id)));
        twice.cloned().collect()
    }
}

impl Promised {
    /// Nothing acknowledged yet, by a store with these `faults`.
    pub(super) fn new(faults: StoreFaults) -> Promised {
        Promised { faults, ..Promised::default() }
    }

    fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The write of `id` is acknowledged at `at`.
    pub(super) fn acknowledge(&self, id: &str, at: Offset) {
        self.acknowledged().at.entry(id.to_owned()).or_insert(at);
    }

    /// It was by a copy that is not the primary any more, and does not know it.
    pub(super) fn by_deposed(&self) {
        self.by_deposed.fetch_add(1, Relaxed);
    }

    /// Takes the write of `id` into `data` as the store's faults let it, and gives the length of the log that holds it.
    pub(super) fn store(&self, data: &mut Data, id: &str, at: Offset) -> usize {
        if data.has(id) {
            return data.write(id, at);
        }
        if hits(self.faults.loses, self.writes.fetch_add(1, Relaxed)) {
            self.never_stored.fetch_add(1, Relaxed);
            return data.len();
        }
        let length = data.write(id, at);
        match hits(self.faults.duplicates, self.stored.fetch_add(1, Relaxed)) {
            true => data.again(id, at),
            false => length,
        }
    }

    /// The instant as of which readings are answered at `now`.
    pub(super) fn as_of(&self, now: Offset) -> Offset {
        now.minus(self.faults.stale_for)
    }

    /// A reading was answered without something that is there.
    pub(super) fn read_stale(&self) {
        self.stale_reads.fetch_add(1, Relaxed);
    }

    /// Removes what begins with `prefix` from `primary`: what is known of it so far is kept. Gives the length of the log.
    pub(super) fn remove(&self, primary: &mut Data, prefix: &str, at: Offset) -> usize {
        let mut acknowledged = self.acknowledged();
        let lost = acknowledged.lost(prefix, Some(primary));
        let duplicated = acknowledged.duplicated(prefix, Some(primary));
        let before = acknowledged.at.len();
        acknowledged.at.retain(|id, _| !id.starts_with(prefix));
        acknowledged.removed += (before - acknowledged.at.len()) as u64;
        acknowledged.lost.extend(lost);
        acknowledged.duplicated.extend(duplicated);
        primary.remove(prefix, at)
    }

    /// What was acknowledged so far, and what of it the `primary` does not have, or has twice.
    pub(super) fn truth(&self, primary: Option<&Data>) -> LabStoreTruth {
        let acknowledged = self.acknowledged();
        let mut lost = acknowledged.lost("", primary);
        lost.extend(acknowledged.lost.iter().cloned());
        lost.sort();
        let mut duplicated = acknowledged.duplicated("", primary);
        duplicated.extend(acknowledged.duplicated.iter().cloned());
        LabStoreTruth {
            acknowledged: acknowledged.at.len() as u64 + acknowledged.removed,
            first_lost: lost.first().map(|(at, _)| *at),
            last_lost: lost.last().map(|(at, _)| *at),
            lost: lost.into_iter().map(|(_, id)| id).collect(),
            duplicated,
            never_stored: self.never_stored.load(Relaxed),
            stale_reads: self.stale_reads.load(Relaxed),
            by_deposed: self.by_deposed.load(Relaxed),
            ..LabStoreTruth::default()
        }
    }
}

/// Whether number `nth`, from 0, of a series is among the `share` of it that is picked, evenly.
fn hits(share: f64, nth: u64) -> bool {
    let up_to = |count: u64| (share * count as f64).floor();
    up_to(nth + 1) > up_to(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_evenly() {
        let of = |share: f64| (0..1000).filter(|nth| hits(share, *nth)).count();
        assert_eq!([0.0, 0.01, 0.5, 1.0].map(of), [0, 10, 500, 1000]);
        assert!((0..1000).filter(|nth| hits(0.01, *nth)).all(|nth| nth % 100 == 99));
    }

    #[test]
    fn the_truth_outlives_a_removal() {
        let promised =
            Promised::new(StoreFaults { loses: 0.5, duplicates: 0.5, ..StoreFaults::default() });
        let mut data = Data::default();
        for (number, millis) in (0..8).zip(1..) {
            let (id, at) = (format!("x:{number}"), Offset::from_millis(millis));
            promised.store(&mut data, &id, at);
            promised.acknowledge(&id, at);
        }
        let before = promised.truth(Some(&data));
        assert_eq!(before.lost, ["x:1", "x:3", "x:5", "x:7"]);
        assert_eq!(before.duplicated, ["x:2", "x:6"]);
        assert_eq!((before.acknowledged, before.never_stored), (8, 4));
        promised.remove(&mut data, "x:", Offset::from_millis(99));
        assert!(data.ids("", Offset::from_millis(99)).is_empty());
        assert_eq!(promised.truth(Some(&data)), before);
    }
}
