//! The contract put to the test at controls that keep it, and at others that break a rule each.

mod killed;
mod provider;
mod several;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Mutex;

use super::web::{Does, Web};
use super::*;
use crate::drill::trial::Book;
use crate::journal::{Append, Record};
use crate::model::{
    ContractEvent, ContractRecord, ControlSpec, Name, Offset, PartState, Passage, Rule, RuleEnd,
    RuleRecord, Verdict,
};
use provider::{Control, Fault, Moments, Provider, part};

/// Which providers are put to the test, and what happens to it.
#[derive(Default)]
struct Setup {
    /// A provider for each control.
    providers: Vec<(&'static str, Fault)>,
    /// It is stopped at the first event whose line holds that.
    stop_when: Option<&'static str>,
    /// Another hand gives this part of that control another weight at the first event whose line holds that.
    hand_when: Option<(&'static str, usize, &'static str)>,
    /// The journal takes so many records and no more.
    journal_takes: Option<usize>,
    /// It is killed at this moment.
    killed_at: Option<usize>,
    /// The time in which a guardrail is beyond its limit, and may be so for longer.
    unclear: Option<(Offset, Offset)>,
}

/// A journal in memory, which may be full.
#[derive(Clone, Default)]
struct Paper {
    records: Arc<Mutex<Vec<Record>>>,
    takes: Option<usize>,
}

impl Append for Paper {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut records = self.records.lock().unwrap();
        if self.takes.is_some_and(|takes| records.len() >= takes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        records.push(record.clone());
        Ok(())
    }
}

/// What a journal says, in words: `edge: cut intended`.
fn words(record: &Record) -> String {
    let of = |control: &Name, what: &str| format!("{control}: {what}");
    match record {
        Record::Opened(_) => "opened".to_owned(),
        Record::Snapshot { control, .. } => of(&control.name, "snapshot"),
        Record::CutIntended { control } => of(control, "cut intended"),
        Record::CutConfirmed { control } => of(control, "cut confirmed"),
        Record::RestoreIntended { control, .. } => of(control, "restore intended"),
        Record::RestoreConfirmed { control, .. } => of(control, "restore confirmed"),
        Record::Closed { .. } => "closed".to_owned(),
    }
}

/// Controls that are put to the test.
struct Site {
    providers: Vec<Arc<Provider>>,
    specs: Vec<ControlSpec>,
    moments: Arc<Moments>,
    paper: Paper,
    told: Arc<Mutex<String>>,
    clock: Clock,
}

impl Site {
    /// The controls that `setup` names, and the test of them, which has not begun.
    fn new(setup: &Setup) -> (Site, impl Future<Output = ContractRecord> + use<>) {
        let clock = Clock::start();
        let timing = "timing: { baseline: 1s, stable_for: 500ms, hold: 2s, at_most: 20s }";
        let guardrail =
            "guardrails: [{ name: page, http: \"http://127.0.0.1:4/\", every: 200ms, for: 60s }]";
        let text = match setup.unclear {
            Some(_) => format!("{}\n{guardrail}", timing.replace("20s", "6s")),
            None => timing.replace("20s", "6s"),
        };
        let plan = plan(&[(timing, &text)]);
        let spec = |(name, _): &(&'static str, Fault)| ControlSpec {
            name: (*name).into(),
            provider: plan.traffic[0].provider.clone(),
        };
        let specs: Vec<ControlSpec> = setup.providers.iter().map(spec).collect();
        let moments = Moments::until(setup.killed_at);
        let provider =
            |(name, fault): &(&'static str, Fault)| Provider::new(name, *fault, moments.clone());
        let providers: Vec<Arc<Provider>> = setup.providers.iter().map(provider).collect();
        let paper = Paper { takes: setup.journal_takes, ..Paper::default() };
        let told = Arc::default();
        let site = Site { providers, specs, moments, paper, told, clock };
        let (tell, stop) = site.tell(setup);
        let (controls, fresh) = (site.controls(false), site.controls(true));
        let reach = move |spec: &ControlSpec| {
            Ok(fresh.iter().find(|control| control.spec() == spec).cloned())
        };
        let book = Book::new(controls.len(), tell, Box::new(reach));
        let unclear = setup.unclear.unwrap_or_default();
        let web = Web::new(move |now| match (unclear.0..unclear.1).contains(&now) {
            true => Does::Answer(500, String::new()),
            false => Does::Answer(200, String::new()),
        });
        let guards = Guards::prepare(&plan, &|_| None, Arc::new(web.at(clock))).unwrap();
        let drill = Drill {
            plan: Arc::new(plan),
            file: "plan.yaml".into(),
            run: "test".into(),
            host: "here".into(),
            located: Vec::new(),
            controls,
            probing: Box::new(crate::drill::Probes::default()),
            guards: guards.read_outside(),
            journal: Box::new(site.paper.clone()),
            clock,
            stop,
            hurry: channel::channel(false).1,
            guardian: Box::new(()),
            listener: Box::new(|_| {}),
            sampled: Box::new(|_| {}),
        };
        (site, drill.keep_contract(book))
    }

    fn controls(&self, anew: bool) -> Vec<Arc<dyn TrafficControl>> {
        let control = |(spec, at): (&ControlSpec, &Arc<Provider>)| {
            let (spec, at) = (spec.clone(), at.clone());
            Arc::new(Control { spec, at, anew }) as Arc<dyn TrafficControl>
        };
        self.specs.iter().zip(&self.providers).map(control).collect()
    }

    /// Who is told of each rule, and the word to stop.
    fn tell(&self, setup: &Setup) -> (crate::drill::trial::Tell, channel::Receiver<Option<Why>>) {
        let (stop, stopped) = channel::channel(None);
        let (told, providers) = (self.told.clone(), self.providers.clone());
        let (stop_when, mut hand_when) = (setup.stop_when, setup.hand_when);
        let tell = move |event: &ContractEvent| {
            let line = crate::report::contract_event(event);
            if stop_when.is_some_and(|text| line.contains(text)) {
                stop.send_replace(Some(Why::new("signal", "SIGTERM was received")));
            }
            if let Some((_, place, name)) = hand_when.take_if(|(text, ..)| line.contains(&**text)) {
                providers[place].set(name, part(0, Passage::Open, "3"));
            }
            told.lock().unwrap().push_str(&line);
        };
        (Box::new(tell), stopped)
    }

    /// What there is to see when the test has ended.
    fn tested(&self, record: ContractRecord) -> Tested {
        Tested {
            record,
            told: self.told.lock().unwrap().clone(),
            journal: self.paper.records.lock().unwrap().iter().map(words).collect(),
            asked: self.moments.asked.lock().unwrap().clone(),
            parts: self.providers.iter().map(|provider| provider.parts()).collect(),
            took: Duration::from_nanos(self.clock.now().as_nanos()),
        }
    }
}

struct Tested {
    record: ContractRecord,
    told: String,
    journal: Vec<String>,
    /// What changes something, in order: `edge cut`.
    asked: Vec<String>,
    /// The parts of each control afterwards.
    parts: Vec<BTreeMap<String, PartState>>,
    took: Duration,
}

impl Tested {
    fn table(&self) -> String {
        let mut record = self.record.clone();
        record.started_at = jiff::Timestamp::UNIX_EPOCH;
        crate::report::contract(&record, crate::report::TableStyle::FILE)
    }

    fn rule(&self, place: usize, rule: Rule) -> &RuleRecord {
        self.record.controls[place].rules.iter().find(|it| it.rule == rule).unwrap()
    }

    fn codes(&self) -> Vec<&str> {
        self.record.reasons.iter().map(|why| why.code.as_str()).collect()
    }

    fn is_whole(&self, place: usize) -> bool {
        self.parts[place] == Provider::whole()
    }
}

async fn test_all(setup: Setup) -> Tested {
    let (site, test) = Site::new(&setup);
    let record = test.await;
    site.tested(record)
}

/// Puts a control with `fault` to the test. `stop_when` stops it at the first event whose line holds that.
async fn test(fault: Fault, stop_when: Option<&'static str>) -> Tested {
    test_all(Setup { providers: vec![("edge", fault)], stop_when, ..Setup::default() }).await
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
        "edge: snapshot",
        // One of ours before the call, and the restore's own.
        "edge: restore intended",
        "edge: restore intended",
        "edge: restore confirmed",
        "edge: cut intended",
        "edge: cut confirmed",
        "edge: restore intended",
        "edge: restore confirmed",
        "edge: restore intended",
        "edge: restore intended",
        "edge: restore confirmed",
        "closed",
    ];
    assert_eq!(tested.journal, wanted);
    // The restore is made once more when a second cut that lands late would have landed.
    let changes = ["restore", "cut", "cut", "restore", "restore", "restore"];
    assert_eq!(tested.asked, changes.map(|what| format!("edge {what}")));
}

#[tokio::test(start_paused = true)]
async fn each_rule_that_is_broken_is_told_with_what_was_seen() {
    use Fault::{
        CutAgainHangs, CutAgainLate, CutAgainOpens, CutAgainRefused, CutHangs, CutIgnored,
        CutPanics, CutRefused, CutsAnother, CutsHalf, CutsUnforetold, HandAtCutAgain,
        NeverRestores, NobodyLeft, ReadsOtherwise, RestoreAgainOpens, RestoreUncutOpens,
        RestoresByToggling, RestoresOnlyItsOwn, RestoresWrong,
    };
    let (mut all, mut wrong) = (String::new(), Vec::<String>::new());
    for (fault, verdict) in [
        (ReadsOtherwise, Verdict::Fail),
        (NobodyLeft, Verdict::NotStarted),
        (RestoresByToggling, Verdict::Fail),
        (RestoreUncutOpens, Verdict::NotRestored),
        (CutRefused, Verdict::Fail),
        (CutIgnored, Verdict::Fail),
        (CutHangs, Verdict::Fail),
        (CutPanics, Verdict::Fail),
        (CutsAnother, Verdict::NotRestored),
        (CutsHalf, Verdict::Fail),
        (CutsUnforetold, Verdict::NotRestored),
        (CutAgainOpens, Verdict::Fail),
        (CutAgainRefused, Verdict::Fail),
        (CutAgainHangs, Verdict::Inconclusive),
        (CutAgainLate(span(1500)), Verdict::Fail),
        (HandAtCutAgain, Verdict::NotRestored),
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
        assert!(!tested.asked.contains(&"edge cut".to_owned()), "{fault:?}: {}", tested.told);
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
        assert_eq!(tested.asked.iter().filter(|it| **it == "edge cut").count(), cuts, "{text}");
        if cuts > 0 {
            assert_eq!(tested.journal.iter().rev().nth(1).unwrap(), "edge: restore confirmed");
        }
        assert!(tested.took < Duration::from_secs(3), "{text}: {:?}", tested.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_hangs_does_not_keep_traffic_cut_beyond_its_time() {
    for fault in [Fault::CutHangs, Fault::CutIgnored, Fault::CutsHalf] {
        let tested = test(fault, None).await;
        let mut rules = tested.record.controls[0].rules.iter();
        let restore = rules.find(|it| it.rule == Rule::Restore).unwrap();
        assert!(restore.began <= Offset::from_millis(6_200), "{fault:?}");
        assert_eq!(restore.kept, RuleEnd::Yes, "{fault:?}: {}", tested.told);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_does_while_it_is_cut_again_is_not_undone() {
    let tested = test(Fault::HandAtCutAgain, None).await;
    assert_eq!(tested.record.verdict, Verdict::NotRestored, "{}", tested.told);
    assert_eq!(tested.codes()[0], "another-hand");
    let mut wanted = Provider::whole();
    wanted.insert("east-1".to_owned(), part(0, Passage::Open, "3"));
    assert_eq!(tested.parts, [wanted], "{}", tested.told);
    assert_eq!(tested.record.controls[0].by_hand, ["set east-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_cut_that_had_no_time_is_not_broken() {
    // Of 6 s, the first cut and its reading leave 5 ms, and nothing.
    for (takes, seen) in [(5_990, "edge did not answer within 5.0 ms"), (5_995, "give it more")] {
        let tested = test(Fault::CutTakes(span(takes)), None).await;
        assert_eq!(tested.record.verdict, Verdict::Inconclusive, "{}", tested.told);
        let again = tested.rule(0, Rule::CutAgain);
        assert_eq!(again.kept, RuleEnd::Untried, "{}", tested.told);
        assert!(
            again.text.contains("`at_most` (6 s)") && again.text.contains(seen),
            "{}",
            again.text
        );
        assert_eq!(tested.codes(), ["out-of-time"]);
        assert!(tested.table().contains("not tested to the end"), "{}", tested.table());
        // All that is left to test of it is tested, and it is back in time.
        assert_eq!(tested.rule(0, Rule::RestoreAgain).kept, RuleEnd::Yes, "{}", tested.told);
        assert!(tested.rule(0, Rule::Restore).began <= Offset::from_millis(6_200));
        assert!(tested.is_whole(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_cut_that_lands_after_the_restore_is_put_back_and_told() {
    let tested = test(Fault::CutAgainLate(span(1_500)), None).await;
    assert_eq!(tested.record.verdict, Verdict::Fail, "{}", tested.told);
    assert!(tested.rule(0, Rule::Restore).text.starts_with("it was back, and cut again"));
    assert!(tested.is_whole(0));
    // Later than anybody waits for at this control, but not after the end.
    let providers = vec![("edge", Fault::CutAgainLate(span(3_000))), ("lan", Fault::None)];
    let tested = test_all(Setup { providers, ..Setup::default() }).await;
    assert_eq!(tested.record.verdict, Verdict::Inconclusive, "{}", tested.told);
    assert_eq!(tested.codes(), ["cut-again"]);
    assert!(tested.is_whole(0) && tested.is_whole(1), "{}", tested.told);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_our_own_while_it_is_cut_puts_it_back_and_says_what_else_it_changed() {
    let tested = test(Fault::PausePanics, None).await;
    assert_eq!(tested.record.verdict, Verdict::NotRestored, "{}", tested.told);
    assert_eq!(tested.codes(), ["other-parts"]);
    assert_eq!(tested.record.controls[0].by_hand, ["set west-1"]);
    let mut wanted = Provider::whole();
    wanted.insert("west-1".to_owned(), part(1, Passage::Closed, ""));
    assert_eq!(tested.parts, [wanted]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_full_leaves_nothing_cut_whenever_that_is() {
    // Three lines before the first is touched, ten for each, and the last one.
    for takes in 0..=24 {
        let providers = vec![("a", Fault::None), ("b", Fault::None)];
        let setup = Setup { providers, journal_takes: Some(takes), ..Setup::default() };
        let tested = test_all(setup).await;
        let cuts = tested.asked.iter().filter(|asked| asked.ends_with(" cut")).count();
        let wanted = match (cuts, takes) {
            (0, _) => Verdict::NotStarted,
            // At most the line that the test has ended is missing.
            (_, 23..) => Verdict::Pass,
            _ => Verdict::Inconclusive,
        };
        assert_eq!(tested.record.verdict, wanted, "{takes}: {}", tested.told);
        assert!(tested.is_whole(0) && tested.is_whole(1), "{takes}: {}", tested.told);
        // No other is cut once it does not take everything.
        let intended = tested.journal.iter().filter(|line| line.ends_with("cut intended")).count();
        assert!(cuts <= intended * 2, "{takes}: {:?}", tested.asked);
    }
}
