//! How often a gate is closed by chance, and what slow-down it sees.

use std::time::Duration;

use super::super::slower::slower;
use super::{bounds, run};
use crate::model::*;

/// Numbers between 0 and 1 that look like chance: the same in each run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Recovery times of an unchanged system, in ms: a health check every 2 s has to fail first.
fn check(chance: &mut Chance) -> f64 {
    1000.0 + 2000.0 * chance.next()
}

/// The same, with a long tail: one in e takes longer than the second that is usual.
fn tail(chance: &mut Chance) -> f64 {
    1000.0 - 1000.0 * (1.0 - chance.next()).ln()
}

/// The share of drills, of 2,000, that are said to be slower than `earlier` ones before them. Truths are drawn by `draw`, that of the
/// last one is `times` as long; bounds are `width` ms wide, with the truth anywhere in them.
fn said_slower(earlier: i64, draw: fn(&mut Chance) -> f64, times: f64, width: f64) -> f64 {
    const DRILLS: u32 = 2_000;
    let mut chance = Chance(7);
    let mut drill = |day, times: f64| {
        let low = (draw(&mut chance) * times - width * chance.next()).max(0.0);
        let mut run = run(day, 0);
        let bounds = bounds(low as u64, (low + width) as u64);
        run.slowest = Some(Slowest { service: "shop".into(), recovery: Some(bounds) });
        run
    };
    let slow = (0..DRILLS).filter(|_| {
        let before: Vec<Summary> = (0..earlier).map(|day| drill(day, 1.0)).collect();
        slower(&drill(earlier, times), before.iter()).is_some()
    });
    slow.count() as f64 / f64::from(DRILLS)
}

#[test]
fn an_unchanged_system_is_rarely_said_to_be_slower() {
    // As docs/history.md says. Bounds that are as good as points are the worst case.
    for (earlier, draw, most) in [
        (4, check as fn(&mut Chance) -> f64, 0.12),
        (8, check, 0.05),
        (20, check, 0.01),
        (4, tail, 0.22),
        (8, tail, 0.14),
        (20, tail, 0.10),
    ] {
        let share = said_slower(earlier, draw, 1.0, 0.0);
        assert!(share <= most, "{earlier} earlier drills: {share}, {most} said");
    }
    // Where the drills vary by less than they resolve, as in a lab, there is none.
    let steady = |chance: &mut Chance| 750.0 + 20.0 * chance.next();
    assert_eq!(said_slower(4, steady, 1.0, 160.0), 0.0);
}

#[test]
fn a_slow_down_is_seen() {
    let seen = |earlier, times| said_slower(earlier, check, times, 100.0);
    let (twice, thrice) = (seen(8, 2.0), seen(8, 4.0));
    assert!(twice > 0.25 && thrice > 0.9, "{twice} {thrice}");
    let steady = |chance: &mut Chance| 750.0 + 20.0 * chance.next();
    assert!(said_slower(4, steady, 2.0, 160.0) > 0.99);
}

#[test]
fn bounds_as_wide_as_time_itself_are_no_error() {
    let mut last = run(9, 10);
    let far = Bounds { low: Duration::MAX, high: Some(Duration::MAX) };
    last.slowest.as_mut().unwrap().recovery = Some(far);
    let mut before: Vec<Summary> = (0..4).map(|day| run(day, 10)).collect();
    assert_eq!(slower(&last, before.iter()).unwrap().code, "slower");
    for run in &mut before[1..] {
        run.slowest.as_mut().unwrap().recovery = Some(far);
    }
    assert_eq!(slower(&last, before.iter()), None);
}
