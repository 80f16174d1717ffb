//! What does a ledger cost?
//!
//! (a) How late do its writes leave at 1,000 and 10,000 a second, and how much CPU does one take, beside an ordinary probe
//! of the same request? Each writes over kept connections to a server in a process of its own that answers everything at
//! once; both share the machine's cores. (b) What do 10 million records take of the memory, and how long are they worked
//! on: the writer's book, what is read back at both ends of the drill, and the account of what became of each? A
//! twentieth of them is lost, and a thousandth is there twice.
//!
//! `cargo bench --bench ledger [-- --quick]`. Under a minute. With `-- --postgres postgres://…` it measures a real server
//! in their place: the writes, and 10 million rows that are read back, which it makes and drops.

// A measurement that cannot be made stops here: nothing is cut, and a wrong figure would be worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/server.rs"]
mod server;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use firedrill::clock::Clock;
use firedrill::measure::Ledger;
use firedrill::model::*;
use firedrill::probe::{Prober, SystemConnector, Writer};
use tokio::sync::mpsc;

use server::{Server, Spread, cpu, serve};

const RATES: [u32; 2] = [1_000, 10_000];

fn main() {
    if std::env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let span = Duration::from_secs(if quick { 1 } else { 5 });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let many = if quick { 1_000_000 } else { 10_000_000 };
    let mut arguments = std::env::args().skip_while(|argument| argument != "--postgres").skip(1);
    if let Some(url) = arguments.next() {
        return runtime.block_on(postgres(&url, span, many));
    }
    runtime.block_on(async {
        let mut table = table();
        for rate in RATES {
            for is_ledger in [false, true] {
                table.add_row(row(rate, is_ledger, span).await);
            }
        }
        println!("Open loop for {}\n{table}\n", Shown(span));
    });
    drop(runtime);
    records(many);
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "",
        "due",
        "not sent",
        "bad",
        "late p50/p99/max ms",
        "CPU us/write",
    ]);
    table.column_iter_mut().skip(1).for_each(|it| it.set_cell_alignment(CellAlignment::Right));
    table
}

// --- (a) writing -------------------------------------------------------------------------------------------------

fn request(url: &str, method: &str) -> HttpProbe {
    HttpProbe {
        url: url.into(),
        method: method.into(),
        headers: Vec::new(),
        body: None,
        ca: None,
        expect: HttpExpect { status: vec![(200, 200)], body: None, json: Vec::new() },
    }
}

fn spec(url: &str, rate: u32, is_ledger: bool) -> ProbeSpec {
    let http = HttpLedger {
        write: request(url, "PUT"),
        read: request(url, "GET"),
        items: String::new(),
        item_key: String::new(),
        next: None,
        remove: None,
    };
    match is_ledger {
        false => probe(ProbeKind::Http(http.write), rate),
        true => probe(ledger(LedgerStore::Http(Box::new(http))), rate),
    }
}

fn ledger(store: LedgerStore) -> ProbeKind {
    ProbeKind::Ledger(LedgerProbe { store, create: true, keep: false, settle: Duration::ZERO })
}

fn probe(kind: ProbeKind, rate: u32) -> ProbeSpec {
    ProbeSpec {
        name: "keep".into(),
        kind,
        every: Duration::from_secs(1) / rate,
        timeout: Duration::from_secs(2),
        slower_than: None,
        connection: Connection::KeepAlive,
        look_up: None,
        cohort: None,
        served_by: None,
        may_stay: false,
        required: true,
        promises: Promises::default(),
    }
}

async fn row(rate: u32, is_ledger: bool, span: Duration) -> [String; 6] {
    let mut server = Server::start();
    let path = if is_ledger { HttpLedger::KEY } else { "record" };
    let spec = spec(&format!("http://{}/{path}", server.address), rate, is_ledger);
    let kind = if is_ledger { "ledger" } else { "probe" };
    let row = written(&spec, &format!("{rate}/s, {kind}"), span).await;
    server.stop();
    row
}

fn prober(spec: &ProbeSpec) -> Prober {
    let connector = Arc::new(SystemConnector::from_system().unwrap());
    let id = ProbeId::default();
    let prober = match &spec.kind {
        ProbeKind::Ledger(ledger) => {
            let writer =
                Writer { run: "bench".into(), service: "store".into(), probe: "keep".into() };
            Prober::prepare_ledger(id, (spec, ledger), (writer, &[]), &|_| None, connector)
        }
        _ => Prober::prepare(id, spec, &|_| None, connector),
    };
    prober.unwrap()
}

async fn written(spec: &ProbeSpec, name: &str, span: Duration) -> [String; 6] {
    let prober = prober(spec);
    let (out, mut sampled) = mpsc::unbounded_channel();
    let is_ledger = prober.ledger().is_some();
    let (clock, before) = (Clock::start(), cpu("self"));
    let running = prober.start(clock, clock.now(), out);
    // What is known of each write is kept as a drill keeps it.
    let mut ledger = is_ledger.then(|| Ledger::new(spec.every));
    let mut samples = Vec::new();
    let over = clock.now().plus(span);
    while clock.now() < over {
        let Some(Sampled { sample, .. }) = sampled.recv().await else { break };
        ledger.as_mut().into_iter().for_each(|ledger| ledger.push(&sample));
        samples.push(sample);
    }
    let spent = cpu("self") - before;
    running.stop(Duration::from_secs(2)).await;
    let sent = samples.iter().filter(|it| !matches!(it.outcome, Outcome::Unknown(_)));
    let bad = sent.clone().filter(|it| !it.outcome.is_good()).count();
    [
        name.to_owned(),
        samples.len().to_string(),
        (samples.len() - sent.clone().count()).to_string(),
        bad.to_string(),
        Spread::of(sent.map(|it| it.sent.since(it.due))).to_string(),
        format!("{:.1}", spent.as_secs_f64() * 1e6 / samples.len().max(1) as f64),
    ]
}

// --- (b) records -------------------------------------------------------------------------------------------------

fn records(count: u64) {
    let every = Duration::from_micros(100);
    let due = |seq: u64| Offset::from_nanos(seq * 100_000);
    let took = Duration::from_micros(900);
    let mut last = Instant::now();
    let resident = memory::resident_megabytes();
    let mut told = |what: &str| {
        println!(
            "{what}: {:.0} ms, {:.1} MB resident so far",
            last.elapsed().as_secs_f64() * 1e3,
            memory::resident_megabytes() - resident
        );
        last = Instant::now();
    };
    let mut ledger = Ledger::new(every);
    for seq in 0..count {
        let (due, by) = (due(seq), ServedBy::Datacenter(DatacenterId((seq % 2) as u16)));
        let done = due.plus(took);
        ledger.push(&Sample {
            seq,
            due,
            sent: due,
            done,
            outcome: Outcome::Good,
            acknowledged: true,
            served_by: by,
        });
    }
    told(&format!("{count} writes noted"));
    let end = due(count).plus(took);
    for stage in [ReadStage::AfterFailover, ReadStage::AfterFailback] {
        let there = (0..count).filter(|seq| seq % 20 != 7);
        let twice = (0..count).filter(|seq| seq % 1000 == 500);
        let seen: SeqSet = there.chain(twice).collect();
        ledger.read(ReadBack {
            stage,
            began: end,
            ended: end,
            seen,
            foreign: 0,
            one_by_one: false,
            end: Ok(()),
        });
        ledger.settle(stage);
        told(&format!("read back {stage}"));
    }
    let middle = Some(due(count / 2));
    let marks = Marks { cut_issued: middle, cut_confirmed: middle, ..Marks::default() };
    let account = ledger.account(&marks, |id| id.0.to_string());
    told("accounted for");
    assert_eq!((account.acknowledged, account.lost.low), (count, count / 20));
    assert_eq!((account.duplicated.low, account.lost.high), (count / 1000, Some(count / 20)));
    println!("peak of this process: {:.0} MB", memory::peak_megabytes());
}

// --- a real PostgreSQL -------------------------------------------------------------------------------------------

async fn postgres(url: &str, span: Duration, many: u64) {
    let store = LedgerStore::Postgres(Box::new(PostgresLedger {
        servers: PostgresServers::Url(url.into()),
        read: None,
        table: PostgresTable { schema: None, name: "firedrill_bench".to_owned() },
        ca: None,
        connections: 16,
    }));
    let limit = Duration::from_secs(600);
    let handle = prober(&probe(ledger(store.clone()), 1)).ledger().unwrap();
    handle.begin(limit).await.unwrap();
    let mut table = table();
    for rate in RATES {
        table.add_row(
            written(&probe(ledger(store.clone()), rate), &format!("{rate}/s"), span).await,
        );
    }
    println!("Open loop for {}\n{table}\n", Shown(span));

    let rows = format!(
        "TRUNCATE firedrill_bench; INSERT INTO firedrill_bench SELECT 'bench', 'store', 'keep', n FROM generate_series(0, {}) n",
        many - 1
    );
    assert!(Command::new("psql").args(["-q", url, "-c", &rows]).status().unwrap().success());
    // Whether others come to their turn meanwhile.
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let sleeping = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        while !is_over.load(Relaxed) {
            let before = Instant::now();
            tokio::time::sleep(Duration::from_millis(10)).await;
            longest = longest.max(before.elapsed());
        }
        longest
    });
    let (before, began, spent) = (memory::peak_megabytes(), Instant::now(), cpu("self"));
    let read = handle.read(Clock::start(), ReadStage::AfterFailover, limit).await;
    let (took, spent) = (began.elapsed(), cpu("self") - spent);
    over.store(true, Relaxed);
    let longest = sleeping.await.unwrap();
    assert_eq!((read.end, read.seen.len()), (Ok(()), many));
    println!(
        "{many} rows read back in {:.1} s, {:.1} s of our CPU; peak of this process {before:.0} -> {:.0} MB; 10 ms of sleep took at most {:.1} ms",
        took.as_secs_f64(),
        spent.as_secs_f64(),
        memory::peak_megabytes(),
        longest.as_secs_f64() * 1e3
    );
    handle.clean(limit).await.unwrap();
}
