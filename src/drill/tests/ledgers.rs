//! Drills with a ledger, in virtual time: the real conductor and the real `http` ledger over a simulated store that loses,
//! doubles, answers from the past, and hangs. Traffic always comes back, and what is said of the records is true.

mod side_by_side;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use fastrand::Rng;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedSender;

use super::*;
use crate::drill::{CALL_LIMIT, Probes, Probing};
use crate::model::{
    CountBounds, LedgerRecord, Offset, ProbeKind, ReadStage, Sampled, ServiceRecord, Verdict,
};
use crate::probe::{Connector, LookUpError, Prober, Stream, Writer};

/// What is wrong with a store.
#[derive(Debug, Clone, Default)]
struct Sick {
    /// What was acknowledged so long before the cut is gone with it.
    lag: Duration,
    /// From the cut on it refuses writes for so long, or takes them without a word.
    failover: Duration,
    /// Every manieth write is acknowledged and not stored, or stored twice.
    loses: Option<u64>,
    doubles: Option<u64>,
    /// Readings show what was there so long ago.
    stale: Duration,
    /// Requests by this method hang for ever, from the so manieth on.
    hangs: Option<(&'static str, u32)>,
    /// Readings take so long.
    takes: Duration,
    /// Readings show another place, in which there is nothing.
    elsewhere: bool,
}

/// A record: when it was stored, and how often.
#[derive(Debug, Clone, Copy)]
struct Row {
    at: Offset,
    times: usize,
}

#[derive(Default)]
struct Rows {
    kept: BTreeMap<u64, Row>,
    acknowledged: BTreeMap<u64, Offset>,
    recovered: u64,
    requests: BTreeMap<&'static str, u32>,
    /// When the cut was felt.
    failed_over: Option<Offset>,
    removed: bool,
}

/// The store, which the ledger's requests reach.
#[derive(Clone)]
struct SimStore {
    /// What the keys of its ledger begin with.
    prefix: String,
    world: Arc<World>,
    clock: Clock,
    sick: Sick,
    rows: Arc<Mutex<Rows>>,
}

/// The answer to a request: a status and a body.
type Answer = (u16, String);

const KINDS: [&str; 3] = ["GET", "PUT", "DELETE"];

impl SimStore {
    /// What is answered to a request; `None`: nothing, ever.
    fn answer(&self, head: &str) -> Option<Answer> {
        let mut words = head.split(' ');
        let kind = words.next()?;
        let kind = KINDS.into_iter().find(|known| *known == kind)?;
        let now = self.clock.now();
        let mut rows = self.rows.lock().unwrap();
        let count = rows.requests.entry(kind).or_default();
        *count += 1;
        if self.sick.hangs.is_some_and(|(hangs, from)| hangs == kind && *count >= from) {
            return None;
        }
        self.fail_over(&mut rows, now);
        match kind {
            "PUT" => self.put(&mut rows, words.next()?.rsplit(':').next()?.parse().ok()?, now),
            "DELETE" => {
                // Only noted: what was true before is asked later.
                rows.removed = true;
                Some((200, String::new()))
            }
            _ => {
                let is_shown =
                    |row: &Row| !self.sick.elsewhere && row.at.plus(self.sick.stale) <= now;
                let seen = rows.kept.iter().filter(|(_, row)| is_shown(row));
                let keys =
                    seen.flat_map(|(seq, row)| vec![format!("{}{seq}", self.prefix); row.times]);
                Some((200, serde_json::to_string(&keys.collect::<Vec<_>>()).ok()?))
            }
        }
    }

    /// What was not copied is gone with the primary.
    fn fail_over(&self, rows: &mut Rows, now: Offset) {
        if self.world.is_cut() && rows.failed_over.is_none() {
            rows.failed_over = Some(now);
            let copied = now.minus(self.sick.lag);
            rows.kept.retain(|_, row| row.at <= copied);
        }
    }

    fn put(&self, rows: &mut Rows, seq: u64, now: Offset) -> Option<Answer> {
        let hits = |every: Option<u64>| every.is_some_and(|every| seq % every == every - 1);
        let mut row = Row { at: now, times: 1 };
        if rows.failed_over.is_some_and(|cut| now < cut.plus(self.sick.failover)) {
            if seq.is_multiple_of(3) {
                return Some((403, String::new()));
            }
            // Written, and nobody hears of it.
            rows.kept.insert(seq, row);
            rows.recovered += 1;
            return (seq % 3 == 1).then(|| (503, String::new()));
        }
        if !hits(self.sick.loses) {
            row.times += usize::from(hits(self.sick.doubles));
            rows.kept.insert(seq, row);
        }
        rows.acknowledged.insert(seq, now);
        Some((201, String::new()))
    }

    /// How many acknowledged writes are lost, how many records are there twice, and how many are that nobody acknowledged.
    fn truth(&self) -> (u64, u64, u64) {
        let rows = self.rows.lock().unwrap();
        let lost = rows.acknowledged.keys().filter(|seq| !rows.kept.contains_key(seq)).count();
        let twice = rows.kept.values().filter(|row| row.times > 1).count();
        (lost as u64, twice as u64, rows.recovered)
    }

    async fn converse(self, mut far: DuplexStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = far.read_u8().await else { return };
            head.push(byte);
        }
        let Some((status, body)) = self.answer(&String::from_utf8_lossy(&head)) else {
            return std::future::pending().await;
        };
        if head.starts_with(b"GET") {
            tokio::time::sleep(self.sick.takes).await;
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} It\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = far.write_all(answer.as_bytes()).await;
    }
}

impl Connector for SimStore {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) }.boxed()
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(self.clone().converse(far));
        async { Ok(Box::new(near) as Box<dyn Stream>) }.boxed()
    }
}

/// The simulated services, with a real ledger beside them.
struct Both(world::Probing, Probes);

impl Probing for Both {
    fn start(&mut self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>) {
        self.0.start(clock, start, out.clone());
        self.1.start(clock, start, out);
    }

    fn ledgers(&self) -> Vec<crate::probe::LedgerHandle> {
        self.1.ledgers()
    }

    fn stop(&mut self, grace: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.0.stop(grace).await;
            self.1.stop(grace).await;
        }
        .boxed()
    }
}

const LEDGER: &str = "        served_by: { header: x-datacenter }
      keep:
        ledger:
          http:
            write: { url: \"http://127.0.0.1:4/{{key}}\", method: PUT }
            read: { url: \"http://127.0.0.1:4/\" }
            remove: { url: \"http://127.0.0.1:4/{{prefix}}\", method: DELETE }
          settle: 300ms
        every: 20ms
        timeout: 200ms
        promises: { recover_within: 1s, lose_at_most: 0, duplicate_at_most: 0 }
";

/// Runs a drill with a ledger over a store that is `sick`.
async fn kept(
    changes: &[(&str, &str)],
    sick: Sick,
    stop_at: Option<Duration>,
) -> (Ended, SimStore) {
    let (ended, mut stores) = kept_each(changes, move |_| sick.clone(), stop_at).await;
    (ended, stores.remove("keep").unwrap())
}

/// As [`kept`], where each ledger has a store that is as sick as `sick` says.
async fn kept_each(
    changes: &[(&str, &str)],
    sick: impl Fn(&str) -> Sick,
    stop_at: Option<Duration>,
) -> (Ended, BTreeMap<String, SimStore>) {
    let mut all = vec![("        served_by: { header: x-datacenter }\n", LEDGER)];
    all.extend(changes);
    let slot = Arc::new(Mutex::new(BTreeMap::new()));
    let given = slot.clone();
    let ended = drill_with(
        plan(&all),
        Faults::default(),
        stop_at,
        web::Web::default(),
        one_control,
        move |world, plan, clock| {
            let prober =
                |(id, service, spec): (_, &crate::model::Service, &crate::model::ProbeSpec)| {
                    let ProbeKind::Ledger(ledger) = &spec.kind else { return None };
                    let name = spec.name.as_str();
                    let store = SimStore {
                        prefix: format!("firedrill:test:talk:{name}:"),
                        world: world.clone(),
                        clock,
                        sick: sick(name),
                        rows: Arc::default(),
                    };
                    given.lock().unwrap().insert(name.to_owned(), store.clone());
                    let writer = Writer {
                        run: "test".into(),
                        service: service.name.clone(),
                        probe: spec.name.clone(),
                    };
                    let writer = (writer, plan.datacenters.as_slice());
                    let store = Arc::new(store);
                    Some(
                        Prober::prepare_ledger(id, (spec, ledger), writer, &|_| None, store)
                            .unwrap(),
                    )
                };
            let ledgers = plan.probes().filter_map(prober).collect();
            Box::new(Both(
                world::Probing::new(world.clone(), plan),
                Probes::new(ledgers, Vec::new()),
            ))
        },
    )
    .await;
    let stores = std::mem::take(&mut *slot.lock().unwrap());
    (ended, stores)
}

fn service(ended: &Ended) -> &ServiceRecord {
    &ended.record.services[0]
}

fn ledger(ended: &Ended) -> &LedgerRecord {
    service(ended).probes.iter().find_map(|probe| probe.ledger.as_ref()).expect("a ledger")
}

fn exactly(count: u64) -> CountBounds {
    CountBounds { low: count, high: Some(count) }
}

/// How long traffic was cut, at most.
fn cut_for(ended: &Ended) -> Option<Duration> {
    let marks = ended.record.marks;
    Some(marks.restore_confirmed?.since(marks.cut_issued?))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_its_word_passes_and_is_left_clean() {
    let sick = Sick { failover: span(300), ..Sick::default() };
    let (ended, store) = kept(&[], sick, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    let found = ledger(&ended);
    assert_eq!((found.lost, found.duplicated, found.unexpected), (exactly(0), exactly(0), 0));
    assert!(found.recovered > 0 && found.refused > 0, "{found:?}");
    assert_eq!(found.acknowledged, store.rows.lock().unwrap().acknowledged.len() as u64);
    assert_eq!(found.left_behind, None);
    assert!(store.rows.lock().unwrap().removed);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_before_the_drill_is_not_cut() {
    let (ended, _) = kept(&[], Sick { hangs: Some(("GET", 1)), ..Sick::default() }, None).await;
    assert_eq!(ended.record.verdict, Verdict::NotStarted);
    assert_eq!(ended.record.reasons[0].code, "ledger-not-ready");
    assert!(ended.took <= CALL_LIMIT + span(100), "{:?}", ended.took);
    assert_eq!(ended.record.marks.cut_issued, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_where_it_was_written_is_found_out_before_the_cut() {
    let hangs = Sick { hangs: Some(("GET", 2)), ..Sick::default() };
    let elsewhere = Sick { elsewhere: true, ..Sick::default() };
    for (sick, what) in [(hangs, "cannot be read back"), (elsewhere, "the same place as `write`")] {
        let (ended, store) = kept(&[], sick, None).await;
        assert_eq!(ended.record.verdict, Verdict::NotStarted);
        let why = &ended.record.reasons[0];
        assert!(why.code == "ledger-not-ready" && why.text.contains(what), "{why:?}");
        assert_eq!(ended.record.marks.cut_issued, None);
        assert!(store.rows.lock().unwrap().removed, "what was written is removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_hangs_keeps_nothing_cut_beyond_at_most_and_proves_nothing() {
    // The first readings are before the drill and before the cut; the third and fourth are at its ends.
    for from in [3, 4] {
        for at_most in ["6s", "20s"] {
            let at = format!("at_most: {at_most}");
            let sick = Sick { hangs: Some(("GET", from)), ..Sick::default() };
            let (ended, _) = kept(&[("at_most: 20s", &at)], sick, None).await;
            assert_eq!(ended.record.verdict, Verdict::Inconclusive, "{:?}", ended.record.reasons);
            let most = span(if at_most == "6s" { 6_000 } else { 20_000 });
            assert!(cut_for(&ended).unwrap() <= most + span(100), "{:?}", cut_for(&ended));
            assert!(!ended.world.is_cut());
            let found = ledger(&ended);
            assert_eq!(found.lost, CountBounds { low: 0, high: None }, "never 0 lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_hangs_is_told_and_takes_nothing_from_the_verdict() {
    let (ended, _) = kept(&[], Sick { hangs: Some(("DELETE", 1)), ..Sick::default() }, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    assert!(ledger(&ended).left_behind.is_some());
    assert!(!ended.world.is_cut());
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_ledger_is_read_back_restores_at_once() {
    let hangs = Sick { hangs: Some(("GET", 3)), ..Sick::default() };
    let (whole, _) = kept(&[], hangs.clone(), None).await;
    let marks = whole.record.marks;
    let (cut, restore) = (marks.cut_issued.unwrap(), marks.restore_issued.unwrap());
    let (mut at, mut while_read) = (cut.plus(span(10)), 0);
    while at < restore {
        let stop = Duration::from_nanos(at.as_nanos());
        let (ended, _) = kept(&[], hangs.clone(), Some(stop)).await;
        assert_eq!(ended.record.verdict, Verdict::Stopped, "at {at}: {:?}", ended.record.reasons);
        assert!(!ended.world.is_cut(), "at {at}");
        let asked = ended.record.marks.restore_issued.unwrap();
        assert!(asked.since(at) <= span(10), "stopped at {at}, restored at {asked}");
        while_read += u32::from(at > cut.plus(span(5_000)));
        at = at.plus(span(487));
    }
    assert!(while_read > 10, "{while_read}");
}

#[tokio::test(start_paused = true)]
async fn without_time_to_settle_what_is_missing_may_be_lost_and_is_not_said_to_be() {
    let stale = Sick { stale: span(250), ..Sick::default() };
    let (patient, _) = kept(&[], stale.clone(), None).await;
    assert_eq!(patient.record.verdict, Verdict::Pass, "{:?}", patient.record.reasons);
    assert!(ledger(&patient).stale > 0);
    assert_eq!(ledger(&patient).lost, exactly(0));

    let (hasty, store) = kept(&[("settle: 300ms", "settle: 0s")], stale, None).await;
    assert_eq!(store.truth().0, 0);
    assert_eq!(hasty.record.verdict, Verdict::Inconclusive, "{:?}", hasty.record.reasons);
    let lost = ledger(&hasty).lost;
    assert!(lost.low == 0 && lost.high.is_some_and(|high| high > 0), "{lost}");

    let strict = [("settle: 300ms", "settle: 0s")];
    let (ended, _) = kept(&strict, Sick::default(), None).await;
    assert_eq!(
        ended.record.verdict,
        Verdict::Pass,
        "where nothing is missing nothing is waited for"
    );
}

fn draw(rng: &mut Rng) -> (Sick, Option<Duration>) {
    let mut one_in = |count: u32| rng.u32(0..count) == 0;
    let (lags, loses, doubles, stale) = (one_in(2), one_in(3), one_in(3), one_in(3));
    let (hangs, stops) = (one_in(4), one_in(4));
    let sick = Sick {
        lag: span(if lags { rng.u64(0..800) } else { 0 }),
        failover: span(rng.u64(0..600)),
        loses: loses.then(|| rng.u64(5..200)),
        doubles: doubles.then(|| rng.u64(5..200)),
        stale: span(if stale { rng.u64(0..280) } else { 0 }),
        // It is read a few times, and written often.
        hangs: hangs.then(|| match rng.bool() {
            true => ("GET", rng.u32(1..7)),
            false => (KINDS[rng.usize(1..3)], rng.u32(1..200)),
        }),
        takes: Duration::ZERO,
        elsewhere: false,
    };
    (sick, stops.then(|| span(rng.u64(0..8_000))))
}

#[tokio::test(start_paused = true)]
async fn whatever_a_store_does_traffic_comes_back_and_the_ledger_is_right() {
    let (mut verdicts, mut exact) = (BTreeMap::<String, u32>::new(), 0);
    for seed in 0..160 {
        let (sick, stop) = draw(&mut Rng::with_seed(seed));
        let short = [("at_most: 20s", "at_most: 8s"), ("hold: 2s", "hold: 500ms")];
        let (ended, store) = kept(&short, sick.clone(), stop).await;
        let context = format!("seed {seed}, {sick:?}, stop {stop:?}: {:?}", ended.record.reasons);
        let verdict = ended.record.verdict;
        *verdicts.entry(verdict.to_string()).or_default() += 1;
        assert!(!ended.world.is_cut(), "{context}");
        if ended.record.marks.cut_issued.is_some() {
            assert!(cut_for(&ended).is_some_and(|cut| cut <= span(8_100)), "{context}");
        }
        let (lost, twice, recovered) = store.truth();
        if verdict == Verdict::Pass {
            assert_eq!((lost, twice), (0, 0), "PASS: {context}");
        }
        let Some(found) = service(&ended).probes.iter().find_map(|probe| probe.ledger.as_ref())
        else {
            continue;
        };
        let broken = ended.record.services[0].promises.iter().any(|promise| {
            promise.judgement == crate::model::Judgement::Broken && promise.counted.is_some()
        });
        assert!(!broken || lost + twice > 0, "FAIL: {context}");
        assert!(found.lost.low <= lost, "{context}: {found:?}");
        let is_read = |stage| {
            let mut reads = found.reads.iter().filter(|read| read.stage == stage);
            reads.any(|read| read.unfinished.is_none())
        };
        if is_read(ReadStage::AfterFailover) && is_read(ReadStage::AfterFailback) {
            exact += 1;
            assert_eq!(
                (found.lost, found.duplicated),
                (exactly(lost), exactly(twice)),
                "{context}"
            );
            assert_eq!((found.recovered, found.unexpected), (recovered, 0), "{context}");
        }
    }
    println!("{verdicts:?}, {exact} read to the end");
    for verdict in ["PASS", "FAIL", "STOPPED", "INCONCLUSIVE"] {
        assert!(verdicts.get(verdict).is_some_and(|count| *count >= 3), "{verdicts:?}");
    }
    assert!(exact >= 60, "{exact}");
}
