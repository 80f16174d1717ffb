//! A process without file descriptors: the proxy waits for some, neither spinning nor giving up.
//!
//! A test program of its own, because the limit is that of the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use firedrill::proxy::{Fault, Gate, Proxy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CPU ticks that this process has used, 100 a second.
fn cpu_ticks(stat: &mut File) -> u64 {
    let mut buffer = [0; 1024];
    stat.rewind().unwrap();
    let n = stat.read(&mut buffer).unwrap();
    let text = std::str::from_utf8(&buffer[..n]).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Takes all descriptors that are left.
fn hoard() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn is_served(mut client: TcpStream, backend: &TcpListener) {
    client.write_all(b"hello").unwrap();
    let mut received = [0; 5];
    backend.accept().unwrap().0.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"hello");
}

#[test]
fn a_listener_outlives_a_lack_of_descriptors_and_a_gate_turns_without_any() {
    let limit = Rlimit { current: Some(100), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut stat = File::open("/proc/self/stat").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = backend.local_addr().unwrap().to_string();
    let gate = Gate::new();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let proxy = runtime.block_on(Proxy::listen(&gate, anywhere, to)).unwrap();

    let mut hoarded = hoard();
    hoarded.pop(); // for the client's end; there is none for ours
    let client = TcpStream::connect(proxy.address()).unwrap();
    let before = cpu_ticks(&mut stat);
    std::thread::sleep(Duration::from_millis(500)); // the time in which it might spin
    let ticks = cpu_ticks(&mut stat) - before;
    assert!(ticks < 15, "{ticks} of 50 ticks spent on trying to accept");
    drop(hoarded);
    is_served(client, &backend);

    let hoarded = hoard();
    for fault in [Fault::Drain, Fault::Blackhole, Fault::Reset] {
        runtime.block_on(gate.cut(fault)).unwrap();
        runtime.block_on(gate.open()).unwrap();
    }
    drop(hoarded);
    is_served(TcpStream::connect(proxy.address()).unwrap(), &backend);
}
