//! Samples written in a thread of their own: whatever the disk does, the drill goes on.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Disk, Writer};
use crate::model::{Offset, SampleNames, Sampled, SamplesRecord};

/// Samples that go to the thread at once.
const BATCH: usize = 512;

/// They go earlier when the first of them is older than this.
const BATCH_LASTS: Duration = Duration::from_secs(1);

/// Batches that may wait for a disk that is slow; more are lost. They hold 65,536 samples, some 4 MB, or two minutes
/// where samples are few.
const WAITING: usize = 128;

/// How long the end of a drill waits for what is still to be written.
const LAST_WRITTEN: Duration = Duration::from_secs(2);

/// What has become of the samples so far.
#[derive(Debug, Default)]
struct Tally {
    given: AtomicU64,
    kept: AtomicU64,
    /// The disk could not keep up.
    slow: AtomicBool,
    /// What the disk said when it first failed.
    failed: OnceLock<String>,
}

/// Takes samples and never waits.
#[derive(Debug)]
pub struct Feed {
    /// `None` where nobody writes.
    give: Option<SyncSender<Vec<Sampled>>>,
    batch: Vec<Sampled>,
    tally: Arc<Tally>,
}

/// Says in the end what has become of the samples.
#[derive(Debug)]
pub struct Keeper {
    ended: Receiver<()>,
    tally: Arc<Tally>,
}

/// Keeps the samples that are fed in a new file at `path`, which is for its user alone.
pub fn keep(path: PathBuf, names: SampleNames) -> (Feed, Keeper) {
    // In the thread too: a disk may hang when a file is made.
    keep_on(move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path), names)
}

/// As [`keep`], on any disk.
pub(super) fn keep_on<D: Disk>(
    open: impl FnOnce() -> io::Result<D> + Send + 'static,
    names: SampleNames,
) -> (Feed, Keeper) {
    let tally = Arc::<Tally>::default();
    let (give, given) = sync_channel(WAITING);
    let (end, ended) = sync_channel(1);
    let counted = tally.clone();
    let work = move || {
        let _end: SyncSender<()> = end;
        if let Err(error) = write(open, &names, &given, &counted) {
            counted.fail(&error);
        }
    };
    let started = std::thread::Builder::new().name("samples".to_owned()).spawn(work);
    if let Err(error) = &started {
        tally.fail(error);
    }
    let feed =
        Feed { give: started.is_ok().then_some(give), batch: Vec::new(), tally: tally.clone() };
    (feed, Keeper { ended, tally })
}

fn write<D: Disk>(
    open: impl FnOnce() -> io::Result<D>,
    names: &SampleNames,
    given: &Receiver<Vec<Sampled>>,
    tally: &Tally,
) -> io::Result<()> {
    let mut writer = Writer::new(open()?, names)?;
    for batch in given {
        for sampled in &batch {
            if let Err(error) = writer.push(sampled) {
                tally.fail(&error);
            }
        }
        tally.kept.store(writer.kept(), Relaxed);
    }
    let flushed = writer.flush();
    tally.kept.store(writer.kept(), Relaxed);
    let ended = writer.end();
    if ended.is_err() {
        // It is not known which of them the disk has.
        tally.kept.store(0, Relaxed);
    }
    flushed.and(ended)
}

impl Tally {
    fn fail(&self, error: &io::Error) {
        let _ = self.failed.set(error.to_string());
    }
}

impl Feed {
    /// Takes a sample.
    pub fn push(&mut self, sampled: &Sampled) {
        self.tally.given.fetch_add(1, Relaxed);
        self.batch.push(*sampled);
        let begun = self.batch.first().map_or(Offset::ZERO, |first| first.sample.done);
        let lasts = sampled.sample.done.since(begun);
        if self.batch.len() >= BATCH || lasts > BATCH_LASTS {
            self.send();
        }
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        // Who is gone has said why.
        if let Some(give) = &self.give
            && let Err(std::sync::mpsc::TrySendError::Full(_)) = give.try_send(batch)
        {
            self.tally.slow.store(true, Relaxed);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.send();
    }
}

impl Keeper {
    /// Waits for what is still to be written, but not for long, once the feed is gone.
    pub fn end(self) -> SamplesRecord {
        self.end_within(LAST_WRITTEN)
    }

    pub(super) fn end_within(self, limit: Duration) -> SamplesRecord {
        let hangs = self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        let (given, kept) = (self.tally.given.load(Relaxed), self.tally.kept.load(Relaxed));
        let lost = given.saturating_sub(kept);
        let slow = self.tally.slow.load(Relaxed);
        let why = match self.tally.failed.get() {
            Some(error) => Some(error.clone()),
            None if hangs => Some("the disk hangs".to_owned()),
            None if slow => Some("the disk is too slow".to_owned()),
            None if lost > 0 => Some("the thread that writes them is gone".to_owned()),
            None => None,
        };
        SamplesRecord { kept, lost, why }
    }
}
