//! Ledgers on the stores of the lab: what they say is what the lab knows.

use firedrill::lab::LabFaults;
use firedrill::model::{
    CountBounds, Judgement, LabStoreTruth, LedgerRecord, Promise, RunRecord, Verdict,
};

use super::world::{codes, drill};

/// A plan with these stores, and with a ledger for each of `ledgers`: its name, where it is written and read, and what
/// else its plan says. Budgets are wide: these tests are of numbers, and the machine may be busy.
fn plan(stores: &str, ledgers: &[(&str, &str, &str, &str)]) -> String {
    let ledger = |(name, write, read, more): &(&str, &str, &str, &str)| {
        format!(
            "
      {name}:
        ledger:
          http:
            write: {{ url: \"${{lab:{write}}}/?id={{{{key}}}}\", method: PUT, expect: {{ status: 201 }} }}
            read: {{ url: \"${{lab:{read}}}/ids?prefix={{{{prefix}}}}\" }}
            remove: {{ url: \"${{lab:{read}}}/?prefix={{{{prefix}}}}\", method: DELETE }}
          {more}
        every: 40ms
        timeout: 2s"
        )
    };
    let ledgers: String = ledgers.iter().map(ledger).collect();
    format!(
        "version: 1
name: ledgers
datacenters: [east, west]
lab:
  balancer: {{ check_every: 100ms, check_timeout: 100ms, fall: 2, rise: 2 }}
  services: {{ talk: {{ east: 1, west: 1 }} }}
  stores: {stores}
traffic: {{ wan: {{ lab: {{}} }} }}
services:
  talk:
    probes:
      get: {{ http: \"${{lab:talk}}/\", every: 50ms, timeout: 1s, served_by: {{ header: x-datacenter }} }}{ledgers}
    promises: {{ recover_within: 10s, failback_within: 10s, lose_at_most: 0, duplicate_at_most: 0 }}
cut: {{ datacenter: east, mode: blackhole, through: [wan] }}
timing: {{ baseline: 1500ms, stable_for: 1s, hold: 200ms, at_most: 40s }}
"
    )
}

fn ledger<'r>(record: &'r RunRecord, name: &str) -> &'r LedgerRecord {
    let mut probes = record.services[0].probes.iter();
    let probe = probes.find(|probe| probe.name.as_str() == name);
    probe.and_then(|probe| probe.ledger.as_ref()).unwrap_or_else(|| panic!("{name}: {record:#?}"))
}

fn store<'r>(record: &'r RunRecord, name: &str) -> &'r LabStoreTruth {
    &record.lab.as_ref().unwrap().stores[&name.into()]
}

/// How many of `ids` a ledger wrote.
fn of(ids: &[String], ledger: &str) -> u64 {
    let prefix = format!("firedrill:test:talk:{ledger}:");
    ids.iter().filter(|id| id.starts_with(&prefix)).count() as u64
}

fn exactly(count: u64) -> CountBounds {
    CountBounds { low: count, high: Some(count) }
}

/// Holds a ledger with a store of its own to what the lab knows of that.
#[track_caller]
fn agrees(record: &RunRecord, name: &str) {
    let (found, truth) = (ledger(record, name), store(record, name));
    assert_eq!(found.lost, exactly(of(&truth.lost, name)), "{name}: {found:#?}");
    assert_eq!(found.duplicated, exactly(of(&truth.duplicated, name)), "{name}: {found:#?}");
    assert_eq!((found.unexpected, found.returned), (0, 0), "{name}: {found:#?}");
    assert_eq!(found.left_behind, None);
    // Some that the store acknowledged were not heard of, when they were on their way at the cut.
    assert!(found.acknowledged <= truth.acknowledged, "{name}: {found:#?}");
    assert!(truth.acknowledged <= found.acknowledged + found.unknown, "{name}: {found:#?}");
}

fn judged(record: &RunRecord, promise: Promise) -> Judgement {
    let mut promises = record.services[0].promises.iter();
    promises.find(|it| it.promise == promise).map(|it| it.judgement).unwrap()
}

#[test]
fn every_ledger_says_what_the_lab_knows_of_its_store() {
    let stores = "
    async: { primary: east, replicas: [west], replication: async, lag: 600ms }
    sync: { primary: east, replicas: [west], replication: sync }
    sick: { primary: east, replicas: [west], replication: sync, loses: 5%, duplicates: 4% }
    stale: { primary: east, replicas: [west], replication: sync, stale_for: 400ms }
    hasty: { primary: east, replicas: [west], replication: sync, stale_for: 400ms }";
    let own = |name| (name, name, name, "settle: 1s");
    let ledgers = [
        own("async"),
        own("sync"),
        own("sick"),
        own("stale"),
        ("hasty", "hasty", "hasty", "settle: 0s"),
    ];
    let record = drill(&plan(stores, &ledgers), LabFaults::default());
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    assert!(codes(&record).contains(&"promise-broken"));
    for name in ["async", "sync", "sick", "stale"] {
        agrees(&record, name);
    }
    assert!(ledger(&record, "async").lost.low >= 5, "{:#?}", ledger(&record, "async"));
    let window = ledger(&record, "async").window.unwrap();
    assert!(window.low.as_millis() >= 200 && window.high.unwrap().as_millis() < 3_000, "{window}");
    assert_eq!(ledger(&record, "sync").lost, exactly(0));
    let sick = ledger(&record, "sick");
    assert!(sick.lost.low > 2 && sick.duplicated.low > 1, "{sick:#?}");
    assert_eq!(store(&record, "sick").never_stored, store(&record, "sick").lost.len() as u64);
    assert!(ledger(&record, "stale").stale > 0 && store(&record, "stale").stale_reads > 0);
    assert_eq!(ledger(&record, "stale").lost, exactly(0));
    let hasty = ledger(&record, "hasty");
    assert!(hasty.lost.low == 0 && hasty.lost.high.unwrap() > 0, "{hasty:#?}");
    assert_eq!(judged(&record, Promise::LoseAtMost), Judgement::Broken);
    assert_eq!(judged(&record, Promise::DuplicateAtMost), Judgement::Broken);
}

#[test]
fn a_store_that_keeps_its_word_passes_and_one_that_is_read_in_haste_decides_nothing() {
    let stores = "
    sync: { primary: east, replicas: [west], replication: sync, stale_for: 200ms }";
    for (settle, verdict) in [("settle: 1s", Verdict::Pass), ("settle: 0s", Verdict::Inconclusive)]
    {
        let ledgers = [("sync", "sync", "sync", settle)];
        let record = drill(&plan(stores, &ledgers), LabFaults::default());
        assert_eq!(record.verdict, verdict, "{:#?}", record.reasons);
        assert_eq!(ledger(&record, "sync").lost.low, 0);
    }
}

#[test]
fn what_two_primaries_acknowledged_is_lost_on_one_side() {
    let stores = "
    new: { primary: east, replicas: [west], split_brain: new-wins }
    old: { primary: east, replicas: [west], split_brain: old-wins }";
    let ledgers = [
        ("new", "new", "new", "settle: 500ms"),
        ("new-beside", "east/new", "new", "settle: 500ms"),
        ("old", "old", "old", "settle: 500ms"),
        ("old-beside", "east/old", "old", "settle: 500ms"),
    ];
    let record = drill(&plan(stores, &ledgers), LabFaults::default());
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    for (name, truth) in
        [("new", "new"), ("new-beside", "new"), ("old", "old"), ("old-beside", "old")]
    {
        let (found, truth) = (ledger(&record, name), store(&record, truth));
        // What came back with the old primary was missing after failover all the same.
        let lost = of(&truth.lost, name) + found.returned;
        assert_eq!(found.lost, exactly(lost), "{name}: {found:#?}");
        assert!(truth.by_deposed > 10, "{name}: {truth:#?}");
    }
    let beside = ledger(&record, "new-beside");
    assert!(beside.lost.low > 10 && beside.returned == 0, "it vanished at failback: {beside:#?}");
    let beside = ledger(&record, "old-beside");
    assert!(beside.returned > 10 && beside.returned == beside.lost.low, "{beside:#?}");
    let through = ledger(&record, "old");
    assert!(
        through.lost.low > 10 && through.returned == 0,
        "failback is where data dies: {through:#?}"
    );
}

#[test]
fn what_cannot_be_read_is_never_cut() {
    let stores = "
    sync: { primary: east, replicas: [west], replication: sync }";
    // Records that are asked for one by one show no copies.
    let good = plan(stores, &[("sync", "sync", "sync", "settle: 1s")])
        .replace(", duplicate_at_most: 0", "");
    for (from, to, told) in [
        ("${lab:sync}/ids?", "http://127.0.0.1:9/ids?", "could not be read"),
        ("${lab:sync}/ids?", "${lab:sync}/nothing?", "no list"),
        ("${lab:sync}/ids?prefix={{prefix}}", "${lab:talk}/{{key}}", "never written"),
    ] {
        assert!(good.contains(from));
        let record = drill(&good.replace(from, to), LabFaults::default());
        assert_eq!(record.verdict, Verdict::NotStarted, "{to}: {:#?}", record.reasons);
        assert_eq!(codes(&record), ["ledger-not-ready"], "{to}");
        assert!(record.reasons[0].text.contains(told), "{to}: {:#?}", record.reasons);
        assert_eq!(record.marks.cut_issued, None);
    }
    // It reads, and takes no write: that is found out by the baseline.
    let refused = good.replace("${lab:sync}/?id={{key}}", "${lab:west/sync}/?id={{key}}");
    let record = drill(&refused, LabFaults::default());
    assert_eq!(record.verdict, Verdict::NotStarted, "{:#?}", record.reasons);
    assert!(codes(&record).contains(&"not-steady"), "{:#?}", record.reasons);
}

#[test]
fn the_example_loses_what_its_promise_allows() {
    let record = drill(include_str!("../../drills/ledger.yaml"), LabFaults::default());
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
    let (found, truth) = (ledger(&record, "keep"), store(&record, "chats"));
    let lost = of(&truth.lost, "keep");
    // The service between them may have been cut with an answer on its way: such a write is unknown.
    assert!((found.lost.low..=found.lost.low + found.unknown).contains(&lost), "{found:#?}");
    assert!(found.lost.low > 0 && found.lost.high == Some(found.lost.low), "{found:#?}");
}
