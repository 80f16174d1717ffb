//! Every address of an answer asked in one sample, side by side: a dead one is not hidden by those that live.

use std::net::IpAddr;

use futures_util::future::{BoxFuture, join_all};

use super::sample::Progress;
use crate::model::{DatacenterId, Outcome, Reason, ServedBy};

/// What can ask one address.
pub(super) trait AskAt: Sync {
    /// Asks it, and judges its answer.
    fn ask_at<'a>(
        &'a self,
        address: IpAddr,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<(), Outcome>>;
}

/// Asks all of `addresses`. The sample is as bad as the first of them that is bad; an answer of one of `lost` counts before
/// those of others.
pub(super) async fn every(
    asker: &dyn AskAt,
    addresses: Vec<IpAddr>,
    lost: &[DatacenterId],
    progress: &mut Progress,
) -> Result<(), Outcome> {
    if addresses.is_empty() {
        return Err(Outcome::Bad(Reason::LookUp));
    }
    let asked = addresses.iter().map(|_| Asked { progress: Progress::begun(), ended: None });
    let mut all = All { asked: asked.collect(), lost, progress };
    let asking = addresses.into_iter().zip(&mut all.asked).map(|(address, asked)| async move {
        let Asked { progress, ended } = asked;
        *ended = Some(asker.ask_at(address, progress).await);
    });
    join_all(asking).await;
    all.outcome()
}

/// One address of a sample.
struct Asked {
    progress: Progress,
    /// `None` while it is under way.
    ended: Option<Result<(), Outcome>>,
}

/// All addresses of a sample. Dropped, also by the time-out, it tells the sample what was learned of them.
struct All<'a> {
    asked: Vec<Asked>,
    lost: &'a [DatacenterId],
    progress: &'a mut Progress,
}

impl All<'_> {
    /// A failure that is the service's outweighs our own.
    fn outcome(&self) -> Result<(), Outcome> {
        let failure = |asked: &Asked| match asked.progress.wrong_status {
            Some(status) => Some(Outcome::Bad(Reason::Status(status))),
            None => asked.ended?.err(),
        };
        let failed = || self.asked.iter().filter_map(failure);
        let bad = failed().find(|outcome| matches!(outcome, Outcome::Bad(_)));
        match bad.or_else(|| failed().next()) {
            Some(outcome) => Err(outcome),
            None => Ok(()),
        }
    }

    fn served_by(&self) -> ServedBy {
        let all = || self.asked.iter().map(|asked| asked.progress.served_by);
        let is_lost =
            |by: &ServedBy| matches!(by, ServedBy::Datacenter(id) if self.lost.contains(id));
        let lost = all().find(is_lost);
        lost.or_else(|| all().find(|by| *by != ServedBy::Unnamed)).unwrap_or_default()
    }
}

impl Drop for All<'_> {
    fn drop(&mut self) {
        if let Some(hung) = self.asked.iter().find(|asked| asked.ended.is_none()) {
            self.progress.phase = hung.progress.phase;
        }
        self.progress.served_by = self.served_by();
    }
}
