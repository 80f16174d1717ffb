//! From the balancers' logs to how long the failover truly took.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{LabChange, LabStrain, Marks, Name, Offset};

/// A replica, as the truth looks at it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) datacenter: Name,
    pub(super) replica: u32,
    /// Whether the cut was to take it away.
    pub(super) is_cut: bool,
    /// Whether it was in when the lab started.
    pub(super) was_in: bool,
}

/// A service or store, as the truth looks at it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) members: Vec<Member>,
    /// What its balancer did, in order.
    pub(super) changes: Vec<LabChange>,
    /// What capacity did to its requests while the cut lasted.
    pub(super) strain: LabStrain,
    /// Whether requests met them after the restore too: then capacity decides when it is well again.
    pub(super) strained_after: bool,
    /// Up to when, while the cut lasted, writes waited in vain for a copy.
    pub(super) held_until: Option<Offset>,
    /// The same after the restore.
    pub(super) held_until_after: Option<Offset>,
}

impl Part {
    /// Whether the cut was to take anything away.
    fn is_touched(&self) -> bool {
        self.members.iter().any(|member| member.is_cut)
    }

    fn member(&self, change: &LabChange) -> Option<usize> {
        let is_it = |member: &Member| {
            member.datacenter == change.datacenter && member.replica == change.replica
        };
        self.members.iter().position(is_it)
    }

    /// From when on it could serve every new request until the restore: none of its replicas that
    /// were cut were in, and some other was. `None` when there is no such instant.
    fn well_from(&self, marks: &Marks) -> Option<Offset> {
        let until = marks.restore_issued.unwrap_or(Offset::from_nanos(u64::MAX));
        let all = || self.members.iter().enumerate();
        let was_in = all().filter(|(_, member)| member.was_in).map(|(index, _)| index);
        let mut is_in: BTreeSet<usize> = was_in.collect();
        let is_cut: BTreeSet<usize> =
            all().filter(|(_, member)| member.is_cut).map(|(index, _)| index).collect();
        let well = |is_in: &BTreeSet<usize>| !is_in.is_empty() && is_in.is_disjoint(&is_cut);
        let mut from = well(&is_in).then_some(Offset::ZERO);
        for change in self.changes.iter().filter(|change| change.at < until) {
            let Some(index) = self.member(change) else { continue };
            match change.is_in {
                true => is_in.insert(index),
                false => is_in.remove(&index),
            };
            from = well(&is_in).then(|| from.unwrap_or(change.at));
        }
        from.map(|from| self.held_until.map_or(from, |held| held.max(from)))
    }

    /// From when on after `restore` somebody was in without a break. `None` while nobody is.
    fn served_from_after(&self, restore: Offset) -> Option<Offset> {
        let was_in = self.members.iter().enumerate().filter(|(_, member)| member.was_in);
        let mut is_in: BTreeSet<usize> = was_in.map(|(index, _)| index).collect();
        let mut from = (!is_in.is_empty()).then_some(restore);
        // Changes of one instant are one change: a hand-over without a gap leaves nobody unserved.
        for moment in self.changes.chunk_by(|one, next| one.at == next.at) {
            for change in moment {
                let Some(index) = self.member(change) else { continue };
                match change.is_in {
                    true => is_in.insert(index),
                    false => is_in.remove(&index),
                };
            }
            let at = moment.first().map_or(restore, |change| change.at.max(restore));
            from = (!is_in.is_empty()).then(|| from.unwrap_or(at));
        }
        from.map(|from| self.held_until_after.map_or(from, |held| held.max(from)))
    }
}

/// From the cut to the last instant before the restore at which `parts`, a service and all that its
/// requests reach, could not serve every new request.
///
/// The cut came into force somewhere between `cut_issued` and `cut_confirmed`; like the upper bound
/// of a measured recovery time, this counts from the earlier. `None` when there was no cut, when it
/// took nothing away, when there is no such instant, or when capacity decided.
pub(super) fn recovery(parts: &[&Part], marks: &Marks) -> Option<Duration> {
    let cut = marks.cut_issued?;
    let strained = parts.iter().any(|part| part.strain != LabStrain::default());
    if strained || !parts.iter().any(|part| part.is_touched()) {
        return None;
    }
    let from: Option<Vec<Offset>> = parts.iter().map(|part| part.well_from(marks)).collect();
    from?.into_iter().max().map(|from| from.since(cut))
}

/// From the restore to the instant from which the service was as before: the first replica of `own`
/// that was cut is back, and everything in `parts`, the service and all that its requests reach, has
/// somebody to serve every new request. Counted from the moment at which the restore was asked for.
///
/// `None` when no replica came back, when they were not wholly out (then they do not have to come back), when
/// something stayed without anybody, or when capacity decided.
pub(super) fn failback(own: &Part, parts: &[&Part], marks: &Marks) -> Option<Duration> {
    let restore = marks.restore_issued?;
    marks.cut_issued?;
    let strained = parts.iter().any(|part| part.strained_after);
    if strained || !own.is_touched() || own.well_from(marks).is_none() {
        return None;
    }
    let back = own.changes.iter().find(|change| {
        let member = own.member(change).and_then(|index| own.members.get(index));
        change.is_in && change.at >= restore && member.is_some_and(|member| member.is_cut)
    })?;
    let served: Option<Vec<Offset>> =
        parts.iter().map(|part| part.served_from_after(restore)).collect();
    served?.into_iter().chain([back.at]).max().map(|at| at.since(restore))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two replicas in each of east, which is cut, and west; everything in at first.
    fn part(log: &[(u64, &str, u32, bool)]) -> Part {
        let member = |datacenter: &str, replica| Member {
            datacenter: datacenter.into(),
            replica,
            is_cut: datacenter == "east",
            was_in: true,
        };
        let changes = log.iter().map(|&(at, datacenter, replica, is_in)| LabChange {
            at: Offset::from_millis(at),
            datacenter: datacenter.into(),
            replica,
            is_in,
        });
        Part {
            members: [("east", 1), ("east", 2), ("west", 1), ("west", 2)]
                .map(|(datacenter, replica)| member(datacenter, replica))
                .into(),
            changes: changes.collect(),
            strain: LabStrain::default(),
            strained_after: false,
            held_until: None,
            held_until_after: None,
        }
    }

    fn marks(cut: u64, restore: Option<u64>) -> Marks {
        Marks {
            cut_issued: Some(Offset::from_millis(cut)),
            restore_issued: restore.map(Offset::from_millis),
            ..Marks::default()
        }
    }

    /// The failback of a service that calls nothing, cut at 100 ms.
    fn alone(part: &Part, restore: u64) -> Option<Duration> {
        failback(part, &[part], &marks(100, Some(restore)))
    }

    fn millis(duration: Option<Duration>) -> Option<u64> {
        duration.map(|duration| duration.as_millis() as u64)
    }

    fn east(log: &[(u64, &str, u32, bool)], cut: u64, restore: Option<u64>) -> Option<u64> {
        millis(recovery(&[&part(log)], &marks(cut, restore)))
    }

    const OUT: [(u64, &str, u32, bool); 2] = [(130, "east", 1, false), (170, "east", 2, false)];

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
    fn while_no_replica_is_in_there_is_no_recovery() {
        let mut log = OUT.to_vec();
        log.extend([(180, "west", 1, false), (190, "west", 2, false), (260, "west", 2, true)]);
        assert_eq!(east(&log, 100, None), Some(160));
        assert_eq!(east(&log, 100, Some(200)), None);
    }

    #[test]
    fn what_happens_after_the_restore_is_no_recovery() {
        let log = [(130, "east", 1, false), (210, "east", 2, false)];
        assert_eq!(east(&log, 100, Some(200)), None);
        let log = [(130, "east", 1, false), (140, "east", 2, false), (250, "east", 1, true)];
        assert_eq!(east(&log, 100, Some(200)), Some(40));
        assert_eq!(millis(alone(&part(&log), 200)), Some(50));
    }

    #[test]
    fn a_failback_ends_when_everything_that_is_called_has_somebody_to_serve() {
        let front =
            part(&[(130, "east", 1, false), (140, "east", 2, false), (250, "east", 1, true)]);
        let switched = |back: u64| {
            let out = [(150, "east", 1, false), (150, "east", 2, false), (150, "west", 1, true)];
            let mut log = out.to_vec();
            log.extend([(260, "west", 1, false), (back, "east", 1, true), (300, "east", 2, true)]);
            let mut store = part(&log);
            store
                .members
                .retain(|member| (&*member.datacenter.to_string(), member.replica) != ("west", 2));
            store.members.iter_mut().for_each(|it| it.was_in = it.is_cut);
            store
        };
        let marks = marks(100, Some(200));
        let both = |store: &Part| failback(&front, &[&front, store], &marks);
        assert_eq!(millis(both(&switched(280))), Some(80));
        assert_eq!(millis(both(&switched(260))), Some(50), "handed over without a gap");
        let held = Part { held_until_after: Some(Offset::from_millis(290)), ..switched(260) };
        assert_eq!(millis(both(&held)), Some(90));
        let strained = Part { strained_after: true, ..switched(280) };
        assert_eq!(both(&strained), None);
        let mut gone = switched(280);
        gone.changes.truncate(4);
        assert_eq!(both(&gone), None);
    }

    #[test]
    fn what_was_not_wholly_out_does_not_have_to_come_back() {
        let log = [(130, "east", 1, false), (250, "east", 1, true)];
        assert_eq!(alone(&part(&log), 200), None);
    }

    #[test]
    fn replicas_that_were_out_before_the_cut_need_no_recovery() {
        let log = [(10, "east", 1, false), (20, "east", 2, false)];
        assert_eq!(east(&log, 100, None), Some(0));
    }

    #[test]
    fn the_slowest_of_all_that_a_request_reaches_decides() {
        let (front, mut store) = (part(&OUT), part(&[(230, "east", 1, false)]));
        store.members.retain(|member| member.replica == 1);
        assert_eq!(millis(recovery(&[&front, &store], &marks(100, None))), Some(130));
        store.changes.clear();
        assert_eq!(recovery(&[&front, &store], &marks(100, None)), None);
        store.members.iter_mut().for_each(|member| member.is_cut = false);
        assert_eq!(millis(recovery(&[&front, &store], &marks(100, None))), Some(70));
    }

    #[test]
    fn a_standby_that_is_cut_takes_nothing_with_it() {
        let mut part = part(&[]);
        part.members
            .iter_mut()
            .for_each(|member| member.was_in = member.datacenter.as_str() == "west");
        assert_eq!(millis(recovery(&[&part], &marks(100, None))), Some(0));
        assert_eq!(alone(&part, 200), None);
    }

    #[test]
    fn a_store_that_waited_for_a_lost_copy_was_not_back_before() {
        let mut part = part(&OUT);
        part.held_until = Some(Offset::from_millis(300));
        assert_eq!(millis(recovery(&[&part], &marks(100, None))), Some(200));
        part.held_until = Some(Offset::from_millis(110));
        assert_eq!(millis(recovery(&[&part], &marks(100, None))), Some(70));
    }

    #[test]
    fn where_capacity_decided_the_lab_does_not_say() {
        let mut part = part(&OUT);
        part.strain.refused = 1;
        assert_eq!(recovery(&[&part], &marks(100, None)), None);
    }

    #[test]
    fn without_replicas_or_marks_there_is_no_truth() {
        let nothing = Part { members: Vec::new(), ..part(&[]) };
        assert_eq!(recovery(&[&nothing], &marks(1, None)), None);
        assert_eq!(recovery(&[&part(&OUT)], &Marks::default()), None);
        assert_eq!(failback(&nothing, &[&nothing], &marks(1, None)), None);
    }
}
