//! Several controls in one cut: their order, what is cut side by side, and what becomes of the whole where one fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::model::{
    Act, ControlSpec, ControlState, CutOrder, Passage, PathCounters, Restored, Verdict,
};
use crate::traffic::{ControlError, TrafficControl};

/// How the controls of a cut behave, and what they were told.
#[derive(Default)]
struct Gates {
    /// Those that refuse to be cut, and are cut all the same.
    refuse: &'static [&'static str],
    /// Those that accept a cut and do nothing.
    idle: &'static [&'static str],
    /// How long after a cut was accepted it is in effect.
    late: Duration,
    /// Those that are closed, and when that is in effect.
    closed: Mutex<BTreeMap<String, Instant>>,
    log: Mutex<Vec<String>>,
}

/// One of them. The world loses its datacenter when all are closed.
struct Gate {
    inner: world::Control,
    count: usize,
    gates: Arc<Gates>,
}

impl Gate {
    fn name(&self) -> &str {
        self.inner.spec().name.as_str()
    }

    fn note(&self, what: &str) {
        self.gates.log.lock().unwrap().push(format!("{what} {}", self.name()));
    }
}

#[async_trait]
impl TrafficControl for Gate {
    fn spec(&self) -> &ControlSpec {
        self.inner.spec()
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut state = self.inner.inspect().await?;
        let closed = self.gates.closed.lock().unwrap().get(self.name()).copied();
        let closed = closed.is_some_and(|since| since <= Instant::now());
        let passage = if closed { Passage::Closed } else { Passage::Open };
        let east = state.parts.get_mut("east").unwrap();
        east.passage = passage;
        east.settings.insert("state".to_owned(), format!("{passage:?}"));
        Ok(state)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.note("cutting");
        tokio::time::sleep(span(5)).await;
        if self.gates.idle.contains(&self.name()) {
            return Ok(());
        }
        let all = {
            let mut closed = self.gates.closed.lock().unwrap();
            closed.entry(self.name().to_owned()).or_insert(Instant::now() + self.gates.late);
            closed.len() == self.count
        };
        if all {
            self.inner.cut(order, snapshot).await?;
        }
        self.note("cut");
        let refuses = self.gates.refuse.contains(&self.name());
        let refusal = || ControlError { what: "permission denied".into(), hint: "ask".into() };
        if refuses { Err(refusal()) } else { Ok(()) }
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        self.inner.cut_state(order, snapshot)
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.note("restored");
        self.gates.closed.lock().unwrap().remove(self.name());
        self.inner.restore(snapshot).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        self.inner.by_hand(snapshot)
    }

    fn path(&self) -> Option<PathCounters> {
        self.inner.path()
    }
}

/// One control whose provider may take a minute more until what it accepted is in effect.
fn one_that_lags() -> Plan {
    let one = "  wan:\n    proxy: { routes: [{ datacenter: east, listen: \"127.0.0.1:1\", to: \"127.0.0.1:2\" }] }\n";
    let lags = "  wan:\n    exec: { inspect: [a], cut: [a], restore: [a], modes: [blackhole] }\n";
    plan(&[(one, lags), ("at_most: 20s", "at_most: 3m")])
}

/// `a` first, then `b` and `c` side by side, then `d`.
fn steps() -> Plan {
    let routes = |number| {
        let [listen, to] = [0, 1].map(|port| format!("127.0.0.1:{}", 10 * number + port));
        format!("proxy: {{ routes: [{{ datacenter: east, listen: \"{listen}\", to: \"{to}\" }}] }}")
    };
    let all = ["a", "b", "c", "d"].into_iter().zip(1..);
    let traffic: Vec<String> =
        all.map(|(name, number)| format!("  {name}:\n    {}\n", routes(number))).collect();
    let one = "  wan:\n    proxy: { routes: [{ datacenter: east, listen: \"127.0.0.1:1\", to: \"127.0.0.1:2\" }] }\n";
    plan(&[(one, &traffic.concat()), ("through: [wan]", "through: a, then: [[b, c], d]")])
}

async fn run(gates: Gates, faults: Faults) -> (Ended, Vec<String>) {
    run_plan(steps(), gates, faults).await
}

async fn run_plan(drilled: Plan, gates: Gates, faults: Faults) -> (Ended, Vec<String>) {
    let gates = Arc::new(gates);
    let controls = |plan: &Plan, world: &Arc<World>| {
        let gate = |spec: &ControlSpec| -> Arc<dyn TrafficControl> {
            let inner = world::Control::new(spec.clone(), world.clone());
            Arc::new(Gate { inner, count: plan.traffic.len(), gates: gates.clone() })
        };
        plan.traffic.iter().map(gate).collect()
    };
    let ended = drill_with(drilled, faults, None, web::Web::default(), controls, simulated).await;
    assert!(gates.closed.lock().unwrap().is_empty(), "still cut");
    let log = gates.log.lock().unwrap().clone();
    (ended, log)
}

fn codes(ended: &Ended) -> Vec<&str> {
    ended.record.reasons.iter().map(|why| why.code.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_begins_when_the_one_before_is_cut_and_its_controls_go_side_by_side() {
    let (ended, log) = run(Gates::default(), Faults::default()).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    let cuts = &log[..8];
    assert_eq!(cuts[..4], ["cutting a", "cut a", "cutting b", "cutting c"], "{log:?}");
    assert_eq!(BTreeSet::from(["cut b", "cut c"]), cuts[4..6].iter().map(|it| &**it).collect());
    assert_eq!(cuts[6..], ["cutting d", "cut d"], "{log:?}");
    // One cut, from the first call to the last reading.
    let calls = |act| ended.record.calls.iter().filter(move |call| call.act == act);
    let marks = &ended.record.marks;
    let first = calls(Act::Cut).map(|call| call.issued).min().unwrap();
    let last = calls(Act::Cut).map(|call| call.done).max().unwrap();
    assert!(marks.cut_issued.unwrap() <= first && last <= marks.cut_confirmed.unwrap());
    let written = |what: &str| {
        let log = ended.world.log();
        log.iter().filter(|line| **line == format!("journal: {what}")).count()
    };
    for what in ["snapshot", "cut intended", "cut confirmed", "restore confirmed"] {
        assert_eq!(written(what), 4, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_is_restored_where_a_step_fails_and_no_later_one_is_touched() {
    let (ended, log) = run(Gates { refuse: &["b"], ..Gates::default() }, Faults::default()).await;
    assert_eq!(ended.record.verdict, Verdict::Inconclusive, "{:?}", ended.record.reasons);
    assert!(codes(&ended).contains(&"cut-failed"), "{:?}", codes(&ended));
    let cut = |name: &str| log.contains(&format!("cut {name}"));
    assert_eq!(["a", "b", "c", "d"].map(cut), [true, true, true, false], "{log:?}");
    let restored: Vec<Restored> = ended.record.controls.iter().map(|it| it.restored).collect();
    let (yes, untouched) = (Restored::Yes, Restored::Untouched);
    assert_eq!(restored, [yes, yes, yes, untouched]);
    assert!(!log.contains(&"restored d".to_owned()), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_which_one_control_did_nothing_is_none() {
    for idle in [&["a"], &["c"], &["d"]] {
        let (ended, _) = run(Gates { idle, ..Gates::default() }, Faults::default()).await;
        assert_eq!(ended.record.verdict, Verdict::Inconclusive, "{:?}", ended.record.reasons);
        assert!(codes(&ended).contains(&"cut-not-confirmed"), "{:?}", codes(&ended));
        assert_eq!(ended.record.marks.cut_confirmed, None, "{idle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_has_the_time_to_be_in_effect_that_its_provider_needs() {
    for (late, confirmed) in [(50, true), (90, false)] {
        let gates = Gates { late: Duration::from_secs(late), ..Gates::default() };
        let (ended, _) = run_plan(one_that_lags(), gates, Faults::default()).await;
        let marks = &ended.record.marks;
        assert_eq!(marks.cut_confirmed.is_some(), confirmed, "{:?}", ended.record.reasons);
        assert_eq!(codes(&ended).contains(&"cut-not-confirmed"), !confirmed, "{late} s");
        assert_eq!(ended.record.controls[0].restored, Restored::Yes);
    }
    // Another provider is read for no longer than a call may take.
    let gates = Gates { late: Duration::from_secs(50), ..Gates::default() };
    let (ended, _) = run(gates, Faults::default()).await;
    assert!(codes(&ended).contains(&"cut-not-confirmed"), "{:?}", codes(&ended));
}

#[tokio::test(start_paused = true)]
async fn the_proof_is_of_the_whole_cut() {
    let (ended, _) = run(Gates::default(), Faults { leaks: true, ..Faults::default() }).await;
    assert_eq!(ended.record.verdict, Verdict::Inconclusive, "{:?}", ended.record.reasons);
    assert!(codes(&ended).contains(&"leak"), "{:?}", codes(&ended));
}
