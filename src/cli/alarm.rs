//! What the watchdog tells, when the drill cannot any more.

use std::path::Path;
use std::time::Duration;

use super::{output, state};
use crate::journal::Run;
use crate::model::{Delivery, Notification};
use crate::notify::{News, Story, Teller};
use crate::watchdog::Cause;

/// Traffic that is not back by then is for a person to know of, although it is still being put back.
const SOON: Duration = Duration::from_secs(10);

/// Tells those who were named in the dead drill's plan.
pub(super) struct Alarm {
    whom: Vec<Notification>,
    cause: String,
    restore: String,
    /// Its threads, once there is something to tell.
    teller: Option<Teller>,
}

impl Alarm {
    /// An alarm because of `cause`, about the run whose journal is `journal`. Nobody is told yet.
    pub fn new(whom: &[Notification], cause: Cause, journal: &Path) -> Alarm {
        let place = std::path::absolute(journal).unwrap_or_else(|_| journal.to_owned());
        let restore = format!("firedrill restore {}", place.display());
        Alarm { whom: whom.to_vec(), cause: cause.to_string(), restore, teller: None }
    }

    /// What comes of putting traffic back; people are told if that takes long.
    pub async fn meanwhile<T>(&mut self, run: &Run, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(SOON) => {}
        }
        let what = "its watchdog has not put the traffic back yet, and goes on trying";
        self.tell(story(run).not_restored(&self.cause, what, &self.restore, state::now()));
        work.await
    }

    /// The drill died with nothing cut.
    pub fn nothing_cut(mut self, run: &Run) {
        // One that wrote its end has told it, or was about to.
        if run.closed.is_none() {
            self.tell(story(run).taken_over(&self.cause, "nothing is cut by it", state::now()));
        }
        self.wait();
    }

    /// The journal does not say what was cut.
    pub fn unreadable(mut self) {
        let story = Story::new("unknown", "unknown", "a datacenter", &state::host());
        let what = "its journal cannot be read, so nobody knows what it cut: look at its controls";
        self.tell(story.not_restored(&self.cause, what, &self.restore, state::now()));
        self.wait();
    }

    /// The watchdog has put traffic back, or has given up.
    pub fn end(mut self, run: &Run, back: bool) {
        let now = state::now();
        self.tell(match back {
            true => {
                let what = format!("its watchdog put the traffic to {} back", run.lost_traffic());
                story(run).taken_over(&self.cause, &what, now)
            }
            false => {
                let what = "its watchdog could not put the traffic back";
                story(run).not_restored(&self.cause, what, &self.restore, now)
            }
        });
        self.wait();
    }

    fn tell(&mut self, news: News) {
        self.teller.get_or_insert_with(|| Teller::start(&self.whom)).tell(news);
    }

    /// Waits until all is told, and says what became of it.
    fn wait(self) {
        for told in self.teller.map(Teller::end).unwrap_or_default() {
            let (name, event) = (&told.name, told.event);
            match (told.outcome, told.why) {
                (Delivery::Delivered, _) => {
                    output::say(format_args!("firedrill: told {name}: {event}"));
                }
                (_, why) => output::say(format_args!(
                    "warning: {name} could not be told ({event}): {}",
                    why.unwrap_or_default()
                )),
            }
        }
    }
}

fn story(run: &Run) -> Story {
    let opened = &run.opened;
    Story::new(opened.plan.as_str(), &opened.run, &run.lost_traffic(), &opened.host)
}
