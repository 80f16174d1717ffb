//! What samples say of a service now: sliding windows in bounded memory.
//!
//! Each required probe has a window of its own, and the worst of them counts: a probe that asks a hundred times
//! as often must not hide one that fails.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::{
    Guardrail, GuardrailCheck, GuardrailReading, Offset, Outcome, Plan, ProbeId, Reason, Sample,
    Sampled, Shown, VantageId,
};

/// A window is cut into so many slices, which leave it one by one.
const SLICES: u64 = 10;

/// The share of answers that must be within a latency, as one in so many that need not.
const ONE_IN: u64 = 20;

/// Looks at the samples of one service.
#[derive(Debug)]
pub struct Gauge {
    service: u32,
    limit: Limit,
    windows: BTreeMap<(ProbeId, VantageId), Window>,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    GoodShare(f64),
    Latency(Duration),
}

impl Gauge {
    /// A gauge for a guardrail on samples; `None` for one that is read from outside.
    pub fn new(plan: &Plan, check: &GuardrailCheck) -> Option<Self> {
        let (service, limit) = match *check {
            GuardrailCheck::GoodShareBelow { service, limit } => (service, Limit::GoodShare(limit)),
            GuardrailCheck::LatencyAbove { service, limit } => (service, Limit::Latency(limit)),
            _ => return None,
        };
        let required = plan.probes().filter(|(id, _, spec)| id.service == service && spec.required);
        let windows = required
            .map(|(id, _, spec)| {
                let name = spec.name.to_string();
                ((id, VantageId::default()), Window::new(name, Guardrail::window(spec.every)))
            })
            .collect();
        Some(Gauge { service, limit, windows })
    }

    /// Takes a sample; those of other services, and of probes that are not required, are left out.
    pub fn push(&mut self, sampled: &Sampled) {
        if sampled.probe.service != self.service {
            return;
        }
        let home = (sampled.probe, VantageId::default());
        let Some((name, length)) = self.windows.get(&home).map(|w| (w.name.clone(), w.length))
        else {
            return;
        };
        let key = (sampled.probe, sampled.vantage);
        let window = self.windows.entry(key).or_insert_with(|| Window::new(name, length));
        window.push(&sampled.sample, self.limit);
    }

    /// The value of the worst probe at `now`.
    pub fn read(&mut self, now: Offset) -> GuardrailReading {
        let (mut worst, mut beyond, mut silent): (Option<f64>, Option<String>, Option<String>) =
            (None, None, None);
        for window in self.windows.values_mut() {
            window.forget(now);
            let Some(found) = window.measure(self.limit) else {
                silent.get_or_insert_with(|| window.name.clone());
                continue;
            };
            let worse = worst.is_none_or(|worst| match self.limit {
                Limit::GoodShare(_) => found.value < worst,
                Limit::Latency(_) => found.value > worst,
            });
            // Beyond comes first: rounding must not hide it behind another probe.
            if found.beyond && (beyond.is_none() || worse) {
                worst = Some(found.value);
                beyond = Some(format!("{} {}", window.name, found.what));
            } else if beyond.is_none() && worse {
                worst = Some(found.value);
            }
        }
        match (beyond, silent) {
            (Some(what), _) => GuardrailReading::Beyond { value: worst, what },
            (None, Some(probe)) => {
                GuardrailReading::Unreadable(format!("no sample of {probe} says anything"))
            }
            (None, None) => GuardrailReading::Within { value: worst },
        }
    }
}

/// The last samples of one probe.
#[derive(Debug)]
struct Window {
    name: String,
    length: Duration,
    slices: VecDeque<Slice>,
}

#[derive(Debug)]
struct Slice {
    number: u64,
    asked: u64,
    good: u64,
    /// Those that waited to an end that counts for latency, and how many of them were too slow.
    waited: u64,
    slow: u64,
    /// How long they waited, in microseconds.
    waits: Option<Histogram<u32>>,
}

struct Found {
    value: f64,
    beyond: bool,
    what: String,
}

impl Window {
    fn new(name: String, length: Duration) -> Self {
        Window { name, length, slices: VecDeque::new() }
    }

    fn slice_of(&self, at: Offset) -> u64 {
        let slice = u64::try_from(self.length.as_nanos()).unwrap_or(u64::MAX) / SLICES;
        at.as_nanos() / slice.max(1)
    }

    fn push(&mut self, sample: &Sample, limit: Limit) {
        let number = self.slice_of(sample.done);
        if self.slices.back().is_none_or(|newest| newest.number < number) {
            self.slices.push_back(Slice::new(number));
            self.forget(sample.done);
        }
        // Samples come in the order in which they end, but for a moment.
        let slice = self.slices.iter_mut().rev().find(|slice| slice.number <= number);
        if let Some(slice) = slice {
            slice.push(sample, limit);
        }
    }

    /// Lets go of what is older than the window.
    fn forget(&mut self, now: Offset) {
        let oldest = (self.slice_of(now) + 1).saturating_sub(SLICES);
        while self.slices.front().is_some_and(|slice| slice.number < oldest) {
            self.slices.pop_front();
        }
    }

    fn measure(&self, limit: Limit) -> Option<Found> {
        let sum = |part: fn(&Slice) -> u64| self.slices.iter().map(part).sum::<u64>();
        match limit {
            Limit::GoodShare(limit) => {
                let (good, asked) = (sum(|slice| slice.good), sum(|slice| slice.asked));
                let value = (asked > 0).then(|| good as f64 / asked as f64)?;
                let over = Shown(self.length);
                let what = format!("was good for {good} of {asked} samples in the last {over}");
                Some(Found { value, beyond: value < limit, what })
            }
            Limit::Latency(limit) => {
                let (slow, waited) = (sum(|slice| slice.slow), sum(|slice| slice.waited));
                let beyond = slow.saturating_mul(ONE_IN) > waited;
                let p95 = (waited > 0).then(|| self.p95())?;
                // The histogram is coarse, the count is not: the value never contradicts it.
                let p95 = if beyond { p95.max(limit) } else { p95.min(limit) };
                let what = format!(
                    "had a p95 of {} in the last {}, {slow} of {waited} above {}",
                    Shown(p95),
                    Shown(self.length),
                    Shown(limit)
                );
                Some(Found { value: p95.as_secs_f64() * 1e3, beyond, what })
            }
        }
    }

    fn p95(&self) -> Duration {
        let mut waits = self.slices.iter().filter_map(|slice| slice.waits.as_ref());
        let Some(mut all) = waits.next().cloned() else { return Duration::ZERO };
        for waits in waits {
            // They grow as they must; there is nothing else that could go wrong.
            let _ = all.add(waits);
        }
        Duration::from_micros(all.value_at_quantile(1.0 - 1.0 / ONE_IN as f64))
    }
}

impl Slice {
    fn new(number: u64) -> Self {
        Slice { number, asked: 0, good: 0, waited: 0, slow: 0, waits: None }
    }

    fn push(&mut self, sample: &Sample, limit: Limit) {
        if matches!(sample.outcome, Outcome::Unknown(_)) {
            return;
        }
        self.asked += 1;
        self.good += u64::from(sample.outcome.is_good());
        let (Limit::Latency(limit), true) = (limit, waited_to_an_end(sample.outcome)) else {
            return;
        };
        let took = sample.done.since(sample.sent);
        self.waited += 1;
        self.slow += u64::from(took > limit);
        if self.waits.is_none() {
            // One digit: bounds memory to 2 KB a slice. What is decided is counted exactly.
            self.waits = Histogram::new(1).ok();
        }
        if let Some(waits) = &mut self.waits {
            // It grows by itself; a latency of years that does not fit is counted above all the same.
            let _ = waits.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }
}

/// Whether the time that a sample took says how slow the service is: an answer came, or was waited for
/// until the time-out. What was refused or broken off is no latency.
fn waited_to_an_end(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Good => true,
        Outcome::Bad(reason) => {
            matches!(reason, Reason::Status(_) | Reason::Body | Reason::Slow | Reason::TimeOut(_))
        }
        Outcome::Unknown(_) => false,
    }
}
