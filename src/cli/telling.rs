//! Those whom a drill tells of itself, from its first event to its verdict.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::Listener;
use super::{output, state};
use crate::model::{DrillEvent, NotificationRecord, Plan, RunRecord, Verdict};
use crate::notify::{Story, Teller};
use crate::report;

/// Tells those who are named in a plan. None of it waits, but for the end.
pub(super) struct Telling {
    shared: Arc<Mutex<Shared>>,
    /// What to type if traffic is not back.
    restore: String,
}

struct Shared {
    teller: Teller,
    story: Story,
    has_ended: bool,
}

impl Telling {
    /// Gets ready to tell of a run of `plan`.
    pub fn of(plan: &Plan, run: &str, state_dir: Option<&Path>) -> Telling {
        let story = Story::new(plan.name.as_str(), run, &plan.lost(), &state::host());
        let teller = Teller::start(&plan.notify);
        let shared = Arc::new(Mutex::new(Shared { teller, story, has_ended: false }));
        let place = state_dir.map(|place| format!(" --state-dir {}", place.display()));
        let restore = format!("firedrill restore {run}{}", place.unwrap_or_default());
        Telling { shared, restore }
    }

    /// What a drill is to call with each of its events.
    pub fn listener(&self) -> Listener {
        let shared = self.shared.clone();
        Box::new(move |event: &DrillEvent| {
            let mut shared = locked(&shared);
            if let Some(news) = shared.story.hear(event, state::now()) {
                shared.teller.tell(news);
            }
        })
    }

    /// Tells the verdict, once. It returns at once.
    pub fn verdict(&self, record: &RunRecord) {
        let mut shared = locked(&self.shared);
        if std::mem::replace(&mut shared.has_ended, true) {
            return;
        }
        let headline = report::headline(record);
        for news in shared.story.end(record, &headline, &self.restore, state::now()) {
            shared.teller.tell(news);
        }
    }

    /// Tells the verdict, if that was not done, and waits until all is told or the time for it is over.
    pub fn end(self, record: &RunRecord) -> Vec<NotificationRecord> {
        self.verdict(record);
        let teller = {
            let mut shared = locked(&self.shared);
            std::mem::replace(&mut shared.teller, Teller::start(&[]))
        };
        if record.verdict == Verdict::NotRestored && !teller.is_idle() {
            // A person at the terminal need not wait for the report.
            output::say(format_args!("NOT RESTORED: do this now: {}", self.restore));
        }
        teller.end()
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
