//! The second cut of a control that is cut.

use std::time::Duration;

use super::super::super::CALL_LIMIT;
use super::super::Conductor;
use super::super::words::changes;
use crate::model::{Act, RuleEnd, Shown, Why};
use crate::restore::call_within;

/// What a cut that is in effect changes when it is cut again, it changes by then; so long traffic stays cut for this, but for
/// half of `at_most` at the longest.
const AGAIN: Duration = Duration::from_secs(5);

impl Conductor {
    /// What comes of a second cut. Traffic does not stay cut beyond its deadline for it. `None`: the test is to stop.
    pub(super) async fn cut_again(
        &mut self,
        place: usize,
    ) -> Option<Result<String, (RuleEnd, String)>> {
        let (clock, deadline, order) = (self.clock, self.deadline(), self.plan.cut.clone());
        if clock.now() >= deadline {
            return Some(Err(self.out_of_time(place, "")));
        }
        let held = &mut self.held[place];
        let (control, before) = (held.control.clone(), held.before.clone().unwrap_or_default());
        let cut = held.cut.clone().unwrap_or_default();
        // No reading says that it has landed, since one that is cut reads as cut: it may do so after whatever follows.
        held.unsure = true;
        let limit = CALL_LIMIT.min(deadline.since(clock.now()));
        let work = control.cut(&order, &before);
        let asked = call_within(limit, clock, &*control, Act::Cut, work);
        let asked = self.watch.unless_stopped(asked).await?;
        self.note(asked.call);
        if let Err(error) = asked.result {
            let had_its_time = clock.now() < deadline;
            return Some(Err(self.not_kept(place, had_its_time, error.to_string())));
        }
        let until = clock.now().plus(AGAIN.min(self.plan.timing.at_most / 2));
        loop {
            let differs = match self.read(place).await? {
                Ok(state) => {
                    // What another hand does meanwhile is not undone by the restore.
                    self.held[place].note_foreign(&state, &order);
                    if state == cut {
                        return Some(Ok("reads as after the first".to_owned()));
                    }
                    changes(&cut, &state)
                }
                Err(error) => error,
            };
            let now = clock.now();
            if now >= until.min(deadline) {
                return Some(Err(self.not_kept(place, now >= until, differs)));
            }
            let next = now.plus(control.pause()).min(until).min(deadline);
            self.watch.unless_stopped(clock.sleep_until(next)).await?;
        }
    }

    /// What a rule was that did not read as kept: broken only where the control had its time.
    fn not_kept(&mut self, place: usize, had_its_time: bool, seen: String) -> (RuleEnd, String) {
        match had_its_time {
            true => (RuleEnd::No, seen),
            false => self.out_of_time(place, &seen),
        }
    }

    /// Notes that traffic could not stay cut for as long as a rule takes: that says nothing of the control.
    fn out_of_time(&mut self, place: usize, seen: &str) -> (RuleEnd, String) {
        let at_most = Shown(self.plan.timing.at_most);
        let mut text = format!(
            "traffic had been cut for as long as `at_most` ({at_most}) allows before that was known; give it more"
        );
        if !seen.is_empty() {
            text += &format!("; seen last: {seen}");
        }
        let why = Why::new("out-of-time", format!("{}: {text}", self.held[place].name()));
        self.ending.cut_failed.get_or_insert(why);
        (RuleEnd::Untried, text)
    }
}
