//! One request on a connection of its own.
//!
//! A kept connection would save a handshake, and leave it open whether a request on it arrived when the server closed it
//! meanwhile. Calls of a control are few, and that is worth more.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::model::Shown;
use crate::wire::tls::in_words;

/// An answer larger than this is none of a provider's.
pub(in crate::traffic) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The server that is asked.
pub(in crate::traffic) struct Server {
    /// A name or an address, without brackets.
    pub(in crate::traffic) host: String,
    pub(in crate::traffic) port: u16,
    pub(in crate::traffic) tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::traffic) struct Lost {
    pub(in crate::traffic) why: String,
    /// Whether the request may have arrived.
    pub(in crate::traffic) arrived: bool,
    /// Whether that may be better a moment later.
    pub(in crate::traffic) may_pass: bool,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    LookUp,
    Connect,
    Tls,
    Answer,
    Body,
}

impl Stage {
    fn lost(self, why: String) -> Lost {
        Lost { why, arrived: matches!(self, Stage::Answer | Stage::Body), may_pass: true }
    }

    fn hopeless(self, why: String) -> Lost {
        Lost { may_pass: false, ..self.lost(why) }
    }

    /// That it went no further than this in all of `limit`.
    fn late(self, limit: Duration) -> Lost {
        let limit = Shown(limit);
        self.lost(match self {
            Stage::LookUp => format!("its name was not looked up within {limit}"),
            Stage::Connect => format!("no connection within {limit}"),
            Stage::Tls => format!("TLS was not set up within {limit}"),
            Stage::Answer => format!("no answer within {limit}"),
            Stage::Body => format!("the answer began and was not whole within {limit}"),
        })
    }
}

/// The head of an answer and its body.
pub(in crate::traffic) type Answered = ((StatusCode, HeaderMap), Vec<u8>);

impl Server {
    /// Asks once, within `left` of `limit`.
    pub(in crate::traffic) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        (left, limit): (Duration, Duration),
    ) -> Result<Answered, Lost> {
        let mut stage = Stage::LookUp;
        match timeout(left, self.talk(request, left, &mut stage)).await {
            Ok(answered) => answered,
            Err(_) => Err(stage.late(limit)),
        }
    }

    async fn talk(
        &self,
        request: Request<Full<Bytes>>,
        left: Duration,
        stage: &mut Stage,
    ) -> Result<Answered, Lost> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| stage.lost(format!("its name has no address: {error}")));
        *stage = Stage::Connect;
        let stream = connect(found?.collect(), left).await?;
        let Some((connector, name)) = &self.tls else {
            return exchange(stream, request, stage).await;
        };
        *stage = Stage::Tls;
        match connector.connect(name.clone(), stream).await {
            Ok(stream) => exchange(stream, request, stage).await,
            // A certificate is the same a moment later.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(stage.hopeless(in_words(&error)))
            }
            Err(error) => Err(stage.lost(in_words(&error))),
        }
    }
}

/// Connects to the first address that takes a connection. Each has its share of the time, so that one that swallows
/// packets, such as IPv6 on half a network, does not use up that of the others.
async fn connect(addresses: Vec<SocketAddr>, left: Duration) -> Result<TcpStream, Lost> {
    let share = left / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Else the request would wait for the acknowledgement of the TLS handshake; without it, it is only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = format!("no connection to {address}: {error}"),
            Err(_) => why = format!("no connection to {address} within {}", Shown(share)),
        }
    }
    Err(Stage::Connect.lost(why))
}

/// Sends `request` and takes in the whole answer, within bounds.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    stage: &mut Stage,
) -> Result<Answered, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    *stage = Stage::Answer;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| broken(&error, *stage))?;
    let talk = pin!(async {
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|error| broken(&error, *stage))?.into_parts();
        *stage = Stage::Body;
        Ok(((head.status, head.headers), whole(body).await?))
    });
    // What the connection finds at its end reaches the caller through the answer.
    match select(talk, pin!(connection)).await {
        Either::Left((answered, _)) => answered,
        Either::Right((_, talk)) => talk.await,
    }
}

async fn whole(mut body: Incoming) -> Result<Vec<u8>, Lost> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.frame().await {
        let piece = piece.map_err(|error| broken(&error, Stage::Body))?;
        let Some(data) = piece.data_ref() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES_MAX {
            let most = ANSWER_BYTES_MAX >> 20;
            return Err(Stage::Body.hopeless(format!("the answer is larger than {most} MiB")));
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// What the library's error means.
fn broken(error: &hyper::Error, stage: Stage) -> Lost {
    // The outermost says no more than that it failed.
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    stage.lost(match stage {
        _ if error.is_parse() => format!("what came back is not HTTP: {cause}"),
        Stage::Body => format!("the answer broke off: {cause}"),
        _ if error.is_incomplete_message() => {
            "the connection was closed before the answer was whole".to_owned()
        }
        _ => format!("the connection broke: {cause}"),
    })
}
