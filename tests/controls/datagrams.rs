//! A probe of datagrams between namespaces: how long they take there and back, and how many are lost.
//!
//! It is this program again, started inside a namespace, as the clock must be read by who sends and receives.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use crate::netns::Networks;

/// The test below, which is the probe when it is asked.
const TEST: &str = "datagrams::the_probe_itself";
/// What it shall do: `echo PORT`, or `ask ADDRESS COUNT`.
const ASKED: &str = "FIREDRILL_TESTS_DATAGRAMS";
/// With no answer for so long, there is none.
const SILENCE: Duration = Duration::from_secs(3);

/// What became of datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// The share that came back.
    pub back: f64,
    /// The fastest and the slowest of those, there and back.
    pub fastest: Duration,
    pub slowest: Duration,
}

/// Who answers datagrams, until it is dropped.
pub struct Echo {
    child: Child,
    /// Open, for what it still may say.
    _said: BufReader<ChildStdout>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        // By its input: it may be a child of sudo, which we may not kill.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn probe(networks: &Networks, at: &str, what: &str) -> std::process::Command {
    let program = std::env::current_exe().unwrap();
    let asked = format!("{ASKED}={what}");
    let words = [&asked, program.to_str().unwrap(), TEST, "--exact", "--nocapture"];
    networks.command(at, "env", &words)
}

/// Has a namespace answer datagrams at `port`, IPv4 and IPv6.
pub fn echo(networks: &Networks, at: &str, port: u16) -> Echo {
    let mut command = probe(networks, at, &format!("echo {port}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let answers = said.by_ref().lines().any(|line| line.unwrap().contains("it answers"));
    assert!(answers, "who answers datagrams ended");
    Echo { child, _said: said }
}

/// Datagrams that are being sent.
pub struct Asking {
    child: Child,
    said: BufReader<ChildStdout>,
    count: u32,
}

/// Sends `count` datagrams from a namespace to `address`, `HOST:PORT`. Returns when the first came back.
pub fn begin(networks: &Networks, from: &str, address: &str, count: u32) -> Asking {
    let mut command = probe(networks, from, &format!("ask {address} {count}"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut asking = Asking { said: BufReader::new(child.stdout.take().unwrap()), child, count };
    asking.line("it asks");
    asking
}

impl Asking {
    /// The next line with `wanted` in it, from there on.
    fn line(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended before `{wanted}`");
            if let Some((_, rest)) = line.split_once(wanted) {
                return rest.trim().to_owned();
            }
        }
    }

    /// What became of them, when the last that comes back is there.
    pub fn end(mut self) -> Path {
        let line = self.line("came back:");
        let numbers: Vec<u64> = line.split(' ').map(|it| it.parse().unwrap()).collect();
        assert!(self.child.wait().unwrap().success());
        Path {
            back: numbers[0] as f64 / f64::from(self.count),
            fastest: Duration::from_micros(numbers[1]),
            slowest: Duration::from_micros(numbers[2]),
        }
    }
}

/// Sends `count` datagrams and waits for the last that comes back.
pub fn ask(networks: &Networks, from: &str, address: &str, count: u32) -> Path {
    begin(networks, from, address, count).end()
}

/// Asked by another test, it is the probe. Otherwise it asks itself, where nothing is lost.
#[test]
fn the_probe_itself() {
    let Ok(asked) = std::env::var(ASKED) else {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        answer(socket);
        assert_eq!(send(&address, 100, || ()).len(), 100);
        return;
    };
    match asked.split(' ').collect::<Vec<_>>()[..] {
        ["echo", port] => {
            answer(UdpSocket::bind(("::", port.parse().unwrap())).unwrap());
            println!("it answers");
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        }
        ["ask", address, count] => {
            let took = send(address, count.parse().unwrap(), || println!("it asks"));
            let ends = (took.iter().min().unwrap_or(&0), took.iter().max().unwrap_or(&0));
            println!("came back: {} {} {}", took.len(), ends.0, ends.1);
        }
        _ => panic!("{asked}"),
    }
}

/// Answers datagrams for as long as the process lives.
fn answer(socket: UdpSocket) {
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).unwrap();
            socket.send_to(&bytes[..length], from).unwrap();
        }
    });
}

/// Sends `count` datagrams, when the one that `begun` is told of came back: how long each took that came back, in microseconds.
fn send(address: &str, count: u32, begun: impl Fn()) -> Vec<u128> {
    let socket = UdpSocket::bind(if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" });
    let socket = socket.unwrap();
    socket.connect(address).unwrap();
    // The first finds the neighbours, and is no part of it.
    let mut sent = Vec::new();
    let mut back = vec![None; count as usize + 1];
    for number in 0..=count {
        sent.push(Instant::now());
        // One that was refused is one that does not come back.
        let _ = socket.send(&number.to_be_bytes());
        receive(&socket, &mut back, if number == 0 { SILENCE } else { Duration::from_millis(1) });
        if number == 0 {
            begun();
        }
    }
    while back.iter().any(Option::is_none) && receive(&socket, &mut back, SILENCE) {}
    let took = sent.iter().zip(&back).skip(1);
    let took = took.filter_map(|(sent, back)| Some(back.as_ref()?.duration_since(*sent)));
    took.map(|it: Duration| it.as_micros()).collect()
}

/// Notes when the next one came back; `false` if none did in time.
fn receive(socket: &UdpSocket, back: &mut [Option<Instant>], limit: Duration) -> bool {
    socket.set_read_timeout(Some(limit)).unwrap();
    let mut bytes = [0; 4];
    match socket.recv(&mut bytes) {
        Ok(4) => {
            let number = u32::from_be_bytes(bytes) as usize;
            back[number].get_or_insert_with(Instant::now);
            true
        }
        // Refused, or over.
        _ => false,
    }
}
