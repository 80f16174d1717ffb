//! The ledgers at both ends of the drill: made ready before it, read back in it, cleaned up behind it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use super::super::{CALL_LIMIT, LAST_READ_LIMIT, READ_EVERY};
use super::Conductor;
use crate::clock::Clock;
use crate::model::{Offset, ReadBack, ReadStage, SeqSet, Why};
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

    /// Reads every ledger once before anything is cut: a `read` that asks another place than `write` would call everything lost.
    /// False: the drill does not cut.
    pub(super) async fn find_baseline(&mut self) -> bool {
        let (clock, ledgers) = (self.clock, self.probing.ledgers());
        let reads = join_all(
            ledgers.iter().map(|ledger| ledger.read(clock, ReadStage::AfterFailover, CALL_LIMIT)),
        );
        let Some(reads) = self.watch.unless_stopped(reads).await else {
            self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
            return false;
        };
        self.watch.drain();
        for (ledger, read) in ledgers.iter().zip(reads) {
            let by = read.began.minus(ledger.spec.settle);
            let known = self.watch.observation.ledger(ledger.probe);
            let is_elsewhere = known.is_some_and(|known| known.is_elsewhere(&read.seen, by));
            let why = match &read.end {
                Err(error) => format!("it cannot be read back: {error}"),
                Ok(()) if is_elsewhere => {
                    "none of the records that were acknowledged is read back; see that `read` asks the same place as \
                     `write`, and whether `settle` is long enough"
                        .to_owned()
                }
                Ok(()) => continue,
            };
            self.refuse(Why::new("ledger-not-ready", format!("{}: {why}", ledger.name)));
        }
        self.ending.not_started.is_empty()
    }

    /// Reads every ledger back, each by itself, until nothing that was acknowledged is missing, or it had its time to appear;
    /// not beyond `deadline`. While traffic is cut, that is, while there is one, the controls are read beside it. False: the
    /// drill had to stop before it was done.
    pub(super) async fn read_back(&mut self, stage: ReadStage, deadline: Option<Offset>) -> bool {
        let (clock, began) = (self.clock, self.clock.now());
        let span = Span { clock, stage, deadline };
        // Tasks of their own: however long one works on what it read, nothing else waits for it.
        let mut reads = JoinSet::new();
        for ledger in self.probing.ledgers() {
            reads.spawn(span.attempt(ledger, Duration::ZERO));
        }
        let mut look = began.plus(READ_EVERY);
        while !reads.is_empty() {
            let next = async {
                tokio::select! {
                    biased;
                    read = reads.join_next() => read.and_then(Result::ok),
                    () = clock.sleep_until(look), if deadline.is_some() => None,
                }
            };
            let Some(next) = self.watch.unless_stopped(next).await else { return false };
            if let Some((ledger, read)) = next {
                let again = self.take_in(&ledger, read, began, deadline);
                again.into_iter().for_each(|pause| {
                    reads.spawn(span.attempt(ledger.clone(), pause));
                });
            } else if let Some(deadline) = deadline {
                // A control that hangs must not hold up what was read meanwhile.
                self.read_while_cut(deadline.since(clock.now()).min(READ_EVERY * 2)).await;
                look = clock.now().plus(READ_EVERY);
            }
        }
        true
    }

    /// Takes in an attempt to read a ledger back. Gives the pause before the next one, if that may bring what is missing: the
    /// attempt that begins after the ledger's time is the last.
    fn take_in(
        &mut self,
        ledger: &LedgerHandle,
        read: ReadBack,
        began: Offset,
        deadline: Option<Offset>,
    ) -> Option<Duration> {
        // Those that were acknowledged before the reading began are heard of first.
        self.watch.drain();
        let (stage, settle) = (read.stage, ledger.spec.settle);
        let until = began.plus(settle);
        let patient = read.began < until;
        let known = self.watch.observation.ledger(ledger.probe)?;
        known.read(read);
        // Where no time was given nobody says that what is missing is gone for good.
        if !patient && !settle.is_zero() {
            known.settle(stage);
        }
        let is_over = known.has_all(stage) || known.was_tried_after(stage, until);
        let pause = (settle / PAUSE).clamp(PAUSES.0, PAUSES.1);
        let in_time = deadline.is_none_or(|deadline| self.clock.now().plus(pause) < deadline);
        (in_time && !is_over).then_some(pause)
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
        let is_hurried = self.ending.stopped.is_some() || !self.ending.not_restored.is_empty();
        let limit = if is_hurried { LAST_READ_LIMIT } else { CALL_LIMIT };
        let stop = &self.watch.stop;
        let work = join_all(ledgers.iter().map(|ledger| clean(ledger, limit, stop.clone())));
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

/// The longest that one attempt may take.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// When and until when ledgers are read.
#[derive(Clone, Copy)]
struct Span {
    clock: Clock,
    stage: ReadStage,
    deadline: Option<Offset>,
}

impl Span {
    /// Tries once to read `ledger` back, after a pause.
    async fn attempt(self, ledger: LedgerHandle, pause: Duration) -> (LedgerHandle, ReadBack) {
        let Span { clock, stage, deadline } = self;
        tokio::time::sleep(pause).await;
        let began = clock.now();
        // What is read takes as long as it is large; but traffic does not stay cut for it.
        let longest = READ_LIMIT.max(ledger.spec.settle);
        let limit = deadline.map_or(longest, |deadline| deadline.since(began).min(longest));
        let read = AssertUnwindSafe(ledger.read(clock, stage, limit)).catch_unwind().await;
        let read = read.unwrap_or_else(|_| {
            let text =
                "firedrill failed while it read, which is a fault of its own; please report it";
            let (seen, ended) = (SeqSet::default(), clock.now());
            ReadBack {
                stage,
                began,
                ended,
                seen,
                foreign: 0,
                one_by_one: false,
                end: Err(text.to_owned()),
            }
        });
        (ledger, read)
    }
}

/// Removes the records of `ledger` within `limit`. Whoever stops the drill meanwhile does not wait for long.
async fn clean(
    ledger: &LedgerHandle,
    limit: Duration,
    mut stop: channel::Receiver<Option<Why>>,
) -> Result<(), String> {
    let hurried = async move {
        if stop.wait_for(Option::is_some).await.is_err() {
            // Nobody is left who could stop it.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LAST_READ_LIMIT).await;
    };
    tokio::select! {
        biased;
        done = ledger.clean(limit) => done,
        () = hurried => Err("the drill was stopped before all of them were removed".to_owned()),
    }
}
