//! Requests under way at the same time overtake each other: the balancer sees them in another order
//! than that of their sending. The truth must lie within the bounds all the same.

use super::*;
use crate::measure::recovery::{failback, recovery};
use crate::measure::timeline::Timeline;
use crate::model::{Bounds, Phase};

const WORLDS: u64 = 1_000;

/// Replicas asked in turn, by a probe whose period is shorter than its requests take. All times in
/// microseconds.
#[derive(Debug)]
struct World {
    every: u64,
    /// From sending to routing, and from there to the answer: at most.
    way: u64,
    hangs: bool,
    cut_replicas: u64,
    others: u64,
    cut: u64,
    out: u64,
    restored: u64,
    back: u64,
}

impl World {
    fn random(random: &mut fastrand::Rng) -> World {
        let cut = 1_000_000;
        let out = cut + random.u64(0..300_000);
        let restored = out + 400_000;
        World {
            every: random.u64(1_000..12_000),
            way: random.u64(500..20_000),
            hangs: random.bool(),
            cut_replicas: random.u64(1..4),
            others: random.u64(1..5),
            cut,
            out,
            restored,
            back: restored + random.u64(0..200_000),
        }
    }

    /// All samples. Turns are taken in the order of routing, by replicas that are in.
    fn samples(&self, random: &mut fastrand::Rng) -> Vec<Sample> {
        let end = self.back + 400_000;
        let mut routed: Vec<(u64, u64)> = (0..end / self.every)
            .map(|seq| (seq * self.every + random.u64(0..self.way), seq))
            .collect();
        routed.sort_unstable();
        let all = self.cut_replicas + self.others;
        let mut turn = 0;
        let sample = |(routed, seq): (u64, u64)| {
            let sent = seq * self.every;
            let is_out = (self.out..self.back).contains(&routed);
            turn = (turn + 1) % all;
            if is_out && turn < self.cut_replicas {
                turn = self.cut_replicas;
            }
            let to_cut = turn < self.cut_replicas;
            let done = routed + random.u64(0..self.way);
            let (done, outcome, by) = match (to_cut, routed >= self.cut && !is_out) {
                (true, true) if routed < self.out && self.hangs => {
                    let hung = Outcome::Bad(Reason::TimeOut(Phase::Answer));
                    (sent + 150_000, hung, ServedBy::Unnamed)
                }
                (true, true) if routed < self.out => (done, BAD, ServedBy::Unnamed),
                (true, _) => (done, Outcome::Good, ServedBy::Datacenter(CUT)),
                (false, _) => (done, Outcome::Good, ServedBy::Datacenter(SURVIVOR)),
            };
            let [sent, done] = [sent, done].map(|at| Offset::from_nanos(at * 1_000));
            Sample {
                seq,
                due: sent,
                sent,
                done,
                outcome,
                acknowledged: outcome.is_good(),
                served_by: by,
            }
        };
        let mut samples: Vec<Sample> = routed.into_iter().map(sample).collect();
        samples.sort_by_key(|sample| sample.done);
        samples
    }
}

fn span_of(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn the_truth_lies_within_the_bounds_though_requests_overtake_each_other() {
    let mut random = fastrand::Rng::with_seed(20_221_015);
    let mut outside = Vec::new();
    for number in 0..WORLDS {
        let world = World::random(&mut random);
        let at = |micros: u64| Some(Offset::from_nanos(micros * 1_000));
        let marks = Marks {
            cut_issued: at(world.cut),
            cut_confirmed: at(world.cut),
            restore_issued: at(world.restored),
            restore_confirmed: at(world.restored),
            ..Marks::default()
        };
        let mut timeline = Timeline::new(vec![CUT], span_of(world.every), 8);
        for sample in world.samples(&mut random) {
            // As in a drill: a mark is known only once it is passed.
            let passed = |mark: Option<Offset>| mark.filter(|mark| *mark <= sample.done);
            let known = Marks {
                cut_issued: passed(marks.cut_issued),
                cut_confirmed: passed(marks.cut_confirmed),
                restore_issued: passed(marks.restore_issued),
                restore_confirmed: passed(marks.restore_confirmed),
                ..marks
            };
            timeline.push(sample, &known);
        }
        let found = [
            ("recovery", world.out - world.cut, recovery(&timeline, &marks, stable(200))),
            (
                "failback",
                world.back - world.restored,
                failback(&timeline, &marks, stable(200), false),
            ),
        ];
        for (what, truth, found) in found {
            let bounds = found.unwrap().bounds;
            let Bounds { low, high } = bounds;
            let truth = span_of(truth);
            if high.is_none_or(|high| truth > high) || low > truth {
                outside.push(format!("{number}: {what} {truth:?} {bounds} {world:?}"));
            }
        }
    }
    let some = outside.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(outside.is_empty(), "{} of {WORLDS} x 2 outside, such as\n{some}", outside.len());
}
