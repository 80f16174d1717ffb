//! One sample: from the task that sends it to the report that it yields, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout_at;

use super::dns::DnsAsker;
use super::http::HttpAsker;
use super::ledger::Store;
use super::tcp::TcpAsker;
use crate::clock::Clock;
use crate::model::{
    Blindness, Offset, Outcome, Phase, ProbeId, Reason, Sample, Sampled, ServedBy, VantageId,
};

/// How much later than its time-out a sample may end before it proves that we were the ones who stalled.
pub(super) const OUR_STALL: Duration = Duration::from_millis(50);

/// What was learned of a sample so far. It outlives the request, so that a time-out can say where it hung.
pub(super) struct Progress {
    /// The phase that it is in.
    pub(super) phase: Phase,
    /// Who answers.
    pub(super) served_by: ServedBy,
    /// The status, if it is a wrong one: then nothing that happens later makes it less wrong.
    pub(super) wrong_status: Option<u16>,
}

impl Progress {
    /// That of a request that is about to begin.
    pub(super) fn begun() -> Progress {
        Progress { phase: Phase::LookUp, served_by: ServedBy::Unnamed, wrong_status: None }
    }
}

/// What a probe does for one sample.
pub(super) enum Asker {
    Http(Box<HttpAsker>),
    Tcp(TcpAsker),
    Dns(Box<DnsAsker>),
    Ledger(Arc<dyn Store>),
}

impl Asker {
    async fn ask(&self, clock: &Clock, seq: u64, progress: &mut Progress) -> Result<(), Outcome> {
        match self {
            Asker::Ledger(store) => store.write(seq, clock, progress).await,
            Asker::Http(http) => http.ask(clock, progress).await,
            Asker::Tcp(tcp) => tcp.ask(progress).await,
            Asker::Dns(dns) => dns.ask(progress).await,
        }
    }
}

/// What all samples of a probe share.
pub(super) struct Sampler {
    pub(super) probe: ProbeId,
    pub(super) asker: Asker,
    pub(super) timeout: Duration,
    pub(super) slower_than: Option<Duration>,
}

/// A running probe: its samples are stamped by `clock` and go to `out`.
pub(super) struct Desk {
    pub(super) sampler: Sampler,
    pub(super) clock: Clock,
    pub(super) out: UnboundedSender<Sampled>,
}

impl Desk {
    /// The longest that a sample may leave late. Beyond that it would be part of a burst.
    fn patience(&self) -> Duration {
        self.sampler.timeout.clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// Whether a sample is due for so long that it is not to be sent any more.
    pub(super) fn missed(&self, due: Offset, now: Offset) -> bool {
        now.since(due) > self.patience()
    }

    /// Reports a sample that was never sent.
    pub(super) fn not_sent(&self, seq: u64, due: Offset, now: Offset, why: Blindness) {
        let outcome = Outcome::Unknown(why);
        let served_by = ServedBy::Unnamed;
        let acknowledged = false;
        self.report(Sample { seq, due, sent: now, done: now, outcome, acknowledged, served_by });
    }

    fn report(&self, sample: Sample) {
        // Nobody listens any more only when the drill is over.
        let _ = self.out.send(Sampled {
            vantage: VantageId::default(),
            probe: self.sampler.probe,
            sample,
        });
    }
}

/// The duty to report one sample. Dropped without a report, it says that the drill ended.
pub(super) struct Ticket {
    desk: Arc<Desk>,
    seq: u64,
    due: Offset,
    sent: Option<Offset>,
    reported: bool,
}

impl Ticket {
    /// The duty to report sample `seq`.
    pub(super) fn new(desk: Arc<Desk>, seq: u64, due: Offset) -> Self {
        Ticket { desk, seq, due, sent: None, reported: false }
    }

    /// Sends the request and reports what came of it.
    pub(super) async fn redeem(mut self) {
        let sent = self.desk.clock.now();
        self.sent = Some(sent);
        if self.desk.missed(self.due, sent) {
            return self.report_silence(sent, Blindness::Stalled);
        }
        let mut progress = Progress::begun();
        let Sampler { asker, timeout, slower_than, .. } = &self.desk.sampler;
        let deadline = sent.plus(*timeout);
        let asked = timeout_at(
            self.desk.clock.instant(deadline),
            asker.ask(&self.desk.clock, self.seq, &mut progress),
        );
        let ended = asked.await.ok();
        let done = self.desk.clock.now();
        let end = End { took: done.since(sent), late: done.since(deadline), ended };
        let outcome = end.judge(&progress, *slower_than);
        self.report(done, outcome, end.is_acknowledged(&progress), progress.served_by);
    }

    /// Reports that nothing was heard of it.
    fn report_silence(&mut self, done: Offset, why: Blindness) {
        self.report(done, Outcome::Unknown(why), false, ServedBy::Unnamed);
    }

    fn report(&mut self, done: Offset, outcome: Outcome, acknowledged: bool, served_by: ServedBy) {
        self.reported = true;
        let sent = self.sent.unwrap_or(done);
        let (seq, due) = (self.seq, self.due);
        self.desk.report(Sample { seq, due, sent, done, outcome, acknowledged, served_by });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.reported {
            let now = self.desk.clock.now();
            self.report_silence(now, Blindness::Ended);
        }
    }
}

/// How a sample ended, before it is judged.
struct End {
    /// How long it took.
    took: Duration,
    /// How long after its time-out it ended.
    late: Duration,
    /// What came; `None` when the time-out cut it short.
    ended: Option<Result<(), Outcome>>,
}

impl End {
    /// Whether the answer that was wanted came at all, however late we heard it.
    fn is_acknowledged(&self, progress: &Progress) -> bool {
        matches!(self.ended, Some(Ok(()))) && progress.wrong_status.is_none()
    }

    /// The outcome, from what came and when.
    fn judge(&self, progress: &Progress, slower_than: Option<Duration>) -> Outcome {
        let hung = Outcome::Bad(Reason::TimeOut(progress.phase));
        let outcome = match self.ended {
            // Had we been awake, the answer might have been there in time.
            None | Some(Ok(())) if self.late > OUR_STALL => Outcome::Unknown(Blindness::Stalled),
            None => hung,
            Some(Ok(())) if !self.late.is_zero() => hung,
            Some(Ok(())) if slower_than.is_some_and(|limit| self.took > limit) => {
                Outcome::Bad(Reason::Slow)
            }
            Some(Ok(())) => Outcome::Good,
            Some(Err(outcome)) => outcome,
        };
        match (outcome, progress.wrong_status) {
            (Outcome::Unknown(_), _) | (_, None) => outcome,
            (_, Some(status)) => Outcome::Bad(Reason::Status(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_late_is_acknowledged_whatever_its_user_had_of_it() {
        let seen = |late: u64, ended, wrong_status| {
            let late = Duration::from_millis(late);
            let end = End { took: Duration::from_secs(1) + late, late, ended };
            let progress = Progress { wrong_status, ..Progress::begun() };
            (end.judge(&progress, None), end.is_acknowledged(&progress))
        };
        let stalled = Outcome::Unknown(Blindness::Stalled);
        let hung = Outcome::Bad(Reason::TimeOut(Phase::LookUp));
        assert_eq!(seen(0, Some(Ok(())), None), (Outcome::Good, true));
        assert_eq!(seen(10, Some(Ok(())), None), (hung, true), "too late for its user");
        assert_eq!(seen(900, Some(Ok(())), None), (stalled, true), "we stalled");
        assert_eq!(seen(900, None, None), (stalled, false), "nobody knows");
        let wrong = Outcome::Bad(Reason::Status(500));
        assert_eq!(seen(10, Some(Ok(())), Some(500)), (wrong, false));
    }
}
