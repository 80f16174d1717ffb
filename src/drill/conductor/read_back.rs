//! The ledgers at both ends of the drill: made ready before it, read back in it, cleaned up behind it.

use std::time::Duration;

use futures_util::future::join_all;

use super::super::{CALL_LIMIT, LAST_READ_LIMIT};
use super::Conductor;
use crate::model::{Offset, ReadStage, Why};
use crate::probe::LedgerHandle;

/// Missing records are looked for again after this part of the time that they have, within [`PAUSES`].
const PAUSE: u32 = 10;
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Conductor {
    /// Finds out whether every ledger can be written and read. False: the drill does not cut.
    pub(super) async fn begin_ledgers(&mut self) -> bool {
        let ledgers = self.probing.ledgers();
        let begun = join_all(ledgers.iter().map(|ledger| ledger.begin(CALL_LIMIT)));
        let Some(begun) = self.watch.unless_stopped(begun).await else {
            self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
            return false;
        };
        for (ledger, begun) in ledgers.iter().zip(begun) {
            if let Err(error) = begun {
                self.refuse(Why::new("ledger-not-ready", format!("{}: {error}", ledger.name)));
            }
        }
        self.ending.not_started.is_empty()
    }

    /// Reads every ledger back, until nothing that was acknowledged is missing, or it had its time to appear; not beyond
    /// `deadline`, and not when the drill has to stop.
    pub(super) async fn read_back(&mut self, stage: ReadStage, deadline: Option<Offset>) {
        let began = self.clock.now();
        let mut left = self.probing.ledgers();
        while !left.is_empty() && self.watch.stopped().is_none() {
            let limit = deadline.map(|deadline| deadline.since(self.clock.now()));
            let clock = self.clock;
            let reads = left.iter().map(|ledger| {
                // What is read takes as long as it is large; but traffic does not stay cut for it.
                let limit = limit.unwrap_or(READ_LIMIT.max(ledger.spec.settle));
                ledger.read(clock, stage, limit)
            });
            let Some(reads) = self.watch.unless_stopped(join_all(reads)).await else { return };
            // Those that were acknowledged before the reading began are heard of first.
            self.watch.drain();
            for (ledger, read) in left.iter().zip(reads) {
                let until = began.plus(ledger.spec.settle);
                let patient = read.began < until;
                if let Some(known) = self.watch.observation.ledger(ledger.probe) {
                    known.read(read);
                    // Where no time was given nobody says that what is missing is gone for good.
                    if !patient && !ledger.spec.settle.is_zero() {
                        known.settle(stage);
                    }
                }
            }
            let now = self.clock.now();
            left.retain(|ledger| self.is_worth_reading(ledger, stage, began, deadline, now));
            let pauses = left.iter().map(|ledger| ledger.spec.settle / PAUSE);
            if let Some(pause) = pauses.min() {
                let pause = pause.clamp(PAUSES.0, PAUSES.1);
                if self.watch.unless_stopped(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Whether another attempt may bring what is missing. The attempt that begins after the ledger's time is the last.
    fn is_worth_reading(
        &mut self,
        ledger: &LedgerHandle,
        stage: ReadStage,
        began: Offset,
        deadline: Option<Offset>,
        now: Offset,
    ) -> bool {
        let in_time = deadline.is_none_or(|deadline| now < deadline);
        let tried_after = began.plus(ledger.spec.settle);
        let known = self.watch.observation.ledger(ledger.probe);
        in_time
            && known.is_some_and(|known| {
                !known.has_all(stage) && !known.was_tried_after(stage, tried_after)
            })
    }

    /// Removes the records of this run, where the plan does not want to keep them. What is left behind is said
    /// in the record: it changes nothing that was measured.
    pub(super) async fn clean_ledgers(&mut self) {
        let ledgers = self.probing.ledgers();
        let mut wrote =
            |ledger: &LedgerHandle| self.watch.observation.ledger(ledger.probe).is_some();
        let ledgers: Vec<LedgerHandle> =
            ledgers.into_iter().filter(|it| !it.spec.keep && wrote(it)).collect();
        // Whoever stopped the drill, or has to put traffic back by hand, does not wait for this.
        let at_leisure = self.ending.stopped.is_none() && self.ending.not_restored.is_empty();
        let limit = if at_leisure { CALL_LIMIT } else { LAST_READ_LIMIT };
        let work = join_all(ledgers.iter().map(|ledger| ledger.clean(limit)));
        let cleaned = self.watch.during(work).await;
        for (ledger, cleaned) in ledgers.iter().zip(cleaned) {
            if let (Err(error), Some(known)) =
                (cleaned, self.watch.observation.ledger(ledger.probe))
            {
                known.left_behind(error);
            }
        }
    }

    /// Whether the ledgers are read when all is over: not when somebody wants an end, nor when traffic is not back.
    pub(super) fn reads_at_the_end(&self) -> bool {
        let cut = self.watch.observation.marks.cut_issued.is_some();
        cut && self.ending.stopped.is_none() && self.ending.not_restored.is_empty()
    }
}

/// The longest that one attempt may take when traffic is back.
const READ_LIMIT: Duration = Duration::from_secs(60);
