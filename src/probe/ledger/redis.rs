//! A ledger in Redis: a list under a key of its own, to which each write pushes its number.
//!
//! A list and not a key for each record: it is read back without walking through everybody's keys, shows a record that is
//! there twice, and takes a tenth of the memory. What a failover does to it is what it does to any key of the same server:
//! replication is one stream of commands.

mod reach;
mod resp;
mod say;

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;

use self::reach::{Login, Reach};
use self::resp::{Reply, command};
use super::wire::{Failed, Idle, Wire, in_words, quoted};
use super::{Found, Store, Writer, number};
use crate::clock::Clock;
use crate::model::{Connection, Outcome, Phase, ProbeSpec, Reason, RedisLedger, RedisWait, Text};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::sample::Progress;
use crate::probe::served_by::Source;

/// So many records are asked for at a time: Redis serves nobody else meanwhile.
const PIECE: usize = 10_000;

/// A trial write vanishes by itself after so many seconds.
const TRIAL: &str = "60";

/// Redis made ready.
pub(super) struct RedisStore {
    key: String,
    writes: Reach,
    /// Where records are read back, if elsewhere.
    reads: Option<Reach>,
    wait: Option<RedisWait>,
    /// Seconds.
    expire: String,
    source: Source,
    /// Only where connections are kept.
    idle: Option<Idle<Wire>>,
    secrets: Vec<String>,
}

impl RedisStore {
    /// Checks everything that can be checked before the first connection.
    pub(super) fn prepare(
        redis: &RedisLedger,
        writer: Writer,
        spec: &ProbeSpec,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let reveal = |text: &Option<Text>| text.as_ref().map(Text::reveal_plain);
        let login = Login { user: reveal(&redis.user), password: reveal(&redis.password) };
        let reach = |at| Reach::prepare(at, login.clone(), spec.timeout, connector.clone());
        let writes = reach(&redis.at)?;
        let reads = redis.read.as_ref().map(reach).transpose()?;
        Ok(RedisStore {
            key: writer.prefix().trim_end_matches(':').to_owned(),
            secrets: [&writes].into_iter().chain(&reads).flat_map(Reach::secrets).collect(),
            writes,
            reads,
            wait: redis.wait,
            expire: redis.expire.as_secs().max(1).to_string(),
            source: Source::prepare(spec.served_by.as_ref())?,
            idle: (spec.connection == Connection::KeepAlive).then(Idle::default),
        })
    }

    /// A connection for reading, with what is wrong in words.
    async fn open_to_read(&self) -> Result<Wire, String> {
        let opened = self.reads.as_ref().unwrap_or(&self.writes).open_to_read().await;
        opened.map_err(|failed| self.words(failed))
    }

    async fn exchange(&self, wire: &mut Wire, words: &[&str]) -> Result<Reply, String> {
        resp::ask(wire, words).await.map_err(|failed| self.words(failed))
    }

    fn words(&self, failed: Failed) -> String {
        match failed {
            Failed::Broken(outcome) => in_words(outcome),
            Failed::Garbage => "what answers does not speak Redis' protocol".to_owned(),
            Failed::Said(said) => say::meant(&said, &quoted(&said, &self.secrets)),
        }
    }

    /// What is sent for a write: the list's end of life, the record, and what it waits for. The record comes behind, so that
    /// nothing has to be heard once it is acknowledged.
    fn written(&self, seq: u64) -> Vec<u8> {
        let mut bytes = command(&["EXPIRE", &self.key, &self.expire]);
        bytes.extend(command(&["RPUSH", &self.key, &seq.to_string()]));
        if let Some(wait) = self.wait {
            bytes.extend(command(&waiting(wait).each_ref().map(String::as_str)));
        }
        bytes
    }

    /// What the answers to a write come to.
    async fn acknowledged(&self, wire: &mut Wire) -> Result<(), Failed> {
        match resp::reply(wire).await {
            // Whether the list will vanish by itself decides nothing.
            Ok(_) | Err(Failed::Said(_)) => {}
            Err(failed) => return Err(failed),
        }
        let Reply::Number(1..) = resp::reply(wire).await? else { return Err(Failed::Garbage) };
        let Some(wait) = self.wait else { return Ok(()) };
        match resp::reply(wire).await {
            Ok(Reply::Number(count)) if count >= i64::from(wait.replicas) => Ok(()),
            // It is not where it has to be, and nobody knows what a failover would leave of it.
            Ok(_) | Err(Failed::Said(_)) => Err(Outcome::Bad(Reason::TimeOut(Phase::Body)).into()),
            Err(failed) => Err(failed),
        }
    }

    /// Who the server is: its role, and the history of writes that it goes on with.
    async fn history(&self, wire: &mut Wire) -> Result<String, String> {
        let Reply::Text(info) = self.exchange(wire, &["INFO", "replication"]).await? else {
            return Err(self.words(Failed::Garbage));
        };
        let info = String::from_utf8_lossy(&info);
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match (field("role"), field("master_replid")) {
            (Some("master"), Some(history)) => Ok(history.to_owned()),
            (Some("slave"), _) => Err(say::replica()),
            _ => Err("it does not say whether it is a master (`INFO replication`)".to_owned()),
        }
    }

    async fn pieces(&self, wire: &mut Wire, found: &mut Found) -> Result<(), String> {
        let mut begin = 0;
        loop {
            let (first, last) = (begin.to_string(), (begin + PIECE - 1).to_string());
            let asked = command(&["LRANGE", &self.key, &first, &last]);
            let piece = async {
                wire.send(&asked).await?;
                resp::list(wire, |element| {
                    match std::str::from_utf8(&element).ok().and_then(number) {
                        Some(seq) => found.number(seq),
                        None => found.garbled(),
                    }
                })
                .await
            };
            let count = piece.await.map_err(|failed| self.words(failed))?;
            match count.cmp(&PIECE) {
                Ordering::Less => return Ok(()),
                Ordering::Equal => begin += count,
                Ordering::Greater => return Err(self.words(Failed::Garbage)),
            }
        }
    }

    /// Writes a record beside the list, reads it where records will be read, and removes it.
    async fn trial(&self, wire: &mut Wire, reader: &mut Wire) -> Result<(), String> {
        let key = format!("{}:trial", self.key);
        self.exchange(wire, &["RPUSH", &key, "0"]).await?;
        self.exchange(wire, &["EXPIRE", &key, TRIAL]).await?;
        let have = match self.wait {
            Some(wait) => {
                match self.exchange(wire, &waiting(wait).each_ref().map(String::as_str)).await? {
                    Reply::Number(count) => self.enough_replicas(count),
                    _ => Err(self.words(Failed::Garbage)),
                }
            }
            None => Ok(()),
        };
        let there = self.exchange(reader, &["LRANGE", &key, "0", "-1"]).await?;
        self.exchange(wire, &["UNLINK", &key]).await?;
        match there {
            Reply::Count(1..) => have,
            _ => Err("a trial record was acknowledged, and was not there where records are read"
                .to_owned()),
        }
    }

    fn enough_replicas(&self, count: i64) -> Result<(), String> {
        let Some(RedisWait { replicas, .. }) = self.wait else { return Ok(()) };
        if count >= i64::from(replicas) {
            return Ok(());
        }
        Err(format!(
            "{count} replicas had a trial record in time, and the plan's `wait` wants {replicas}: see `INFO \
             replication`, or give it more time `within`"
        ))
    }
}

/// The command that waits for replicas.
fn waiting(wait: RedisWait) -> [String; 3] {
    let within = wait.within.as_millis().max(1);
    ["WAIT".to_owned(), wait.replicas.to_string(), within.to_string()]
}

#[async_trait]
impl Store for RedisStore {
    async fn begin(&self) -> Result<(), String> {
        let opened = self.writes.open_in_time().await;
        let mut wire = opened.map_err(|failed| self.words(failed))?;
        self.history(&mut wire).await?;
        let mut reader = self.open_to_read().await?;
        self.history(&mut reader).await?;
        self.trial(&mut wire, &mut reader).await?;
        match self.exchange(&mut reader, &["LLEN", &self.key]).await? {
            Reply::Number(0) => Ok(()),
            _ => Err(format!("there is a list {} already: it is not this drill's", self.key)),
        }
    }

    async fn write(
        &self,
        seq: u64,
        _clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        let kept = match &self.idle {
            Some(idle) => idle.take().await,
            None => None,
        };
        let mut wire = match kept {
            Some(wire) => wire,
            None => self.writes.open(progress).await.map_err(Failed::before_writing)?,
        };
        progress.phase = Phase::Answer;
        let written = async {
            wire.send(&self.written(seq)).await?;
            self.acknowledged(&mut wire).await
        };
        let written = written.await;
        if !matches!(written, Err(Failed::Broken(Outcome::Bad(Reason::Reset)))) {
            progress.served_by = self.source.by_peer(wire.peer.ip());
        }
        match written {
            Ok(()) => {
                if let Some(idle) = &self.idle {
                    idle.put(wire);
                }
                Ok(())
            }
            // Its connection is given up with it: the next write finds the server that takes writes now.
            Err(failed) => Err(say::outcome(failed)),
        }
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        let mut wire = self.open_to_read().await?;
        let before = self.history(&mut wire).await?;
        self.pieces(&mut wire, found).await?;
        // A server that was made a replica meanwhile may have dropped what was read, and what was not.
        match self.history(&mut wire).await? == before {
            true => Ok(()),
            false => Err("the server changed its role while it was read".to_owned()),
        }
    }

    async fn clean(&self) -> Result<(), String> {
        if let Some(idle) = &self.idle {
            idle.clear();
        }
        let mut wire = self.open_to_read().await?;
        self.exchange(&mut wire, &["UNLINK", &self.key]).await.map(drop)
    }
}
