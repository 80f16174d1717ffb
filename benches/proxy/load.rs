//! The load: bulk data, new connections, small exchanges at a fixed rate, idle connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Child, median};
use crate::role::{ANSWER, MESSAGE, ONCE, STREAM};

const EXCHANGES_PER_SECOND: u32 = 1_000;
const CONNECTING_THREADS: usize = 4;

/// One round of one target.
pub struct Sample {
    /// Gbit/s.
    pub one_stream: f64,
    pub many_streams: f64,
    /// CPU seconds of the proxy per gigabyte.
    pub one_stream_cpu: f64,
    pub many_streams_cpu: f64,
    /// New connections per second, each with one exchange, and CPU microseconds of the proxy for each.
    pub connections: f64,
    pub connection_cpu: f64,
    /// Microseconds for an exchange on an open connection.
    pub p50: f64,
    pub p99: f64,
    /// CPU microseconds of the proxy for an exchange.
    pub exchange_cpu: f64,
}

pub fn measure(address: SocketAddr, child: Option<&Child>, time: Duration) -> Sample {
    let cpu = || child.map_or(f64::NAN, Child::cpu);
    let (one_stream, one_stream_cpu) = streams(address, 1, time, &cpu);
    let (many_streams, many_streams_cpu) = streams(address, 64, time, &cpu);
    let before = cpu();
    let connections = new_connections(address, time);
    let connection_cpu = (cpu() - before) * 1e6 / connections;
    let before = cpu();
    let mut delays = exchanges(address, time);
    let exchange_cpu = (cpu() - before) * 1e6 / delays.len() as f64;
    delays.sort_by(f64::total_cmp);
    Sample {
        one_stream,
        many_streams,
        one_stream_cpu,
        many_streams_cpu,
        connections: connections / time.as_secs_f64(),
        connection_cpu,
        p50: median(delays.clone()),
        p99: delays[delays.len() * 99 / 100],
        exchange_cpu,
    }
}

fn connect(address: SocketAddr, what: u8) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[what; MESSAGE])?;
    Ok(stream)
}

/// Gbit/s of `count` downloads together, and CPU s/GB.
fn streams(address: SocketAddr, count: usize, time: Duration, cpu: &dyn Fn() -> f64) -> (f64, f64) {
    let received = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut stream = connect(address, STREAM).unwrap();
                let mut buffer = vec![0; 256 * 1024];
                while !over.load(Ordering::Relaxed) {
                    let n = stream.read(&mut buffer).unwrap();
                    received.fetch_add(n as u64, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time / 4); // until the windows are open
        let (start, before, cpu_before) = (Instant::now(), received.load(Ordering::Relaxed), cpu());
        std::thread::sleep(time);
        let bytes = (received.load(Ordering::Relaxed) - before) as f64;
        let seconds = start.elapsed().as_secs_f64();
        let used = cpu() - cpu_before;
        over.store(true, Ordering::Relaxed);
        (bytes * 8.0 / seconds / 1e9, used / (bytes / 1e9))
    })
}

/// How many connections were made, each with one request and one answer, closed by the server.
fn new_connections(address: SocketAddr, time: Duration) -> f64 {
    let made = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTING_THREADS {
            scope.spawn(|| {
                while start.elapsed() < time {
                    let mut stream = connect(address, ONCE).unwrap();
                    let mut answer = [0; MESSAGE + 1];
                    stream.read_exact(&mut answer[..MESSAGE]).unwrap();
                    assert_eq!(stream.read(&mut answer).unwrap(), 0, "closed by the server");
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    made.into_inner() as f64
}

/// Microseconds of each exchange, at a fixed rate on one open connection.
fn exchanges(address: SocketAddr, time: Duration) -> Vec<f64> {
    let mut stream = connect(address, ANSWER).unwrap();
    let mut message = [ANSWER; MESSAGE];
    stream.read_exact(&mut message).unwrap();
    let start = Instant::now();
    let count = (time.as_secs_f64() * f64::from(EXCHANGES_PER_SECOND)) as u32;
    let mut delays = Vec::new();
    for n in 0..count {
        let due = start + Duration::from_secs(1) / EXCHANGES_PER_SECOND * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        stream.write_all(&message).unwrap();
        stream.read_exact(&mut message).unwrap();
        delays.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    delays
}

/// Resident bytes of the proxy per connection that has had one exchange and is idle now.
pub fn memory_per_idle_connection(child: &Child, count: usize) -> f64 {
    // One first, so that what is allocated once is not counted.
    let _first = idle(child.address);
    let before = child.memory();
    let connections: Vec<TcpStream> = (0..count).map(|_| idle(child.address)).collect();
    let bytes = child.memory() - before;
    bytes / connections.len() as f64
}

fn idle(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address, ANSWER).unwrap();
    stream.read_exact(&mut [0; MESSAGE]).unwrap();
    stream
}
