//! The way back: every drill that may have cut something leaves through here.

use std::time::Duration;

use futures_util::future::join_all;

use super::super::controls::{Held, call_within, restore};
use super::super::{LAST_READ_LIMIT, RESTORE_LIMITS};
use super::Conductor;
use crate::journal::Record;
use crate::model::{Act, ControlState, DatacenterId, Stage, Why};

impl Conductor {
    /// Puts everything that was touched back as it was, side by side.
    pub(super) async fn restore(&mut self) {
        let touched: Vec<usize> =
            (0..self.held.len()).filter(|place| self.held[*place].touched).collect();
        if touched.is_empty() {
            return;
        }
        let limit = self.restore_limit();
        self.enter(Stage::Restore, Some(limit));
        for place in &touched {
            // A restore is right even if it cannot be written down.
            let control = self.held[*place].name();
            if let Err(why) = self.write(&Record::RestoreIntended { control }) {
                self.ending.cut_failed.get_or_insert(why);
            }
        }
        for held in &mut self.held {
            held.path = held.control.path();
        }
        let (clock, datacenter) = (self.clock, self.plan.cut.datacenter);
        self.watch.observation.marks.restore_issued = Some(clock.now());
        let work = join_all(touched.iter().map(|place| {
            let held = &self.held[*place];
            let before = held.before.clone().unwrap_or_default();
            restore(clock, held.control.clone(), before.cuttable(datacenter), held.unsure, limit)
        }));
        let results = self.watch.during(work).await;
        for (place, restored) in touched.into_iter().zip(results) {
            restored.calls.into_iter().for_each(|call| self.note(call));
            self.held[place].after = restored.state;
            if self.held[place].is_restored(datacenter) {
                let control = self.held[place].name();
                if let Err(why) = self.write(&Record::RestoreConfirmed { control }) {
                    self.ending.cut_failed.get_or_insert(why);
                }
            } else {
                let why = not_restored(&self.held[place], datacenter, restored.error);
                self.ending.not_restored.push(why);
            }
        }
        if self.ending.not_restored.is_empty() {
            self.watch.observation.marks.restore_confirmed = Some(clock.now());
        }
    }

    /// Reads everything that was restored once more before the drill ends. What is cut again proves
    /// nothing. It is restored anew only where a call of ours may have landed late: what another hand
    /// did is not ours to undo.
    pub(super) async fn look_again(&mut self) {
        let datacenter = self.plan.cut.datacenter;
        for place in 0..self.held.len() {
            if !self.held[place].touched || !self.held[place].is_restored(datacenter) {
                continue;
            }
            let (control, name) = (self.held[place].control.clone(), self.held[place].name());
            let work = control.inspect();
            let read = call_within(LAST_READ_LIMIT, self.clock, name.clone(), Act::Inspect, work);
            // It was read back as it was once: a reading that fails now takes nothing from that.
            let Ok(state) = self.watch.during(read).await.result else { continue };
            let before = self.held[place].before.clone().unwrap_or_default().cuttable(datacenter);
            if state.only(&before) == before {
                continue;
            }
            let whose = if self.held[place].unsure {
                self.restore_anew(place, before).await;
                "the cut had landed late; it was restored anew"
            } else {
                "another hand did that, so nothing was touched"
            };
            let text = format!("{name} was cut again after it had been restored: {whose}");
            self.ending.cut_failed.get_or_insert(Why::new("cut-again", text));
        }
    }

    async fn restore_anew(&mut self, place: usize, before: ControlState) {
        let (clock, limit) = (self.clock, self.restore_limit());
        let work = restore(clock, self.held[place].control.clone(), before, true, limit);
        let restored = self.watch.during(work).await;
        restored.calls.into_iter().for_each(|call| self.note(call));
        self.held[place].after = restored.state;
        if !self.held[place].is_restored(self.plan.cut.datacenter) {
            let datacenter = self.plan.cut.datacenter;
            let why = not_restored(&self.held[place], datacenter, restored.error);
            self.ending.not_restored.push(why);
        }
    }

    /// A restore that fails is tried again for as long as traffic may stay cut, within reason.
    fn restore_limit(&self) -> Duration {
        self.plan.timing.at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1)
    }
}

fn not_restored(
    held: &Held,
    datacenter: DatacenterId,
    error: Option<crate::traffic::ControlError>,
) -> Why {
    let name = held.name();
    let text = match (error, &held.after, &held.before) {
        (Some(error), ..) => format!("{name}: {error}"),
        (None, Some(after), Some(before)) => {
            let (before, after) = (before.cuttable(datacenter), after.of(datacenter));
            let after = after.only(&before);
            format!("{name} is not as it was: {} differ", before.differences(&after).join(", "))
        }
        _ => format!("{name} could not be read back"),
    };
    Why::new("not-restored", text)
}
