//! Summaries of records, and their index.

use super::super::{Indexed, Stamp, Unreadable, summary, whole};
use super::{bounds, day};
use crate::model::*;

fn all_marks() -> Marks {
    Marks {
        cut_confirmed: Some(Offset::from_millis(1000)),
        restore_confirmed: Some(Offset::from_millis(3000)),
        ended: Some(Offset::from_millis(4000)),
        ..Marks::default()
    }
}

fn restored(name: &str) -> ControlRecord {
    ControlRecord {
        name: name.into(),
        provider: Provider::Lab,
        before: None,
        cut: None,
        after: None,
        restored: Restored::Yes,
        by_hand: vec![],
    }
}

fn kept() -> PromiseResult {
    PromiseResult {
        budget: Some(std::time::Duration::from_secs(1)),
        measured: Some(bounds(100, 200)),
        ..PromiseResult::new(Promise::RecoverWithin, Judgement::Kept, String::new())
    }
}

/// A run of the plan `pay` with the service `shop`.
pub fn record() -> RunRecord {
    let recovery = Recovery { bounds: bounds(100, 200), seamless: false, relapses: 0, split: None };
    let probe = ProbeRecord {
        name: "get".into(),
        asks: "GET /".to_owned(),
        may_stay: false,
        required: true,
        every: std::time::Duration::from_millis(50),
        keep_alive: false,
        cohort: None,
        counts: ProbeCounts::default(),
        latency: Default::default(),
        served: Default::default(),
        outages: vec![],
        outage_count: 0,
        recovery: Some(recovery),
        failback: None,
        ledger: None,
        course: Course::default(),
    };
    let minutes = Some(UserMinutes { low: 1.0, high: 2.0 });
    let impact = Impact { probe: "get".into(), bad: bounds(100, 200), user_minutes: minutes };
    let shop = ServiceRecord {
        name: "shop".into(),
        users: Some(10),
        recovery: Some(recovery),
        failback: None,
        promises: vec![kept()],
        impact: Some(impact),
        probes: vec![probe],
    };
    let plan = PlanSummary {
        name: "pay".into(),
        about: None,
        file: "pay.yaml".to_owned(),
        hash: Some("now".to_owned()),
        text: Some("version: 1\n".to_owned()),
        vars: [("region".to_owned(), "east".to_owned())].into(),
        datacenters: vec!["east".into(), "west".into()],
        cut: CutOrder::of(DatacenterId(0), Mode::Blackhole),
        env: None,
        lab: false,
        through: vec!["wan".into()],
        stable_for: Default::default(),
        at_most: Default::default(),
    };
    RunRecord {
        format: RunRecord::FORMAT,
        firedrill: "0.1.0".to_owned(),
        run: "run-001".to_owned(),
        started_at: day(1),
        plan,
        verdict: Verdict::Pass,
        reasons: vec![],
        marks: all_marks(),
        services: vec![shop],
        proof: Proof::default(),
        controls: vec![restored("wan")],
        calls: vec![],
        guardrails: vec![],
        placement: Default::default(),
        loads: vec![],
        lab: None,
        environment: None,
        samples: None,
        notifications: Vec::new(),
    }
}

fn short(record: &RunRecord) -> Summary {
    summary(&serde_json::to_vec(record).unwrap()).unwrap()
}

#[test]
fn a_summary_has_what_the_record_has() {
    let expected = Summary {
        vars: [("region".to_owned(), "east".to_owned())].into(),
        ended_at: day(1) + jiff::SignedDuration::from_secs(4),
        slowest: Some(Slowest { service: "shop".into(), recovery: Some(bounds(100, 200)) }),
        ..super::run(1, 0)
    };
    assert_eq!(short(&record()), expected);
    let mut record = record();
    record.lab = Some(LabTruth::default());
    let unmeasured =
        ServiceRecord { recovery: None, name: "login".into(), ..record.services[0].clone() };
    record.services.push(unmeasured.clone());
    let both = short(&record);
    assert!(both.lab);
    assert_eq!(both.measured, ["shop".into()], "what was not measured is not proven");
    record.services = vec![unmeasured];
    assert_eq!(short(&record).recovery(), None);
    record.services.clear();
    assert_eq!(short(&record).slowest, None);
}

#[test]
fn a_drill_of_a_lab_that_was_refused_is_one_of_a_lab() {
    let mut record = record();
    assert!(!short(&record).lab);
    record.plan.lab = true;
    assert!(short(&record).lab);
}

#[test]
fn only_what_the_calendar_alone_refused_before_anything_was_asked_was_kept_off() {
    let refused = |codes: &[&str], verdict, services: bool| {
        let reasons = codes.iter().map(|code| Why::new(code, "why")).collect();
        let mut record = RunRecord { reasons, verdict, ..record() };
        if !services {
            record.services.clear();
        }
        short(&record).kept_off
    };
    use Verdict::{NotStarted, Stopped};
    for code in ["blocked-date", "outside-window"] {
        assert!(refused(&[code], NotStarted, false));
        assert!(!refused(&[code, "not-ready"], NotStarted, false));
        assert!(!refused(&[code], NotStarted, true));
        assert!(!refused(&[code], Stopped, false));
    }
    assert!(!refused(&["not-ready"], NotStarted, false) && !refused(&[], NotStarted, false));
}

#[test]
fn a_record_of_an_older_version_has_no_digest() {
    let mut value = serde_json::to_value(record()).unwrap();
    for field in ["hash", "text", "vars", "env", "lab"] {
        value["plan"].as_object_mut().unwrap().remove(field).unwrap();
    }
    let bytes = serde_json::to_vec(&value).unwrap();
    assert_eq!(summary(&bytes).unwrap().hash, None);
    assert_eq!(whole(&bytes).unwrap().record.plan.text, None);
}

#[test]
fn another_format_is_refused_whether_or_not_its_fields_look_the_same() {
    let mut value = serde_json::to_value(record()).unwrap();
    value["format"] = 2.into();
    assert_eq!(summary(&serde_json::to_vec(&value).unwrap()), Err(Unreadable::OtherFormat(2)));
    let other = br#"{"format": 7, "drill": []}"#;
    assert_eq!(summary(other), Err(Unreadable::OtherFormat(7)));
    assert!(matches!(whole(other), Err(Unreadable::OtherFormat(7))));
}

#[test]
fn a_record_that_is_cut_off_anywhere_is_damaged() {
    let bytes = serde_json::to_vec(&record()).unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(summary(&bytes[..length]), Err(Unreadable::Damaged(_))), "{length}");
    }
}

#[test]
fn an_index_counts_only_for_the_record_that_it_was_made_of() {
    let stamp = Stamp { length: 7, modified: (1, 2), changed: (3, 4), inode: 5 };
    let (short, index) = (short(&record()), |stamp| Indexed::new(stamp, short(&record())));
    let bytes = index(stamp).bytes().unwrap();
    assert!(bytes.len() < 1000, "{} bytes", bytes.len());
    assert_eq!(Indexed::read(&bytes, stamp), Some(short));
    for other in [
        Stamp { length: 8, ..stamp },
        Stamp { modified: (1, 3), ..stamp },
        Stamp { modified: (2, 2), ..stamp },
        Stamp { changed: (3, 5), ..stamp },
        Stamp { inode: 6, ..stamp },
    ] {
        assert_eq!(Indexed::read(&bytes, other), None);
    }
    for length in 0..bytes.len() {
        assert_eq!(Indexed::read(&bytes[..length], stamp), None, "{length}");
    }
    let older = String::from_utf8(bytes).unwrap().replace("\"version\":3", "\"version\":2");
    assert_eq!(Indexed::read(older.as_bytes(), stamp), None);
}
