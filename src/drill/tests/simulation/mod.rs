//! Nothing stays cut: whole drills in virtual time, with faults at every step.
//!
//! The conductor, the journal, the restore and the watchdog's mind are the real ones. The controls, the services, the
//! disk, the processes and the people around them are simulated, and everything that goes wrong with them is drawn
//! from one seed. A failure prints the seed and what happened; `FIREDRILL_SIMULATE_SEED=N` simulates that one drill
//! again and prints its log whatever came of it, and `FIREDRILL_SIMULATE_DRILLS=N` simulates so many more, from
//! that seed on or from a random one.

mod checks;
#[path = "../../../../tests/controls/contract.rs"]
mod contract;
mod control;
mod disk;
mod faults;
mod parts;
mod process;
mod setting;
mod story;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use faults::{Counts, Fault};
use story::{Story, simulate};

/// So many drills in each of the tests below.
const DRILLS: u64 = 2_500;

/// What came of many drills.
#[derive(Default)]
struct Sum {
    drills: u64,
    verdicts: BTreeMap<String, u64>,
    counts: Counts,
    broken: Vec<Story>,
}

impl Sum {
    fn of(seeds: impl Iterator<Item = u64>) -> Sum {
        let mut sum = Sum::default();
        for seed in seeds {
            let story = simulate(seed, false);
            sum.drills += 1;
            sum.counts.merge(&story.counts);
            let verdict = story.verdict.map_or("died".to_owned(), |verdict| verdict.to_string());
            *sum.verdicts.entry(verdict).or_default() += 1;
            if !story.broken.is_empty() {
                sum.broken.push(story);
            }
            if sum.broken.len() >= 20 {
                break;
            }
        }
        sum
    }

    /// The first failure with its log, and what the others were.
    #[track_caller]
    fn holds(&self) {
        let Some(first) = self.broken.first() else { return };
        let others =
            self.broken.iter().map(|story| format!("  {}: {:?}\n", story.seed, story.broken));
        panic!(
            "{} of {} drills broke an invariant:\n{}\nFIREDRILL_SIMULATE_SEED={} simulates the first again:\n{}",
            self.broken.len(),
            self.drills,
            others.collect::<String>(),
            first.seed,
            first.log,
        );
    }
}

/// One of the tests' shares of the drills.
#[track_caller]
fn share(number: u64) {
    let began = Instant::now();
    let sum = Sum::of(number * DRILLS..(number + 1) * DRILLS);
    let rate = sum.drills as f64 / began.elapsed().as_secs_f64();
    println!(
        "{rate:.0} drills a second, {} faults: {:?}\n{}",
        sum.counts.total(),
        sum.verdicts,
        sum.counts
    );
    sum.holds();
    // A simulation in which nothing ends well, or nothing goes wrong, would hold anything.
    for verdict in
        ["PASS", "FAIL", "INCONCLUSIVE", "STOPPED", "NOT STARTED", "NOT RESTORED", "died"]
    {
        let count = sum.verdicts.get(verdict).copied().unwrap_or(0);
        assert!(count >= DRILLS / 100, "{verdict}: {count} of {DRILLS}");
    }
    let missing: Vec<_> = Fault::ALL.iter().filter(|fault| sum.counts.of(**fault) < 5).collect();
    assert!(missing.is_empty(), "never injected: {missing:?}");
}

macro_rules! shares {
    ($($name:ident $number:literal)*) => {
        $(#[test] fn $name() { share($number); })*
    };
}

shares! {
    nothing_stays_cut_0 0
    nothing_stays_cut_1 1
    nothing_stays_cut_2 2
    nothing_stays_cut_3 3
    nothing_stays_cut_4 4
    nothing_stays_cut_5 5
    nothing_stays_cut_6 6
    nothing_stays_cut_7 7
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..200 {
        let (first, again) = (simulate(seed, true), simulate(seed, true));
        assert_eq!(first.log, again.log, "seed {seed}");
        assert_eq!(first.broken, again.broken, "seed {seed}");
    }
}

/// The simulated control keeps what the real ones keep, or the drills above would prove nothing of those.
#[tokio::test(start_paused = true)]
async fn the_simulated_control_keeps_the_contract_of_the_real_ones() {
    for seed in 0..50 {
        let (world, control, order) = story::quiet(seed);
        contract::holds(&*control, &order).await;
        let part = world.open_part(setting::EAST);
        let hand = async { world.drain(&part) };
        contract::leaves_another_hand_alone(&*control, &order, &part, hand).await;
        world.silence();
        contract::gives_up_within(&*control, &order, Duration::from_secs(1)).await;
    }
}

/// For one seed that failed, and for a whole night; a few that nobody saw before if nothing is asked for.
#[test]
fn as_many_as_were_asked_for() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, drills) = (number("FIREDRILL_SIMULATE_SEED"), number("FIREDRILL_SIMULATE_DRILLS"));
    if let (Some(seed), None) = (seed, drills) {
        let story = simulate(seed, true);
        println!("{}\n{:?}\n{:?}", story.log, story.verdict, story.broken);
        assert!(story.broken.is_empty(), "seed {seed}: {:?}", story.broken);
        return;
    }
    let (first, drills) =
        (seed.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2)), drills.unwrap_or(100));
    let began = Instant::now();
    let sum = Sum::of(first..first + drills);
    let rate = sum.drills as f64 / began.elapsed().as_secs_f64();
    println!("from seed {first}: {rate:.0} drills a second: {:?}\n{}", sum.verdicts, sum.counts);
    sum.holds();
}
