//! One request at a time, asked by whoever needs the answer: for guardrails.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::PrepareError;
use super::connector::Connector;
use super::http::HttpAsker;
use super::sample::{OUR_STALL, Progress};
use crate::clock::Clock;
use crate::model::{Blindness, Connection, HttpProbe, Name, Outcome, ProbeSpec, Reason};

/// A request made ready. Every asking opens a new connection.
pub struct Fetcher {
    asker: HttpAsker,
    timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its whole body.
    pub body: Vec<u8>,
}

impl Fetcher {
    /// Checks everything that can be checked before the first request. `lab` gives the address of a
    /// lab service.
    ///
    /// # Errors
    /// What is wrong and what to do, without secrets.
    pub fn prepare(
        http: &HttpProbe,
        timeout: Duration,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let spec = ProbeSpec {
            name: Name::from("request"),
            kind: crate::model::ProbeKind::Http(http.clone()),
            every: timeout,
            timeout,
            slower_than: None,
            connection: Connection::New,
            look_up: None,
            cohort: None,
            served_by: None,
            may_stay: false,
            required: true,
            promises: Default::default(),
        };
        let asker = HttpAsker::prepare(http, &spec, lab, connector)?;
        Ok(Fetcher { asker, timeout })
    }

    /// Asks, and judges the answer as a probe does.
    pub async fn judge(&self, clock: &Clock) -> Outcome {
        let mut progress = Progress::begun();
        let deadline = clock.now().plus(self.timeout);
        let asked = self.asker.ask(clock, &mut progress);
        let outcome = match tokio::time::timeout_at(clock.instant(deadline), asked).await {
            Ok(Ok(())) => Outcome::Good,
            Ok(Err(outcome)) => outcome,
            // Had we been awake, the answer might have been there in time.
            Err(_) if clock.now().since(deadline) > OUR_STALL => {
                Outcome::Unknown(Blindness::Stalled)
            }
            Err(_) => Outcome::Bad(Reason::TimeOut(progress.phase)),
        };
        match (outcome, progress.wrong_status) {
            (Outcome::Unknown(_), _) | (_, None) => outcome,
            (_, Some(status)) => Outcome::Bad(Reason::Status(status)),
        }
    }

    /// Asks, and gives the whole answer.
    ///
    /// # Errors
    /// Why there is none: as a probe would call it.
    pub async fn fetch(&self) -> Result<Answer, Outcome> {
        let mut progress = Progress::begun();
        let asked = self.asker.answer(&mut progress);
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer.map(|(status, body)| Answer { status, body }),
            Err(_) => Err(Outcome::Bad(Reason::TimeOut(progress.phase))),
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request holds secrets.
        f.debug_struct("Fetcher").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
