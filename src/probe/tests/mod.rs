//! Tests of the room, and the servers and connectors that they share.

mod anything;
mod dns;
mod http;
mod keep_alive;
mod prepare;
mod schedule;
mod tcp;
mod tls;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::model::*;

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A probe of `url` that expects 200, every 10 ms with a time-out that a busy machine keeps.
pub(super) fn http_spec(url: &str) -> ProbeSpec {
    ProbeSpec {
        name: "send".into(),
        kind: ProbeKind::Http(HttpProbe {
            url: url.into(),
            method: "GET".into(),
            headers: Vec::new(),
            body: None,
            ca: None,
            expect: HttpExpect { status: vec![(200, 200)], body: None, json: Vec::new() },
        }),
        every: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        slower_than: None,
        connection: Connection::New,
        look_up: None,
        cohort: None,
        served_by: None,
        may_stay: false,
        required: true,
        promises: Default::default(),
    }
}

/// The HTTP part of a spec.
pub(super) fn http_of(spec: &mut ProbeSpec) -> &mut HttpProbe {
    match &mut spec.kind {
        ProbeKind::Http(http) => http,
        _ => panic!("not an http probe"),
    }
}

pub(super) fn try_prepare(
    spec: &ProbeSpec,
    connector: Arc<dyn Connector>,
) -> Result<Prober, PrepareError> {
    Prober::prepare(ProbeId { service: 1, probe: 2 }, spec, &|_| None, connector)
}

/// The first `count` samples of a probe, by number.
pub(super) async fn take_with(
    spec: &ProbeSpec,
    connector: Arc<dyn Connector>,
    count: usize,
) -> Vec<Sample> {
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let running = try_prepare(spec, connector).unwrap().start(clock, clock.now(), out);
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(samples.recv().await.unwrap().sample);
    }
    running.stop(Duration::from_secs(60)).await;
    while let Some(sampled) = samples.recv().await {
        taken.push(sampled.sample);
    }
    taken.sort_by_key(|sample| sample.seq);
    for (seq, sample) in taken.iter().enumerate() {
        assert_eq!(sample.seq, seq as u64, "every number exactly once");
    }
    taken.truncate(count);
    taken
}

/// The first sample of a probe on the machine's own network.
pub(super) async fn take_one(spec: &ProbeSpec) -> Sample {
    take_with(spec, system(), 1).await.remove(0)
}

/// The first sample of a probe that hangs, on a network in memory and in virtual time: on real sockets of a
/// busy machine it may be we who stalled.
pub(super) async fn take_hung(spec: &ProbeSpec, connector: Arc<dyn Connector>) -> Sample {
    let spec = ProbeSpec { timeout: Duration::from_millis(150), ..spec.clone() };
    let sample = take_with(&spec, connector, 1).await.remove(0);
    assert_eq!(sample.done.since(sample.sent), spec.timeout, "{sample:?}");
    sample
}

pub(super) fn system() -> Arc<dyn Connector> {
    Arc::new(SystemConnector::from_system().unwrap())
}

/// A server on a real socket that does `serve` with every connection.
pub(super) async fn server<F, S>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server that reads a request, answers `answer` and closes.
pub(super) async fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer: Arc<[u8]> = answer.into().into();
    server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// Reads the head of a request; `false` when the client closed.
pub(super) async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut read = Vec::new();
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// A network in memory: every connection is given to `serve` with its number.
pub(super) struct Memory<F> {
    pub(super) serve: F,
    pub(super) opened: AtomicUsize,
}

impl<F> Memory<F> {
    pub(super) fn new(serve: F) -> Arc<Self> {
        Arc::new(Memory { serve, opened: AtomicUsize::new(0) })
    }
}

impl<F, S> Connector for Memory<F>
where
    F: Fn(usize, DuplexStream) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async move {
            match host {
                "hangs" => std::future::pending().await,
                "empty" => Ok(Vec::new()),
                "missing" => Err(LookUpError::NotFound),
                "cut-off" => Err(LookUpError::Io(rustix::io::Errno::NETUNREACH.into())),
                "two" => Ok(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]),
                "half" => Ok(vec![[10, 0, 0, 1].into(), [10, 0, 0, 3].into()]),
                _ => Ok(vec![[10, 0, 0, 2].into()]),
            }
        }
        .boxed()
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            match to.ip().to_string().as_str() {
                "10.0.0.1" => return Err(rustix::io::Errno::CONNREFUSED.into()),
                "10.0.0.3" => return Err(rustix::io::Errno::NETUNREACH.into()),
                "10.0.0.4" => return Err(rustix::io::Errno::MFILE.into()),
                "10.0.0.5" => return Err(rustix::io::Errno::ADDRNOTAVAIL.into()),
                "10.0.0.6" => std::future::pending().await,
                _ => {}
            }
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let number = self.opened.fetch_add(1, Ordering::Relaxed);
            tokio::spawn((self.serve)(number, theirs));
            Ok(Box::new(ours) as Box<dyn Stream>)
        }
        .boxed()
    }
}
