//! The `tcp` probe: a connection, and perhaps a line each way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::PrepareError;
use super::connector::{Connector, Stream};
use super::every::{AskAt, every};
use super::failure::of_stream;
use super::sample::Progress;
use super::served_by::Source;
use super::target::{Target, reveal};
use crate::model::{Connection, Outcome, Phase, ProbeSpec, Reason, TcpProbe};

/// An answer that goes on for longer without what was expected is a wrong one.
const MOST_ANSWER: usize = 64 << 10;

/// A `tcp` probe made ready.
pub(super) struct TcpAsker {
    target: Target,
    send: Vec<u8>,
    expect: Vec<u8>,
    source: Source,
}

impl TcpAsker {
    /// Checks everything that can be checked before the first connection.
    pub(super) fn prepare(
        tcp: &TcpProbe,
        spec: &ProbeSpec,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        if spec.connection == Connection::KeepAlive {
            return Err(PrepareError::new(
                "a tcp probe opens a new connection each time",
                "leave `connection` out",
            ));
        }
        let source = Source::prepare(spec.served_by.as_ref())?;
        if !matches!(source, Source::None | Source::Peer(_)) {
            return Err(PrepareError::new(
                "the answer to a tcp probe has neither header fields nor JSON",
                "read `served_by` from the peer's address",
            ));
        }
        let bytes = |text: &Option<crate::model::Text>| match text {
            Some(text) => reveal(text, lab).map(String::into_bytes),
            None => Ok(Vec::new()),
        };
        let address = reveal(&tcp.address, lab)?;
        Ok(TcpAsker {
            target: Target::parse(&address, &tcp.address, connector)?.looked_up(spec)?,
            send: bytes(&tcp.send)?,
            expect: bytes(&tcp.expect)?,
            source,
        })
    }

    /// Connects, sends, and reads until what is expected has come.
    pub(super) async fn ask(&self, progress: &mut Progress) -> Result<(), Outcome> {
        if let Some(lost) = self.target.every() {
            let addresses = self.target.addresses(progress).await?;
            return every(self, addresses, lost, progress).await;
        }
        let (stream, peer) = self.target.open(progress).await?;
        self.ask_on(stream, peer, progress).await
    }

    async fn ask_on(
        &self,
        mut stream: Box<dyn Stream>,
        peer: SocketAddr,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        progress.phase = Phase::Answer;
        if !self.send.is_empty() {
            let sent = async {
                stream.write_all(&self.send).await?;
                stream.flush().await
            };
            sent.await.map_err(|error| of_stream(&error, Phase::Answer))?;
        }
        if self.expect.is_empty() {
            progress.served_by = self.source.by_peer(peer.ip());
            return Ok(());
        }
        self.read(stream, peer.ip(), progress).await
    }

    async fn read(
        &self,
        mut stream: Box<dyn Stream>,
        peer: IpAddr,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        let mut answer = Vec::with_capacity(1024);
        while answer.len() <= MOST_ANSWER {
            let seen = answer.len();
            let read = stream.read_buf(&mut answer).await;
            if read.map_err(|error| of_stream(&error, progress.phase))? == 0 {
                // Closed without a word is a service that died; a wrong word is a wrong answer.
                let reason = if answer.is_empty() { Reason::Reset } else { Reason::Body };
                return Err(Outcome::Bad(reason));
            }
            progress.phase = Phase::Body;
            progress.served_by = self.source.by_peer(peer);
            // What is expected may have begun in an earlier piece.
            let from = (seen + 1).saturating_sub(self.expect.len());
            let fresh = answer.get(from..).unwrap_or_default();
            if fresh.windows(self.expect.len()).any(|window| window == self.expect) {
                return Ok(());
            }
        }
        Err(Outcome::Bad(Reason::Body))
    }
}

impl AskAt for TcpAsker {
    fn ask_at<'a>(
        &'a self,
        address: IpAddr,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<(), Outcome>> {
        async move {
            let (stream, peer) = self.target.open_at(address, progress).await?;
            self.ask_on(stream, peer, progress).await
        }
        .boxed()
    }
}
