//! The way to the server that takes writes: an address, or what Sentinels say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::resp::{self, command};
use super::say;
use crate::model::{Outcome, Phase, Reason, RedisAt, RedisLedger, StoreUrl, Text};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::ledger::wire::{Failed, Place, Places, Wire};
use crate::probe::sample::Progress;
use crate::probe::target::Target;
use crate::probe::tls::Tls;

/// How to come to the server that takes writes, and be let in.
pub(super) struct Reach {
    way: Way,
    login: Login,
    database: u32,
    /// What opening may take where nobody else sets a limit.
    timeout: Duration,
}

enum Way {
    Straight(Place),
    Asking(Sentinels),
}

struct Sentinels {
    all: Places,
    master: String,
    login: Login,
    connector: Arc<dyn Connector>,
}

/// What a connection begins with.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Reach {
    /// Checks everything that can be checked before the first connection. What `login` leaves open a URL may say.
    pub(super) fn prepare(
        at: &RedisAt,
        login: Login,
        timeout: Duration,
        connector: Arc<dyn Connector>,
    ) -> Result<Reach, PrepareError> {
        let (sentinels, master, password, database) = match at {
            RedisAt::Url { url, ca } => {
                let (way, login, database) = straight(url, ca.as_deref(), login, connector)?;
                return Ok(Reach { way, login, database, timeout });
            }
            RedisAt::Sentinels { sentinels, master, password, database } => {
                (sentinels, master, password, *database)
            }
        };
        let place = |at: &Text| {
            let target = Target::parse(&at.reveal_plain(), at, connector.clone())?;
            Ok(Place { target, tls: None })
        };
        let places = sentinels.iter().map(place).collect::<Result<Vec<_>, PrepareError>>()?;
        let way = Way::Asking(Sentinels {
            all: Places::new(places, timeout),
            master: master.clone(),
            login: Login { user: None, password: password.as_ref().map(Text::reveal_plain) },
            connector,
        });
        Ok(Reach { way, login, database, timeout })
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        let sentinels = match &self.way {
            Way::Asking(sentinels) => sentinels.login.password.clone(),
            Way::Straight(_) => None,
        };
        self.login.password.iter().cloned().chain(sentinels).collect()
    }

    /// A new connection to the server that takes writes, logged in: of several Sentinels the first that answers is believed,
    /// as clients do.
    pub(super) async fn open(&self, progress: &mut Progress) -> Result<Wire, Failed> {
        let wire = match &self.way {
            Way::Straight(place) => place.open_encrypted(progress).await?,
            Way::Asking(sentinels) => {
                // Whatever hangs from here on: nothing was written.
                progress.phase = Phase::Connect;
                let found = sentinels.first().await?;
                sentinels.follow(found, progress).await?
            }
        };
        progress.phase = Phase::Connect;
        self.let_in(wire).await
    }

    /// As [`Reach::open`], with a limit of its own.
    pub(super) async fn open_in_time(&self) -> Result<Wire, Failed> {
        let mut progress = Progress::begun();
        let opened = tokio::time::timeout(self.timeout, self.open(&mut progress)).await;
        let late = |_| Err(Outcome::Bad(Reason::TimeOut(progress.phase)).into());
        opened.unwrap_or_else(late)
    }

    /// As [`Reach::open_in_time`], but where most Sentinels say: one that is cut off with an old master goes on to name it, and
    /// what that has must not be taken for what is there.
    pub(super) async fn open_to_read(&self) -> Result<Wire, Failed> {
        let Way::Asking(sentinels) = &self.way else { return self.open_in_time().await };
        let found = sentinels.most().await?;
        self.let_in(sentinels.follow(found, &mut Progress::begun()).await?).await
    }

    async fn let_in(&self, mut wire: Wire) -> Result<Wire, Failed> {
        self.login.give(&mut wire).await?;
        if self.database != 0 {
            resp::ask(&mut wire, &["SELECT", &self.database.to_string()]).await?;
        }
        Ok(wire)
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

/// The way to the server that a URL names, how to log in there, and the database.
fn straight(
    url: &Text,
    ca: Option<&Path>,
    login: Login,
    connector: Arc<dyn Connector>,
) -> Result<(Way, Login, u32), PrepareError> {
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
    let login =
        Login { user: login.user.or(parts.user), password: login.password.or(parts.password) };
    Ok((Way::Straight(place), login, database))
}

/// A host and its port.
type Address = (String, u16);

impl Sentinels {
    /// Where the first Sentinel that knows it says that the master is.
    async fn first(&self) -> Result<Address, Failed> {
        let mut failed = Failed::Garbage;
        for sentinel in self.all.in_turn() {
            match self.all.patiently(self.ask(sentinel)).await {
                Ok(found) => return Ok(found),
                Err(error) => failed = graver(failed, error),
            }
        }
        Err(failed)
    }

    /// Where more than half of the Sentinels that the plan names say that the master is.
    async fn most(&self) -> Result<Address, Failed> {
        let asked = self.all.in_turn().map(|sentinel| self.all.patiently(self.ask(sentinel)));
        let answers = join_all(asked).await;
        let needed = answers.len() / 2 + 1;
        let (mut votes, mut failed) = (BTreeMap::<Address, usize>::new(), Failed::Garbage);
        for answer in answers {
            match answer {
                Ok(found) => *votes.entry(found).or_default() += 1,
                Err(error) => failed = graver(failed, error),
            }
        }
        if votes.is_empty() {
            return Err(failed);
        }
        let most = votes.into_iter().find(|(_, count)| *count >= needed);
        most.map(|(found, _)| found).ok_or_else(|| Failed::Said(say::NO_MAJORITY.to_owned()))
    }

    /// Where a Sentinel says that the master is.
    async fn ask(&self, sentinel: &Place) -> Result<Address, Failed> {
        // Its own progress: what hangs here is the way to the server.
        let mut wire = sentinel.open(&mut Progress::begun()).await?;
        self.login.give(&mut wire).await.map_err(of_sentinel)?;
        wire.send(&command(&["SENTINEL", "get-master-addr-by-name", &self.master])).await?;
        let mut words = Vec::new();
        let asked =
            resp::list(&mut wire, |word| words.push(String::from_utf8_lossy(&word).into_owned()));
        asked.await.map_err(of_sentinel)?;
        let address = match &*words {
            [host, port] => port.parse().ok().map(|port| (host.clone(), port)),
            _ => None,
        };
        address.ok_or_else(|| Failed::Said(say::UNKNOWN_MASTER.to_owned()))
    }

    async fn follow(&self, (host, port): Address, progress: &mut Progress) -> Result<Wire, Failed> {
        Ok(Place::plain(&host, port, self.connector.clone()).open(progress).await?)
    }
}

/// What tells more: a Sentinel that cannot be asked says nothing about the name.
fn graver(known: Failed, error: Failed) -> Failed {
    match known {
        Failed::Said(_) => known,
        Failed::Broken(_) | Failed::Garbage => error,
    }
}

/// A Sentinel has a password of its own.
fn of_sentinel(failed: Failed) -> Failed {
    match failed {
        Failed::Said(said) if say::is_about_login(&said) => {
            Failed::Said(say::SENTINEL_LOGIN.to_owned())
        }
        failed => failed,
    }
}
