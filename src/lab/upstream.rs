//! One request to a replica, over a connection of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, UPGRADE};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why there was no answer.
pub(super) type NoAnswer = Box<dyn std::error::Error + Send + Sync>;

/// Sends `request` to `to` and gives the whole answer. Dropping the future drops the connection:
/// nothing runs on behind the caller's back.
pub(super) async fn ask<B>(
    to: SocketAddr,
    mut request: Request<B>,
) -> Result<Response<Full<Bytes>>, NoAnswer>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<NoAnswer>,
{
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    strip(request.headers_mut());
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_str(&to.to_string())?);
    }

    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (mut head, body) = sender.send_request(request).await?.into_parts();
        strip(&mut head.headers);
        let body = collect(body).await?;
        Ok(Response::from_parts(head, Full::new(body)))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It ends before us when the replica closes; what it had read is still to be had.
        _ = &mut connection => answer.await,
    }
}

async fn collect(body: Incoming) -> Result<Bytes, NoAnswer> {
    Ok(body.collect().await?.to_bytes())
}

/// Takes out the fields that speak of one connection only (RFC 9110, 7.6.1).
fn strip(headers: &mut HeaderMap) {
    let keep_alive = HeaderName::from_static("keep-alive");
    for name in [CONNECTION, keep_alive, TE, TRAILER, UPGRADE] {
        headers.remove(name);
    }
}
