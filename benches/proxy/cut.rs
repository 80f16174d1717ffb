//! How fast a cut is, with thousands of open connections.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Child;
use crate::rivals;
use crate::role::{self, MESSAGE, STREAM, TRICKLE};

/// A process may have 20,000 descriptors, and a proxy needs two for a connection.
const PROXIES: usize = 2;
/// Downloads at full speed, for the row that has these instead.
const DOWNLOADS: usize = 16;
/// How long to look for bytes after the cut; each connection would bring one within a second.
const LOOK: Duration = Duration::from_secs(5);

/// What the clients saw, in nanoseconds since `start`.
struct Seen {
    start: Instant,
    last_byte: AtomicU64,
    last_end: AtomicU64,
    ended: AtomicU64,
}

impl Seen {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

pub fn compare(connections: usize, backend: SocketAddr) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "",
        "confirmed after",
        "last byte at a client",
        "last client sees its end",
        "ended",
        "CPU us for each",
    ]);
    let ours = |mode: &str, what, count| {
        let start = || role::start(&["--role=proxy", &backend.to_string()]);
        let children = (0..PROXIES).map(|_| start()).collect();
        one(children, what, count, |children| {
            children.iter_mut().for_each(|child| child.tell(mode));
            children.iter_mut().for_each(|child| drop(child.answer()));
        })
    };
    for mode in ["blackhole", "reset", "drain", "degrade"] {
        table.add_row(named(format!("firedrill, {mode}"), ours(mode, TRICKLE, connections)));
    }
    for mode in ["blackhole", "reset"] {
        let name = format!("firedrill, {mode}, {DOWNLOADS} downloads instead");
        table.add_row(named(name, ours(mode, STREAM, DOWNLOADS)));
    }
    let rivals: Option<Vec<Child>> =
        (0..PROXIES).map(|_| rivals::haproxy(backend, false)).collect();
    if let Some(children) = rivals {
        let name = "HAProxy, maint and shutdown sessions";
        let row = one(children, TRICKLE, connections, |children| {
            children.iter().for_each(haproxy_cut);
        });
        table.add_row(named(name.to_owned(), row));
    }
    println!("Cut with {connections} open connections, ms after it was issued\n{table}\n");
}

fn haproxy_cut(child: &Child) {
    let path = child.files.as_ref().unwrap().path().join("admin.sock");
    let mut socket = UnixStream::connect(path).unwrap();
    let command = "set server front/one state maint; shutdown sessions server front/one\n";
    socket.write_all(command.as_bytes()).unwrap();
    socket.read_to_end(&mut Vec::new()).unwrap();
}

fn named(name: String, row: [String; 5]) -> Vec<String> {
    std::iter::once(name).chain(row).collect()
}

fn one(
    mut children: Vec<Child>,
    what: u8,
    connections: usize,
    cut: impl FnOnce(&mut Vec<Child>),
) -> [String; 5] {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let seen = Arc::new(Seen {
        start: Instant::now(),
        last_byte: AtomicU64::new(0),
        last_end: AtomicU64::new(0),
        ended: AtomicU64::new(0),
    });
    runtime.block_on(async {
        for n in 0..connections {
            let mut stream =
                TcpStream::connect(children[n % children.len()].address).await.unwrap();
            stream.write_all(&[what; MESSAGE]).await.unwrap();
            stream.read_u8().await.unwrap();
            let size = if what == STREAM { 256 * 1024 } else { 16 };
            tokio::spawn(watch(stream, size, Arc::clone(&seen)));
        }
    });
    let cpu = |children: &[Child]| children.iter().map(Child::cpu).sum::<f64>();
    let cpu_before = cpu(&children);
    let issued = seen.now();
    cut(&mut children);
    let confirmed = seen.now();
    std::thread::sleep(LOOK);
    let ms = |at: u64| format!("{:.1}", (at.saturating_sub(issued)) as f64 / 1e6);
    let used = (cpu(&children) - cpu_before) * 1e6;
    let ended = seen.ended.load(Ordering::Relaxed);
    [
        ms(confirmed),
        ms(seen.last_byte.load(Ordering::Relaxed)),
        if ended == 0 { "-".to_owned() } else { ms(seen.last_end.load(Ordering::Relaxed)) },
        ended.to_string(),
        if ended == 0 { "-".to_owned() } else { format!("{:.1}", used / ended as f64) },
    ]
}

async fn watch(mut stream: TcpStream, size: usize, seen: Arc<Seen>) {
    let mut buffer = vec![0; size];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {
        seen.last_byte.fetch_max(seen.now(), Ordering::Relaxed);
    }
    seen.last_end.fetch_max(seen.now(), Ordering::Relaxed);
    seen.ended.fetch_add(1, Ordering::Relaxed);
}
