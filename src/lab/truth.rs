//! From the balancer's log to how long the failover truly took.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{LabChange, Marks, Name, Offset};

/// From the cut to the instant from which no replica of `datacenter` was in until the restore.
///
/// The cut came into force somewhere between `cut_issued` and `cut_confirmed`; like the upper bound
/// of a measured recovery time, this counts from the earlier. `None` when `datacenter` has no
/// replicas, was never cut, or had replicas in when the restore came.
pub(super) fn recovery(
    changes: &[LabChange],
    datacenter: &Name,
    replicas: u32,
    marks: &Marks,
) -> Option<Duration> {
    let cut = marks.cut_issued?;
    let until = marks.restore_issued.unwrap_or(Offset::from_nanos(u64::MAX));
    let mut out = BTreeSet::new();
    let mut emptied = None;
    for change in changes {
        if change.datacenter != *datacenter || change.at >= until {
            continue;
        }
        if change.is_in {
            out.remove(&change.replica)
        } else {
            out.insert(change.replica)
        };
        emptied = (out.len() == replicas as usize).then_some(change.at);
    }
    emptied.filter(|_| replicas > 0).map(|emptied| emptied.since(cut))
}

/// From the restore to the first replica of `datacenter` that is put back, counted from the moment
/// at which the restore was asked for. `None` when none was.
pub(super) fn failback(
    changes: &[LabChange],
    datacenter: &Name,
    marks: &Marks,
) -> Option<Duration> {
    let restore = marks.restore_issued?;
    changes
        .iter()
        .find(|change| change.datacenter == *datacenter && change.is_in && change.at >= restore)
        .map(|change| change.at.since(restore))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(log: &[(u64, &str, u32, bool)]) -> Vec<LabChange> {
        log.iter()
            .map(|&(at, datacenter, replica, is_in)| LabChange {
                at: Offset::from_millis(at),
                datacenter: datacenter.into(),
                replica,
                is_in,
            })
            .collect()
    }

    fn marks(cut: u64, restore: Option<u64>) -> Marks {
        Marks {
            cut_issued: Some(Offset::from_millis(cut)),
            restore_issued: restore.map(Offset::from_millis),
            ..Marks::default()
        }
    }

    fn east(log: &[(u64, &str, u32, bool)], cut: u64, restore: Option<u64>) -> Option<u64> {
        recovery(&changes(log), &"east".into(), 2, &marks(cut, restore))
            .map(|recovery| recovery.as_millis() as u64)
    }

    #[test]
    fn the_recovery_ends_with_the_last_replica() {
        let log = [(130, "east", 1, false), (150, "west", 1, false), (170, "east", 2, false)];
        assert_eq!(east(&log, 100, None), Some(70));
        assert_eq!(east(&log[..2], 100, None), None, "one is still in");
    }

    #[test]
    fn a_replica_that_comes_back_while_cut_prolongs_the_recovery() {
        let log = [
            (130, "east", 1, false),
            (140, "east", 2, false),
            (150, "east", 2, true),
            (190, "east", 2, false),
        ];
        assert_eq!(east(&log, 100, None), Some(90));
        assert_eq!(east(&log[..3], 100, None), None);
    }

    #[test]
    fn what_happens_after_the_restore_is_no_recovery() {
        let log = [(130, "east", 1, false), (210, "east", 2, false)];
        assert_eq!(east(&log, 100, Some(200)), None);
        let log = [(130, "east", 1, false), (140, "east", 2, false), (250, "east", 1, true)];
        assert_eq!(east(&log, 100, Some(200)), Some(40));
        let back = failback(&changes(&log), &"east".into(), &marks(100, Some(200)));
        assert_eq!(back, Some(Duration::from_millis(50)));
    }

    #[test]
    fn replicas_that_were_out_before_the_cut_need_no_recovery() {
        let log = [(10, "east", 1, false), (20, "east", 2, false)];
        assert_eq!(east(&log, 100, None), Some(0));
    }

    #[test]
    fn without_replicas_or_marks_there_is_no_truth() {
        assert_eq!(recovery(&[], &"east".into(), 0, &marks(1, None)), None);
        assert_eq!(recovery(&[], &"east".into(), 1, &Marks::default()), None);
        assert_eq!(failback(&[], &"east".into(), &marks(1, None)), None);
    }
}
