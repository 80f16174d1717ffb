//! The samples of one probe from one vantage point, folded as they come.
//!
//! # How many good answers prove a recovery
//!
//! Where survivors served a part of the traffic before the cut (active/active), a good answer
//! after it proves nothing: a survivor may have given it while every other request still failed. But the
//! baseline shows how traffic is spread: if the cut datacenter was asked at least once in every
//! `k` requests, then `k` good samples in a row mean that it is asked no more. So
//! `k = 1 + longest run of answers in a row, at baseline, that the cut datacenter did not give`.
//! Where it gave all of them, and where answers do not say who gave them, k = 1.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::course::Courses;
use super::run::{Kind, Run};
use crate::model::{
    Blindness, DatacenterId, Latency, Marks, Offset, Outcome, ProbeCounts, Reason, Sample,
    ServedBy, Stage,
};

/// A good sample is stalled if it took longer than twice the slowest at baseline, and at least
/// this much longer. Half a second: below the first retransmission of a SYN (1 s, RFC 6298),
/// above what a busy but answering service adds.
pub const STALL: Duration = Duration::from_millis(500);

/// The observer was blind where two neighbouring samples were sent further apart than three
/// periods, and than a period and this.
pub const BLIND: Duration = Duration::from_millis(500);

/// The longest pause between samples sent every `every` that says nothing of an observer, or of a service.
pub(super) fn longest_pause(every: Duration) -> Duration {
    every.saturating_mul(3).max(every.saturating_add(BLIND))
}

/// At most this many examples and spans are kept of anything; all are counted.
pub const KEPT: usize = 100;

/// What the cut datacenter still answered although it was cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaks {
    /// Answers of the cut datacenter to requests sent after the cut was confirmed.
    pub count: u64,
    /// When the first few were sent.
    pub examples: Vec<Offset>,
}

/// The return of the cut datacenter after the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// Until here it cannot have been asked: it would have been seen.
    pub after: Offset,
    /// By here it had answered.
    pub by: Offset,
}

/// A span in which the observer sent nothing that tells of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlindSpan {
    /// The last sample before it was sent.
    pub from: Offset,
    /// The first sample after it was sent.
    pub to: Offset,
}

/// Answers by datacenter; the last two places are for those that named something else, and
/// those that named nothing.
pub type Served = BTreeMap<ServedBy, u64>;

/// The samples of one probe, folded.
#[derive(Debug)]
pub struct Timeline {
    /// The datacenters that must give no answer while cut.
    lost: Vec<DatacenterId>,
    every: Duration,
    waiting: BTreeMap<u64, Sample>,
    next_seq: u64,
    /// Runs in the order in which their samples were due.
    pub(super) runs: Vec<Run>,
    counts: ProbeCounts,
    reasons: BTreeMap<Reason, u64>,
    blindness: BTreeMap<Blindness, u64>,
    latency: BTreeMap<Stage, Histogram<u32>>,
    /// Answers by stage.
    pub(super) served: BTreeMap<Stage, Served>,
    slowest_at_baseline: Duration,
    elsewhere_now: u32,
    elsewhere_longest: u32,
    served_at_baseline: bool,
    in_a_row: u32,
    last_trouble: Option<Offset>,
    recent_good: VecDeque<Offset>,
    /// The widest hole around and after the cut that could have hidden an outage.
    pub(super) widest_after_cut: Option<Duration>,
    /// The same around and after the restore.
    pub(super) widest_after_restore: Option<Duration>,
    /// The first answer of another datacenter after the first trouble since the cut.
    pub(super) first_elsewhere: Option<Offset>,
    trouble_since_cut: Option<Offset>,
    elsewhere_since: VecDeque<Offset>,
    /// When the cut datacenter answered again.
    pub(super) returned: Option<Return>,
    /// When the last answer of the cut datacenter was asked for, of those asked for after the cut and before the restore.
    pub(super) last_led_there: Option<Offset>,
    /// What came from the cut datacenter although it was cut.
    pub(super) leaks: Leaks,
    last_known: Option<Offset>,
    /// The first stretches in which the observer was blind.
    pub(super) blind: Vec<BlindSpan>,
    /// All of it over time, to be drawn.
    pub(super) courses: Courses,
}

impl Timeline {
    /// An empty one, for a probe that sends every `every` while the datacenters of `lost` must not answer it;
    /// its picture over time has at most `cells`.
    pub fn new(lost: Vec<DatacenterId>, every: Duration, cells: usize) -> Self {
        Timeline {
            lost,
            every,
            waiting: BTreeMap::new(),
            next_seq: 0,
            runs: Vec::new(),
            counts: ProbeCounts::default(),
            reasons: BTreeMap::new(),
            blindness: BTreeMap::new(),
            latency: BTreeMap::new(),
            served: BTreeMap::new(),
            slowest_at_baseline: Duration::ZERO,
            elsewhere_now: 0,
            elsewhere_longest: 0,
            served_at_baseline: false,
            in_a_row: 0,
            last_trouble: None,
            recent_good: VecDeque::new(),
            widest_after_cut: None,
            widest_after_restore: None,
            first_elsewhere: None,
            trouble_since_cut: None,
            elsewhere_since: VecDeque::new(),
            returned: None,
            last_led_there: None,
            leaks: Leaks::default(),
            last_known: None,
            blind: Vec::new(),
            courses: Courses::new(cells),
        }
    }

    /// Takes a sample in the order in which they end, and folds those whose turn it is.
    ///
    /// `marks` must hold every mark that was passed before the sample ended. At most as many
    /// samples wait here as are in flight.
    pub fn push(&mut self, sample: Sample, marks: &Marks) {
        self.waiting.insert(sample.seq, sample);
        while let Some(next) = self.waiting.remove(&self.next_seq) {
            self.next_seq += 1;
            self.fold(&next, marks);
        }
    }

    /// How many good samples in a row prove a recovery (see the head of this file).
    pub fn proof_length(&self) -> u32 {
        if self.served_at_baseline { self.elsewhere_longest.saturating_add(1) } else { 1 }
    }

    /// All samples, counted.
    pub fn counts(&self) -> ProbeCounts {
        let named = |(what, count): (String, &u64)| (what, *count);
        ProbeCounts {
            reasons: self.reasons.iter().map(|(why, n)| named((why.to_string(), n))).collect(),
            blindness: self.blindness.iter().map(|(why, n)| named((why.to_string(), n))).collect(),
            ..self.counts.clone()
        }
    }

    /// Latency of the good samples sent in each stage.
    pub fn latency(&self) -> BTreeMap<Stage, Latency> {
        let micros = |value| Duration::from_micros(value);
        self.latency
            .iter()
            .map(|(stage, seen)| {
                let latency = Latency {
                    count: seen.len(),
                    p50: micros(seen.value_at_quantile(0.5)),
                    p99: micros(seen.value_at_quantile(0.99)),
                    max: micros(seen.max()),
                };
                (*stage, latency)
            })
            .collect()
    }

    /// Answers of the datacenter to be cut, and all answers, to requests sent in `stages`.
    pub fn share_of_cut(&self, stages: &[Stage]) -> crate::model::Share {
        let mut share = crate::model::Share::default();
        for served in stages.iter().filter_map(|stage| self.served.get(stage)) {
            let lost = served.iter().filter(|(by, _)| self.is_lost(**by));
            share.part += lost.map(|(_, count)| count).sum::<u64>();
            share.whole += served.values().sum::<u64>();
        }
        share
    }

    /// Whether an answer is of a datacenter that must give none while cut.
    fn is_lost(&self, by: ServedBy) -> bool {
        matches!(by, ServedBy::Datacenter(id) if self.lost.contains(&id))
    }

    /// Whether any answer could show that the cut is in force.
    pub fn can_tell(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Answers to requests sent in `stages` that said who gave them.
    pub fn named(&self, stages: &[Stage]) -> u64 {
        let served = stages.iter().filter_map(|stage| self.served.get(stage)).flatten();
        served.filter(|(by, _)| **by != ServedBy::Unnamed).map(|(_, count)| count).sum()
    }

    fn fold(&mut self, sample: &Sample, marks: &Marks) {
        let kind = self.kind(sample, marks);
        let stage = self.stage(sample, kind, marks);
        self.count(sample, kind);
        self.courses.push(sample, kind);
        self.note_blindness(sample, kind, marks);
        self.note_answer(sample, stage, marks);
        if matches!(kind, Kind::Good | Kind::Stalled) {
            self.note_latency(sample, stage);
        }
        // Sent before the last trouble although due after it: it says nothing of what came later.
        let counted = self.last_trouble.is_none_or(|trouble| sample.sent > trouble);
        // What was asked before an act proves nothing of the time after it.
        if self.runs.last().is_some_and(|run| era(run.stage) != era(stage)) {
            self.in_a_row = 0;
        }
        match kind {
            Kind::Good if counted => self.note_good(sample, stage, marks),
            Kind::Bad | Kind::Stalled => self.note_trouble(sample, stage),
            // It may have been the one that was asked: where one in k tells, the row is broken.
            Kind::Unknown if self.proof_length() > 1 => self.in_a_row = 0,
            Kind::Good | Kind::Unknown => {}
        }
        match self.runs.last_mut() {
            Some(run) if run.kind == kind && run.stage == stage => run.add(sample),
            _ => self.runs.push(Run::of(sample, kind, stage)),
        }
        let proves = kind == Kind::Good && counted && self.in_a_row >= self.proof_length();
        if let Some(run) = self.runs.last_mut().filter(|_| proves) {
            run.prove(sample.done);
        }
        self.note_return(sample, kind, stage, marks);
    }

    /// For how long the oldest request without an answer has been waited for, at `now`, if that is
    /// longer than an answer took on any ordinary day. Samples were due from `started` on.
    pub fn hung_for(&self, started: Offset, now: Offset) -> Option<Duration> {
        let nanos = self.every.as_nanos().saturating_mul(u128::from(self.next_seq));
        let due = started.plus(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        Some(now.since(due)).filter(|waited| *waited > self.stalls_from())
    }

    /// A sample that takes longer is stalled.
    fn stalls_from(&self) -> Duration {
        (self.slowest_at_baseline * 2).max(self.slowest_at_baseline + STALL)
    }

    fn kind(&self, sample: &Sample, marks: &Marks) -> Kind {
        let limit = self.stalls_from();
        match sample.outcome {
            Outcome::Unknown(_) => Kind::Unknown,
            Outcome::Bad(_) => Kind::Bad,
            Outcome::Good => {
                let ended_at_baseline = marks.cut_issued.is_none_or(|cut| sample.done < cut);
                let stalled = !ended_at_baseline && sample.done.since(sample.sent) > limit;
                if stalled { Kind::Stalled } else { Kind::Good }
            }
        }
    }

    fn count(&mut self, sample: &Sample, kind: Kind) {
        let counts = &mut self.counts;
        counts.due += 1;
        if was_sent(sample) {
            counts.sent += 1;
            let late = sample.sent.since(sample.due);
            if late > ProbeCounts::LATE {
                counts.late += 1;
                counts.late_by_at_most = counts.late_by_at_most.max(late);
            }
        }
        match kind {
            Kind::Good => counts.good += 1,
            Kind::Stalled => counts.stalled += 1,
            Kind::Bad => counts.bad += 1,
            Kind::Unknown => counts.unknown += 1,
        }
        match sample.outcome {
            Outcome::Good => {}
            Outcome::Bad(reason) => *self.reasons.entry(reason).or_default() += 1,
            Outcome::Unknown(cause) => *self.blindness.entry(cause).or_default() += 1,
        }
    }

    /// Where a sample belongs. One that was under way when the cut or the restore came, and failed
    /// or hung because of it, belongs to that act and not to the stage in which it was sent. One that
    /// had hung for long by the time of the restore did not hang because of it.
    fn stage(&self, sample: &Sample, kind: Kind, marks: &Marks) -> Stage {
        let ended_after = |mark: Option<Offset>| mark.is_some_and(|mark| sample.done >= mark);
        let was_well = self
            .runs
            .iter()
            .rev()
            .find(|run| run.kind != Kind::Unknown && era(run.stage) < era(Stage::Restore))
            .is_none_or(|run| run.kind == Kind::Good);
        let hung_before =
            marks.restore_issued.is_some_and(|at| at.since(sample.sent) > self.stalls_from());
        match marks.stage(sample.sent) {
            Stage::Baseline if kind.is_trouble() && ended_after(marks.cut_issued) => Stage::Cut,
            Stage::Observe
                if kind.is_trouble()
                    && was_well
                    && !hung_before
                    && ended_after(marks.restore_issued) =>
            {
                Stage::Restore
            }
            stage => stage,
        }
    }

    fn note_blindness(&mut self, sample: &Sample, kind: Kind, marks: &Marks) {
        if kind == Kind::Unknown {
            return;
        }
        let limit = longest_pause(self.every);
        let from = self.last_known.replace(sample.sent).unwrap_or(sample.due);
        let matters = marks.cut_issued.is_some_and(|cut| sample.sent >= cut);
        // Room for as many after the restore, whatever there was before it.
        let room = KEPT * (1 + usize::from(marks.restore_issued.is_some()));
        if matters && sample.sent.since(from) > limit && self.blind.len() < room {
            self.blind.push(BlindSpan { from, to: sample.sent });
        }
    }

    fn note_answer(&mut self, sample: &Sample, stage: Stage, marks: &Marks) {
        let answered = sample.outcome.is_good() || sample.served_by != ServedBy::Unnamed;
        if !answered {
            return;
        }
        // Held up by the cut and let go by the restore: the answer came after it.
        let let_go = marks.restore_issued.is_some_and(|restore| sample.done >= restore);
        let stage = if stage == Stage::Observe && let_go { Stage::Restore } else { stage };
        *self.served.entry(stage).or_default().entry(sample.served_by).or_default() += 1;
        let by_cut = self.is_lost(sample.served_by);
        if by_cut && matches!(stage, Stage::Cut | Stage::Observe) {
            self.last_led_there = self.last_led_there.max(Some(sample.sent));
        }
        match stage {
            Stage::Baseline => {
                self.served_at_baseline |= by_cut;
                self.elsewhere_now = if by_cut { 0 } else { self.elsewhere_now + 1 };
                self.elsewhere_longest = self.elsewhere_longest.max(self.elsewhere_now);
            }
            Stage::Observe if by_cut => {
                self.leaks.count += 1;
                if self.leaks.examples.len() < 5 {
                    self.leaks.examples.push(sample.sent);
                }
            }
            _ => {}
        }
    }

    fn note_latency(&mut self, sample: &Sample, stage: Stage) {
        let took = sample.done.since(sample.sent);
        if stage == Stage::Baseline {
            self.slowest_at_baseline = self.slowest_at_baseline.max(took);
        }
        let seen = match self.latency.entry(stage) {
            std::collections::btree_map::Entry::Occupied(seen) => seen.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => match Histogram::new(2) {
                Ok(seen) => place.insert(seen),
                Err(_) => return, // two digits are always allowed
            },
        };
        // Fails only beyond what 64 bits of microseconds hold.
        let _ = seen.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn note_good(&mut self, sample: &Sample, stage: Stage, marks: &Marks) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recent_good.push_back(sample.sent);
        let neighbours = self.proof_length() as usize;
        while self.recent_good.len() > neighbours + 1 {
            self.recent_good.pop_front();
        }
        if let (true, Some(&from)) = (self.recent_good.len() > neighbours, self.recent_good.front())
        {
            let widest = |hole: &mut Option<Duration>, start: Offset| {
                let width = sample.done.since(from.max(start));
                *hole = Some(hole.unwrap_or_default().max(width));
            };
            match (stage, marks.cut_issued, marks.restore_issued) {
                (Stage::Cut | Stage::Observe, Some(cut), _) => {
                    widest(&mut self.widest_after_cut, cut);
                }
                (Stage::Restore | Stage::Failback, _, Some(restore)) => {
                    widest(&mut self.widest_after_restore, restore);
                }
                _ => {}
            }
        }
        let elsewhere =
            matches!(sample.served_by, ServedBy::Datacenter(_)) && !self.is_lost(sample.served_by);
        if elsewhere && self.trouble_since_cut.is_some_and(|trouble| sample.done >= trouble) {
            self.first_elsewhere.get_or_insert(sample.done);
        }
    }

    fn note_trouble(&mut self, sample: &Sample, stage: Stage) {
        self.last_trouble = Some(self.last_trouble.map_or(sample.sent, |at| at.max(sample.sent)));
        self.in_a_row = 0;
        self.recent_good.clear();
        if stage != Stage::Baseline {
            self.trouble_since_cut.get_or_insert(sample.sent);
        }
    }

    fn note_return(&mut self, sample: &Sample, kind: Kind, stage: Stage, marks: &Marks) {
        let Some(restore) = marks.restore_issued else { return };
        if self.returned.is_some() || !matches!(stage, Stage::Restore | Stage::Failback) {
            return;
        }
        if sample.outcome.is_good() && self.is_lost(sample.served_by) {
            let unseen = self.elsewhere_since.len() >= self.proof_length() as usize;
            let after = self.elsewhere_since.front().filter(|_| unseen).copied();
            self.returned =
                Some(Return { after: after.unwrap_or(restore).max(restore), by: sample.done });
        } else if kind == Kind::Good {
            self.elsewhere_since.push_back(sample.sent);
            while self.elsewhere_since.len() > self.proof_length() as usize {
                self.elsewhere_since.pop_front();
            }
        } else {
            // It may have been asked, and failed.
            self.elsewhere_since.clear();
        }
    }
}

/// The three times that the two acts divide a drill into.
fn era(stage: Stage) -> u8 {
    match stage {
        Stage::Preflight | Stage::Baseline => 0,
        Stage::Cut | Stage::Observe | Stage::Hold => 1,
        Stage::Restore | Stage::Failback => 2,
    }
}

fn was_sent(sample: &Sample) -> bool {
    !matches!(sample.outcome, Outcome::Unknown(Blindness::Stalled | Blindness::TooManyInFlight))
}
