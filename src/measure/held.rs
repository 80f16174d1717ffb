//! What a probe gave while cut, once its time to recover was over: whether the survivors carry the load.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::outage::Stable;
use crate::model::{HeldShare, LoadSpec, Marks, Offset, Outcome, Promises, Sample};

/// Fewer samples than this prove no share.
const SAMPLES: u64 = HeldShare::FEWEST as u64;

/// The samples sent from `cut issued + recover_within` to the restore; and where the plan adds load, once more those
/// of them that were sent under all of it: what holds on the way up may not hold at the top.
#[derive(Debug)]
pub struct Held {
    /// The time to recover, which does not count.
    after: Duration,
    loads: Vec<LoadSpec>,
    whole: Window,
    full: Option<Window>,
}

/// Samples, counted.
#[derive(Debug, Clone)]
struct Window {
    share: HeldShare,
    /// Of the good ones, in microseconds. `None` without a promise that needs it.
    latency: Option<Histogram<u32>>,
    last_sent: Option<Offset>,
}

impl Held {
    /// For a probe that is judged by `promises` beside `loads`.
    pub fn new(promises: &Promises, loads: &[LoadSpec]) -> Self {
        // Three digits are always allowed.
        let latency = promises.p99_while_cut.and_then(|_| Histogram::new(3).ok());
        let whole = Window { share: HeldShare::default(), latency, last_sent: None };
        let is_judged = promises.good_while_cut.is_some() || promises.p99_while_cut.is_some();
        Held {
            after: promises.recover_within.unwrap_or_default(),
            full: (is_judged && !loads.is_empty()).then(|| whole.clone()),
            loads: loads.to_vec(),
            whole,
        }
    }

    /// From when on samples count; `None` before the cut.
    fn from(&self, marks: &Marks) -> Option<Offset> {
        marks.cut_issued.map(|cut| cut.plus(self.after))
    }

    /// From when on all loads are at their top beside it.
    fn full_from(&self, marks: &Marks) -> Option<Offset> {
        let tops = self.loads.iter().map(|load| load.full_from(marks));
        tops.chain([self.from(marks)]).try_fold(Offset::ZERO, |last, top| Some(last.max(top?)))
    }

    /// Takes a sample that ended. `marks` must hold every mark that was passed by then.
    pub fn push(&mut self, sample: &Sample, marks: &Marks) {
        let begun = |from: Option<Offset>| from.is_some_and(|from| sample.sent >= from);
        let over = marks.restore_issued.is_some_and(|restore| sample.sent >= restore);
        if over || !begun(self.from(marks)) {
            return;
        }
        self.whole.push(sample);
        let is_full = begun(self.full_from(marks));
        if let Some(full) = self.full.as_mut().filter(|_| is_full) {
            full.push(sample);
        }
    }

    /// Whether it was watched for long enough to judge.
    pub fn is_watched(&self, marks: &Marks, stable: Stable) -> bool {
        let full = self.full.as_ref();
        self.whole.is_watched(self.from(marks), stable)
            && full.is_none_or(|full| full.is_watched(self.full_from(marks), stable))
    }

    /// The samples of the worse window, counted.
    pub fn share(&self) -> HeldShare {
        let worth = |share: HeldShare| share.certain().value().unwrap_or(1.0);
        let full = self.full.as_ref().map(|full| full.share);
        full.filter(|full| worth(*full) < worth(self.whole.share)).unwrap_or(self.whole.share)
    }

    /// The time within which 99 of 100 requests had a good answer, in the slower window, with the unknown ones taken
    /// as the best or the worst of all. `None`: more than one in 100 had none at all.
    pub fn p99(&self, unknown_is_good: bool) -> Option<Duration> {
        let whole = self.whole.p99(unknown_is_good)?;
        match self.full.as_ref().filter(|full| full.share != HeldShare::default()) {
            Some(full) => full.p99(unknown_is_good).map(|full| full.max(whole)),
            None => Some(whole),
        }
    }
}

impl Window {
    fn push(&mut self, sample: &Sample) {
        self.last_sent = Some(self.last_sent.map_or(sample.sent, |last| last.max(sample.sent)));
        match sample.outcome {
            Outcome::Good => {
                self.share.good += 1;
                let took = sample.done.since(sample.sent).as_micros();
                if let Some(latency) = &mut self.latency {
                    // Fails only beyond what 64 bits of microseconds hold.
                    let _ = latency.record(u64::try_from(took).unwrap_or(u64::MAX));
                }
            }
            Outcome::Bad(_) => self.share.bad += 1,
            Outcome::Unknown(_) => self.share.unknown += 1,
        }
    }

    fn count(&self) -> u64 {
        self.share.good + self.share.bad + self.share.unknown
    }

    fn is_watched(&self, from: Option<Offset>, stable: Stable) -> bool {
        let watched = from.zip(self.last_sent);
        watched.is_some_and(|(from, last)| last.since(from) >= stable.length)
            && self.count() >= SAMPLES
    }

    fn p99(&self, unknown_is_good: bool) -> Option<Duration> {
        let latency = self.latency.as_ref()?;
        let HeldShare { good, unknown, .. } = self.share;
        // Rounded up: 99 of 100 and no less.
        let needed = (self.count() * 99).div_ceil(100);
        let among_good = if unknown_is_good { needed.saturating_sub(unknown) } else { needed };
        if among_good > good || good == 0 {
            return None;
        }
        let quantile = among_good as f64 / good as f64;
        Some(Duration::from_micros(latency.value_at_quantile(quantile)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Blindness, Reason, ServedBy};

    fn marks() -> Marks {
        Marks {
            cut_issued: Some(Offset::from_millis(1_000)),
            cut_confirmed: Some(Offset::from_millis(1_001)),
            ..Marks::default()
        }
    }

    fn held(outcomes: &[(Outcome, u64)]) -> Held {
        let promises = Promises {
            recover_within: Some(Duration::from_secs(2)),
            p99_while_cut: Some(Duration::from_secs(1)),
            ..Promises::default()
        };
        let mut held = Held::new(&promises, &[]);
        for (place, (outcome, took)) in outcomes.iter().enumerate() {
            let sent = Offset::from_millis(3_000 + place as u64 * 10);
            let done = sent.plus(Duration::from_millis(*took));
            let (seq, served_by) = (place as u64, ServedBy::Unnamed);
            let sample = Sample {
                seq,
                due: sent,
                sent,
                done,
                outcome: *outcome,
                acknowledged: outcome.is_good(),
                served_by,
            };
            held.push(&sample, &marks());
        }
        held
    }

    const BAD: Outcome = Outcome::Bad(Reason::LookUp);
    const UNKNOWN: Outcome = Outcome::Unknown(Blindness::Stalled);

    #[test]
    fn only_what_is_sent_between_the_budget_and_the_restore_counts() {
        let mut held = held(&[]);
        let mut marks = marks();
        marks.restore_issued = Some(Offset::from_millis(4_000));
        for sent in [500, 1_500, 2_999, 3_000, 3_999, 4_000, 9_000] {
            let sent = Offset::from_millis(sent);
            let served_by = ServedBy::Unnamed;
            let sample = Sample {
                seq: 0,
                due: sent,
                sent,
                done: sent,
                outcome: Outcome::Good,
                acknowledged: true,
                served_by,
            };
            held.push(&sample, &marks);
        }
        assert_eq!(held.share(), HeldShare { good: 2, bad: 0, unknown: 0 });
        let stable = Stable { length: Duration::from_millis(900), share: 1.0 };
        assert!(!held.is_watched(&marks, stable), "too few samples");
    }

    #[test]
    fn the_99th_percentile_counts_those_without_an_answer_as_the_slowest() {
        let all: Vec<_> = (1..=100).map(|took| (Outcome::Good, took)).collect();
        assert_eq!(held(&all).p99(false).unwrap().as_millis(), 99);
        let mut one_bad = all.clone();
        one_bad[0] = (BAD, 1);
        // Of 99 good ones from 2 to 100 ms, all 99 are needed.
        assert_eq!(held(&one_bad).p99(false).unwrap().as_millis(), 100);
        let mut two_bad = one_bad.clone();
        two_bad[1] = (BAD, 1);
        assert_eq!(held(&two_bad).p99(false), None);
        let mut unknown = one_bad;
        unknown[1] = (UNKNOWN, 1);
        assert_eq!(held(&unknown).p99(false), None);
        assert_eq!(held(&unknown).p99(true).unwrap().as_millis(), 100);
        assert_eq!(held(&[]).p99(false), None);
    }
}
