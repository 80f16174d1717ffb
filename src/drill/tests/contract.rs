//! The contract put to the test at a control that keeps it, and at others that break a rule each.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::drill::trial::Book;
use crate::model::{
    ContractEvent, ContractRecord, ControlSpec, ControlState, CutOrder, DatacenterId, PartState,
    Passage, RuleEnd, Verdict,
};
use crate::traffic::{ControlError, Survivors};

/// Which rule the control breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    ReadsOtherwise,
    NobodyLeft,
    RestoresByToggling,
    CutRefused,
    CutIgnored,
    CutHangs,
    CutsAnother,
    CutsHalf,
    CutsUnforetold,
    CutAgainOpens,
    CutAgainRefused,
    NeverRestores,
    RestoresWrong,
    RestoresOnlyItsOwn,
    RestoreAgainOpens,
}

struct Provider {
    fault: Fault,
    parts: Mutex<BTreeMap<String, PartState>>,
    log: Mutex<Vec<&'static str>>,
}

struct Control {
    spec: ControlSpec,
    at: Arc<Provider>,
    /// It was made anew from its settings.
    anew: bool,
}

fn part(datacenter: u16, passage: Passage, weight: &str) -> PartState {
    let settings = match passage {
        Passage::Open => [("weight".to_owned(), weight.to_owned())].into(),
        _ => [("state".to_owned(), "off".to_owned())].into(),
    };
    PartState { datacenter: DatacenterId(datacenter), passage, settings }
}

fn error(what: &str) -> ControlError {
    ControlError { what: what.to_owned(), hint: "ask its owner".to_owned() }
}

impl Control {
    fn count(&self, what: &'static str) -> usize {
        let mut log = self.at.log.lock().unwrap();
        log.push(what);
        log.iter().filter(|it| **it == what).count()
    }

    fn set(&self, name: &str, part: PartState) {
        self.at.parts.lock().unwrap().insert(name.to_owned(), part);
    }
}

#[async_trait]
impl TrafficControl for Control {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        tokio::time::sleep(span(5)).await;
        let count = self.count("inspect");
        if self.at.fault == Fault::ReadsOtherwise {
            self.set("west-1", part(1, Passage::Open, &count.to_string()));
        }
        Ok(ControlState { parts: self.at.parts.lock().unwrap().clone() })
    }

    async fn survivors(&self, _: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let left = usize::from(self.at.fault != Fault::NobodyLeft);
        Ok(vec![Survivors { group: "app".to_owned(), left }])
    }

    async fn cut(&self, _: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let count = self.count("cut");
        tokio::time::sleep(span(10)).await;
        match (self.at.fault, count) {
            (Fault::CutRefused, _) => return Err(error("403 Forbidden")),
            (Fault::CutIgnored, _) => return Ok(()),
            (Fault::CutHangs, _) => std::future::pending::<()>().await,
            (Fault::CutAgainRefused, 2) => return Err(error("409 Conflict: it is cut already")),
            (Fault::CutAgainOpens, 2) => {
                self.set("east-1", part(0, Passage::Open, "10"));
                return Ok(());
            }
            _ => {}
        }
        for name in ["east-1", "east-2"].iter().filter(|name| snapshot.parts.contains_key(**name)) {
            let mut closed = part(0, Passage::Closed, "");
            if self.at.fault == Fault::CutsUnforetold {
                closed.settings.insert("weight".to_owned(), "0".to_owned());
            }
            self.set(name, closed);
        }
        if self.at.fault == Fault::CutsAnother {
            self.set("west-1", part(1, Passage::Closed, ""));
        }
        if self.at.fault == Fault::CutsHalf {
            self.set("east-2", part(0, Passage::Open, "10"));
        }
        Ok(())
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        state.parts.values_mut().for_each(|it| *it = part(0, Passage::Closed, ""));
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let count = self.count("restore");
        tokio::time::sleep(span(10)).await;
        let cut = self.at.log.lock().unwrap().contains(&"cut");
        match (self.at.fault, count) {
            (Fault::NeverRestores, _) if cut => return Ok(()),
            (Fault::RestoresOnlyItsOwn, _) if cut && self.anew => {
                return Err(error("it was not cut from here"));
            }
            (Fault::RestoresByToggling, 1) => {
                self.set("east-1", part(0, Passage::Closed, ""));
                return Ok(());
            }
            (Fault::RestoreAgainOpens, 3) => {
                self.set("east-3", part(0, Passage::Open, "10"));
                return Ok(());
            }
            _ => {}
        }
        let weight = if self.at.fault == Fault::RestoresWrong && cut { "1" } else { "10" };
        for name in snapshot.parts.keys() {
            self.set(name, part(0, Passage::Open, weight));
        }
        Ok(())
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        snapshot.parts.keys().map(|name| format!("set {name}")).collect()
    }
}

struct Tested {
    record: ContractRecord,
    told: String,
    journal: Vec<String>,
    asked: Vec<&'static str>,
    took: Duration,
}

impl Tested {
    fn table(&self) -> String {
        let mut record = self.record.clone();
        record.started_at = jiff::Timestamp::UNIX_EPOCH;
        crate::report::contract(&record, crate::report::TableStyle::FILE)
    }
}

/// Puts a control with `fault` to the test. `stop_when` stops it at the first event whose line holds that.
async fn test(fault: Fault, stop_when: Option<&'static str>) -> Tested {
    let clock = Clock::start();
    let mut plan = plan(&[("at_most: 20s", "at_most: 6s")]);
    plan.traffic[0].name = "edge".into();
    let spec = plan.traffic[0].clone();
    let parts = [
        ("east-1", part(0, Passage::Open, "10")),
        ("east-2", part(0, Passage::Open, "10")),
        ("east-3", part(0, Passage::Closed, "")),
        ("west-1", part(1, Passage::Open, "7")),
    ];
    let parts = parts.map(|(name, part)| (name.to_owned(), part)).into();
    let at = Arc::new(Provider { fault, parts: Mutex::new(parts), log: Mutex::default() });
    let control = |anew| Arc::new(Control { spec: spec.clone(), at: at.clone(), anew });
    let (stop, stopped) = channel::channel(None);
    let told = Arc::new(Mutex::new(String::new()));
    let telling = told.clone();
    let tell = move |event: &ContractEvent| {
        let line = crate::report::contract_event(event);
        if stop_when.is_some_and(|text| line.contains(text)) {
            stop.send_replace(Some(Why::new("signal", "SIGTERM was received")));
        }
        telling.lock().unwrap().push_str(&line);
    };
    let fresh = control(true);
    let reach = move |_: &ControlSpec| Ok(Some(fresh.clone() as Arc<dyn TrafficControl>));
    let book = Book::new(1, Box::new(tell), Box::new(reach));
    let world = World::new(clock, Faults::default());
    let drill = Drill {
        plan: Arc::new(plan),
        file: "plan.yaml".into(),
        run: "test".into(),
        host: "here".into(),
        located: Vec::new(),
        controls: vec![control(false)],
        probing: Box::new(crate::drill::Probes::default()),
        guards: Guards::default(),
        journal: Box::new(world::Paper(world.clone())),
        clock,
        stop: stopped,
        hurry: channel::channel(false).1,
        guardian: Box::new(()),
        listener: Box::new(|_| {}),
        sampled: Box::new(|_| {}),
    };
    let record = drill.keep_contract(book).await;
    let took = Duration::from_nanos(clock.now().as_nanos());
    let told = told.lock().unwrap().clone();
    let asked = at.log.lock().unwrap().clone();
    Tested { record, told, journal: world.log(), asked, took }
}

#[tokio::test(start_paused = true)]
async fn a_control_that_keeps_every_rule_is_cut_once_and_left_as_it_was() {
    let tested = test(Fault::None, None).await;
    assert_eq!(tested.record.verdict, Verdict::Pass, "{}", tested.told);
    insta::assert_snapshot!(format!("{}\n{}", tested.told, tested.table()));
}

#[tokio::test(start_paused = true)]
async fn every_change_is_in_the_journal_before_it_is_made() {
    let tested = test(Fault::None, None).await;
    let wanted = [
        "opened",
        "snapshot",
        // One of ours before the call, and the restore's own.
        "restore intended",
        "restore intended",
        "restore confirmed",
        "cut intended",
        "cut confirmed",
        "restore intended",
        "restore confirmed",
        "restore intended",
        "restore intended",
        "restore confirmed",
        "closed",
    ];
    assert_eq!(tested.journal, wanted.map(|line| format!("journal: {line}")));
    let changes: Vec<_> = tested.asked.iter().filter(|asked| **asked != "inspect").collect();
    assert_eq!(changes, [&"restore", &"cut", &"cut", &"restore", &"restore"]);
}

#[tokio::test(start_paused = true)]
async fn each_rule_that_is_broken_is_told_with_what_was_seen() {
    use Fault::{
        CutAgainOpens, CutAgainRefused, CutHangs, CutIgnored, CutRefused, CutsAnother, CutsHalf,
        CutsUnforetold, NeverRestores, NobodyLeft, ReadsOtherwise, RestoreAgainOpens,
        RestoresByToggling, RestoresOnlyItsOwn, RestoresWrong,
    };
    let (mut all, mut wrong) = (String::new(), Vec::<String>::new());
    for (fault, verdict) in [
        (ReadsOtherwise, Verdict::Fail),
        (NobodyLeft, Verdict::NotStarted),
        (RestoresByToggling, Verdict::Fail),
        (CutRefused, Verdict::Fail),
        (CutIgnored, Verdict::Fail),
        (CutHangs, Verdict::Fail),
        (CutsAnother, Verdict::NotRestored),
        (CutsHalf, Verdict::Fail),
        (CutsUnforetold, Verdict::NotRestored),
        (CutAgainOpens, Verdict::Fail),
        (CutAgainRefused, Verdict::Fail),
        (NeverRestores, Verdict::NotRestored),
        (RestoresWrong, Verdict::NotRestored),
        (RestoresOnlyItsOwn, Verdict::NotRestored),
        (RestoreAgainOpens, Verdict::NotRestored),
    ] {
        let tested = test(fault, None).await;
        wrong.extend(
            (tested.record.verdict != verdict).then(|| format!("{fault:?}: {}", tested.told)),
        );
        all += &format!("# {fault:?}: {verdict} after {:.1?}\n", tested.took);
        let rules = tested.record.controls[0].rules.iter();
        for record in rules.filter(|it| matches!(it.kept, RuleEnd::No | RuleEnd::Refused)) {
            all += &format!("{}: {}: {}\n", record.kept, record.rule, record.text);
        }
        for why in &tested.record.reasons {
            all += &format!("{}: {}\n", why.code, why.text);
        }
        all += &format!("by hand: {:?}\n\n", tested.record.controls[0].by_hand);
    }
    insta::assert_snapshot!(all);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cut_where_reading_or_the_way_back_is_broken() {
    for fault in [Fault::ReadsOtherwise, Fault::NobodyLeft, Fault::RestoresByToggling] {
        let tested = test(fault, None).await;
        assert!(!tested.asked.contains(&"cut"), "{fault:?}: {}", tested.told);
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_it_gets_traffic_back_at_once() {
    for (text, cuts) in [
        ("kept: read twice", 0),
        ("kept: a restore of what was never cut", 0),
        ("cutting", 0),
        ("kept: a cut is accepted", 1),
        ("kept: cut, it reads as foretold", 1),
        ("kept: a second cut", 2),
    ] {
        let tested = test(Fault::None, Some(text)).await;
        assert_eq!(tested.record.verdict, Verdict::Stopped, "{text}: {}", tested.told);
        assert_eq!(tested.record.reasons[0].code, "signal");
        assert_eq!(tested.asked.iter().filter(|it| **it == "cut").count(), cuts, "{text}");
        if cuts > 0 {
            assert_eq!(tested.journal.iter().rev().nth(1).unwrap(), "journal: restore confirmed");
        }
        assert!(tested.took < Duration::from_secs(3), "{text}: {:?}", tested.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_hangs_does_not_keep_traffic_cut_beyond_its_time() {
    for fault in [Fault::CutHangs, Fault::CutIgnored, Fault::CutsHalf] {
        let tested = test(fault, None).await;
        let mut rules = tested.record.controls[0].rules.iter();
        let restore = rules.find(|it| it.rule == crate::model::Rule::Restore).unwrap();
        assert!(restore.began <= crate::model::Offset::from_millis(6_200), "{fault:?}");
        assert_eq!(restore.kept, RuleEnd::Yes, "{fault:?}: {}", tested.told);
    }
}
