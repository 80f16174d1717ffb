//! Toxics: sicknesses of single connections, one file each, that can be put on, changed and taken off while data flows.
//!
//! They are those of Toxiproxy, with the same numbers. A cut of a [`super::Gate`] is in force for everybody at once and
//! proves it; a toxic treats the data of each connection on its own.

mod bandwidth;
mod chain;
mod latency;
mod limit_data;
mod reset_peer;
mod slicer;
mod slow_close;
mod stage;
#[cfg(test)]
mod tests;
mod timeout;

use std::time::Duration;

use tokio::time::Instant;

pub(super) use chain::{Chain, Out};

/// The way that data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// From the client to the target.
    Upstream,
    /// From the target to the client.
    Downstream,
}

/// A sickness of connections, and how many of them have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Toxic {
    /// Tells it from the others of the same gate, those of the past too.
    pub id: u64,
    /// The direction that it treats.
    pub stream: Stream,
    /// The share of connections that have it, 0 to 1. Each connection draws once for each toxic.
    pub toxicity: f64,
    /// What it does.
    pub kind: Kind,
}

/// What a toxic does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Delays each piece of data by `latency`, give or take up to `jitter`. Order is kept.
    Latency {
        /// The delay.
        latency: Duration,
        /// How much it varies either way.
        jitter: Duration,
    },
    /// Lets no more than so much pass in a second.
    Bandwidth {
        /// Bytes a second. 0 lets nothing pass; nothing is lost by it.
        rate: u64,
    },
    /// Holds the end of the data back.
    SlowClose {
        /// For how long.
        delay: Duration,
    },
    /// Loses all data, and closes the connection in the end; also when it is taken off, for bytes are missing then.
    Timeout {
        /// When it closes, from the moment that the connection has it; `None` is never.
        after: Option<Duration>,
    },
    /// Resets both sides once data, or its end, has come.
    ResetPeer {
        /// How long after that.
        after: Duration,
    },
    /// Cuts data into small pieces.
    Slicer {
        /// Bytes of a piece, on average.
        average: u64,
        /// How much larger or smaller a piece may be.
        variation: u64,
        /// Between two pieces.
        delay: Duration,
    },
    /// Closes the connection when so much has passed.
    LimitData {
        /// Bytes.
        bytes: u64,
    },
}

/// The toxics of a gate, by direction.
#[derive(Debug, Default)]
pub(super) struct Toxics {
    /// How often they were changed.
    revision: u64,
    upstream: Vec<Toxic>,
    downstream: Vec<Toxic>,
}

impl Toxics {
    pub fn replace(&mut self, toxics: Vec<Toxic>) {
        self.revision += 1;
        (self.upstream, self.downstream) =
            toxics.into_iter().partition(|toxic| toxic.stream == Stream::Upstream);
    }

    pub fn of(&self, stream: Stream) -> &[Toxic] {
        match stream {
            Stream::Upstream => &self.upstream,
            Stream::Downstream => &self.downstream,
        }
    }
}

/// How data ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ending {
    /// This direction; the other one goes on.
    #[default]
    Half,
    /// The connection.
    Close,
    /// The connection, by RST.
    Reset,
}

/// What a toxic, or a cut, makes of the data of one direction of one connection. Pure: time is an argument.
trait Treat: Send {
    /// Bytes that it takes at once, at least 1.
    fn piece(&mut self) -> usize {
        stage::PIECE
    }

    /// Bytes that it holds before what is before it has to wait.
    fn room(&self) -> usize {
        stage::ROOM
    }

    /// What becomes of a piece that comes `now`.
    fn take(&mut self, now: Instant, bytes: usize) -> Fate;

    /// When a piece goes on that it holds since `came`, after the settings changed; `None` is not yet.
    fn again(&mut self, now: Instant, came: Instant, bytes: usize) -> Option<Instant> {
        let _ = (came, bytes);
        Some(now)
    }

    /// When the end goes on that came at `came`; `None` is not yet. It is asked again when the settings change.
    fn end(&mut self, now: Instant, came: Instant) -> Option<Instant> {
        let _ = came;
        Some(now)
    }

    /// When it ends the connection by itself, whatever it still holds, and how.
    fn deadline(&self) -> Option<(Instant, Ending)> {
        None
    }

    /// Takes up other settings of the same kind.
    fn change(&mut self, kind: &Kind, now: Instant);

    /// Whether the connection cannot go on without it, because bytes are missing.
    fn is_final(&self) -> bool {
        false
    }
}

/// What becomes of a piece of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes on then.
    At(Instant),
    /// It waits until the settings change.
    Held,
    /// It is lost.
    Lost,
    /// So many bytes of it go on, and then the connection closes.
    Last(usize),
}

fn treat(kind: &Kind, now: Instant) -> Box<dyn Treat> {
    match *kind {
        Kind::Latency { latency, jitter } => Box::new(latency::Latency::new(latency, jitter, now)),
        Kind::Bandwidth { rate } => Box::new(bandwidth::Bandwidth::new(rate, now)),
        Kind::SlowClose { delay } => Box::new(slow_close::SlowClose { delay }),
        Kind::Timeout { after } => Box::new(timeout::Timeout::new(after, now)),
        Kind::ResetPeer { after } => Box::new(reset_peer::ResetPeer { after, armed: None }),
        Kind::Slicer { average, variation, delay } => {
            Box::new(slicer::Slicer::new(average, variation, delay, now))
        }
        Kind::LimitData { bytes } => Box::new(limit_data::LimitData { limit: bytes, passed: 0 }),
    }
}
