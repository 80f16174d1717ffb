//! A run put back from its journal alone.

use std::sync::Arc;

use tokio::sync::watch;

use super::put_back::{Done, End, First, Limits, Task, put_all_back};
use crate::clock::Clock;
use crate::journal::{Append, Entry, Hand, Record, Run};
use crate::model::{ControlSpec, Name, Verdict};
use crate::traffic::{ControlError, TrafficControl};

/// What became of a control of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Which one.
    pub control: Name,
    /// What became of it.
    pub restored: Restored,
}

/// What became of a control of a run.
#[derive(Debug)]
pub enum Restored {
    /// Nothing was to be done: no cut was intended, or it was restored before.
    Untouched,
    /// It lived in the drill's process and ended with that.
    Gone,
    /// It was put back, or not.
    Done(Done),
    /// It could not even be tried.
    Unreachable(ControlError),
}

impl Outcome {
    /// Whether no traffic is known or feared to be cut by the run.
    pub fn is_good(&self) -> bool {
        match &self.restored {
            Restored::Untouched | Restored::Gone => true,
            Restored::Done(done) => {
                matches!(done.end, End::Untouched | End::Restored { .. })
            }
            Restored::Unreachable(_) => false,
        }
    }
}

/// A control made ready from a journal's settings; `None` when it ended with the drill.
pub type Reached = Result<Option<Arc<dyn TrafficControl>>, ControlError>;

/// Puts everything back that `run` may have cut, and writes down in `journal` what came of it. `reach` makes
/// a control from its settings. Calling it again changes nothing.
pub async fn restore_run(
    run: &Run,
    reach: &(dyn Fn(&ControlSpec) -> Reached + Sync),
    by: Hand,
    journal: &mut dyn Append,
    clock: Clock,
    limits: Limits,
    hurry: watch::Receiver<bool>,
) -> Vec<Outcome> {
    let mut tasks = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut places = Vec::new();
    for (place, entry) in run.controls.iter().enumerate() {
        let control = entry.control.name.clone();
        let restored = match entry.last.is_open().then(|| reach(&entry.control)) {
            None => Restored::Untouched,
            Some(Ok(None)) => {
                for record in [
                    Record::RestoreIntended { control: control.clone(), by },
                    Record::RestoreConfirmed { control: control.clone(), by },
                ] {
                    // Without it the next reader comes to the same end.
                    let _ = journal.append(&record);
                }
                Restored::Gone
            }
            Some(Ok(Some(ready))) => {
                tasks.push(task(entry, ready, by));
                places.push(place);
                Restored::Untouched
            }
            Some(Err(error)) => Restored::Unreachable(error),
        };
        outcomes.push(Outcome { control, restored });
    }
    let (done, _written) = put_all_back(tasks, by, journal, clock, limits, hurry).await;
    for (place, done) in places.into_iter().zip(done) {
        if let Some(outcome) = outcomes.get_mut(place) {
            outcome.restored = Restored::Done(done);
        }
    }
    if run.closed.is_none() {
        let back = outcomes.iter().all(Outcome::is_good) && run.lost().next().is_none();
        let verdict = if back { Verdict::Stopped } else { Verdict::NotRestored };
        let _ = journal.append(&Record::Closed { verdict });
    }
    outcomes
}

/// What the drill had under way when it ended may still land, and nobody looks after this.
pub(super) fn task(entry: &Entry, control: Arc<dyn TrafficControl>, by: Hand) -> Task {
    let (before, cut) = (entry.before.clone(), entry.cut.clone());
    let (last, foreign) = (entry.last, Vec::new());
    // A person may come hours later, when others have been there.
    let blind = by != Hand::Person || control.takes_back_only_ours();
    Task { control, before, cut, last, first: First::Reading, foreign, blind, look_again: true }
}
