//! Synthetic outages whose truth is known: it must lie within the measured bounds, in all of them.

use super::*;
use crate::measure::recovery::recovery;
use crate::measure::timeline::Timeline;
use crate::model::Phase;

const PATTERNS: u64 = 100_000;

/// A service behind a balancer, and a probe that looks at it.
#[derive(Debug)]
struct World {
    /// Microseconds, all of them.
    every: u64,
    timeout: u64,
    latency: u64,
    jitter: u64,
    cut: u64,
    confirmed: u64,
    /// The spans in which whoever is sent to the cut datacenter is not served.
    holes: Vec<(u64, u64)>,
    /// Refused at once, or left hanging until the time-out or the next retransmission.
    hangs: bool,
    /// Replicas in the cut datacenter and elsewhere, asked in turn. (n, 0): all stands by.
    pool: (u64, u64),
}

impl World {
    fn random(random: &mut fastrand::Rng) -> World {
        let every = random.u64(15_000..100_000);
        let cut = 1_000_000 + random.u64(0..every);
        let confirmed = cut + random.u64(0..5_000);
        let begins = random.u64(cut..=confirmed);
        let mut holes = vec![(begins, begins + random.u64(0..4_000_000))];
        // Relapses soon enough to belong to the same outage.
        for _ in 0..random.u64(0..3) {
            let from = holes[holes.len() - 1].1 + random.u64(0..300_000);
            holes.push((from, from + random.u64(every * 8..every * 8 + 400_000)));
        }
        World {
            every,
            timeout: random.u64(200_000..5_000_000),
            latency: random.u64(100..20_000),
            jitter: random.u64(1..10_000),
            cut,
            confirmed,
            holes,
            hangs: random.bool(),
            pool: if random.bool() { (1, 0) } else { (random.u64(1..4), random.u64(1..4)) },
        }
    }

    /// When the last hole ended, from the moment the first began.
    fn truth(&self) -> Duration {
        Duration::from_micros(self.holes[self.holes.len() - 1].1 - self.holes[0].0)
    }

    fn in_hole(&self, at: u64) -> bool {
        self.holes.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// What becomes of the request number `turn`, sent at `sent`: its end, outcome and server.
    fn ask(&self, turn: u64, sent: u64, random: &mut fastrand::Rng) -> (u64, Outcome, ServedBy) {
        let (cut, elsewhere) = self.pool;
        let to_cut = turn % (cut + elsewhere) < cut;
        let answered = |at: u64, by| (at, Outcome::Good, ServedBy::Datacenter(by));
        let took = self.latency + random.u64(0..self.jitter);
        // Routed where the balancer is, half-way.
        let routed = sent + took / 2;
        if !to_cut {
            return answered(sent + took, SURVIVOR);
        }
        if !self.in_hole(routed) {
            return answered(sent + took, if routed < self.cut { CUT } else { SURVIVOR });
        }
        if !self.hangs {
            return (sent + took, BAD, ServedBy::Unnamed);
        }
        // A SYN is sent again after 1 s, 3 s, 7 s (RFC 6298).
        let again = [1_000_000, 3_000_000, 7_000_000].map(|later| sent + later);
        match again.into_iter().find(|at| !self.in_hole(*at)) {
            Some(at) if at + took - sent < self.timeout => answered(at + took, SURVIVOR),
            _ => {
                let hung = Outcome::Bad(Reason::TimeOut(Phase::Connect));
                (sent + self.timeout, hung, ServedBy::Unnamed)
            }
        }
    }
}

#[test]
fn the_truth_lies_within_the_bounds_of_every_random_outage() {
    let seed = 20_221_015;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut seamless, mut widths) = (0, Vec::new());
    for pattern in 0..PATTERNS {
        let world = World::random(&mut random);
        let stable = Stable { length: Duration::from_micros(2_000_000), share: 1.0 };
        let mut timeline = Timeline::new(vec![CUT], Duration::from_micros(world.every), 8);
        let marks = Marks {
            cut_issued: Some(Offset::from_nanos(world.cut * 1000)),
            cut_confirmed: Some(Offset::from_nanos(world.confirmed * 1000)),
            ..Marks::default()
        };
        let end = world.holes[world.holes.len() - 1].1 + 2_200_000 + 8 * world.every;
        for seq in 0..end / world.every {
            let due = seq * world.every;
            let sent = due + random.u64(0..world.every.min(2_000));
            let (done, outcome, served_by) = world.ask(seq, sent, &mut random);
            let [due, sent, done] = [due, sent, done].map(|at| Offset::from_nanos(at * 1000));
            timeline.push(
                Sample {
                    seq,
                    due,
                    sent,
                    done,
                    outcome,
                    acknowledged: outcome.is_good(),
                    served_by,
                },
                &marks,
            );
        }
        let found = recovery(&timeline, &marks, stable).unwrap();
        let high = found.bounds.high;
        assert!(
            high.is_some() && found.bounds.contains(world.truth()),
            "pattern {pattern} of seed {seed}: truth {:?} is not within {}\n{world:?}",
            world.truth(),
            found.bounds,
        );
        if let Some(split) = found.split {
            assert_eq!(Some(split.whole()), high, "the parts of pattern {pattern}");
        }
        seamless += u32::from(found.seamless);
        if world.pool.1 == 0 && !found.seamless {
            let every = Duration::from_micros(world.every);
            widths.push(found.bounds.width().unwrap().saturating_sub(every));
        }
    }
    assert!(seamless > 100, "some patterns are too short to be seen: {seamless}");
    widths.sort();
    let median = widths[widths.len() / 2];
    assert!(median < span(20), "the bounds are a period and a latency wide: {median:?} more");
}
