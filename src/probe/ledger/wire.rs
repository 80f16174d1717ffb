//! Connections that speak in lines and blocks, as Redis and NATS do, and the servers that they lead to.
//!
//! Both protocols are spoken here, not by a client library: everything that connects for a probe goes through one
//! [`Connector`]; it matters whether a write had left when its connection broke; and a client that connects again and
//! sends what it still has, behind our back, would make every time and every outcome a guess.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::model::{Outcome, Phase, Reason};
use crate::probe::connector::{Connector, Stream};
use crate::probe::sample::Progress;
use crate::probe::target::Target;
use crate::probe::tls::Tls;

/// No line of an honest server is longer.
const LONGEST_LINE: u64 = 64 << 10;

/// More idle connections than this are not kept.
const MOST_IDLE: usize = 256;

/// An open connection.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    /// The address at the other end.
    pub(super) peer: SocketAddr,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, peer: SocketAddr) -> Wire {
        Wire { stream: BufReader::new(stream), peer }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            // Cut short, or as long as no line is.
            let kind = match line.len() as u64 {
                LONGEST_LINE => io::ErrorKind::InvalidData,
                _ if line.ends_with(b"\n") => io::ErrorKind::InvalidData,
                _ => io::ErrorKind::UnexpectedEof,
            };
            return Err(kind.into());
        };
        String::from_utf8(line.to_vec()).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// `length` bytes and the end of their line.
    pub(super) async fn block(&mut self, length: usize) -> io::Result<Vec<u8>> {
        // It grows with what comes: a length alone takes no memory.
        let mut block = Vec::new();
        let wanted = length as u64 + 2;
        (&mut self.stream).take(wanted).read_to_end(&mut block).await?;
        if (block.len() as u64) < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !block.ends_with(b"\r\n") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        block.truncate(length);
        Ok(block)
    }

    /// Whether it is open and nothing came unasked, as far as is known here and now.
    pub(super) async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_fill_buf(cx).is_pending())).await
    }

    /// The same connection, encrypted from here on.
    pub(super) async fn encrypted(self, tls: &Tls) -> Result<Wire, Outcome> {
        if !self.stream.buffer().is_empty() {
            // Said before it was encrypted: anybody may have said it.
            return Err(Outcome::Bad(Reason::Tls));
        }
        let stream = tls.wrap(self.stream.into_inner()).await?;
        Ok(Wire::new(stream, self.peer))
    }
}

impl AsMut<Wire> for Wire {
    fn as_mut(&mut self) -> &mut Wire {
        self
    }
}

/// Connections kept open between writes; the one used last is used first. One is taken out for as long as an answer is
/// outstanding: whoever drops a write drops its connection, and no later one waits behind it.
pub(super) struct Idle<T>(Mutex<Vec<T>>);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Idle(Mutex::default())
    }
}

impl<T: AsMut<Wire>> Idle<T> {
    /// A connection that is still alive. Dead ones are dropped on the way.
    pub(super) async fn take(&self) -> Option<T> {
        loop {
            let mut wire = self.all().pop()?;
            if wire.as_mut().is_quiet().await {
                return Some(wire);
            }
        }
    }

    /// Keeps `wire` for a later write.
    pub(super) fn put(&self, wire: T) {
        let mut all = self.all();
        if all.len() < MOST_IDLE {
            all.push(wire);
        }
    }

    /// Drops all.
    pub(super) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server.
pub(super) struct Place {
    /// Where it is.
    pub(super) target: Target,
    /// How to speak TLS with it.
    pub(super) tls: Option<Tls>,
}

impl Place {
    /// The server at `host` and `port`, without TLS.
    pub(super) fn plain(host: &str, port: u16, connector: Arc<dyn Connector>) -> Place {
        Place { target: Target::new(host, port, connector), tls: None }
    }

    /// A new connection, not yet encrypted.
    pub(super) async fn open(&self, progress: &mut Progress) -> Result<Wire, Outcome> {
        let (stream, peer) = self.target.open(progress).await?;
        Ok(Wire::new(stream, peer))
    }

    /// A new connection, encrypted from the beginning where TLS is spoken.
    pub(super) async fn open_encrypted(&self, progress: &mut Progress) -> Result<Wire, Outcome> {
        let wire = self.open(progress).await?;
        match &self.tls {
            Some(tls) => {
                progress.phase = Phase::Tls;
                wire.encrypted(tls).await
            }
            None => Ok(wire),
        }
    }
}

/// Servers of which any will do. Each new connection begins with the one behind the last: one that connects and then
/// does nothing must not be asked for ever.
pub(super) struct Places {
    all: Vec<Place>,
    turn: AtomicUsize,
    /// What each has, so that one that hangs leaves time for the others.
    patience: Duration,
}

impl Places {
    /// `all`, of which each has its part of `timeout`.
    pub(super) fn new(all: Vec<Place>, timeout: Duration) -> Places {
        let parts = u32::try_from(all.len()).unwrap_or(u32::MAX).saturating_add(1);
        Places { all, turn: AtomicUsize::new(0), patience: timeout / parts }
    }

    /// All of them once, beginning with the one whose turn it is.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Place> {
        let first = self.turn.fetch_add(1, Relaxed) % self.all.len().max(1);
        self.all.iter().cycle().skip(first).take(self.all.len())
    }

    /// What comes of asking one of them, within its part of the time.
    pub(super) async fn patiently<T>(
        &self,
        asked: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let hung = || Err(Failed::Broken(Outcome::Bad(Reason::TimeOut(Phase::Connect))));
        tokio::time::timeout(self.patience, asked).await.unwrap_or_else(|_| hung())
    }
}

/// What went wrong between connecting and the end of an answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The path, or our own side.
    Broken(Outcome),
    /// The server said so, in its own words.
    Said(String),
    /// What came makes no sense.
    Garbage,
}

impl From<Outcome> for Failed {
    fn from(outcome: Outcome) -> Failed {
        Failed::Broken(outcome)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::InvalidData => Failed::Garbage,
            _ => Failed::Broken(crate::probe::failure::of_stream(&error, Phase::Answer)),
        }
    }
}

impl Failed {
    /// What it makes of a write that had not left yet: it cannot be there.
    pub(super) fn before_writing(self) -> Outcome {
        match self {
            Failed::Broken(Outcome::Bad(Reason::Reset | Reason::Protocol)) | Failed::Garbage => {
                Outcome::Bad(Reason::Refused)
            }
            Failed::Broken(outcome) => outcome,
            Failed::Said(_) => Outcome::Bad(Reason::Rejected),
        }
    }
}

/// What a server said, for people: printable, not long, and without `secrets`, which some servers repeat.
pub(super) fn quoted(said: &str, secrets: &[String]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    let said = secrets.fold(said.to_owned(), |said, secret| said.replace(secret.as_str(), "***"));
    let short: String = said.chars().take(200).collect();
    format!("`{}`", crate::model::printable(&short))
}

/// What an outcome of the path says, for people.
pub(super) fn in_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Good => "it was answered".to_owned(),
        Outcome::Bad(reason) => format!("it could not be reached: {reason}"),
        Outcome::Unknown(blindness) => format!("our side could not reach it: {blindness}"),
    }
}
