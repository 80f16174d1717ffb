//! A slow and obvious oracle: keeps every sample and replays the definitions word by word.

use proptest::prelude::*;

use super::*;
use crate::measure::recovery::recovery;
use crate::measure::timeline::{STALL, Timeline};
use crate::model::{Blindness, Bounds, Stage};

const EVERY: u64 = 10;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Said {
    Good,
    Trouble,
    Nothing,
}

/// Recovery time by the definitions of section 3, over all samples at once.
fn oracle(samples: &[Sample], marks: &Marks, stable: Duration) -> Option<Bounds> {
    let (issued, confirmed) = (marks.cut_issued?, marks.cut_confirmed?);
    let at_baseline = |sample: &Sample| sample.done < issued;
    let slowest = samples
        .iter()
        .filter(|sample| sample.sent < issued && sample.outcome.is_good() && at_baseline(sample))
        .map(|sample| sample.done.since(sample.sent))
        .max()
        .unwrap_or_default();
    let said = |sample: &Sample| match sample.outcome {
        Outcome::Unknown(_) => Said::Nothing,
        Outcome::Bad(_) => Said::Trouble,
        Outcome::Good => {
            let took = sample.done.since(sample.sent);
            let stalled = took > (slowest * 2).max(slowest + STALL);
            if stalled && !at_baseline(sample) { Said::Trouble } else { Said::Good }
        }
    };
    let hit = |sample: &Sample| said(sample) == Said::Trouble && !at_baseline(sample);
    let after: Vec<&Sample> =
        samples.iter().filter(|sample| sample.sent >= issued || hit(sample)).collect();
    let known = after.iter().filter(|sample| said(sample) != Said::Nothing);
    let last_known = known.map(|sample| sample.sent).max()?;
    let baseline: Vec<&Sample> =
        samples.iter().filter(|sample| sample.sent < issued && !hit(sample)).collect();
    let k = proof_length(&baseline);
    if !after.iter().any(|sample| said(sample) == Said::Trouble) {
        let high = (last_known.since(confirmed) >= stable)
            .then(|| widest(samples, &said, issued, k))
            .flatten();
        return Some(Bounds { low: Duration::ZERO, high });
    }
    let mut before: Option<Offset> = None;
    let mut previous = Said::Nothing;
    for (place, sample) in after.iter().enumerate() {
        match said(sample) {
            Said::Nothing => continue,
            Said::Trouble => before = Some(before.map_or(sample.sent, |at| at.max(sample.sent))),
            Said::Good => {
                if let (Said::Trouble, Some(last)) = (previous, before) {
                    let end = sample.sent.plus(stable);
                    let quiet = !after[place..]
                        .iter()
                        .any(|later| said(later) == Said::Trouble && later.sent <= end);
                    if quiet && last_known >= end {
                        let low = last.since(confirmed);
                        let stretch =
                            after[place..].iter().take_while(|later| said(later) != Said::Trouble);
                        let high = proven_by(stretch.copied(), &said, last, k);
                        // Stable but not proven: it goes on.
                        if let Some(done) = high {
                            return Some(Bounds { low, high: Some(done.since(issued).max(low)) });
                        }
                    }
                }
            }
        }
        previous = said(sample);
    }
    before.map(|last| Bounds { low: last.since(confirmed), high: None })
}

/// The first end of a good sample that is at least the k-th in a row after the last trouble.
fn proven_by<'a>(
    stretch: impl Iterator<Item = &'a Sample>,
    said: &dyn Fn(&Sample) -> Said,
    last: Offset,
    k: usize,
) -> Option<Offset> {
    let mut row = 0;
    let mut proven: Option<Offset> = None;
    for sample in stretch {
        match said(sample) {
            Said::Good if sample.sent > last => row += 1,
            Said::Nothing if k > 1 => row = 0,
            _ => {}
        }
        if said(sample) == Said::Good && sample.sent > last && row >= k {
            proven = Some(proven.map_or(sample.done, |earlier| earlier.min(sample.done)));
        }
    }
    proven
}

fn proof_length(baseline: &[&Sample]) -> usize {
    let answers: Vec<bool> = baseline
        .iter()
        .filter(|sample| sample.outcome.is_good())
        .map(|sample| sample.served_by == ServedBy::Datacenter(CUT))
        .collect();
    if !answers.contains(&true) {
        return 1;
    }
    1 + answers.split(|by_cut| *by_cut).map(<[bool]>::len).max().unwrap_or(0)
}

/// The widest hole between a good sample and the k-th good one after it.
fn widest(
    samples: &[Sample],
    said: &dyn Fn(&Sample) -> Said,
    issued: Offset,
    k: usize,
) -> Option<Duration> {
    let mut good: Vec<&Sample> = Vec::new();
    let mut widest = None;
    let mut last_trouble: Option<Offset> = None;
    for sample in samples {
        match said(sample) {
            Said::Nothing => {}
            Said::Trouble => {
                last_trouble = last_trouble.max(Some(sample.sent));
                good.clear();
            }
            Said::Good if last_trouble.is_some_and(|trouble| sample.sent <= trouble) => {}
            Said::Good => {
                good.push(sample);
                if good.len() > k && sample.sent >= issued {
                    let from = good[good.len() - 1 - k].sent.max(issued);
                    widest = widest.max(Some(sample.done.since(from)));
                }
            }
        }
    }
    widest
}

/// Samples that are shown in a line each when a case fails.
#[derive(Clone)]
struct Samples(Vec<Sample>);

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|s| {
            writeln!(
                f,
                "{} sent {} done {} {:?} {:?}",
                s.seq, s.sent, s.done, s.outcome, s.served_by
            )
        })
    }
}

/// Any sequence: mostly good at baseline, anything after, with late sends and slow answers.
fn samples() -> impl Strategy<Value = Samples> {
    let fate = prop_oneof![
        6 => (1..8u64, Just(0u8)),
        3 => (1..8u64, Just(1u8)),
        2 => (1..400u64, Just(2u8)),
        1 => (600..900u64, Just(1u8)),
        1 => (0..1u64, Just(3u8)),
    ];
    let stretch = (fate, 1..25usize);
    (proptest::collection::vec(stretch, 1..14), proptest::collection::vec(0..10u64, 300)).prop_map(
        |(stretches, late)| {
            let mut made = Vec::new();
            for seq in 0..20u64 {
                let by = if seq % 3 == 0 { CUT } else { SURVIVOR };
                made.push(sample(seq, seq * EVERY, 2, Outcome::Good, ServedBy::Datacenter(by)));
            }
            for ((took, kind), length) in stretches {
                for _ in 0..length {
                    let seq = made.len() as u64;
                    let (outcome, by) = match kind {
                        0 => (Outcome::Good, SURVIVOR),
                        1 => (Outcome::Good, CUT),
                        2 => (BAD, CUT),
                        _ => (Outcome::Unknown(Blindness::NoLocalPort), CUT),
                    };
                    let mut next =
                        sample(seq, seq * EVERY, took, outcome, ServedBy::Datacenter(by));
                    let delay = span(late[made.len() % late.len()]);
                    next.sent = next.sent.plus(delay);
                    next.done = next.done.plus(delay);
                    made.push(next);
                }
            }
            Samples(made)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn folding_gives_what_replaying_every_sample_gives(
        Samples(samples) in samples(), cut in 100..400u64, confirmed in 0..40u64, length in 50..400u64,
    ) {
        let marks = Marks {
            cut_issued: Some(ms(cut)),
            cut_confirmed: Some(ms(cut + confirmed)),
            ..Marks::default()
        };
        let mut timeline = Timeline::new(vec![CUT], span(EVERY), 8);
        let mut by_end = samples.clone();
        by_end.sort_by_key(|sample| sample.done);
        for sample in by_end {
            // As in a drill: a mark is known only once it is passed.
            let passed = |mark: &Offset| *mark <= sample.done;
            let known = Marks {
                cut_issued: marks.cut_issued.filter(passed),
                cut_confirmed: marks.cut_confirmed.filter(passed),
                ..Marks::default()
            };
            timeline.push(sample, &known);
        }
        let slow_for_good = timeline.runs.iter().any(|run| {
            run.kind == crate::measure::run::Kind::Stalled
                && run.last_sent.since(run.first_done) >= span(length)
        });
        prop_assume!(!slow_for_good);
        let found = recovery(&timeline, &marks, stable(length));
        prop_assert_eq!(found.map(|found| found.bounds), oracle(&samples, &marks, span(length)));
        if let Some(found) = found {
            let whole = found.split.map(|split| split.whole());
            prop_assert!(whole.is_none() || whole == found.bounds.high);
        }
        let counts = timeline.counts();
        prop_assert_eq!(counts.due, samples.len() as u64);
        prop_assert_eq!(counts.due, counts.good + counts.bad + counts.stalled + counts.unknown);
        prop_assert!(timeline.runs.iter().all(|run| run.stage <= Stage::Observe));
    }
}
