//! The way back: every drill that may have cut something leaves through here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::controls::Held;
use super::super::{CALL_LIMIT, LATE_LOOK_LIMIT, RESTORE_LIMITS};
use super::Conductor;
use crate::journal::{Hand, Last};
use crate::model::{Act, ControlState, CutOrder, Stage, Why};
use crate::restore::{Done, End, First, Limits, Task, call_within, put_all_back};
use crate::watchdog::Phase;

impl Conductor {
    /// Puts everything that was touched back as it was, side by side.
    pub(super) async fn restore(&mut self) {
        let touched: Vec<usize> =
            (0..self.held.len()).filter(|place| self.held[*place].last.is_open()).collect();
        if touched.is_empty() {
            return;
        }
        self.enter(Stage::Restore, Some(self.restore_limit()));
        for held in &mut self.held {
            held.path = held.control.path();
        }
        self.watch.observation.marks.restore_issued = Some(self.clock.now());
        let tasks = touched.iter().map(|place| self.held[*place].task(&self.plan.cut)).collect();
        self.put_back(touched, tasks).await;
        if self.ending.not_restored.is_empty() {
            self.watch.observation.marks.restore_confirmed = Some(self.clock.now());
        }
    }

    pub(super) async fn put_back(&mut self, places: Vec<usize>, tasks: Vec<Task>) {
        self.watch.beat(Phase::Restoring);
        let limits = Limits { total: self.restore_limit(), call: CALL_LIMIT };
        let (clock, hurry) = (self.clock, self.hurry.clone());
        let work = put_all_back(tasks, Hand::Drill, &mut *self.journal, clock, limits, hurry);
        let (done, written) = self.watch.during(work).await;
        if let Err(error) = written {
            self.ending.cut_failed.get_or_insert(super::unwritten(&error));
        }
        for (place, done) in places.into_iter().zip(done) {
            self.take_back(place, done);
        }
        // What is not restored may be cut: should we stand still now, the watchdog goes on with it.
        let back = self.ending.not_restored.is_empty();
        self.watch.beat(if back { Phase::Quiet } else { Phase::Restoring });
    }

    fn take_back(&mut self, place: usize, done: Done) {
        done.calls.into_iter().for_each(|call| self.note(call));
        let held = &mut self.held[place];
        held.after = done.state;
        held.is_restored = matches!(done.end, End::Restored { .. });
        held.cut_again = done.cut_again;
        held.last = if held.is_restored { Last::RestoreConfirmed } else { Last::RestoreIntended };
        if let End::Restored { undone: true } = done.end {
            let text = format!(
                "{} was not cut any more when it was to be restored: another hand, or an expiry",
                held.name()
            );
            self.ending.cut_failed.get_or_insert(Why::new("cut-undone", text));
        } else if let Some(why) = not_restored(held, &self.plan.cut, &done.end) {
            self.ending.not_restored.push(why);
        }
    }

    /// Reads everything that was restored once more before the drill ends. What is cut again proves
    /// nothing. It is restored anew where a call of ours may have landed late, or where it was not seen by other means that
    /// traffic `is_back`: what another hand did is not ours to undo.
    pub(super) async fn look_again(&mut self, is_back: bool) {
        for place in 0..self.held.len() {
            let held = &self.held[place];
            // What was never to be cut has not come back by us.
            let was_cut = held.cut.is_some() || held.unsure;
            if !held.is_restored || !was_cut {
                continue;
            }
            let (control, name) = (self.held[place].control.clone(), self.held[place].name());
            let work = control.inspect();
            let read = call_within(LATE_LOOK_LIMIT, self.clock, &*control, Act::Inspect, work);
            // It was read back as it was once: a reading that fails now takes nothing from that.
            let Ok(state) = self.watch.during(read).await.result else { continue };
            let before = self.held[place].ours(&self.plan.cut);
            if control.but_for_others(state.clone(), &before).only(&before) == before {
                continue;
            }
            self.held[place].note_foreign(&state, &self.plan.cut);
            let whose = if self.held[place].unsure || !is_back {
                let last = Last::RestoreIntended;
                let task = self.held[place].task(&self.plan.cut);
                let task = Task { last, first: First::Reading, look_again: true, ..task };
                // Should we fail in the middle of it, it is not back.
                self.held[place].is_restored = false;
                self.held[place].last = last;
                self.put_back(vec![place], vec![task]).await;
                "so far as it was our cut, it was restored anew"
            } else {
                "another hand did that, so nothing was touched"
            };
            let text = format!("{name} was cut again after it had been restored: {whose}");
            self.ending.cut_failed.get_or_insert(Why::new("cut-again", text));
        }
    }

    /// A restore that fails is tried again for as long as traffic may stay cut, within reason.
    pub(super) fn restore_limit(&self) -> Duration {
        self.plan.timing.at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1)
    }
}

/// Why a control is not as it was; `None` where it is, or was never touched.
fn not_restored(held: &Held, order: &CutOrder, end: &End) -> Option<Why> {
    let name = held.name();
    match end {
        End::Untouched | End::Restored { .. } => None,
        End::Failed(error) => Some(Why::new("not-restored", format!("{name}: {error}"))),
        End::Foreign(parts) => {
            let (before, now) = (held.ours(order), held.after.clone().unwrap_or_default());
            let states = parts.iter().map(|part| {
                let of = |state: &ControlState| words(state, part);
                format!(
                    "{part} was {} before the drill, our cut makes it {}, and it is {}",
                    of(&before),
                    of(&held.expected),
                    of(&now)
                )
            });
            let states: Vec<String> = states.collect();
            let text = format!(
                "{name}: another hand changed it while it was cut, so it was not touched: {}; decide \
                 what is right and set it by hand",
                states.join("; ")
            );
            Some(Why::new("another-hand", text))
        }
    }
}

fn words(state: &ControlState, part: &str) -> String {
    let Some(part) = state.parts.get(part) else { return "gone".to_owned() };
    let settings: &BTreeMap<String, String> = &part.settings;
    let each = settings.iter().map(|(key, value)| format!("{key} {value}"));
    format!("`{}`", each.collect::<Vec<_>>().join(", "))
}
