//! Ledgers: numbered records, written open loop as a probe's samples are, and read back at both ends.
//!
//! Each kind of store is one file. What a missing record means is decided in `measure`.

mod exec;
mod http;
mod lines;
mod nats;
mod postgres;
mod redis;
mod wire;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;

use super::PrepareError;
use super::connector::Connector;
use super::sample::Progress;
use crate::clock::Clock;
use crate::model::{
    LedgerProbe, LedgerStore, Name, Outcome, ProbeId, ProbeSpec, ReadBack, ReadStage, SeqSet,
};

/// Whose records they are: with the number of a record this makes its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The run's id.
    pub run: String,
    /// The service, as its letters, digits, `-`, `_` and `.`: none needs an escape anywhere.
    pub service: Name,
    /// The probe, likewise.
    pub probe: Name,
}

impl Writer {
    /// The key of the record with number `seq`: `firedrill:RUN:SERVICE:PROBE:NUMBER`.
    pub(super) fn key(&self, seq: u64) -> String {
        format!("{}{seq}", self.prefix())
    }

    /// What the keys of all its records begin with, and nobody else's.
    pub(super) fn prefix(&self) -> String {
        format!("firedrill:{}:{}:{}:", self.run, self.service, self.probe)
    }

    /// What the record with number `seq` says: who wrote it, for people who find it.
    pub(super) fn value(&self, seq: u64) -> String {
        format!("{}-of-a-drill", self.key(seq))
    }
}

/// A reading in which nothing comes for so long has failed, or for three times the probe's time-out if that is longer: a store
/// whose connections hang is told from one that takes its time over a long list.
const SILENCE: Duration = Duration::from_secs(10);

/// How often an attempt to read back has heard anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Something came.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Does `work` until it is done, or nothing came for `silence`.
    async fn watch(
        self,
        clock: Clock,
        silence: Duration,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let mut work = pin!(work);
        let (mut count, mut since) = (0, clock.now());
        loop {
            if let Ok(done) = tokio::time::timeout(silence / 10, &mut work).await {
                return done;
            }
            let beats = self.0.load(Relaxed);
            if beats != count {
                (count, since) = (beats, clock.now());
            } else if clock.now().since(since) >= silence {
                return Err(format!("nothing came for {}", crate::model::Shown(silence)));
            }
        }
    }
}

/// What an attempt to read back has come to.
#[derive(Debug, Default)]
pub(super) struct Found {
    seen: SeqSet,
    foreign: u64,
    broken: u64,
    /// Whoever waits long for what is not found says with it that it still hears the store.
    pulse: Pulse,
    one_by_one: bool,
}

impl Found {
    /// Takes in a record with this number, of this writer.
    pub(super) fn number(&mut self, seq: u64) {
        self.pulse.beat();
        self.seen.insert(seq);
    }

    /// Takes in a record by its key.
    pub(super) fn key(&mut self, writer: &Writer, key: &str) {
        match whose(&writer.prefix(), key) {
            Key::Ours(seq) => self.number(seq),
            Key::Garbled => self.garbled(),
            Key::Foreign => self.foreign(1),
        }
    }

    /// Takes in a record of this writer's that makes no sense.
    pub(super) fn garbled(&mut self) {
        self.pulse.beat();
        self.broken = self.broken.saturating_add(1);
    }

    /// Records are asked for one by one: what nobody asks for does not show.
    pub(super) fn one_by_one(&mut self) {
        self.one_by_one = true;
    }

    /// Takes in `count` records of others in the same place.
    pub(super) fn foreign(&mut self, count: u64) {
        self.pulse.beat();
        self.foreign = self.foreign.saturating_add(count);
    }
}

/// Whose record a key is of.
enum Key {
    Ours(u64),
    /// Of this writer, and without a number that makes sense.
    Garbled,
    Foreign,
}

/// Whose record has this key, for the writer with this [`Writer::prefix`].
fn whose(prefix: &str, key: &str) -> Key {
    match key.strip_prefix(prefix).map(number) {
        Some(Some(seq)) => Key::Ours(seq),
        Some(None) => Key::Garbled,
        None => Key::Foreign,
    }
}

/// The number of a record as [`Writer::key`] writes it: neither `+1` nor `01` is one.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let seq = text.parse().ok().filter(|_| plain)?;
    (text == "0" || !text.starts_with('0')).then_some(seq)
}

/// A store made ready.
#[async_trait]
pub(super) trait Store: Send + Sync {
    /// Before the first write: the place is there or may be made, it can be written and read, and it is ours.
    ///
    /// # Errors
    /// A sentence for people that says what to do, without secrets.
    async fn begin(&self) -> Result<(), String>;

    /// Writes the record with number `seq`. `Ok`: the store acknowledged it. Dropped at the probe's time-out: it must not
    /// block later writes then, so a connection with an answer outstanding is given up. `progress` says where it hung and
    /// who answered.
    async fn write(&self, seq: u64, clock: &Clock, progress: &mut Progress) -> Result<(), Outcome>;

    /// Reads the writer's records back, all of them. What was found before an error counts as there.
    ///
    /// # Errors
    /// Why not all was read, without secrets.
    async fn read(&self, found: &mut Found) -> Result<(), String>;

    /// Removes the writer's records, and nothing else.
    ///
    /// # Errors
    /// Why some are left, without secrets.
    async fn clean(&self) -> Result<(), String>;
}

/// Checks everything that can be checked before the first call.
pub(super) fn prepare(
    (spec, ledger): (&ProbeSpec, &LedgerProbe),
    (writer, datacenters): (Writer, &[Name]),
    lab: &dyn Fn(&str) -> Option<String>,
    connector: Arc<dyn Connector>,
) -> Result<Arc<dyn Store>, PrepareError> {
    Ok(match &ledger.store {
        LedgerStore::Http(http) => {
            Arc::new(http::HttpStore::prepare(http, writer, spec, lab, connector)?)
        }
        LedgerStore::Postgres(postgres) => {
            Arc::new(postgres::PostgresStore::prepare(postgres, writer, spec, connector)?)
        }
        LedgerStore::Exec(exec) => Arc::new(exec::ExecStore::prepare(exec, writer, datacenters)?),
        LedgerStore::Redis(redis) => {
            Arc::new(redis::RedisStore::prepare(redis, writer, spec, connector)?)
        }
        LedgerStore::Nats(nats) => {
            let place = nats::Stream::of(nats, ledger.create);
            Arc::new(nats::NatsStore::prepare(nats, place, writer, spec, connector)?)
        }
    })
}

/// A ledger's other side: what is done with it beside the writing.
#[derive(Clone)]
pub struct LedgerHandle {
    /// The probe that writes it.
    pub probe: ProbeId,
    /// `SERVICE/PROBE`.
    pub name: String,
    /// Its settings.
    pub spec: LedgerProbe,
    store: Arc<dyn Store>,
    silence: Duration,
}

impl LedgerHandle {
    /// That of the probe with this id and these settings.
    pub(super) fn new(
        probe: ProbeId,
        writer: (String, Arc<dyn Store>),
        (spec, ledger): (&ProbeSpec, &LedgerProbe),
    ) -> LedgerHandle {
        let (name, store) = writer;
        let silence = SILENCE.max(spec.timeout.saturating_mul(3));
        LedgerHandle { probe, name, spec: ledger.clone(), store, silence }
    }

    /// Finds out whether the ledger can be written and read, and makes its place where the plan allows it.
    ///
    /// # Errors
    /// A sentence for people, without secrets.
    pub async fn begin(&self, limit: Duration) -> Result<(), String> {
        self.within(limit, self.store.begin()).await
    }

    /// Tries once to read the ledger back, for `limit` at most and while anything comes.
    pub async fn read(&self, clock: Clock, stage: ReadStage, limit: Duration) -> ReadBack {
        let began = clock.now();
        let mut found = Found::default();
        let pulse = found.pulse.clone();
        let work = pulse.watch(clock, self.silence, self.store.read(&mut found));
        let end = self.within(limit, work).await;
        let garbled = match found.broken {
            0 => Ok(()),
            count => Err(format!("{count} of its records have keys that make no sense")),
        };
        let Found { seen, foreign, one_by_one, .. } = found;
        let (ended, end) = (clock.now(), end.and(garbled));
        ReadBack { stage, began, ended, seen, foreign, one_by_one, end }
    }

    /// Removes the ledger's records of this run.
    ///
    /// # Errors
    /// Why some are left, without secrets.
    pub async fn clean(&self, limit: Duration) -> Result<(), String> {
        self.within(limit, self.store.clean()).await
    }

    async fn within(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(format!("no end within {}", crate::model::Shown(limit))),
        }
    }
}

impl fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerHandle").field("name", &self.name).finish_non_exhaustive()
    }
}
