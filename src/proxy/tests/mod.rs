//! The proxy on real sockets.

mod faults;
mod forwarding;
mod load;
mod toxics;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Degradation, Fault, Gate, Kind, Proxy, Stream, Toxic};

/// Long enough for anything that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long silence is listened to. Too short can only miss a failure, never invent one.
const SILENCE: Duration = Duration::from_millis(50);

pub(super) fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(super) fn degraded(latency: Duration) -> Degradation {
    Degradation { latency, jitter: Duration::ZERO, loss: 0.0, bandwidth: None }
}

/// A backend that the test accepts from by hand, and a proxy in front of it.
pub(super) struct World {
    pub gate: Gate,
    pub proxy: Proxy,
    pub backend: TcpListener,
}

impl World {
    pub async fn new() -> World {
        let backend = TcpListener::bind(any_port()).await.unwrap();
        let gate = Gate::new();
        let to = backend.local_addr().unwrap().to_string();
        let proxy = Proxy::listen(&gate, any_port(), to).await.unwrap();
        World { gate, proxy, backend }
    }

    pub async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.proxy.address()).await
    }

    /// A connection through the proxy: the client's end and the backend's.
    pub async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.connect().await.unwrap();
        let (server, _) = soon(self.backend.accept()).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        (client, server)
    }

    /// Whether a new connection is served, end to end.
    pub async fn serves(&self) -> bool {
        let (mut client, mut server) = self.pair().await;
        passes(&mut client, &mut server).await;
        passes(&mut server, &mut client).await;
        true
    }
}

/// What happens soon if it happens at all.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it did not happen")
}

/// Asserts that a message passes from one end to the other.
pub(super) async fn passes(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"hello").await.unwrap();
    arrives(to, b"hello").await;
}

pub(super) async fn arrives(to: &mut TcpStream, what: &[u8]) {
    let mut buffer = vec![0; what.len()];
    soon(to.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, what);
}

/// Asserts that nothing arrives: no data, no end, no error.
pub(super) async fn silent(at: &mut TcpStream) {
    let mut byte = [0];
    let got = timeout(SILENCE, at.read(&mut byte)).await;
    assert!(got.is_err(), "expected silence and got {got:?}");
}

pub(super) async fn is_reset(stream: &mut TcpStream) {
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
}

pub(super) async fn ends(stream: &mut TcpStream) {
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
}
