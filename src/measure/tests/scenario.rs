//! Single cases, each small enough to be worked out by hand.

use super::*;
use crate::measure::recovery::{failback, recovery, troubled_again};
use crate::measure::timeline::Timeline;
use crate::model::{Blindness, Recovery};

/// Sends every 10 ms from 0 to `until`; `fate` says what becomes of the sample sent then.
fn watch(marks: &Marks, until: u64, fate: impl Fn(u64) -> (u64, Outcome, ServedBy)) -> Timeline {
    let mut timeline = Timeline::new(vec![CUT], span(10), 8);
    for seq in 0..until / 10 {
        let (took, outcome, by) = fate(seq * 10);
        timeline.push(sample(seq, seq * 10, took, outcome, by), marks);
    }
    timeline
}

fn by(id: DatacenterId) -> ServedBy {
    ServedBy::Datacenter(id)
}

/// Served by the cut datacenter until 1000, refused until `back`, then by the survivor.
fn standby_takes_over(back: u64) -> impl Fn(u64) -> (u64, Outcome, ServedBy) {
    move |sent| match sent {
        0..1000 => (2, Outcome::Good, by(CUT)),
        sent if sent < back => (2, BAD, ServedBy::Unnamed),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    }
}

fn recovered(timeline: &Timeline, marks: &Marks) -> Recovery {
    recovery(timeline, marks, stable(200)).unwrap()
}

#[test]
fn the_bounds_reach_from_the_last_bad_sent_to_the_first_good_done() {
    let marks = cut_at_one_second();
    let found = recovered(&watch(&marks, 2000, standby_takes_over(1500)), &marks);
    assert_eq!(found.bounds.low, span(1490 - 1002));
    assert_eq!(found.bounds.high, Some(span(1502 - 1000)));
    assert_eq!((found.seamless, found.relapses), (false, 0));
    let split = found.split.unwrap();
    assert_eq!(split.until_first_bad, span(0));
    assert_eq!(split.until_other_datacenter, span(502));
    assert_eq!(split.whole(), found.bounds.high.unwrap());
}

#[test]
fn the_end_is_not_known_before_the_service_was_good_for_long_enough() {
    let marks = cut_at_one_second();
    let found = recovered(&watch(&marks, 1690, standby_takes_over(1500)), &marks);
    assert_eq!(found.bounds.high, None);
    let found = recovered(&watch(&marks, 1710, standby_takes_over(1500)), &marks);
    assert_eq!(found.bounds.high, Some(span(502)));
}

#[test]
fn a_relapse_within_the_stability_period_prolongs_the_outage_and_is_counted() {
    let marks = cut_at_one_second();
    let fate = |sent| match sent {
        1600 => (2, BAD, ServedBy::Unnamed),
        sent => standby_takes_over(1500)(sent),
    };
    let found = recovered(&watch(&marks, 2000, fate), &marks);
    assert_eq!(found.bounds.low, span(1600 - 1002));
    assert_eq!(found.bounds.high, Some(span(1612 - 1000)));
    assert_eq!(found.relapses, 1);
}

#[test]
fn trouble_after_a_stable_stretch_is_a_second_outage() {
    let marks = cut_at_one_second();
    let fate = |sent| match sent {
        1900 => (2, BAD, ServedBy::Unnamed),
        sent => standby_takes_over(1500)(sent),
    };
    let timeline = watch(&marks, 2500, fate);
    assert_eq!(recovered(&timeline, &marks).bounds.high, Some(span(502)));
    assert!(troubled_again(&timeline, stable(200)));
}

#[test]
fn a_seamless_failover_is_bounded_by_the_widest_gap() {
    let marks = cut_at_one_second();
    let fate = |sent| match sent {
        0..1000 => (2, Outcome::Good, by(CUT)),
        1200 => (300, Outcome::Good, by(SURVIVOR)),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    };
    let found = recovered(&watch(&marks, 2000, fate), &marks);
    // Sent at 1190, and the neighbour that was sent at 1200 was answered at 1500.
    assert_eq!(found.bounds, crate::model::Bounds { low: span(0), high: Some(span(310)) });
    assert!(found.seamless);
}

#[test]
fn a_stalled_sample_bounds_the_outage_from_below_and_does_not_end_it() {
    let marks = cut_at_one_second();
    // A hole from 1000 to 3000: whoever sends in its last second succeeds by a retransmitted SYN.
    let fate = |sent| match sent {
        0..1000 => (2, Outcome::Good, by(CUT)),
        1000..2000 => (1000, BAD, ServedBy::Unnamed),
        2000..3000 => (1002, Outcome::Good, by(SURVIVOR)),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    };
    let found = recovered(&watch(&marks, 4500, fate), &marks);
    assert_eq!(found.bounds.low, span(2990 - 1002));
    assert_eq!(found.bounds.high, Some(span(2002)));
}

#[test]
fn a_service_that_becomes_slow_for_good_has_recovered() {
    let marks = cut_at_one_second();
    let fate = |sent| match sent {
        1500.. => (700, Outcome::Good, by(SURVIVOR)),
        sent => standby_takes_over(1500)(sent),
    };
    let found = recovery(&watch(&marks, 4000, fate), &marks, stable(300)).unwrap();
    assert_eq!(found.bounds.low, span(1490 - 1002));
    assert_eq!(found.bounds.high, Some(span(2200 - 1000)));
}

#[test]
fn where_survivors_served_before_one_good_answer_proves_nothing() {
    let marks = cut_at_one_second();
    // Four replicas in turn, two of them in the cut datacenter and in the pool until 1555.
    let fate = |sent: u64| match (sent / 10) % 4 {
        0 | 1 if (1000..1555).contains(&sent) => (2, BAD, ServedBy::Unnamed),
        0 | 1 if sent < 1000 => (2, Outcome::Good, by(CUT)),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    };
    let timeline = watch(&marks, 3000, fate);
    assert_eq!(timeline.proof_length(), 3);
    let found = recovered(&timeline, &marks);
    // Bad at 1530 (a multiple of 40, plus 10); good from 1540, the third of them at 1560.
    assert_eq!(found.bounds.low, span(1530 - 1002));
    assert_eq!(found.bounds.high, Some(span(1562 - 1000)));
    assert_eq!(found.relapses, 0, "good answers of survivors in between are no relapses");
}

#[test]
fn the_share_that_must_be_good_can_be_lowered() {
    let marks = cut_at_one_second();
    let fate = |sent: u64| match sent {
        1500.. if sent % 100 == 50 => (2, BAD, ServedBy::Unnamed),
        sent => standby_takes_over(1500)(sent),
    };
    let timeline = watch(&marks, 3000, fate);
    assert_eq!(recovery(&timeline, &marks, stable(500)).unwrap().bounds.high, None);
    let lenient = Stable { length: span(500), share: 0.8 };
    assert_eq!(recovery(&timeline, &marks, lenient).unwrap().bounds.high, Some(span(502)));
}

#[test]
fn samples_that_end_out_of_order_are_folded_in_the_order_in_which_they_were_due() {
    let marks = cut_at_one_second();
    let fate = standby_takes_over(1500);
    let mut samples: Vec<Sample> = (0..200)
        .map(|seq| {
            let (took, outcome, by) = fate(seq * 10);
            let took = if outcome.is_good() { took } else { 77 };
            sample(seq, seq * 10, took, outcome, by)
        })
        .collect();
    let in_order = watch(&marks, 2000, &fate);
    samples.sort_by_key(|sample| sample.done);
    let mut timeline = Timeline::new(vec![CUT], span(10), 8);
    samples.into_iter().for_each(|sample| timeline.push(sample, &marks));
    assert_eq!(recovered(&timeline, &marks).bounds, recovered(&in_order, &marks).bounds,);
    assert_eq!(timeline.counts().due, 200);
}

#[test]
fn failback_lasts_until_the_cut_datacenter_answers_again() {
    let mut marks = cut_at_one_second();
    marks.restore_issued = Some(ms(2000));
    marks.restore_confirmed = Some(ms(2003));
    let fate = |sent| match sent {
        0..1000 | 2400.. => (2, Outcome::Good, by(CUT)),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    };
    let timeline = watch(&marks, 3000, fate);
    let found = failback(&timeline, &marks, stable(200), false).unwrap();
    assert_eq!(found.bounds.low, span(2390 - 2003));
    assert_eq!(found.bounds.high, Some(span(2402 - 2000)));
    assert!(found.seamless);
}

#[test]
fn failback_is_not_over_while_the_cut_datacenter_does_not_answer() {
    let mut marks = cut_at_one_second();
    marks.restore_issued = Some(ms(2000));
    marks.restore_confirmed = Some(ms(2003));
    let timeline = watch(&marks, 4000, standby_takes_over(1100));
    assert_eq!(failback(&timeline, &marks, stable(200), false).unwrap().bounds.high, None);
}

#[test]
fn an_answer_that_the_restore_let_go_is_no_leak() {
    let mut marks = cut_at_one_second();
    marks.restore_issued = Some(ms(2000));
    let fate = |sent| match sent {
        1990 => (50, Outcome::Good, by(CUT)),
        1500 => (5, Outcome::Good, by(CUT)),
        sent => standby_takes_over(1010)(sent),
    };
    let timeline = watch(&marks, 2000, fate);
    assert_eq!(timeline.leaks.examples, [ms(1500)]);
}

#[test]
fn a_stretch_in_which_nothing_could_be_asked_is_blindness_and_not_an_outage() {
    let marks = cut_at_one_second();
    let fate = |sent| match sent {
        1500..2200 => (0, Outcome::Unknown(Blindness::NoFileDescriptor), ServedBy::Unnamed),
        0..1000 => (2, Outcome::Good, by(CUT)),
        _ => (2, Outcome::Good, by(SURVIVOR)),
    };
    let timeline = watch(&marks, 3000, fate);
    let found = recovered(&timeline, &marks);
    assert!(found.seamless);
    assert_eq!(found.bounds.high, Some(span(2202 - 1490)), "the hole could have hidden an outage");
    assert_eq!(timeline.blind.len(), 1);
    assert_eq!((timeline.blind[0].from, timeline.blind[0].to), (ms(1490), ms(2200)));
}

#[test]
fn several_samples_that_the_restore_breaks_are_trouble_of_the_restore() {
    let mut marks = cut_at_one_second();
    marks.restore_issued = Some(ms(2000));
    marks.restore_confirmed = Some(ms(2003));
    let fate = |sent| match sent {
        1970..2000 => (45, BAD, ServedBy::Unnamed),
        2000.. => (2, Outcome::Good, by(CUT)),
        sent => standby_takes_over(1100)(sent),
    };
    let timeline = watch(&marks, 3000, fate);
    assert!(!troubled_again(&timeline, stable(200)), "it was well as long as it was cut");
    assert!(!failback(&timeline, &marks, stable(200), false).unwrap().seamless);
}

#[test]
fn samples_that_hung_long_before_the_restore_are_trouble_of_the_cut() {
    let mut marks = cut_at_one_second();
    marks.restore_issued = Some(ms(4000));
    marks.restore_confirmed = Some(ms(4003));
    let fate = |sent| match sent {
        3000 => (5000, BAD, ServedBy::Unnamed),
        4000.. => (2, Outcome::Good, by(CUT)),
        sent => standby_takes_over(1100)(sent),
    };
    let timeline = watch(&marks, 5000, fate);
    assert!(troubled_again(&timeline, stable(200)));
}

/// One in ten is bad on any day, and the standby takes over at 1500 as it should.
fn never_perfect(sent: u64) -> (u64, Outcome, ServedBy) {
    match sent {
        _ if sent % 100 == 50 => (2, BAD, ServedBy::Unnamed),
        2000.. => (2, Outcome::Good, by(CUT)),
        _ => standby_takes_over(1500)(sent),
    }
}

#[test]
fn a_service_that_was_never_perfect_can_recover_and_fail_back() {
    let lenient = Stable { length: span(400), share: 0.8 };
    let mut marks = cut_at_one_second();
    let timeline = watch(&marks, 2000, never_perfect);
    assert_eq!(recovery(&timeline, &marks, lenient).unwrap().bounds.high, Some(span(502)));
    assert!(!troubled_again(&timeline, lenient), "as bad as on any day");
    marks.restore_issued = Some(ms(2000));
    marks.restore_confirmed = Some(ms(2003));
    let timeline = watch(&marks, 4000, never_perfect);
    assert!(failback(&timeline, &marks, lenient, false).unwrap().bounds.high.is_some());
}

#[test]
fn a_second_outage_of_a_service_that_was_never_perfect_is_seen() {
    let lenient = Stable { length: span(400), share: 0.8 };
    let marks = cut_at_one_second();
    for (from, to) in [(2200, 2400), (3850, 4000)] {
        let fate = |sent| match sent {
            _ if (from..to).contains(&sent) => (2, BAD, ServedBy::Unnamed),
            _ => never_perfect(sent),
        };
        assert!(troubled_again(&watch(&marks, 4000, fate), lenient), "from {from}");
    }
}
