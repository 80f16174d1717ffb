//! The HTTP server of the API. Whatever callers do, time and memory stay within limits.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer::{Answer, ApiError};
use super::lobby::{Guest, Lobby};
use super::patient::Patient;
use super::proxies::Proxies;
use super::routes;
use super::token::Token;

/// The largest body that is read, in bytes.
const BODY: usize = 8 * 1024 * 1024;
/// So many callers are served at once; others wait.
const CALLERS: usize = 256;
/// So many may wait who are strangers, as they have not shown a token yet, and so many who are none and are not served.
const WAITING: usize = 256;
/// How long a caller may take for a head, for a body, or not to read on: a connection that is idle for longer is closed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait when no file descriptor is left for another caller.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(20);

/// The API, listening.
pub struct Server {
    listener: TcpListener,
    proxies: Arc<Proxies>,
    token: Option<Token>,
}

impl Server {
    /// Listens at `address`. With a `token`, callers have to show it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        proxies: Arc<Proxies>,
        token: Option<Token>,
    ) -> io::Result<Server> {
        Ok(Server { listener: TcpListener::bind(address).await?, proxies, token })
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever. Dropping the future ends the callers' connections, but finishes what they had asked for.
    pub async fn serve(self) {
        let (places, lobby) = (Semaphore::new(CALLERS), Arc::new(Lobby::new(WAITING)));
        let service = Arc::new(Service { proxies: self.proxies, token: self.token, places });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((caller, _)) => {
                        let guest = Guest::new(&lobby);
                        connections.spawn(converse(caller, guest, Arc::clone(&service)));
                    }
                    Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

struct Service {
    proxies: Arc<Proxies>,
    token: Option<Token>,
    places: Semaphore,
}

async fn converse(caller: TcpStream, guest: Guest, service: Arc<Service>) {
    // Without it small answers wait for acknowledgements; failing, they are merely late.
    let _ = caller.set_nodelay(true);
    let io = TokioIo::new(Patient::new(caller, PATIENCE));
    let answer = service_fn(|request| {
        let (service, guest) = (Arc::clone(&service), &guest);
        async move { Ok::<_, Infallible>(obey(request, guest, &service).await) }
    });
    let mut http = http1::Builder::new();
    // Who sent a whole request and closes his side has asked for it all the same, and may still listen, as `nc -N` does.
    http.half_close(true);
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    tokio::select! {
        // A caller that breaks off is its own affair.
        _ = http.serve_connection(io, answer) => {}
        () = guest.sent_away() => {}
    }
}

/// Serves whoever may ask, once there is a place. Until then, and afterwards, he waits among those who may.
async fn obey(request: Request<Incoming>, guest: &Guest, service: &Service) -> Answer {
    let (head, body) = request.into_parts();
    if let Some(refused) = routes::refuse(&head, service.token.as_ref()) {
        return refused;
    }
    // Strangers, of whom there may be any number, must not push him out while he waits.
    guest.waits_as_known();
    // It is never closed, so that there is a place in the end.
    let place = service.places.acquire().await;
    guest.is_served();
    let answer = serve(head, body, &service.proxies).await;
    guest.waits_as_known();
    drop(place);
    answer
}

async fn serve(head: Parts, body: Incoming, proxies: &Arc<Proxies>) -> Answer {
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("no more than {BODY} bytes are read");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, what).answer();
        }
        Ok(Err(error)) => return ApiError::body(error).answer(),
        Err(_) => {
            let what = "the body did not come in time";
            return ApiError::new(StatusCode::REQUEST_TIMEOUT, what).answer();
        }
    };
    // What was begun is finished, also when the caller goes away meanwhile: nothing stays half cut.
    let proxies = Arc::clone(proxies);
    let work = tokio::spawn(async move {
        routes::answer(&proxies, &head.method, head.uri.path(), &body).await
    });
    work.await.unwrap_or_else(|_| ApiError::machine("the request could not be finished").answer())
}
