//! Drills whose cut is a real outage: processes that are killed or stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firedrill::clock::Clock;
use firedrill::drill::{Drill, Guards, Probes};
use firedrill::journal::{Append, Record};
use firedrill::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, Fate, LedgerRecord, Offset, PartState,
    Passage, Plan, ProbeKind, RunRecord, Sample,
};
use firedrill::plan::{Inputs, parse};
use firedrill::probe::{LedgerHandle, Prober, SystemConnector, Writer};
use firedrill::traffic::{ControlError, TrafficControl};
use futures_util::future::BoxFuture;

/// What a drill's cut does, and its restore.
pub type Act = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Asks again every few milliseconds, since other processes send no notice; gives up in the end.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("gave up waiting until {what}");
}

/// A process that is killed on drop.
pub struct Process(Mutex<Child>);

impl Process {
    pub fn new(child: Child) -> Process {
        Process(Mutex::new(child))
    }

    /// Stops it, or lets it go on: `-STOP`, `-CONT`.
    pub fn signal(&self, signal: &str) {
        let id = self.0.lock().unwrap().id().to_string();
        let done = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(done.success());
    }

    /// SIGKILL, and it is gone.
    pub fn kill(&self) {
        let mut child = self.0.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An outage as a traffic control: the first datacenter is lost by one act and comes back by another.
struct Outage {
    spec: ControlSpec,
    lost: AtomicBool,
    cut: Act,
    restore: Act,
}

impl Outage {
    fn state(&self, lost: bool) -> ControlState {
        let passage = if lost { Passage::Closed } else { Passage::Open };
        let settings = BTreeMap::from([("lost".to_owned(), lost.to_string())]);
        let part = PartState { datacenter: DatacenterId(0), passage, settings };
        ControlState { parts: BTreeMap::from([("first".to_owned(), part)]) }
    }
}

#[async_trait]
impl TrafficControl for Outage {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        Ok(self.state(self.lost.load(Ordering::SeqCst)))
    }

    async fn cut(&self, _: &CutOrder, _: &ControlState) -> Result<(), ControlError> {
        if !self.lost.swap(true, Ordering::SeqCst) {
            (self.cut)().await;
        }
        Ok(())
    }

    fn cut_state(&self, _: &CutOrder, _: &ControlState) -> ControlState {
        self.state(true)
    }

    async fn restore(&self, _: &ControlState) -> Result<(), ControlError> {
        if self.lost.swap(false, Ordering::SeqCst) {
            (self.restore)().await;
        }
        Ok(())
    }

    fn by_hand(&self, _: &ControlState) -> Vec<String> {
        Vec::new()
    }
}

/// A journal that nobody reads.
struct Nowhere;

impl Append for Nowhere {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        Ok(())
    }
}

/// What is seen of a ledger's writes while they are made.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Vec<Sample>>>);

impl Written {
    fn all(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, sample: Sample) {
        self.all().push(sample);
    }

    /// The numbers of those that ended so.
    pub fn with(&self, fate: Fate) -> BTreeSet<u64> {
        let all = self.all();
        all.iter().filter(|sample| Fate::of(sample) == fate).map(|sample| sample.seq).collect()
    }

    /// All of them.
    pub fn samples(&self) -> Vec<Sample> {
        self.all().clone()
    }

    /// Waits until so many more than now have ended so.
    pub async fn until_more(&self, fate: Fate, more: usize) {
        let wanted = self.with(fate).len() + more;
        until(&format!("{more} more writes are {fate:?}"), || self.with(fate).len() >= wanted)
            .await;
    }
}

/// Parses a plan that has to be right.
pub fn plan(text: &str) -> Plan {
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|name| Some(format!("s3cret-{name}")) };
    let parsed = parse("test", text.as_bytes(), &inputs);
    parsed.plan.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
}

/// An example plan, with each address where the test has it. All of `moved` has to be in it.
pub fn example(file: &str, moved: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("drills/ledgers").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    moved.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {file}");
        text.replace(from, to)
    })
}

/// A plan with one ledger, `chats/keep`, that is written every 10 ms.
pub fn plan_with(ledger: &str) -> String {
    format!(
        "version: 1
name: real
datacenters: [east, west]
networks: {{ east: [127.0.1.0/24], west: [127.0.2.0/24, 127.0.3.0/24] }}
traffic:
  path: {{ proxy: {{ routes: [ {{ datacenter: east, listen: \"127.0.0.1:1\", to: \"127.0.1.1:1\" }} ] }} }}
services:
  chats:
    probes:
      keep:
        ledger: {ledger}
        every: 10ms
        timeout: 1s
        served_by: {{ peer: {{ east: [127.0.1.0/24], west: [127.0.2.0/24, 127.0.3.0/24] }} }}
        promises: {{ recover_within: 8s, lose_at_most: 0, duplicate_at_most: 0 }}
cut: {{ datacenter: east, mode: blackhole, through: [path] }}
timing: {{ baseline: 2s, stable_for: 1s, hold: 0s, at_most: 12s }}
"
    )
}

/// The same for a store whose primary stays where it went when the lost datacenter is back.
pub fn staying(ledger: &str) -> String {
    plan_with(ledger).replace("        promises: {", "        may_stay: true\n        promises: {")
}

/// The probes of a plan, made ready for the run `test`, in its order.
fn probers(plan: &Plan) -> Vec<Prober> {
    let connector = Arc::new(SystemConnector::from_system().unwrap());
    let names: Vec<_> = plan.datacenters.to_vec();
    let ready = plan.probes().map(|(id, service, spec)| {
        let connector = connector.clone();
        let ProbeKind::Ledger(ledger) = &spec.kind else {
            return Prober::prepare(id, spec, &|_| None, connector).unwrap();
        };
        let writer =
            Writer { run: "test".into(), service: service.name.clone(), probe: spec.name.clone() };
        Prober::prepare_ledger(id, (spec, ledger), (writer, &names), &|_| None, connector).unwrap()
    });
    ready.collect()
}

/// The first ledger of a plan, made ready for the run `test`.
pub fn prober(plan: &Plan) -> Prober {
    probers(plan).remove(0)
}

/// The ledger with these settings, without its writes.
pub fn handle(ledger: &str) -> LedgerHandle {
    prober(&plan(&plan_with(ledger))).ledger().unwrap()
}

/// Writes to a ledger until `done`, and what became of it.
pub async fn write_while(prober: Prober, written: &Written, done: impl Future<Output = ()>) {
    let (out, mut samples) = tokio::sync::mpsc::unbounded_channel();
    let running = prober.start(Clock::start(), Offset::from_millis(0), out);
    let heard = async {
        while let Some(sampled) = samples.recv().await {
            written.push(sampled.sample);
        }
    };
    let end = async {
        done.await;
        running.stop(Duration::from_secs(2)).await;
    };
    tokio::join!(heard, end);
}

/// Runs a drill whose cut and restore are these; `written` fills with what its ledger writes.
pub async fn drill(text: &str, written: &Written, cut: Act, restore: Act) -> RunRecord {
    let plan = Arc::new(plan(text));
    let spec = plan.traffic[0].clone();
    let control = Outage { spec, lost: AtomicBool::new(false), cut, restore };
    drill_through(plan, std::slice::from_ref(written), Arc::new(control)).await
}

/// Runs the drill of this plan through this control; `written` fills with what each of its ledgers writes,
/// which are its first probes.
pub async fn drill_through(
    plan: Arc<Plan>,
    written: &[Written],
    control: Arc<dyn TrafficControl>,
) -> RunRecord {
    let (_stop, stopped) = tokio::sync::watch::channel(None);
    let heard = written.to_vec();
    let drill = Drill {
        probing: Box::new(Probes::new(probers(&plan), Vec::new())),
        plan,
        file: "test".into(),
        run: "test".into(),
        host: "here".into(),
        located: Vec::new(),
        controls: vec![control],
        guards: Guards::default(),
        journal: Box::new(Nowhere),
        clock: Clock::start(),
        stop: stopped,
        hurry: tokio::sync::watch::Sender::new(false).subscribe(),
        guardian: Box::new(()),
        listener: Box::new(|_| {}),
        sampled: Box::new(move |sampled| {
            if let Some(heard) = heard.get(sampled.probe.probe as usize) {
                heard.push(sampled.sample);
            }
        }),
    };
    drill.run().await
}

/// The codes of what was said against the drill.
pub fn codes(record: &RunRecord) -> Vec<&str> {
    record.reasons.iter().map(|why| why.code.as_str()).collect()
}

/// The acknowledged writes that the servers do not have: the ledger's account says the same, and is right in all else too.
pub fn lost_as_said(said: &LedgerRecord, written: &Written, has: &BTreeSet<u64>) -> BTreeSet<u64> {
    let acknowledged = written.with(Fate::Acknowledged);
    let lost: BTreeSet<u64> = acknowledged.difference(has).copied().collect();
    let count = lost.len() as u64;
    assert_eq!((said.lost.low, said.lost.high), (count, Some(count)), "{said:#?}");
    assert_eq!(said.first_lost.as_ref().map(|it| it.seq), lost.first().copied());
    assert_eq!(said.last_lost.as_ref().map(|it| it.seq), lost.last().copied());
    assert_eq!(said.acknowledged, acknowledged.len() as u64);
    assert_eq!(said.recovered, written.with(Fate::Unknown).intersection(has).count() as u64);
    assert_eq!((said.unexpected, said.duplicated.high), (0, Some(0)), "{said:#?}");
    lost
}

/// The same where `had` is what the one had who led before the cut: it had all that it acknowledged.
pub fn lost_of_what_it_had(
    record: &RunRecord,
    written: &Written,
    had: &BTreeSet<u64>,
    has: &BTreeSet<u64>,
) -> BTreeSet<u64> {
    let lost = lost_as_said(ledger(record), written, has);
    let gone: BTreeSet<u64> = had.difference(has).copied().collect();
    let acknowledged = written.with(Fate::Acknowledged);
    assert_eq!(lost, gone.intersection(&acknowledged).copied().collect(), "it had all of them");
    lost
}

/// Whatever was written after a write that is lost, and before another that is, is lost like them: a replica has the beginning
/// of its primary's log and nothing behind it. Writes that overlap may be in either order.
pub fn is_without_a_gap(lost: &BTreeSet<u64>, written: &Written) {
    let all = written.samples();
    let gone = || all.iter().filter(|sample| lost.contains(&sample.seq));
    let first = gone().map(|sample| sample.done).min().unwrap();
    let last = gone().map(|sample| sample.sent).max().unwrap();
    let between = |sample: &&Sample| {
        Fate::of(sample) == Fate::Acknowledged && sample.sent >= first && sample.done <= last
    };
    let kept = all.iter().filter(between).find(|sample| !lost.contains(&sample.seq));
    assert!(kept.is_none(), "{kept:?} is not lost");
}

/// What became of the first ledger's records.
pub fn ledger(record: &RunRecord) -> &LedgerRecord {
    ledger_of(record, 0)
}

/// What became of the records of the ledger at this place.
pub fn ledger_of(record: &RunRecord, place: usize) -> &LedgerRecord {
    let ledger = record.services[0].probes[place].ledger.as_ref();
    ledger.unwrap_or_else(|| panic!("{:#?}", record.reasons))
}
