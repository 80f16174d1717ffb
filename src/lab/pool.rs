//! The balancer's view of its replicas: who is in, who is next, and what became of it. No clock and
//! no I/O: the caller holds the lock and says when it is.

use std::collections::BTreeMap;

use crate::model::{DatacenterId, LabAnswers, LabChange, Name, Offset, Spread};

/// A replica, as the balancer knows it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) datacenter: DatacenterId,
    /// Its number in its datacenter, from 1.
    pub(super) replica: u32,
    /// As its checks say.
    is_well: bool,
    /// Checks in a row that spoke against its present state.
    against: u32,
}

/// The replicas of one service, in the plan's order of datacenters and block by block:
/// e1 e2 w1 w2. Measuring relies on that order: of any W + 1 requests in a row, with W the number
/// of replicas elsewhere, at least one meets a datacenter that is still in.
#[derive(Debug)]
pub(super) struct Pool {
    datacenters: Vec<Name>,
    members: Vec<Member>,
    spread: Spread,
    fall: u32,
    rise: u32,
    next: usize,
    answers: BTreeMap<Name, LabAnswers>,
    /// Where one datacenter is active: the one that is at first, and the one that is now.
    active: Option<(DatacenterId, DatacenterId)>,
}

impl Pool {
    /// A pool of `replicas` in each datacenter, all of them in, as load balancers start.
    pub(super) fn new(
        datacenters: &[Name],
        replicas: &BTreeMap<DatacenterId, u32>,
        spread: Spread,
        fall: u32,
        rise: u32,
    ) -> Pool {
        let members = replicas.iter().flat_map(|(&datacenter, &count)| {
            (1..=count).map(move |replica| Member {
                datacenter,
                replica,
                is_well: true,
                against: 0,
            })
        });
        Pool {
            datacenters: datacenters.to_vec(),
            members: members.collect(),
            spread,
            fall,
            rise,
            next: 0,
            answers: BTreeMap::new(),
            active: None,
        }
    }

    /// With only the replicas of one datacenter at a time: at first those of `home`.
    pub(super) fn switched(self, home: DatacenterId) -> Pool {
        Pool { active: Some((home, home)), ..self }
    }

    /// The datacenter that is active now; `None` where all are.
    pub(super) fn active(&self) -> Option<DatacenterId> {
        self.active.map(|(_, now)| now)
    }

    /// The datacenter that is active on an ordinary day; `None` where all are.
    pub(super) fn home(&self) -> Option<DatacenterId> {
        self.active.map(|(home, _)| home)
    }

    /// The datacenters that have replicas, in the plan's order, from the one behind `from` on and
    /// round to it.
    pub(super) fn others(&self, from: DatacenterId) -> Vec<DatacenterId> {
        let mut all: Vec<DatacenterId> = self.members.iter().map(|m| m.datacenter).collect();
        all.dedup();
        let behind = all.iter().position(|&id| id > from).unwrap_or(0);
        all.rotate_left(behind);
        all.retain(|&id| id != from);
        all
    }

    /// Whether checks say that a replica of `datacenter` is well, be it active or not.
    pub(super) fn is_well(&self, datacenter: DatacenterId) -> bool {
        self.members.iter().any(|member| member.datacenter == datacenter && member.is_well)
    }

    /// Makes `to` active at `at`, and gives the replicas that this takes out and puts in.
    pub(super) fn activate(&mut self, to: DatacenterId, at: Offset) -> Vec<LabChange> {
        let Some((home, from)) = self.active else { return Vec::new() };
        self.active = Some((home, to));
        if from == to {
            return Vec::new();
        }
        let well = |id| self.members.iter().filter(move |m| m.datacenter == id && m.is_well);
        let out = well(from).map(|member| self.change(member, false, at));
        out.chain(well(to).map(|member| self.change(member, true, at))).collect()
    }

    fn change(&self, member: &Member, is_in: bool, at: Offset) -> LabChange {
        let (datacenter, replica) = (self.name(member.datacenter), member.replica);
        LabChange { at, datacenter, replica, is_in }
    }

    /// Whether `member` takes requests.
    fn is_in(&self, member: &Member) -> bool {
        member.is_well && self.is_active(member.datacenter)
    }

    fn is_active(&self, datacenter: DatacenterId) -> bool {
        self.active.is_none_or(|(_, now)| now == datacenter)
    }

    /// The replicas, in order.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many replicas of each datacenter are well and could serve; 0 where none is.
    pub(super) fn serving(&self) -> BTreeMap<DatacenterId, usize> {
        let mut serving = BTreeMap::new();
        for member in &self.members {
            *serving.entry(member.datacenter).or_default() += usize::from(member.is_well);
        }
        serving
    }

    /// The replica for the next request, as an index; `None` when none is in.
    pub(super) fn pick(&mut self) -> Option<usize> {
        let first = match self.spread {
            Spread::RoundRobin => None,
            Spread::First => {
                Some(self.members.iter().find(|member| self.is_in(member))?.datacenter)
            }
        };
        let count = self.members.len();
        let picked = (0..count).map(|step| (self.next + step) % count).find(|&index| {
            let member = &self.members[index];
            self.is_in(member) && first.is_none_or(|first| member.datacenter == first)
        })?;
        self.next = (picked + 1) % count;
        Some(picked)
    }

    /// The next replica of `datacenter` whatever its state: for a lab that leaks.
    pub(super) fn pick_from(&mut self, datacenter: DatacenterId) -> Option<usize> {
        self.members.iter().position(|member| member.datacenter == datacenter)
    }

    /// Takes in the result of a check at `at`, and gives the change that it brought about.
    pub(super) fn checked(&mut self, index: usize, passed: bool, at: Offset) -> Option<LabChange> {
        let needed = if passed { self.rise } else { self.fall };
        let member = self.members.get_mut(index)?;
        if member.is_well == passed {
            member.against = 0;
            return None;
        }
        member.against += 1;
        if member.against < needed {
            return None;
        }
        member.is_well = passed;
        member.against = 0;
        let member = self.members.get(index)?;
        self.is_active(member.datacenter).then(|| self.change(member, passed, at))
    }

    /// Counts an answer of replica `index` that leaves the balancer at `at`.
    pub(super) fn answered(&mut self, index: usize, at: Offset) {
        let Some(datacenter) = self.members.get(index).map(|member| member.datacenter) else {
            return;
        };
        let fresh = LabAnswers { first: at, last: at, count: 0 };
        let answers = self.answers.entry(self.name(datacenter)).or_insert(fresh);
        answers.last = at;
        answers.count += 1;
    }

    /// The answers of each datacenter so far.
    pub(super) fn answers(&self) -> &BTreeMap<Name, LabAnswers> {
        &self.answers
    }

    /// The name of `datacenter`.
    pub(super) fn name(&self, datacenter: DatacenterId) -> Name {
        self.datacenters.get(datacenter.index()).cloned().unwrap_or_else(|| Name::from("?"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool(spread: Spread, fall: u32, rise: u32) -> Pool {
        let replicas = BTreeMap::from([(DatacenterId(0), 2), (DatacenterId(1), 2)]);
        Pool::new(&["east".into(), "west".into()], &replicas, spread, fall, rise)
    }

    fn picks(pool: &mut Pool, count: usize) -> Vec<Option<usize>> {
        (0..count).map(|_| pool.pick()).collect()
    }

    fn at(millis: u64) -> Offset {
        Offset::from_millis(millis)
    }

    #[test]
    fn round_robin_visits_block_by_block_and_skips_what_is_out() {
        let mut pool = pool(Spread::RoundRobin, 1, 1);
        assert_eq!(picks(&mut pool, 5), [0, 1, 2, 3, 0].map(Some));
        pool.checked(1, false, at(0));
        assert_eq!(picks(&mut pool, 4), [2, 3, 0, 2].map(Some));
        (0..4).for_each(|index| drop(pool.checked(index, false, at(0))));
        assert_eq!(pool.pick(), None);
    }

    #[test]
    fn first_stays_in_the_first_datacenter_until_its_last_replica_is_out() {
        let mut pool = pool(Spread::First, 1, 1);
        assert_eq!(picks(&mut pool, 3), [0, 1, 0].map(Some));
        pool.checked(0, false, at(0));
        assert_eq!(picks(&mut pool, 2), [1, 1].map(Some));
        pool.checked(1, false, at(0));
        assert_eq!(picks(&mut pool, 3), [2, 3, 2].map(Some));
        pool.checked(1, true, at(0));
        assert_eq!(picks(&mut pool, 2), [1, 1].map(Some));
    }

    #[test]
    fn a_replica_goes_out_after_fall_failures_in_a_row_and_comes_back_after_rise() {
        let mut pool = pool(Spread::RoundRobin, 3, 2);
        let mut checked = |passed, millis| {
            pool.checked(0, passed, at(millis)).map(|change| (change.at, change.is_in))
        };
        assert_eq!(checked(false, 1), None);
        assert_eq!(checked(false, 2), None);
        assert_eq!(checked(true, 3), None, "a passed check in between starts the count again");
        assert_eq!(checked(false, 4), None);
        assert_eq!(checked(false, 5), None);
        assert_eq!(checked(false, 6), Some((at(6), false)));
        assert_eq!(checked(false, 7), None, "it is out already");
        assert_eq!(checked(true, 8), None);
        assert_eq!(checked(true, 9), Some((at(9), true)));
    }

    #[test]
    fn answers_are_counted_by_datacenter_with_the_first_and_the_last() {
        let mut pool = pool(Spread::RoundRobin, 1, 1);
        for (index, millis) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
            pool.answered(index, at(millis));
        }
        let east = LabAnswers { first: at(1), last: at(4), count: 3 };
        assert_eq!(pool.answers()[&Name::from("east")], east);
        assert_eq!(pool.answers()[&Name::from("west")].count, 1);
    }

    #[test]
    fn where_one_datacenter_is_active_only_its_replicas_are_in() {
        let mut pool = pool(Spread::RoundRobin, 1, 1).switched(DatacenterId(0));
        assert_eq!(picks(&mut pool, 3), [0, 1, 0].map(Some));
        assert_eq!(pool.checked(2, false, at(1)), None, "a standby changes nothing by going out");
        pool.checked(0, false, at(2)).expect("an active one does");
        let moved = pool.activate(DatacenterId(1), at(3));
        let moved: Vec<_> =
            moved.iter().map(|c| (c.datacenter.as_str(), c.replica, c.is_in)).collect();
        assert_eq!(moved, [("east", 2, false), ("west", 2, true)]);
        assert_eq!(picks(&mut pool, 2), [3, 3].map(Some));
        assert_eq!((pool.home(), pool.active()), (Some(DatacenterId(0)), Some(DatacenterId(1))));
        assert_eq!(pool.activate(DatacenterId(1), at(4)), []);
        assert!(pool.is_well(DatacenterId(0)) && pool.is_well(DatacenterId(1)));
    }

    #[test]
    fn the_others_follow_in_the_plans_order_and_round_again() {
        let replicas = [0, 2, 5].map(|id| (DatacenterId(id), 2)).into();
        let pool = Pool::new(&[], &replicas, Spread::RoundRobin, 1, 1);
        for (from, others) in [(0, [2, 5]), (2, [5, 0]), (5, [0, 2])] {
            assert_eq!(pool.others(DatacenterId(from)), others.map(DatacenterId));
        }
    }

    proptest! {
        #[test]
        fn a_datacenter_that_is_in_is_met_once_in_every_w_plus_one_requests(
            out in proptest::collection::vec((0_usize..4, any::<bool>(), 0_usize..4), 0..40)
        ) {
            let mut pool = pool(Spread::RoundRobin, 1, 1);
            for (index, passed, requests) in out {
                pool.checked(index, passed, at(0));
                picks(&mut pool, requests);
                if pool.members[..2].iter().any(|member| member.is_well) {
                    let met = picks(&mut pool, 3);
                    prop_assert!(met.iter().any(|pick| pick.is_some_and(|pick| pick < 2)), "{met:?}");
                }
            }
        }
    }
}
