//! A server in a process of its own, so that its CPU time is not ours, and what it took to ask it.

// For benchmarks alone, which stop where a measurement cannot be made: nothing is cut, and a wrong figure would be worse.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What it answers to everything.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nx-datacenter: east\r\ncontent-length: 2\r\n\r\nok";

/// Percentiles of durations, shown in milliseconds.
pub struct Spread {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Spread {
    pub fn of(durations: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<_> = durations.collect();
        sorted.sort_unstable();
        let at = |share: f64| {
            let index = (sorted.len() as f64 * share) as usize;
            sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Spread { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        write!(f, "{:.2} / {:.2} / {:.2}", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

/// The CPU time that a process has used so far.
pub fn cpu(process: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let spent = tasks.map(|task| {
        let path = task.unwrap().path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(spent.sum())
}

/// The process, which is this program with `--serve`.
pub struct Server {
    pub process: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn start() -> Self {
        let this = std::env::current_exe().unwrap();
        let mut process = Command::new(this)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { process, address: line.trim().parse().unwrap() }
    }

    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Answers every request; closes the connection first where the client asks for that, so that the waiting
/// for stray packets (TIME_WAIT) holds no port of the client's.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(4096).unwrap();
        println!("{}", listener.local_addr().unwrap());
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut request).await {
                    if stream.write_all(ANSWER).await.is_err() {
                        return;
                    }
                    let request = &request[..length];
                    if request.windows(17).any(|window| window == b"connection: close") {
                        return;
                    }
                }
            });
        }
    });
}
