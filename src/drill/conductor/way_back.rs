//! The way back: every drill that may have cut something leaves through here.

use futures_util::future::join_all;

use super::super::RESTORE_LIMITS;
use super::super::controls::{Held, restore};
use super::Conductor;
use crate::journal::Record;
use crate::model::{DatacenterId, Stage, Why};

impl Conductor {
    /// Puts everything that was touched back as it was, side by side.
    pub(super) async fn restore(&mut self) {
        let touched: Vec<usize> =
            (0..self.held.len()).filter(|place| self.held[*place].touched).collect();
        if touched.is_empty() {
            return;
        }
        let limit = self.plan.timing.at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1);
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
