//! Drills with ledgers: writes that are lost, acknowledged on both sides, or not read back.

use super::{at, bounds, ms, passed, send};
use crate::model::*;

/// The run's own key of a record, as the lab's store lists it.
fn key(seq: u64) -> String {
    format!("firedrill:20260714-102203-quickstart-7f3a:talk:orders:{seq}")
}

fn datacenter(
    acknowledged: u64,
    lost: u64,
    while_cut: Option<(u64, u64, u64)>,
) -> LedgerDatacenter {
    LedgerDatacenter {
        acknowledged,
        lost,
        while_cut: while_cut.map_or(0, |(count, ..)| count),
        first_while_cut: while_cut.map(|(_, first, _)| at(first)),
        last_while_cut: while_cut.map(|(.., last)| at(last)),
    }
}

fn read(stage: ReadStage, began: u64, records: u64, missing: u64) -> LedgerReads {
    LedgerReads {
        stage,
        attempts: 1,
        began: at(began),
        ended: at(began + 2),
        records,
        missing,
        of_the_cut: 0,
        since: 0,
        foreign: 0,
        one_by_one: false,
        unfinished: None,
    }
}

/// Two writes of the last 60 ms before the cut are lost.
fn record_of_orders() -> LedgerRecord {
    let failover = LedgerReads {
        attempts: 11,
        of_the_cut: 93,
        since: 3,
        ..read(ReadStage::AfterFailover, 8_500, 178, 2)
    };
    LedgerRecord {
        acknowledged: 226,
        refused: 3,
        unknown: 11,
        not_sent: 0,
        lost: CountBounds { low: 2, high: Some(2) },
        lost_after_cut: 0,
        returned: 0,
        recovered: 4,
        unexpected: 0,
        duplicated: CountBounds { low: 0, high: Some(0) },
        stale: 1,
        window: Some(bounds(49, 104)),
        window_at_cut: Some(bounds(49, 104)),
        window_at_failback: None,
        last_before_cut: Some(at(2_953)),
        first_lost: Some(LostWrite { seq: 58, due: at(2_900), acknowledged: at(2_951) }),
        last_lost: Some(LostWrite { seq: 59, due: at(2_950), acknowledged: at(2_953) }),
        datacenters: [
            ("east".to_owned(), datacenter(118, 2, None)),
            ("west".to_owned(), datacenter(108, 0, Some((96, 3_812, 9_050)))),
        ]
        .into(),
        reads: vec![failover, read(ReadStage::AfterFailback, 12_100, 228, 2)],
        left_behind: None,
    }
}

fn with(ledger: LedgerRecord, promises: Vec<PromiseResult>) -> RunRecord {
    let mut record = passed();
    record.services[0].probes.push(ProbeRecord {
        name: "orders".into(),
        asks: "write to PUT ${lab:chats}/?id={{key}}".into(),
        ledger: Some(ledger),
        ..send()
    });
    record.services[0].promises.extend(promises);
    record
}

fn of_orders(promise: Promise, judgement: Judgement, why: &str) -> PromiseResult {
    PromiseResult {
        feature: Some("orders".into()),
        probe: Some("orders".into()),
        ..PromiseResult::new(promise, judgement, why.to_owned())
    }
}

fn failed_by(record: &mut RunRecord, text: &str) {
    record.verdict = Verdict::Fail;
    record.reasons = vec![Why::new("promise-broken", text)];
}

/// The store's copy was behind when its datacenter was lost. The store of the lab says the same.
pub fn lost_writes() -> RunRecord {
    let lost = PromiseResult {
        counted: Some(CountBounds { low: 2, high: Some(2) }),
        at_most: Some(0),
        ..of_orders(
            Promise::LoseAtMost,
            Judgement::Broken,
            "2 of 226 acknowledged writes are lost, and none may be",
        )
    };
    let twice = PromiseResult {
        counted: Some(CountBounds { low: 0, high: Some(0) }),
        at_most: Some(3),
        ..of_orders(
            Promise::DuplicateAtMost,
            Judgement::Kept,
            "0 records are there more than once, and 3 may be",
        )
    };
    let mut record = with(record_of_orders(), vec![lost, twice]);
    failed_by(
        &mut record,
        "talk/orders: lose_at_most: 2 of 226 acknowledged writes are lost, and none may be",
    );
    let chats = LabStoreTruth {
        acknowledged: 226,
        lost: vec![key(58), key(59)],
        first_lost: Some(at(2_951)),
        last_lost: Some(at(2_953)),
        ..LabStoreTruth::default()
    };
    if let Some(lab) = &mut record.lab {
        lab.stores.insert("chats".into(), chats);
    }
    record
}

/// Both sides acknowledged while one was cut off, and what one of them had is gone at failback; a budget of time.
pub fn split_brain() -> RunRecord {
    let mut ledger = record_of_orders();
    ledger.lost = CountBounds { low: 40, high: Some(43) };
    ledger.lost_after_cut = 40;
    ledger.duplicated = CountBounds { low: 1, high: Some(2) };
    ledger.unexpected = 2;
    ledger.window = Some(bounds(5_949, 6_104));
    (ledger.window_at_cut, ledger.window_at_failback) = (Some(bounds(0, 104)), ledger.window);
    ledger.last_lost = Some(LostWrite { seq: 178, due: at(8_900), acknowledged: at(8_949) });
    ledger.datacenters = [
        ("east".to_owned(), datacenter(158, 40, Some((40, 3_010, 8_949)))),
        ("west".to_owned(), datacenter(68, 3, Some((56, 3_812, 9_050)))),
    ]
    .into();
    ledger.reads = vec![
        LedgerReads { foreign: 7, of_the_cut: 96, ..read(ReadStage::AfterFailover, 8_500, 218, 0) },
        read(ReadStage::AfterFailback, 12_100, 188, 43),
    ];
    ledger.left_behind = Some("a removal was answered with status 403".into());
    let why = "40 to 43 of 226 acknowledged writes are lost, a window of [5.949 s, 6.104 s], and 1 s may be";
    let lost = PromiseResult {
        budget: Some(ms(1_000)),
        measured: ledger.window,
        counted: Some(ledger.lost),
        ..of_orders(Promise::LoseAtMost, Judgement::Broken, why)
    };
    let mut record = with(ledger, vec![lost]);
    failed_by(&mut record, &format!("talk/orders: lose_at_most: {why}"));
    record.lab = None;
    record
}

/// Its store could not be read back, and most of what was written is left there.
pub fn unread() -> RunRecord {
    let refused = "the list of records was answered with status 503";
    let mut ledger = record_of_orders();
    ledger.lost = CountBounds { low: 0, high: None };
    ledger.duplicated = CountBounds { low: 0, high: None };
    (ledger.first_lost, ledger.last_lost, ledger.stale) = (None, None, 0);
    ledger.window = Some(Bounds { low: ms(0), high: None });
    ledger.window_at_cut = ledger.window;
    for it in ledger.datacenters.values_mut() {
        it.lost = 0;
    }
    ledger.reads = vec![LedgerReads {
        unfinished: Some(refused.into()),
        attempts: 40,
        one_by_one: true,
        ..read(ReadStage::AfterFailover, 8_500, 0, 0)
    }];
    let why = format!(
        "how many of 226 acknowledged writes are lost is not known; after failover it could not be read back: {refused}"
    );
    let lost = PromiseResult {
        counted: Some(ledger.lost),
        at_most: Some(0),
        ..of_orders(Promise::LoseAtMost, Judgement::Undecided, &why)
    };
    let mut record = with(ledger, vec![lost]);
    record.verdict = Verdict::Inconclusive;
    record.reasons =
        vec![Why::new("promise-undecided", format!("talk/orders: lose_at_most: {why}"))];
    record.lab = None;
    record
}
