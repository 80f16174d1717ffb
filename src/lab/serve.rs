//! HTTP/1.1 servers whose tasks end with them.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long to wait when no file descriptor is left for another connection.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(20);

/// Serves every connection of `listener` with `answer`, for ever. Dropping the future ends the
/// connections too; a client that goes away ends the work on its request.
pub(super) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => { connections.spawn(converse(client, answer.clone())); }
                Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<A, F>(client: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync,
    F: Future<Output = Response<Full<Bytes>>> + Send,
{
    // Without it small answers wait for acknowledgements; failing, they are merely late.
    let _ = client.set_nodelay(true);
    let service = service_fn(|request| {
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    // A client that breaks off is its own affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
}
