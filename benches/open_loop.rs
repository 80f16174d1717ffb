//! Does the prober keep its schedule, and at what price?
//!
//! (a) A server that stalls for 2 s: is every sample there, and the whole stall visible?
//! (b) How late do samples leave at 5,000 a second? (c) At which rate does the 99th percentile pass 2 ms, or do
//! samples go missing? (d) How much CPU does a request take?
//!
//! Rows "bare" send the same bytes at the same times over plain tokio sockets: the price of the kernel's part.
//! CPU times drift with the machine; compare rows of one run.
//!
//! `cargo bench --bench open_loop [-- --quick] [--at RATE] [--new | --kept-alive]`. The server of (b) to (d) is a process of its own, so that its
//! CPU time is not ours; both share the machine's cores.

// A measurement that cannot be made stops here: nothing is cut, and a wrong figure would be worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/server.rs"]
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use firedrill::clock::{Alarm, Clock};
use firedrill::model::*;
use firedrill::probe::{Prober, SystemConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use server::{ANSWER, Server, Spread, cpu, serve};

const RATES: [u32; 10] =
    [1_000, 5_000, 7_500, 10_000, 12_500, 15_000, 20_000, 25_000, 30_000, 40_000];
/// Where the bare rows stand.
const BARE_AT: [u32; 2] = [5_000, 10_000];
const LATE: Duration = Duration::from_millis(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--serve") {
        return serve();
    }
    let quick = has("--quick");
    let only = arguments.iter().position(|argument| argument == "--at");
    let only = only.and_then(|at| arguments.get(at + 1)?.parse().ok());
    let rates = only.map_or_else(|| RATES.to_vec(), |rate| vec![rate]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if only.is_none() {
            stall(quick).await;
        }
        let seconds = if quick { 1 } else { 5 };
        let mut table = table();
        for (connection, flag) in
            [(Connection::New, "--kept-alive"), (Connection::KeepAlive, "--new")]
        {
            if !has(flag) {
                ramp(&mut table, connection, &rates, Duration::from_secs(seconds)).await;
            }
        }
        println!(
            "\nOpen loop against a server in a process of its own, {seconds} s a row\n{table}"
        );
    });
}

fn spec(address: SocketAddr, every: Duration, connection: Connection) -> ProbeSpec {
    ProbeSpec {
        name: "bench".into(),
        kind: ProbeKind::Http(HttpProbe {
            url: format!("http://{address}/").as_str().into(),
            method: "GET".into(),
            headers: Vec::new(),
            body: None,
            ca: None,
            expect: HttpExpect { status: vec![(200, 200)], body: None, json: Vec::new() },
        }),
        every,
        timeout: Duration::from_secs(1),
        slower_than: None,
        connection,
        look_up: None,
        cohort: None,
        served_by: Some(ServedBySource::Header {
            name: "x-datacenter".into(),
            values: ServedByValues(vec![(DatacenterId(0), vec!["east".into()])]),
        }),
        may_stay: false,
        required: true,
        promises: Default::default(),
    }
}

/// Runs a probe for `span` and gives back its samples by number; none may be missing.
async fn run(spec: &ProbeSpec, clock: Clock, span: Duration) -> Vec<Sample> {
    let connector = Arc::new(SystemConnector::from_system().unwrap());
    let prober = Prober::prepare(ProbeId::default(), spec, &|_| None, connector).unwrap();
    let (out, mut sampled) = mpsc::unbounded_channel();
    let start = clock.now().plus(Duration::from_millis(100));
    let running = prober.start(clock, start, out);
    let collect = tokio::spawn(async move {
        let mut samples = Vec::new();
        while let Some(sampled) = sampled.recv().await {
            samples.push(sampled.sample);
        }
        samples
    });
    clock.sleep_until(start.plus(span)).await;
    running.stop(Duration::from_secs(2)).await;
    let mut samples = collect.await.unwrap();
    samples.sort_unstable_by_key(|sample| sample.seq);
    for (seq, sample) in (0..).zip(&samples) {
        assert_eq!(sample.seq, seq, "a sample is missing or was reported twice");
    }
    samples
}

// --- (a) the stall ---------------------------------------------------------------------------------------------

async fn stall(quick: bool) {
    let rate = if quick { 100 } else { 500 };
    let clock = Clock::start();
    let (from, until) = (Offset::from_millis(1_500), Offset::from_millis(3_500));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                if (from..until).contains(&clock.now()) {
                    clock.sleep_until(until).await;
                }
                let _ = stream.write_all(ANSWER).await;
            });
        }
    });
    let every = Duration::from_secs(1) / rate;
    let probe = spec(address, every, Connection::New);
    let samples = run(&probe, clock, Duration::from_secs(5)).await;
    let held = samples.iter().filter(|s| s.done.since(s.sent) > Duration::from_millis(50));
    let first = held.clone().map(|s| s.sent).min().unwrap();
    let last = held.clone().map(|s| s.sent).max().unwrap();
    let end = samples.iter().filter(|s| s.sent >= last).map(|s| s.done).min().unwrap();
    let timed_out =
        samples.iter().filter(|s| matches!(s.outcome, Outcome::Bad(Reason::TimeOut(_))));
    println!(
        "Stall of 2.000 s at {rate}/s: {} samples, none missing; seen from {first} to {end}: {}; \
         {} held up, {} of them timed out; latest departure {:.2} ms",
        samples.len(),
        Shown(end.since(first)),
        held.count(),
        timed_out.count(),
        samples.iter().map(|s| s.sent.since(s.due)).max().unwrap().as_secs_f64() * 1e3,
    );
}

// --- the price of the kernel's part ------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bare,
    Probe,
}

/// Sends as `probe` would, over plain sockets and without looking at what comes back.
async fn bare(address: SocketAddr, probe: &ProbeSpec, span: Duration) -> Vec<Sample> {
    const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    const KEEP: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let keep = probe.connection == Connection::KeepAlive;
    let clock = Clock::start();
    let mut alarm = Alarm::new(clock);
    let pool = Arc::new(Mutex::new(Vec::new()));
    let (out, mut sampled) = mpsc::unbounded_channel();
    for seq in 0.. {
        let due = Offset::from_nanos(probe.every.as_nanos() as u64 * seq);
        if due > Offset::ZERO.plus(span) {
            break;
        }
        while clock.now() < due {
            alarm.wait(due.max(clock.now().plus(Duration::from_micros(500)))).await;
        }
        let (pool, out) = (Arc::clone(&pool), out.clone());
        tokio::spawn(async move {
            let sent = clock.now();
            let kept: Option<TcpStream> = pool.lock().unwrap().pop();
            let mut stream = match kept {
                Some(stream) => stream,
                None => TcpStream::connect(address).await.unwrap(),
            };
            let mut answer = [0; 1024];
            stream.write_all(if keep { KEEP } else { CLOSE }).await.unwrap();
            assert_eq!(stream.read(&mut answer).await.unwrap(), ANSWER.len());
            if keep {
                pool.lock().unwrap().push(stream);
            }
            let (outcome, served_by) = (Outcome::Good, ServedBy::Unnamed);
            let _ = out.send(Sample {
                seq,
                due,
                sent,
                done: clock.now(),
                outcome,
                acknowledged: true,
                served_by,
            });
        });
    }
    drop(out);
    let mut samples = Vec::new();
    while let Some(sample) = sampled.recv().await {
        samples.push(sample);
    }
    samples
}

// --- (b) to (d): lateness, the ramp, CPU -----------------------------------------------------------------------

/// Raises the rate until it breaks. Others may use the machine: a rate is broken when it fails three times,
/// and the best of its attempts is shown.
async fn ramp(table: &mut Table, connection: Connection, rates: &[u32], span: Duration) {
    let name = match connection {
        Connection::New => "new",
        Connection::KeepAlive => "kept alive",
    };
    for &rate in rates {
        if BARE_AT.contains(&rate) {
            let row = Row::measure(Kind::Bare, connection, rate, span).await;
            table.add_row(row.cells(&format!("{name}, {rate}/s, bare")));
        }
        let mut best = Row::measure(Kind::Probe, connection, rate, span).await;
        for _ in 0..2 {
            if best.holds() {
                break;
            }
            let again = Row::measure(Kind::Probe, connection, rate, span).await;
            if (again.missing, again.late.p99) < (best.missing, best.late.p99) {
                best = again;
            }
        }
        table.add_row(best.cells(&format!("{name}, {rate}/s")));
        if !best.holds() {
            println!("{name}: breaks at {rate}/s ({})", best.failure);
            return;
        }
    }
}

/// What one run measured.
struct Row {
    due: usize,
    missing: usize,
    bad: usize,
    failure: String,
    late: Spread,
    took: Spread,
    client_cpu: f64,
    server_cpu: f64,
}

impl Row {
    async fn measure(kind: Kind, connection: Connection, rate: u32, span: Duration) -> Self {
        let mut server = Server::start();
        let server_id = server.process.id().to_string();
        let probe = spec(server.address, Duration::from_secs(1) / rate, connection);
        let (ours, theirs) = (cpu("self"), cpu(&server_id));
        let samples = match kind {
            Kind::Bare => bare(server.address, &probe, span).await,
            Kind::Probe => run(&probe, Clock::start(), span).await,
        };
        // Those due in the last moment before the stop say nothing of the schedule.
        let ended = |s: &&Sample| s.outcome == Outcome::Unknown(Blindness::Ended);
        let samples: Vec<_> = samples.into_iter().filter(|s| !ended(&s)).collect();
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / samples.len().max(1) as f64;
        let (client_cpu, server_cpu) = (each(cpu("self") - ours), each(cpu(&server_id) - theirs));
        server.stop();
        let sent = samples.iter().filter(|s| !matches!(s.outcome, Outcome::Unknown(_)));
        Row {
            due: samples.len(),
            missing: samples.len() - sent.clone().count(),
            bad: sent.clone().filter(|s| !s.outcome.is_good()).count(),
            failure: first_failure(&samples),
            late: Spread::of(sent.clone().map(|s| s.sent.since(s.due))),
            took: Spread::of(sent.map(|s| s.done.since(s.sent))),
            client_cpu,
            server_cpu,
        }
    }

    fn holds(&self) -> bool {
        self.missing == 0 && self.late.p99 <= LATE
    }

    fn cells(&self, name: &str) -> [String; 8] {
        [
            name.to_owned(),
            self.due.to_string(),
            self.missing.to_string(),
            self.bad.to_string(),
            self.late.to_string(),
            self.took.to_string(),
            format!("{:.1}", self.client_cpu),
            format!("{:.1}", self.server_cpu),
        ]
    }
}

fn first_failure(samples: &[Sample]) -> String {
    let failed = samples.iter().find(|s| matches!(s.outcome, Outcome::Unknown(_)));
    failed.map_or("late".to_owned(), |sample| format!("{:?}", sample.outcome))
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "connection, rate",
        "due",
        "not sent",
        "bad",
        "late p50/p99/max ms",
        "took p50/p99/max ms",
        "CPU us/request",
        "server's",
    ]);
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table
}
