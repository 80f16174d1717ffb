//! A ledger in Redis: a list under a key of its own, to which each write pushes its number.
//!
//! A list and not a key for each record: it is read back without walking through everybody's keys, shows a record that is
//! there twice, and takes a tenth of the memory. What a failover does to it is what it does to any key of the same server:
//! replication is one stream of commands.

mod resp;
mod say;

use std::sync::Arc;

use async_trait::async_trait;

use self::resp::{Reply, command};
use super::wire::{Failed, Idle, Place, Places, Wire, in_words, quoted};
use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{
    Connection, Outcome, Phase, ProbeSpec, Reason, RedisAt, RedisLedger, RedisWait, StoreUrl, Text,
};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::sample::Progress;
use crate::probe::served_by::Source;
use crate::probe::target::Target;
use crate::probe::tls::Tls;

/// So many records are asked for at a time: Redis serves nobody else meanwhile.
const PIECE: usize = 10_000;

/// A trial write vanishes by itself after so many seconds.
const TRIAL: &str = "60";

/// Redis made ready.
pub(super) struct RedisStore {
    key: String,
    way: Way,
    login: Login,
    database: u32,
    wait: Option<RedisWait>,
    /// Seconds.
    expire: String,
    source: Source,
    /// Only where connections are kept.
    idle: Option<Idle<Wire>>,
    secrets: Vec<String>,
}

/// How to find the server that takes writes.
enum Way {
    Straight(Place),
    Asking { sentinels: Places, master: String, login: Login, connector: Arc<dyn Connector> },
}

/// What a connection begins with.
#[derive(Default)]
struct Login {
    user: Option<String>,
    password: Option<String>,
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
        let mut login = Login { user: reveal(&redis.user), password: reveal(&redis.password) };
        let (way, database) = match &redis.at {
            RedisAt::Url { url, ca } => {
                let (way, database, inside) = straight(url, ca.as_deref(), connector)?;
                login.user = login.user.or(inside.user);
                login.password = login.password.or(inside.password);
                (way, database)
            }
            RedisAt::Sentinels { sentinels, master, password, database } => {
                let places = sentinels.iter().map(|at| {
                    let target = Target::parse(&at.reveal_plain(), at, connector.clone())?;
                    Ok(Place { target, tls: None })
                });
                let places: Vec<Place> = places.collect::<Result<_, PrepareError>>()?;
                let way = Way::Asking {
                    sentinels: Places::new(places, spec.timeout),
                    master: master.clone(),
                    login: Login { user: None, password: reveal(password) },
                    connector,
                };
                (way, *database)
            }
        };
        let sentinels = match &way {
            Way::Asking { login, .. } => login.password.clone(),
            Way::Straight(_) => None,
        };
        Ok(RedisStore {
            key: writer.prefix().trim_end_matches(':').to_owned(),
            secrets: login.password.iter().cloned().chain(sentinels).collect(),
            way,
            login,
            database,
            wait: redis.wait,
            expire: redis.expire.as_secs().max(1).to_string(),
            source: Source::prepare(spec.served_by.as_ref())?,
            idle: (spec.connection == Connection::KeepAlive).then(Idle::default),
        })
    }

    /// A new connection to the server that takes writes, logged in.
    async fn open(&self, progress: &mut Progress) -> Result<Wire, Failed> {
        let mut wire = match &self.way {
            Way::Straight(place) => place.open_encrypted(progress).await?,
            Way::Asking { sentinels, master, login, connector } => {
                // Whatever hangs from here on: nothing was written.
                progress.phase = Phase::Connect;
                let (host, port) = ask_sentinels(sentinels, login, master).await?;
                Place::plain(&host, port, connector.clone()).open(progress).await?
            }
        };
        progress.phase = Phase::Connect;
        self.login.give(&mut wire).await?;
        if self.database != 0 {
            resp::ask(&mut wire, &["SELECT", &self.database.to_string()]).await?;
        }
        Ok(wire)
    }

    /// As [`RedisStore::open`], for reading: with what is wrong in words.
    async fn open_to_read(&self) -> Result<Wire, String> {
        let opened = self.open(&mut Progress::begun()).await;
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

    /// What is sent for a write: the record, the list's end of life, and what it waits for.
    fn written(&self, key: &str, seq: u64, expire: &str) -> (Vec<u8>, usize) {
        let mut bytes = command(&["RPUSH", key, &seq.to_string()]);
        bytes.extend(command(&["EXPIRE", key, expire]));
        let Some(RedisWait { replicas, within }) = self.wait else { return (bytes, 2) };
        let within = within.as_millis().max(1).to_string();
        bytes.extend(command(&["WAIT", &replicas.to_string(), &within]));
        (bytes, 3)
    }

    /// What the answer to a write comes to.
    async fn acknowledged(&self, wire: &mut Wire, answers: usize) -> Result<(), Failed> {
        let Reply::Number(1..) = resp::reply(wire).await? else { return Err(Failed::Garbage) };
        let mut last = None;
        for _ in 1..answers {
            last = match resp::reply(wire).await {
                Ok(reply) => Some(reply),
                // The record is there all the same.
                Err(Failed::Said(_)) => None,
                Err(failed) => return Err(failed),
            };
        }
        match (self.wait, last) {
            (None, _) => Ok(()),
            (Some(wait), Some(Reply::Number(count))) if count >= i64::from(wait.replicas) => Ok(()),
            // It is not where it has to be, and nobody knows what a failover would leave of it.
            (Some(_), _) => Err(Failed::Broken(Outcome::Bad(Reason::TimeOut(Phase::Body)))),
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
                    let number = std::str::from_utf8(&element).ok().and_then(|it| it.parse().ok());
                    match number {
                        Some(seq) => found.number(seq),
                        None => found.garbled(),
                    }
                })
                .await
            };
            let count = piece.await.map_err(|failed| self.words(failed))?;
            if count < PIECE {
                return Ok(());
            }
            begin += count;
        }
    }

    /// Writes, reads and removes a record beside the list.
    async fn trial(&self, wire: &mut Wire) -> Result<(), String> {
        let key = format!("{}:trial", self.key);
        let (bytes, answers) = self.written(&key, 0, TRIAL);
        wire.send(&bytes).await.map_err(|error| self.words(error.into()))?;
        let record = resp::reply(wire).await;
        let mut have = Ok(());
        for place in 1..answers {
            match (place, resp::reply(wire).await) {
                (1, Ok(Reply::Number(_))) => {}
                (2, Ok(Reply::Number(count))) => have = self.enough_replicas(count),
                // If the record was not taken, that is what matters.
                (_, Err(failed)) if record.is_ok() => return Err(self.words(failed)),
                _ => {}
            }
        }
        record.map_err(|failed| self.words(failed))?;
        let there = self.exchange(wire, &["LRANGE", &key, "0", "-1"]).await?;
        self.exchange(wire, &["UNLINK", &key]).await?;
        match there {
            Reply::Count(1..) => have,
            _ => Err("a trial record was acknowledged, and was not there".to_owned()),
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

impl Login {
    async fn give(&self, wire: &mut Wire) -> Result<(), Failed> {
        let words: Vec<&str> = match (&self.user, &self.password) {
            (_, None) => return Ok(()),
            (None, Some(password)) => vec!["AUTH", password],
            (Some(user), Some(password)) => vec!["AUTH", user, password],
        };
        resp::ask(wire, &words).await.map(drop)
    }
}

/// The way to the server that a URL names, its database, and what the URL says of how to log in.
fn straight(
    url: &Text,
    ca: Option<&std::path::Path>,
    connector: Arc<dyn Connector>,
) -> Result<(Way, u32, Login), PrepareError> {
    let wrong = |why: &str| {
        PrepareError::new(
            format!("`{url}` cannot be asked: {why}"),
            "write it as redis://db.example:6379/0",
        )
    };
    let parts = StoreUrl::parse(&url.reveal_plain(), RedisLedger::SCHEMES).map_err(wrong)?;
    let database = match &*parts.path {
        "" => 0,
        path => path.parse().map_err(|_| wrong("its path is not the number of a database"))?,
    };
    let port = parts.port.unwrap_or(RedisLedger::PORT);
    let mut place = Place::plain(&parts.host, port, connector);
    place.tls = match (&*parts.scheme, ca) {
        ("rediss", ca) => Some(Tls::prepare(&parts.host, ca)?),
        (_, None) => None,
        (_, Some(_)) => {
            let what = format!("`{url}` is not encrypted, so `ca` has no use");
            return Err(PrepareError::new(what, "write `rediss://`, or leave `ca` out"));
        }
    };
    Ok((Way::Straight(place), database, Login { user: parts.user, password: parts.password }))
}

/// Where the first Sentinel that knows it says that the server is which takes writes.
async fn ask_sentinels(
    sentinels: &Places,
    login: &Login,
    master: &str,
) -> Result<(String, u16), Failed> {
    let mut failed = Failed::Garbage;
    for sentinel in sentinels.in_turn() {
        match sentinels.patiently(ask_sentinel(sentinel, login, master)).await {
            Ok(found) => return Ok(found),
            // One that cannot be asked says nothing about the name.
            Err(_) if matches!(failed, Failed::Said(_)) => {}
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Where a Sentinel says that the server is which takes writes.
async fn ask_sentinel(
    sentinel: &Place,
    login: &Login,
    master: &str,
) -> Result<(String, u16), Failed> {
    // Its own progress: what hangs here is the way to the server.
    let mut wire = sentinel.open(&mut Progress::begun()).await?;
    login.give(&mut wire).await?;
    wire.send(&command(&["SENTINEL", "get-master-addr-by-name", master])).await?;
    let mut words = Vec::new();
    let asked =
        resp::list(&mut wire, |word| words.push(String::from_utf8_lossy(&word).into_owned()));
    asked.await?;
    let address = match &*words {
        [host, port] => port.parse().ok().map(|port| (host.clone(), port)),
        _ => None,
    };
    address.ok_or_else(|| Failed::Said(say::UNKNOWN_MASTER.to_owned()))
}

#[async_trait]
impl Store for RedisStore {
    async fn begin(&self) -> Result<(), String> {
        let mut wire = self.open_to_read().await?;
        self.history(&mut wire).await?;
        self.trial(&mut wire).await?;
        match self.exchange(&mut wire, &["LLEN", &self.key]).await? {
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
            None => self.open(progress).await.map_err(Failed::before_writing)?,
        };
        progress.phase = Phase::Answer;
        let (bytes, answers) = self.written(&self.key, seq, &self.expire);
        let written = async {
            wire.send(&bytes).await?;
            self.acknowledged(&mut wire, answers).await
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
