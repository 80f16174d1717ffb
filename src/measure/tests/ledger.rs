//! Ledgers against simulated stores, where the truth is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use crate::measure::Ledger;
use crate::model::{
    Blindness, DatacenterId, LedgerRecord, Marks, Offset, Outcome, Phase, ReadBack, ReadStage,
    Reason, Sample, SeqSet, ServedBy,
};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

/// A world with two copies of a store, and a writer. All times are microseconds.
#[derive(Debug)]
struct World {
    every: u64,
    cut: u64,
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
    /// One in so many records vanishes, is written twice, or is written though it was refused.
    rot: Option<u64>,
}

impl World {
    fn random(rng: &mut Rng) -> World {
        let every = rng.u64(1_000..20_000);
        let cut = rng.u64(100_000..400_000);
        let promoted = cut + rng.u64(1_000..300_000);
        let restore = promoted + rng.u64(50_000..400_000);
        World {
            every,
            cut,
            promoted,
            restore,
            end: restore + rng.u64(20_000..200_000),
            lag: rng.u64(0..150_000),
            sync: rng.bool(),
            split_brain: rng.bool().then(|| rng.u64(2..6)),
            old_wins: rng.u8(0..4) == 0,
            merges: rng.u8(0..4) == 0,
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
    /// When each was acknowledged.
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
            _ if serves => (Outcome::Good, true),
            _ if rng.bool() => (Outcome::Bad(Reason::Refused), false),
            _ => (Outcome::Bad(Reason::TimeOut(Phase::Connect)), false),
        };
        let micros = |at| Offset::from_nanos(at * 1_000);
        let never = matches!(outcome, Outcome::Unknown(_));
        let done = due + if never { 0 } else { took };
        let by = if by_east { EAST } else { WEST };
        let named = if arrives { ServedBy::Datacenter(by) } else { ServedBy::Unnamed };
        self.samples.push(Sample {
            seq,
            due: micros(due),
            sent: micros(due),
            done: micros(done),
            outcome,
            served_by: named,
        });
        let kind = match outcome {
            Outcome::Good => {
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
        after_failback.retain(|_, _| !world.strikes(rng));
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
        ledger.read(ReadBack { stage, began, ended: began, seen: set(&part), foreign: 0, end });
    }
    let seen = set(content);
    ledger.read(ReadBack { stage, began, ended: began, seen, foreign: 0, end: Ok(()) });
    ledger.settle(stage);
    // Those in the whole that an attempt did not have.
    let missed = |seq: &u64| seen_early.iter().any(|early| !early.contains(seq));
    content.keys().copied().filter(missed).collect()
}

/// Holds the account's window to what was lost; true where it was held to the store's own horizon as well.
fn window_holds(
    world: &World,
    truth: &Truth,
    account: &LedgerRecord,
    lost: &BTreeSet<u64>,
) -> bool {
    // The cut took effect between its call and its confirmation, which are one here.
    let window = account.window.unwrap();
    let newest = world.cut.max(lost.last().map_or(0, |seq| truth.acknowledged[seq]));
    let back = |first: &u64| newest - truth.acknowledged[first].min(newest);
    let (low, high) = (micros(window.low), window.high.map_or(u64::MAX, micros));
    let true_window = lost.first().map_or(0, back);
    assert!((low..=high).contains(&true_window), "{world:?}: {window} {true_window} us");
    let plain = world.rot.is_none() && world.split_brain.is_none() && !world.old_wins;
    // What the store loses, whether or not something was written just then.
    let horizon = if world.sync { 0 } else { world.lag };
    let comes_back = world.merges || account.returned > 0;
    let told = plain && !comes_back && horizon < world.cut;
    assert!(!told || (low..=high).contains(&horizon), "{world:?}: {window} {horizon} us");
    told
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
    let mut horizons = 0u64;
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
        horizons += u64::from(window_holds(&world, &truth, &account, &lost));
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    assert!(horizons > 1_000, "{horizons}");
    // Each kind did occur, and often.
    assert!(totals.iter().all(|total| *total > 500), "{totals:?}");
}

fn marks(world: &World) -> Marks {
    let micros = |at| Some(Offset::from_nanos(at * 1_000));
    Marks {
        started: Offset::ZERO,
        cut_issued: micros(world.cut),
        cut_confirmed: micros(world.cut),
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
        ledger.push(&Sample { seq, due, sent: due, done, outcome, served_by });
    }
    let mut read = |stage, at, seen: std::ops::Range<u64>| {
        let began = Offset::from_millis(at);
        let seen = seen.collect();
        ledger.read(ReadBack { stage, began, ended: began, seen, foreign: 0, end: Ok(()) });
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
