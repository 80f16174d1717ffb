//! The servers of a ledger: their addresses and credentials, and the way to a connection.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::AbortHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::words::{in_words, of_login};
use crate::model::{
    Outcome, Phase, PostgresHosts, PostgresServers, ProbeSpec, Reason, ServedBy, SslMode, Text,
};
use crate::probe::connector::{Connector, Stream};
use crate::probe::sample::Progress;
use crate::probe::served_by::Source;
use crate::probe::target::Target;
use crate::probe::tls::{Tls, Trust};
use crate::probe::{PrepareError, failure};

/// "Can we speak TLS?": the length and the number that stand for it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

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
        connector: Arc<dyn Connector>,
    ) -> Result<Servers, PrepareError> {
        let (mut config, ssl) = match servers {
            PostgresServers::Url(url) => from_url(url)?,
            PostgresServers::Hosts(hosts) => (from_parts(hosts)?, hosts.ssl),
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
        let writable = ways.len() > 1;
        let source = Source::prepare(spec.served_by.as_ref())?;
        Ok(Servers(Arc::new(Inner { ways, config, ssl, writable, source, hidden })))
    }

    /// The same, of which any will do.
    pub(super) fn for_reading(self) -> Servers {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Servers(Arc::new(Inner { writable: false, ..inner })),
            // Nobody else has it yet.
            Err(shared) => Servers(shared),
        }
    }

    /// What must not be shown.
    pub(super) fn hidden(&self) -> &[String] {
        &self.0.hidden
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
                let stream = tls.wrap(stream).await.map_err(Failed::unreachable)?;
                Ok((stream, peer.ip()))
            }
            Ok(b'N') if self.0.ssl == SslMode::Prefer => Ok((stream, peer.ip())),
            Ok(b'N') => Err(Failed {
                outcome: Outcome::Bad(Reason::Tls),
                words: "the server speaks no TLS, and `sslmode` asks for it".to_owned(),
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
        let (outcome, words) = match outcome {
            // Nothing was written: to its user such a server refuses.
            Outcome::Bad(Reason::Reset | Reason::Protocol) => {
                (Outcome::Bad(Reason::Refused), "connection closed".to_owned())
            }
            Outcome::Bad(reason) => (outcome, reason.to_string()),
            Outcome::Unknown(blindness) => (outcome, format!("our side: {blindness}")),
            Outcome::Good => (outcome, String::new()),
        };
        Failed { outcome, words: format!("the server cannot be reached: {words}") }
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

fn from_parts(hosts: &PostgresHosts) -> Result<Config, PrepareError> {
    let mut config = Config::new();
    for host in &hosts.hosts {
        let real = host.reveal_plain();
        let (name, port) = real.rsplit_once(':').unwrap_or((&real, "5432"));
        let port = port.parse().map_err(|_| {
            PrepareError::new(format!("`{host}` has no proper port"), "write HOST:PORT")
        })?;
        config.host(name.trim_matches(['[', ']'])).port(port);
    }
    config.user(hosts.user.reveal_plain()).dbname(hosts.dbname.reveal_plain());
    if let Some(password) = &hosts.password {
        config.password(password.reveal_plain());
    }
    Ok(config)
}

/// Reads a URL as libpq does; errors show the plan's own words.
fn from_url(url: &Text) -> Result<(Config, SslMode), PrepareError> {
    let real = url.reveal_plain();
    let (before, query) = real.split_once('?').unwrap_or((&real, ""));
    let (mut ssl, mut rest) = (SslMode::default(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", mode) => {
                ssl = match mode {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    // The stricter of the two: who a name is for is part of who it is.
                    "verify-ca" | "verify-full" => SslMode::VerifyFull,
                    _ => {
                        return Err(PrepareError::new(
                            "the URL's `sslmode` is none",
                            "write disable, prefer, require or verify-full",
                        ));
                    }
                };
            }
            // Ours to say, or without meaning here.
            (
                "sslrootcert" | "target_session_attrs" | "application_name" | "connect_timeout",
                _,
            ) => {}
            _ => rest.push(pair),
        }
    }
    let plain = match rest.is_empty() {
        true => before.to_owned(),
        false => format!("{before}?{}", rest.join("&")),
    };
    let config = Config::from_str(&plain).map_err(|error| {
        // The library's words may hold a part of the URL.
        let _ = error;
        PrepareError::new(
            format!("`{url}` is no URL of PostgreSQL, or has settings that are not known"),
            "write `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require`",
        )
    })?;
    Ok((config, ssl))
}
