//! Runs: neighbouring samples of one kind, folded into one.
//!
//! A drill of days at thousands of samples a second is kept as runs, so that memory grows with
//! changes of outcome and not with samples. Folding loses nothing that the bounds are made from.

use crate::model::{Offset, Sample, Stage};

/// What a sample says about the service at the time of its sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answered.
    Good,
    /// It answered, but so late that it cannot have been answering when it was asked.
    Stalled,
    /// A user failed.
    Bad,
    /// We could not ask.
    Unknown,
}

impl Kind {
    /// Whether a user was without service: bad or stalled.
    pub fn is_trouble(self) -> bool {
        matches!(self, Kind::Bad | Kind::Stalled)
    }
}

/// Neighbouring samples, in the order in which they were due, of one kind and one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The stage in which they were sent.
    pub stage: Stage,
    /// What they have in common.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// The earliest sending.
    pub first_sent: Offset,
    /// The latest sending.
    pub last_sent: Offset,
    /// The earliest end.
    pub first_done: Offset,
    /// For answered samples: the earliest end of one that had enough answered ones in a row before
    /// it to prove that the cut datacenter is no longer asked (see [`super::timeline`]).
    pub proved: Option<Offset>,
}

impl Run {
    /// A run of one.
    pub fn of(sample: &Sample, kind: Kind, stage: Stage) -> Self {
        Run {
            stage,
            kind,
            count: 1,
            first_sent: sample.sent,
            last_sent: sample.sent,
            first_done: sample.done,
            proved: None,
        }
    }

    /// Adds the next sample.
    pub fn add(&mut self, sample: &Sample) {
        self.count += 1;
        self.first_sent = self.first_sent.min(sample.sent);
        self.last_sent = self.last_sent.max(sample.sent);
        self.first_done = self.first_done.min(sample.done);
    }

    /// Notes that a sample that ended at `done` proves what [`Run::proved`] says.
    pub fn prove(&mut self, done: Offset) {
        self.proved = Some(self.proved.map_or(done, |earlier| earlier.min(done)));
    }
}
