//! Ledgers against simulated stores, where the truth is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use crate::measure::Ledger;
use crate::model::{
    Blindness, Bounds, CountBounds, DatacenterId, LedgerRecord, Marks, Offset, Outcome, Phase,
    ReadBack, ReadStage, Reason, Sample, SeqSet, ServedBy,
};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

/// A world with two copies of a store, and a writer. All times are microseconds.
#[derive(Debug)]
struct World {
    every: u64,
    /// The cut is called for at `issued`, takes effect at `cut`, and is seen to have at `confirmed`.
    issued: u64,
    cut: u64,
    confirmed: u64,
    /// The other copy takes writes from here on.
    promoted: u64,
    restore: u64,
    end: u64,
    /// How far the other copy is behind.
    lag: u64,
    sync: bool,
    /// The old primary goes on acknowledging one in so many writes after the cut.
    split_brain: Option<u64>,
    /// What the old primary has overwrites the other copy at failback.
    old_wins: bool,
    /// The old primary brings its writes back at failback.
    merges: bool,
    /// The other copy's last writes before the restore are lost at failback: those of so long.
    failback_lag: Option<u64>,
    /// One in so many records vanishes, is written twice, or is written though it was refused.
    rot: Option<u64>,
}

impl World {
    fn random(rng: &mut Rng) -> World {
        let every = rng.u64(1_000..20_000);
        let cut = rng.u64(100_000..400_000);
        let promoted = cut + rng.u64(1_000..300_000);
        let restore = promoted + rng.u64(50_000..400_000);
        // One half is cut within a moment.
        let mut slow = |most| if rng.bool() { rng.u64(0..most) } else { 0 };
        let (issued, confirmed) = (cut - slow(90_000), cut + slow(200_000));
        World {
            every,
            issued,
            cut,
            confirmed: confirmed.min(restore),
            promoted,
            restore,
            end: restore + rng.u64(20_000..200_000),
            lag: rng.u64(0..150_000),
            sync: rng.bool(),
            split_brain: rng.bool().then(|| rng.u64(2..6)),
            old_wins: rng.u8(0..4) == 0,
            merges: rng.u8(0..4) == 0,
            failback_lag: (rng.u8(0..3) == 0).then(|| rng.u64(5_000..150_000)),
            rot: rng.bool().then(|| rng.u64(5..100)),
        }
    }

    fn strikes(&self, rng: &mut Rng) -> bool {
        self.rot.is_some_and(|one_in| rng.u64(0..one_in) == 0)
    }
}

/// A record in a copy: when it came there, and how often it is there.
type Copy = BTreeMap<u64, (u64, u32)>;

/// What really happened.
#[derive(Default)]
struct Truth {
    samples: Vec<Sample>,
    /// When each was acknowledged: also those that their writer heard of too late for their users.
    acknowledged: BTreeMap<u64, u64>,
    refused: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
    not_sent: BTreeSet<u64>,
    east: Copy,
    west: Copy,
}

impl Truth {
    /// The writer's side: what it sends, and what becomes of it.
    fn of(world: &World, rng: &mut Rng) -> Truth {
        let mut truth = Truth::default();
        for seq in 0..world.end / world.every {
            truth.write(world, rng, seq);
        }
        truth
    }

    fn write(&mut self, world: &World, rng: &mut Rng, seq: u64) {
        let due = seq * world.every;
        let took = rng.u64(1..3_000);
        let at = due + took / 2;
        let by_east = at < world.cut
            || at >= world.restore && world.old_wins
            || at < world.restore
                && world.split_brain.is_some_and(|one_in| rng.u64(0..one_in) == 0);
        let serves = by_east || at >= world.promoted;
        let (outcome, arrives) = match rng.u8(0..100) {
            0..3 => (Outcome::Unknown(Blindness::TooManyInFlight), false),
            3..6 => (Outcome::Bad(Reason::Rejected), false),
            6..9 => (Outcome::Bad(Reason::TimeOut(Phase::Answer)), serves && rng.bool()),
            9..11 => (Outcome::Bad(Reason::Reset), serves && rng.bool()),
            11..13 if serves => (Outcome::Unknown(Blindness::Stalled), true),
            _ if serves => (Outcome::Good, true),
            _ if rng.bool() => (Outcome::Bad(Reason::Refused), false),
            _ => (Outcome::Bad(Reason::TimeOut(Phase::Connect)), false),
        };
        let micros = |at| Offset::from_nanos(at * 1_000);
        let never = outcome == Outcome::Unknown(Blindness::TooManyInFlight);
        let late = outcome == Outcome::Unknown(Blindness::Stalled);
        let done = due + if never { 0 } else { took };
        let by = if by_east { EAST } else { WEST };
        let named = if arrives { ServedBy::Datacenter(by) } else { ServedBy::Unnamed };
        self.samples.push(Sample {
            seq,
            due: micros(due),
            sent: micros(due),
            done: micros(done),
            outcome,
            acknowledged: late || outcome.is_good(),
            served_by: named,
        });
        let kind = match outcome {
            Outcome::Good | Outcome::Unknown(Blindness::Stalled) => {
                self.acknowledged.insert(seq, done);
                None
            }
            Outcome::Unknown(_) => Some(&mut self.not_sent),
            Outcome::Bad(Reason::Reset | Reason::TimeOut(Phase::Answer)) => Some(&mut self.unknown),
            Outcome::Bad(_) => Some(&mut self.refused),
        };
        kind.map(|kind| kind.insert(seq));
        // A store that does what it must not: it takes what it refused.
        let arrives = arrives || !never && serves && world.strikes(rng);
        if !arrives {
            return;
        }
        let times = if world.strikes(rng) { 2 } else { 1 };
        match by {
            EAST => {
                self.east.insert(seq, (at, times));
                let copied = if world.sync { at } else { at + world.lag };
                if copied < world.cut {
                    self.west.insert(seq, (copied, times));
                }
            }
            _ => drop(self.west.insert(seq, (at, times))),
        }
    }

    /// What each end of the drill finds: after failover the other copy, after failback what came of both.
    fn contents(&self, world: &World, rng: &mut Rng, read_at: u64) -> [Copy; 2] {
        let mut after_failover: Copy = self.west.clone();
        after_failover.retain(|_, (at, _)| *at <= read_at);
        let mut after_failback = match world.old_wins {
            true => self.east.clone(),
            false => self.west.clone(),
        };
        if world.merges {
            for (seq, it) in self.east.iter().chain(&self.west) {
                after_failback.entry(*seq).or_insert(*it);
            }
        }
        let taken = world.failback_lag.map(|lag| world.restore - lag..world.restore);
        after_failback.retain(|seq, (at, _)| {
            let of_west = self.west.contains_key(seq) && !self.east.contains_key(seq);
            let is_taken = of_west && taken.as_ref().is_some_and(|taken| taken.contains(at));
            !is_taken && !world.strikes(rng)
        });
        [after_failover, after_failback]
    }
}

/// What was read at one end, as the ledger is told it: some attempts from a copy that lags, then the whole.
fn read(
    ledger: &mut Ledger,
    rng: &mut Rng,
    stage: ReadStage,
    at: u64,
    content: &Copy,
) -> BTreeSet<u64> {
    let began = Offset::from_nanos(at * 1_000);
    let mut seen_early = Vec::new();
    for _ in 0..rng.u8(0..3) {
        let hidden = rng.u64(1..30);
        let mut part = content.clone();
        part.retain(|_, _| rng.u64(0..hidden) != 0);
        let fails = rng.u8(0..3) == 0;
        let end = if fails { Err("cut short".to_owned()) } else { Ok(()) };
        if !fails {
            seen_early.push(part.keys().copied().collect::<BTreeSet<u64>>());
        }
        ledger.read(ReadBack {
            stage,
            began,
            ended: began,
            seen: set(&part),
            foreign: 0,
            one_by_one: false,
            end,
        });
    }
    let seen = set(content);
    let end = Ok(());
    ledger.read(ReadBack { stage, began, ended: began, seen, foreign: 0, one_by_one: false, end });
    ledger.settle(stage);
    // Those in the whole that an attempt did not have.
    let missed = |seq: &u64| seen_early.iter().any(|early| !early.contains(seq));
    content.keys().copied().filter(missed).collect()
}

/// Holds the account's windows to what the cut and what failback took. True of each: it was held to the store's own horizon as
/// well, only failback took any, both did, and the two together would have been one of more than the larger.
fn windows_hold(
    world: &World,
    truth: &Truth,
    account: &LedgerRecord,
    taken: [&BTreeSet<u64>; 2],
) -> [bool; 4] {
    let span_of = |taken: &BTreeSet<u64>| {
        let oldest = taken.iter().map(|seq| truth.acknowledged[seq]).min()?;
        let newest = taken.iter().map(|seq| truth.acknowledged[seq]).max()?;
        Some((oldest, newest.max(world.cut)))
    };
    let [at_cut, at_failback] = taken.map(span_of);
    let length = |span: Option<(u64, u64)>| span.map_or(0, |(from, to)| to - from.min(to));
    let holds = |bounds: Bounds, length: u64| {
        let (low, high) = (micros(bounds.low), bounds.high.map_or(u64::MAX, micros));
        assert!((low..=high).contains(&length), "{world:?}: {bounds} {length} us");
        (low, high)
    };
    holds(account.window_at_cut.unwrap(), length(at_cut));
    assert_eq!(account.window_at_failback.is_some(), at_failback.is_some(), "{world:?}");
    if let Some(bounds) = account.window_at_failback {
        holds(bounds, length(at_failback));
    }
    let (low, high) = holds(account.window.unwrap(), length(at_cut).max(length(at_failback)));
    let plain = world.rot.is_none() && world.split_brain.is_none() && !world.old_wins;
    // What the store loses, whether or not something was written just then.
    let horizon = if world.sync { 0 } else { world.lag };
    let comes_back = world.merges || account.returned > 0;
    let told = plain && !comes_back && at_failback.is_none() && horizon < world.issued;
    assert!(!told || (low..=high).contains(&horizon), "{world:?}: {horizon} us in {low} to {high}");
    let both = at_cut.zip(at_failback);
    let as_one = both.map(|(one, other)| one.1.max(other.1) - one.0.min(other.0));
    [
        told,
        both.is_none() && at_failback.is_some(),
        both.is_some(),
        as_one.is_some_and(|it| it > high),
    ]
}

fn set(content: &Copy) -> SeqSet {
    content.iter().flat_map(|(seq, (_, times))| (0..*times).map(|_| *seq)).collect()
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[test]
fn twenty_thousand_histories_are_classified_as_they_were() {
    let mut totals = [0u64; 6];
    let mut kinds = [0u64; 4];
    for seed in 0..20_000 {
        let mut rng = Rng::with_seed(seed);
        let world = World::random(&mut rng);
        let truth = Truth::of(&world, &mut rng);
        let read_at = world.restore - 1;
        let [over, back] = truth.contents(&world, &mut rng, read_at);
        let mut ledger = Ledger::new(Duration::from_micros(world.every));
        let mut samples = truth.samples.clone();
        rng.shuffle(&mut samples);
        samples.iter().for_each(|sample| ledger.push(sample));
        let stale_over = read(&mut ledger, &mut rng, ReadStage::AfterFailover, read_at, &over);
        let stale_back = read(&mut ledger, &mut rng, ReadStage::AfterFailback, world.end, &back);
        let marks = marks(&world);
        let account = ledger.account(&marks, |id| ["east", "west"][id.index()].to_owned());

        let due_over = |seq: &u64| truth.acknowledged[seq] <= read_at;
        let acknowledged = || truth.acknowledged.keys();
        let lost_over: BTreeSet<u64> = acknowledged()
            .filter(|seq| due_over(seq) && !over.contains_key(seq))
            .copied()
            .collect();
        let lost: BTreeSet<u64> = acknowledged()
            .filter(|seq| lost_over.contains(seq) || !back.contains_key(seq))
            .copied()
            .collect();
        let there = |seq: &&u64| over.contains_key(seq) || back.contains_key(seq);
        let twice =
            |seq: &&u64| [&over, &back].iter().any(|c| c.get(seq).is_some_and(|it| it.1 > 1));
        let stale =
            |seq: &&u64| due_over(seq) && stale_over.contains(seq) || stale_back.contains(seq);
        let counts = [
            lost.len(),
            lost_over.iter().filter(|seq| back.contains_key(seq)).count(),
            truth.unknown.iter().filter(there).count(),
            truth.refused.iter().chain(&truth.not_sent).filter(there).count(),
            (0..truth.samples.len() as u64).collect::<Vec<_>>().iter().filter(twice).count(),
            acknowledged().filter(stale).count(),
        ]
        .map(|count| count as u64);
        let got = [
            account.lost.low,
            account.returned,
            account.recovered,
            account.unexpected,
            account.duplicated.low,
            account.stale,
        ];
        assert_eq!(got, counts, "seed {seed}: lost, returned, recovered, unexpected, twice, stale");
        assert_eq!(account.lost.high, Some(account.lost.low), "seed {seed}");
        assert_eq!(account.duplicated.high, Some(account.duplicated.low), "seed {seed}");
        let fates = [account.acknowledged, account.refused, account.unknown, account.not_sent];
        let sizes = [
            truth.acknowledged.len(),
            truth.refused.len(),
            truth.unknown.len(),
            truth.not_sent.len(),
        ];
        assert_eq!(fates, sizes.map(|size| size as u64), "seed {seed}");
        let taken = [&lost_over, &lost.difference(&lost_over).copied().collect()];
        let held = windows_hold(&world, &truth, &account, taken);
        kinds.iter_mut().zip(held).for_each(|(kind, held)| *kind += u64::from(held));
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    assert!(kinds.iter().all(|kind| *kind > 1_000), "{kinds:?}");
    // Each kind did occur, and often.
    assert!(totals.iter().all(|total| *total > 500), "{totals:?}");
}

fn marks(world: &World) -> Marks {
    let micros = |at| Some(Offset::from_nanos(at * 1_000));
    Marks {
        started: Offset::ZERO,
        cut_issued: micros(world.issued),
        cut_confirmed: micros(world.confirmed),
        restore_issued: micros(world.restore),
        restore_confirmed: micros(world.restore),
        ended: micros(world.end),
    }
}

#[test]
fn what_is_acknowledged_while_it_is_read_again_is_not_missed() {
    let mut ledger = Ledger::new(Duration::from_millis(10));
    for seq in 0..10 {
        let due = Offset::from_millis(seq * 10);
        let done = due.plus(Duration::from_millis(1));
        let (outcome, served_by) = (Outcome::Good, ServedBy::Unnamed);
        let acknowledged = true;
        ledger.push(&Sample { seq, due, sent: due, done, outcome, acknowledged, served_by });
    }
    let mut read = |stage, at, seen: std::ops::Range<u64>| {
        let began = Offset::from_millis(at);
        let seen = seen.collect();
        ledger.read(ReadBack {
            stage,
            began,
            ended: began,
            seen,
            foreign: 0,
            one_by_one: false,
            end: Ok(()),
        });
    };
    // Each reading is one record behind.
    read(ReadStage::AfterFailover, 55, 0..5);
    read(ReadStage::AfterFailover, 95, 0..9);
    read(ReadStage::AfterFailback, 200, 0..10);
    ledger.settle(ReadStage::AfterFailover);
    ledger.settle(ReadStage::AfterFailback);
    let millis = |at| Some(Offset::from_millis(at));
    let marks = Marks { cut_issued: millis(20), cut_confirmed: millis(20), ..Marks::default() };
    let account = ledger.account(&marks, |_| String::new());
    assert_eq!((account.lost.low, account.lost.high, account.stale), (0, Some(0), 1));
}

/// Ten writes, one every 10 ms, each acknowledged 1 ms after it was due.
fn ten() -> Vec<Sample> {
    let sample = |seq| {
        let due = Offset::from_millis(seq * 10);
        let done = due.plus(Duration::from_millis(1));
        let (outcome, served_by) = (Outcome::Good, ServedBy::Unnamed);
        Sample { seq, due, sent: due, done, outcome, acknowledged: true, served_by }
    };
    (0..10).map(sample).collect()
}

fn seen_at(stage: ReadStage, at: u64, seen: impl IntoIterator<Item = u64>) -> ReadBack {
    let (began, seen) = (Offset::from_millis(at), seen.into_iter().collect());
    ReadBack { stage, began, ended: began, seen, foreign: 0, one_by_one: false, end: Ok(()) }
}

fn cut_from_to(issued: u64, confirmed: u64) -> Marks {
    let millis = |at| Some(Offset::from_millis(at));
    Marks { cut_issued: millis(issued), cut_confirmed: millis(confirmed), ..Marks::default() }
}

#[test]
fn a_write_that_is_heard_of_after_its_reading_is_not_certainly_lost() {
    let mut ledger = Ledger::new(Duration::from_millis(10));
    let (late, rest): (Vec<Sample>, Vec<Sample>) = ten().into_iter().partition(|it| it.seq == 4);
    rest.iter().for_each(|sample| ledger.push(sample));
    // It has all that was heard of, so nobody looks again.
    ledger.read(seen_at(ReadStage::AfterFailover, 200, rest.iter().map(|it| it.seq)));
    assert!(ledger.has_all(ReadStage::AfterFailover));
    ledger.push(&late[0]);
    ledger.read(seen_at(ReadStage::AfterFailback, 300, 0..10));
    let account = ledger.account(&cut_from_to(20, 20), |_| String::new());
    assert_eq!(account.lost, CountBounds { low: 0, high: Some(1) });
    assert!(account.reads[0].unfinished.is_some(), "{account:?}");
    // The same, and it was waited for.
    ledger.settle(ReadStage::AfterFailover);
    let account = ledger.account(&cut_from_to(20, 20), |_| String::new());
    assert_eq!(account.lost, CountBounds { low: 1, high: Some(1) });
}

#[test]
fn what_is_acknowledged_after_a_reading_began_is_counted_and_one_by_one_shows_no_copies() {
    let mut ledger = Ledger::new(Duration::from_millis(10));
    ten().iter().for_each(|sample| ledger.push(sample));
    ledger.read(seen_at(ReadStage::AfterFailover, 55, 0..6));
    let one_by_one = true;
    ledger.read(ReadBack { one_by_one, ..seen_at(ReadStage::AfterFailback, 200, 0..10) });
    let restore_issued = Some(Offset::from_millis(85));
    let marks = Marks { restore_issued, ..cut_from_to(15, 15) };
    let account = ledger.account(&marks, |_| String::new());
    let [over, back] = &account.reads[..] else { panic!("{account:?}") };
    // Acknowledged at 61, 71 and 81 ms; sent while cut and due: 2 to 5, and 2 to 8.
    assert_eq!((over.since, over.of_the_cut, back.since, back.of_the_cut), (3, 4, 0, 7));
    assert_eq!((over.one_by_one, back.one_by_one), (false, true));
    assert_eq!(account.duplicated, CountBounds { low: 0, high: None });
    assert_eq!((account.lost.low, account.lost.high), (0, Some(0)));
    assert_eq!(account.last_before_cut, Some(Offset::from_millis(11)));
}

#[test]
fn each_event_has_a_window_and_a_slow_confirmation_widens_none() {
    let millis = |low, high| Bounds {
        low: Duration::from_millis(low),
        high: Some(Duration::from_millis(high)),
    };
    let account = |lost: [&[u64]; 2], marks: Marks| {
        let mut ledger = Ledger::new(Duration::from_millis(10));
        ten().iter().for_each(|sample| ledger.push(sample));
        for (stage, lost) in
            [ReadStage::AfterFailover, ReadStage::AfterFailback].into_iter().zip(lost)
        {
            ledger.read(seen_at(stage, 200, (0..10).filter(|seq| !lost.contains(seq))));
            ledger.settle(stage);
        }
        let account = ledger.account(&marks, |_| String::new());
        (account.window.unwrap(), account.window_at_cut.unwrap(), account.window_at_failback)
    };
    // Writes went on while the cut was confirmed: it took effect between two of them.
    let slow = cut_from_to(25, 75);
    assert_eq!(account([&[], &[]], slow), (millis(0, 11), millis(0, 11), None));
    // One before the cut, two at failback: the larger counts, and not what lies between.
    let apart = account([&[1], &[1, 8, 9]], cut_from_to(15, 15));
    assert_eq!(apart, (millis(9, 21), millis(4, 15), Some(millis(9, 21))));
    // Nothing but at failback.
    let failback = account([&[], &[8, 9]], cut_from_to(15, 15));
    assert_eq!(failback, (millis(9, 21), millis(0, 5), Some(millis(9, 21))));
    let nothing_left = account([&[0, 1, 2], &[]], cut_from_to(15, 15));
    assert_eq!(nothing_left.0.high, None, "no write before the cut is known to be there");
}
