//! The servers of a ledger: their addresses and credentials, and the way to a connection.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::AbortHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::frames::Frames;
use super::url::{self, Access};
use super::words::{in_words, of_login};
use crate::model::{Outcome, Phase, PostgresServers, ProbeSpec, Reason, ServedBy, SslMode};
use crate::probe::connector::{Connector, Stream};
use crate::probe::sample::Progress;
use crate::probe::served_by::Source;
use crate::probe::target::Target;
use crate::probe::tls::{self, Tls, Trust};
use crate::probe::{PrepareError, failure};

/// "Can we speak TLS?": the length and the number that stand for it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What servers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Of several, one that takes writes.
    Write,
    /// Of several any, unless its URL asks for one that takes writes.
    Read,
}

/// Servers of which one takes writes.
#[derive(Clone)]
pub(super) struct Servers(Arc<Inner>);

struct Inner {
    ways: Vec<Way>,
    config: Config,
    ssl: SslMode,
    /// Whether only one that takes writes will do.
    writable: bool,
    source: Source,
    hidden: Vec<String>,
}

struct Way {
    target: Target,
    /// For a server that can.
    tls: Option<Tls>,
}

/// An open connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) task: AbortHandle,
    pub(super) served_by: ServedBy,
    /// Which of the servers it leads to.
    way: usize,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its server may hang, and would be waited for, for ever.
        self.task.abort();
    }
}

/// Why there is no connection. Nothing was written over it.
pub(super) struct Failed {
    pub(super) outcome: Outcome,
    /// Without secrets.
    pub(super) words: String,
}

impl Servers {
    /// Checks everything that can be checked before the first connection.
    pub(super) fn prepare(
        servers: &PostgresServers,
        ca: Option<&Path>,
        spec: &ProbeSpec,
        purpose: Use,
        connector: Arc<dyn Connector>,
    ) -> Result<Servers, PrepareError> {
        let Access { mut config, ssl, asks_for_writable } = match servers {
            PostgresServers::Url(text) => url::read(text)?,
            PostgresServers::Hosts(hosts) => url::of_parts(hosts)?,
        };
        config.application_name("firedrill");
        if config.get_user().is_none() {
            return Err(PrepareError::new(
                "the URL names no user",
                "write `postgres://USER:…@HOST/DATABASE`",
            ));
        }
        let trust = match (ca, ssl) {
            (Some(ca), _) => Trust::Named(Some(ca)),
            (None, SslMode::VerifyFull) => Trust::Named(None),
            (None, _) => Trust::Anybody,
        };
        let ports = config.get_ports();
        let mut ways = Vec::new();
        for (place, host) in config.get_hosts().iter().enumerate() {
            let host = match host {
                Host::Tcp(host) => host,
                #[cfg(unix)]
                Host::Unix(_) => {
                    return Err(PrepareError::new(
                        "a UNIX socket is on this machine, and no datacenter can be lost with it",
                        "give the server's HOST:PORT",
                    ));
                }
            };
            let port = match ports {
                [] => 5432,
                [only] => *only,
                many => many.get(place).copied().unwrap_or(5432),
            };
            let tls = match ssl {
                SslMode::Disable => None,
                _ => Some(Tls::speaking("postgresql", host, &trust)?),
            };
            ways.push(Way { target: Target::new(host, port, connector.clone()), tls });
        }
        if ways.is_empty() {
            return Err(PrepareError::new(
                "the URL names no server",
                "write `postgres://USER:…@HOST/DATABASE`",
            ));
        }
        let texts = servers.texts();
        let secrets = texts.iter().flat_map(|text| text.secrets()).map(str::to_owned);
        let mut hidden: Vec<String> = secrets.collect();
        if !hidden.is_empty() {
            // Of a URL that is one secret, each part is one too.
            let password = config.get_password().map(|it| String::from_utf8_lossy(it).into_owned());
            hidden.extend(password);
            hidden.extend(config.get_user().map(str::to_owned));
            hidden.extend(config.get_dbname().map(str::to_owned));
        }
        let writable = asks_for_writable || (purpose == Use::Write && ways.len() > 1);
        let source = Source::prepare(spec.served_by.as_ref())?;
        Ok(Servers(Arc::new(Inner { ways, config, ssl, writable, source, hidden })))
    }

    /// What must not be shown.
    pub(super) fn hidden(&self) -> &[String] {
        &self.0.hidden
    }

    /// The datacenter of the server with this address.
    pub(super) fn is_in(&self, address: IpAddr) -> ServedBy {
        self.0.source.by_peer(address)
    }

    /// A connection to the first server that will do. All are asked at once: one that does not answer holds up nobody.
    pub(super) async fn open(&self) -> Result<Session, Failed> {
        let mut under_way: FuturesUnordered<_> =
            (0..self.0.ways.len()).map(|place| self.open_one(place)).collect();
        let mut failed: Option<Failed> = None;
        while let Some(opened) = under_way.next().await {
            match opened {
                Ok(session) => return Ok(session),
                Err(other) => {
                    failed = Some(match failed {
                        Some(first) => first.and(other),
                        None => other,
                    });
                }
            }
        }
        Err(failed.unwrap_or_else(|| Failed::rejected("there is no server".to_owned())))
    }

    async fn open_one(&self, place: usize) -> Result<Session, Failed> {
        let Inner { ways, config, source, writable, hidden, .. } = &*self.0;
        let Some(way) = ways.get(place) else {
            return Err(Failed::rejected("there is no such server".to_owned()));
        };
        let (stream, peer) = self.way_to(way).await?;
        let in_login = |error: tokio_postgres::Error| Failed {
            outcome: of_login(&error),
            words: in_words(&error, None, hidden),
        };
        let (from, to) = tokio::io::split(stream);
        let stream = tokio::io::join(Frames::of(from), to);
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(in_login)?;
        // What the connection finds at its end reaches whoever uses it.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        let task = task.abort_handle();
        let mut session = Session { client, task, served_by: source.by_peer(peer), way: place };
        let asks_who = matches!(source, Source::Peer(_));
        if asks_who || *writable {
            const FACTS: &str =
                "SELECT host(inet_server_addr()), current_setting('transaction_read_only')";
            let facts = session.client.simple_query(FACTS).await.map_err(in_login)?;
            let row = facts.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            // Behind a balancer the socket's other end is the balancer's; the server knows better.
            let at = row.and_then(|row| row.get(0)).and_then(|at| at.parse::<IpAddr>().ok());
            session.served_by = source.by_peer(at.unwrap_or(peer));
            if *writable && row.and_then(|row| row.get(1)) != Some("off") {
                return Err(Failed::rejected("a server is read-only".to_owned()));
            }
        }
        Ok(session)
    }

    /// A stream to a server, encrypted if it has to be.
    async fn way_to(&self, way: &Way) -> Result<(Box<dyn Stream>, IpAddr), Failed> {
        let mut progress = Progress::begun();
        let (mut stream, peer) =
            way.target.open(&mut progress).await.map_err(Failed::unreachable)?;
        let Some(tls) = &way.tls else { return Ok((stream, peer.ip())) };
        let answer = async {
            stream.write_all(&SSL_REQUEST).await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        match answer.await {
            Ok(b'S') => {
                let encrypted = tls.handshake(stream).await.map_err(|error| Failed {
                    outcome: refused(failure::of_stream(&error, Phase::Tls)),
                    words: tls::in_words(&error),
                })?;
                Ok((encrypted, peer.ip()))
            }
            Ok(b'N') if self.0.ssl == SslMode::Prefer => Ok((stream, peer.ip())),
            Ok(b'N') => Err(Failed {
                outcome: Outcome::Bad(Reason::Tls),
                words: "the server speaks no TLS: let it, or write `sslmode: disable` if nobody can listen or answer in its place".to_owned(),
            }),
            Ok(_) => Err(Failed {
                outcome: Outcome::Bad(Reason::Refused),
                words: "what answers there is no PostgreSQL".to_owned(),
            }),
            Err(error) => Err(Failed::unreachable(failure::of_stream(&error, Phase::Tls))),
        }
    }

    /// Asks the server to call off what the session does.
    pub(super) async fn call_off(&self, session: &Session) {
        let Some(way) = self.0.ways.get(session.way) else { return };
        if let Ok((stream, _)) = self.way_to(way).await {
            let _ = session.client.cancel_token().cancel_query_raw(stream, NoTls).await;
        }
    }
}

impl Failed {
    fn rejected(words: String) -> Failed {
        Failed { outcome: Outcome::Bad(Reason::Rejected), words }
    }

    fn unreachable(outcome: Outcome) -> Failed {
        let words = match outcome {
            Outcome::Bad(Reason::Reset | Reason::Protocol) => "connection closed".to_owned(),
            Outcome::Bad(reason) => reason.to_string(),
            Outcome::Unknown(blindness) => format!("our side: {blindness}"),
            Outcome::Good => String::new(),
        };
        let words = format!("the server cannot be reached: {words}");
        Failed { outcome: refused(outcome), words }
    }

    /// Of two servers: what one said counts for more than what could not be asked.
    fn and(self, other: Failed) -> Failed {
        let words = format!("{}; {}", self.words, other.words);
        let outcome = match (self.outcome, other.outcome) {
            (Outcome::Bad(Reason::Rejected), _) | (_, Outcome::Unknown(_)) => self.outcome,
            (_, other) => other,
        };
        Failed { outcome, words }
    }
}

/// How it is with a server that broke the connection off before anything was written: to its user it refuses.
pub(super) fn refused(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Bad(Reason::Reset | Reason::Protocol) => Outcome::Bad(Reason::Refused),
        other => other,
    }
}
