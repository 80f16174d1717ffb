//! One control put back, and several of them side by side.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use super::call::{Called, call_within};
use super::reading::Reading;
use crate::clock::Clock;
use crate::journal::{Action, Append, Hand, Last, Record, action};
use crate::model::{Act, ControlCall, ControlState, Name, Offset, Shown};
use crate::traffic::{ControlError, TrafficControl};

/// A call that was refused, or not answered, may still land: it is looked for again after this.
pub const SETTLE: Duration = Duration::from_secs(2);

/// So long a reading is waited for where a cut was called that nobody has read back: it may have failed because another
/// hand was there.
const GLANCE: Duration = Duration::from_secs(2);

/// Between two readings that both have to say that another hand was there.
const LOOK_TWICE: Duration = Duration::from_millis(250);

/// The pauses between tries, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The last call before a restore is given up gets this long at least.
const LAST_CALL: Duration = Duration::from_secs(5);

/// A wait that took so much longer than it should: the machine slept, or we were stopped.
const SLEPT: Duration = Duration::from_secs(1);

/// No pause is longer for somebody who is in a hurry.
const HURRIED: Duration = Duration::from_millis(200);

/// A control to put back.
pub struct Task {
    /// The control.
    pub control: Arc<dyn TrafficControl>,
    /// The snapshot of the parts that our cut may have changed.
    pub before: ControlState,
    /// What our cut makes of them.
    pub cut: ControlState,
    /// The last durable record.
    pub last: Last,
    /// What comes first.
    pub first: First,
    /// The parts that the last reading showed to be another hand's. They are left alone even where no further
    /// reading is to be had.
    pub foreign: Vec<String>,
    /// What was seen of it last, a moment ago, was our cut: while it cannot be read, it is put back blindly. Otherwise
    /// only after a reading of this restore.
    pub blind: bool,
    /// A call of ours may still land: it is looked at once more a while after it was put back.
    pub look_again: bool,
}

/// What a restore begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The call that restores: it was read a moment ago, and no other hand was seen.
    Call,
    /// A reading that is not waited for long, and without an answer the call.
    Glance,
    /// A reading.
    Reading,
}

/// How long a restore may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all: after this it is given up.
    pub total: Duration,
    /// Each call.
    pub call: Duration,
}

/// What became of a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing was to be done: no cut was intended, or it was restored before.
    Untouched,
    /// It is as it was before the cut.
    Restored {
        /// It was so already, and not by us.
        undone: bool,
    },
    /// These parts are neither as before nor as our cut makes them, so they were not touched. The others
    /// are as before.
    Foreign(Vec<String>),
    /// It is not known to be as it was.
    Failed(ControlError),
}

/// A control that was put back, or not.
#[derive(Debug)]
pub struct Done {
    /// What became of it.
    pub end: End,
    /// Every call that was made.
    pub calls: Vec<ControlCall>,
    /// The last state that was read.
    pub state: Option<ControlState>,
    /// It was cut once more after it had been back for [`SETTLE`]: a call landed late.
    pub cut_again: bool,
}

/// Puts `tasks` back, side by side: one that fails holds up no other. Intents are in `journal` before the
/// calls, and each confirmation as soon as it is known; a restore is right even if it cannot be written
/// down, and the first error of that is returned with the results. `hurry` shortens waits.
pub async fn put_all_back(
    tasks: Vec<Task>,
    by: Hand,
    journal: &mut dyn Append,
    clock: Clock,
    limits: Limits,
    hurry: watch::Receiver<bool>,
) -> (Vec<Done>, io::Result<()>) {
    let mut written = Ok(());
    let mut write = |record| {
        if let (Err(error), true) = (journal.append(&record), written.is_ok()) {
            written = Err(error);
        }
    };
    for task in tasks.iter().filter(|task| task.last.is_open()) {
        write(Record::RestoreIntended { control: task.name(), by });
    }
    let mut under_way: FuturesUnordered<_> = tasks
        .into_iter()
        .enumerate()
        .map(|(place, task)| {
            let hurry = hurry.clone();
            async move { (place, task.name(), put_back(task, clock, limits, hurry).await) }
        })
        .collect();
    let mut done = Vec::new();
    while let Some((place, control, result)) = under_way.next().await {
        if let End::Restored { .. } = result.end {
            write(Record::RestoreConfirmed { control, by });
        }
        done.push((place, result));
    }
    done.sort_by_key(|(place, _)| *place);
    (done.into_iter().map(|(_, result)| result).collect(), written)
}

impl Task {
    fn name(&self) -> Name {
        self.control.spec().name.clone()
    }
}

/// Does what the table of the journal says, again and again until it says that all is done.
///
/// The snapshot is put back even where a reading says that it stands already: that changes nothing, and
/// readings may be stale. While nothing can be read, it is put back blindly: what we saw last was ours.
async fn put_back(task: Task, clock: Clock, limits: Limits, hurry: watch::Receiver<bool>) -> Done {
    let mut work = Work {
        foreign: task.foreign.clone(),
        foreign_since: clock.now(),
        unsure: task.look_again,
        last: task.last,
        pause: PAUSES.0,
        give_up: clock.now().plus(limits.total + task.control.spec().provider.settings().lag()),
        last_look: false,
        calls: Vec::new(),
        state: None,
        error: None,
        accepted: false,
        undone: false,
        cut_again: false,
        back_since: None,
        unread: 0,
        glances: task.first == First::Glance,
        task,
        clock,
        limits,
        hurry,
    };
    if !work.last.is_open() {
        return work.end(End::Untouched);
    }
    if work.task.first == First::Call {
        work.restore(&[]).await;
    }
    loop {
        if let Some(end) = work.step().await {
            return work.end(end);
        }
    }
}

/// A restore under way.
struct Work {
    task: Task,
    clock: Clock,
    limits: Limits,
    hurry: watch::Receiver<bool>,
    last: Last,
    calls: Vec<ControlCall>,
    state: Option<ControlState>,
    error: Option<ControlError>,
    /// Whether the cut may still land.
    unsure: bool,
    /// Whether the control accepted a restore since it was last seen cut.
    accepted: bool,
    /// Whether it was as before when we came.
    undone: bool,
    /// Whether it was cut when it was looked at again.
    cut_again: bool,
    /// Since when every reading said that nothing is cut.
    back_since: Option<Offset>,
    /// How many readings in a row failed.
    unread: u32,
    /// Whether the next reading is but a glance.
    glances: bool,
    /// The parts that the last reading showed to be another hand's, and since when it was these.
    foreign: Vec<String>,
    foreign_since: Offset,
    pause: Duration,
    give_up: Offset,
    /// Whether the reading after the last try was made, which may come after `give_up`.
    last_look: bool,
}

impl Work {
    /// Reads once and does what follows from it. `Some`: this is the end.
    async fn step(&mut self) -> Option<End> {
        let control = self.task.control.clone();
        let glance = std::mem::take(&mut self.glances);
        let limit = if glance { GLANCE } else { Duration::MAX };
        let read = self.call_within(limit, Act::Inspect, control.inspect()).await;
        let state = match read {
            Ok(state) => state,
            Err(error) => {
                self.error = Some(error);
                self.back_since = None;
                self.unread += 1;
                if glance || self.unread > 1 && (self.task.blind || self.state.is_some()) {
                    // Blindly, but what was seen to be another hand's is not ours to touch.
                    let foreign = self.foreign.clone();
                    self.restore(&foreign).await;
                }
                return self.wait().await;
            }
        };
        let reading = Reading::at(&*control, &state, &self.task.before, &self.task.cut);
        self.state = Some(state);
        self.unread = 0;
        if reading.cut.is_empty() {
            self.back_since.get_or_insert(self.clock.now());
        } else {
            (self.back_since, self.accepted) = (None, false);
            self.cut_again |= self.task.look_again && !self.unsure;
        }
        let action = action(self.last, reading.says());
        if action != Action::AskPerson {
            self.foreign.clear();
        }
        match action {
            Action::Nothing | Action::Tell => Some(End::Untouched),
            Action::Retry => self.wait().await,
            Action::Restore | Action::RestoreAndWait => {
                self.restore(&[]).await;
                self.wait().await
            }
            what @ (Action::Confirm | Action::ConfirmUndone) => {
                self.undone |= what == Action::ConfirmUndone;
                if !self.is_settled() {
                    self.restore(&[]).await;
                    return self.wait().await;
                }
                if std::mem::take(&mut self.unsure) {
                    self.settle().await;
                    return None;
                }
                Some(End::Restored { undone: self.undone })
            }
            Action::AskPerson => self.other_hand(reading).await,
        }
    }

    /// Leaves the parts of another hand alone and puts the rest back.
    async fn other_hand(&mut self, reading: Reading) -> Option<End> {
        let now = self.clock.now();
        if self.foreign != reading.foreign {
            self.foreign_since = now;
        }
        let twice = self.foreign == reading.foreign
            && now.since(self.foreign_since) >= self.doubted_for(&reading);
        self.foreign = reading.foreign;
        if !reading.cut.is_empty() || (!reading.back.is_empty() && !self.is_settled()) {
            let foreign = self.foreign.clone();
            self.restore(&foreign).await;
            return self.wait().await;
        }
        if twice && !std::mem::take(&mut self.unsure) {
            return Some(End::Foreign(self.foreign.clone()));
        }
        if twice {
            self.settle().await;
        } else {
            self.rest(LOOK_TWICE.max(self.task.control.pause())).await;
        }
        None
    }

    /// How long it has to be another hand before it is taken for one. What is gone may be gone for a moment.
    fn doubted_for(&self, reading: &Reading) -> Duration {
        let there =
            |part: &String| self.state.as_ref().is_some_and(|it| it.parts.contains_key(part));
        let is_gone = !reading.foreign.iter().all(there);
        if is_gone { SETTLE } else { Duration::ZERO }
    }

    /// Waits until nothing of ours can land any more, and trusts no answer from before that. Nobody's hurry
    /// shortens it: a cut that lands after we said that traffic is back stays.
    async fn settle(&mut self) {
        let begun = self.clock.now();
        tokio::time::sleep(SETTLE).await;
        self.awake_again(begun, SETTLE);
        (self.accepted, self.back_since) = (false, None);
    }

    /// A reading alone proves little, it may be older than the cut: the control has accepted a restore
    /// as well, or has said so for a while.
    fn is_settled(&self) -> bool {
        let since = self.back_since.map(|since| self.clock.now().since(since));
        self.accepted || since.is_some_and(|since| since >= SETTLE)
    }

    /// Puts the snapshot back, but for the parts in `without`.
    async fn restore(&mut self, without: &[String]) {
        let mut before = self.task.before.clone();
        before.parts.retain(|name, _| !without.contains(name));
        let control = self.task.control.clone();
        match self.call(Act::Restore, control.restore(&before)).await {
            Ok(()) => self.accepted = true,
            Err(error) => self.error = Some(error),
        }
        self.last = Last::RestoreIntended;
    }

    async fn call<T>(
        &mut self,
        act: Act,
        work: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, ControlError> {
        self.call_within(Duration::MAX, act, work).await
    }

    async fn call_within<T>(
        &mut self,
        limit: Duration,
        act: Act,
        work: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, ControlError> {
        let left = self.give_up.since(self.clock.now()).max(LAST_CALL);
        let limit = limit.min(self.limits.call).min(left);
        let control = &*self.task.control;
        let Called { call, result } = call_within(limit, self.clock, control, act, work).await;
        self.calls.push(call);
        result
    }

    /// Waits before the next try. `Some`: there is none.
    async fn wait(&mut self) -> Option<End> {
        let left = self.give_up.since(self.clock.now());
        if left.is_zero() {
            if self.accepted && !std::mem::replace(&mut self.last_look, true) {
                // The machine may have slept through the limit: what was accepted is looked at before it is called
                // NOT RESTORED.
                return None;
            }
            return Some(End::Failed(self.error.take().unwrap_or_else(|| self.not_as_it_was())));
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(PAUSES.1);
        self.rest(pause).await;
        None
    }

    async fn rest(&mut self, pause: Duration) {
        let begun = self.clock.now();
        let hurried = tokio::time::sleep(pause.min(HURRIED));
        let hurry = tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => false,
            Ok(_) = self.hurry.wait_for(|hurry| *hurry) => true,
        };
        if hurry {
            hurried.await;
        }
        self.awake_again(begun, pause);
    }

    /// After a wait for `pause`: if the machine slept meanwhile, the restore gets that time again.
    fn awake_again(&mut self, begun: Offset, pause: Duration) {
        let late = self.clock.now().since(begun).saturating_sub(pause);
        if late > SLEPT {
            self.give_up = self.give_up.plus(late);
        }
    }

    fn not_as_it_was(&self) -> ControlError {
        let now = self.state.clone().unwrap_or_default();
        let now = self.task.control.but_for_others(now, &self.task.before);
        let differ = self.task.before.differences(&now.only(&self.task.before)).join(", ");
        let limit = Shown(self.limits.total);
        ControlError {
            what: format!("after {limit} of trying it is not as it was: {differ} differ"),
            hint: "see who else steers it".to_owned(),
        }
    }

    fn end(self, end: End) -> Done {
        Done { end, calls: self.calls, state: self.state, cut_again: self.cut_again }
    }
}
