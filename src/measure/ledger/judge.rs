//! `lose_at_most` and `duplicate_at_most`: a budget against what may be lost.
//!
//! The worst that is possible decides a pass, the best a fail; between them nothing is proven.

use std::time::Duration;

use crate::measure::promise::Evidence;
use crate::model::{
    CountBounds, Judgement, LedgerRecord, LossBudget, Marks, Name, Promise, PromiseResult,
    Promises, ReadStage, Shown,
};

/// A ledger's account, with its name.
struct Account<'a> {
    probe: &'a Name,
    record: LedgerRecord,
}

/// Judges what is promised of the ledgers among `probes`.
pub fn judge(promises: &Promises, probes: &[&Evidence<'_>], marks: &Marks) -> Vec<PromiseResult> {
    if promises.lose_at_most.is_none() && promises.duplicate_at_most.is_none() {
        return Vec::new();
    }
    let ledgers = probes.iter().filter_map(|evidence| Some((evidence.probe, evidence.ledger?)));
    let accounts = ledgers.map(|(probe, ledger)| Account {
        probe: &probe.name,
        // Who acknowledged what decides nothing here.
        record: ledger.judged_by(marks),
    });
    let accounts: Vec<Account<'_>> = accounts.collect();
    let lose = promises.lose_at_most.map(|budget| worst(&accounts, |it| lost(it, budget)));
    let twice = promises.duplicate_at_most.map(|most| worst(&accounts, |it| duplicated(it, most)));
    let missing = |promise| {
        let text = "not measured: no ledger wrote anything".to_owned();
        PromiseResult::new(promise, Judgement::Undecided, text)
    };
    let lose = lose.map(|found| found.unwrap_or_else(|| missing(Promise::LoseAtMost)));
    let twice = twice.map(|found| found.unwrap_or_else(|| missing(Promise::DuplicateAtMost)));
    lose.into_iter().chain(twice).collect()
}

/// The result of the ledger that does worst.
fn worst(
    accounts: &[Account<'_>],
    judge: impl Fn(&Account<'_>) -> PromiseResult,
) -> Option<PromiseResult> {
    let rank = |result: &PromiseResult| {
        let count = result
            .counted
            .map_or((u64::MAX, 0), |count| (count.high.unwrap_or(u64::MAX), count.low));
        (result.judgement, count)
    };
    accounts.iter().map(judge).max_by_key(rank)
}

fn lost(account: &Account<'_>, budget: LossBudget) -> PromiseResult {
    let record = &account.record;
    let (judgement, words) = match budget {
        LossBudget::Writes(most) => (by_count(record.lost, most), allowed(most)),
        LossBudget::Window(most) => {
            let window = record.window;
            // Where not all was read, no end of the window is seen, but what is certainly lost may break it alone.
            let low = window.map_or(Duration::ZERO, |window| window.low);
            let high = window.and_then(|window| window.high);
            let words = window.map_or(String::new(), |window| {
                format!("a window of {window}, and {} may be", Shown(most))
            });
            (by_time(low, high, most), words)
        }
    };
    let judgement = at_risk(record, judgement);
    let why = why(account, judgement, &words);
    let measured = match budget {
        LossBudget::Window(_) => record.window,
        LossBudget::Writes(_) => None,
    };
    PromiseResult {
        counted: Some(record.lost),
        measured,
        budget: match budget {
            LossBudget::Window(most) => Some(most),
            LossBudget::Writes(_) => None,
        },
        at_most: match budget {
            LossBudget::Writes(most) => Some(most),
            LossBudget::Window(_) => None,
        },
        probe: Some(account.probe.clone()),
        ..PromiseResult::new(Promise::LoseAtMost, judgement, why)
    }
}

fn duplicated(account: &Account<'_>, most: u64) -> PromiseResult {
    let record = &account.record;
    let judgement = at_risk(record, by_count(record.duplicated, most));
    let why = match judgement {
        Judgement::Undecided => why(account, judgement, ""),
        _ => format!("{} records are there more than once, {}", record.duplicated, allowed(most)),
    };
    PromiseResult {
        counted: Some(record.duplicated),
        at_most: Some(most),
        probe: Some(account.probe.clone()),
        ..PromiseResult::new(Promise::DuplicateAtMost, judgement, why)
    }
}

/// How many may be.
fn allowed(most: u64) -> String {
    match most {
        0 => "and none may be".to_owned(),
        most => format!("and {most} may be"),
    }
}

fn by_count(count: CountBounds, most: u64) -> Judgement {
    match count {
        CountBounds { low, .. } if low > most => Judgement::Broken,
        CountBounds { high: Some(high), .. } if high <= most => Judgement::Kept,
        CountBounds { .. } => Judgement::Undecided,
    }
}

fn by_time(low: Duration, high: Option<Duration>, most: Duration) -> Judgement {
    match high {
        _ if low > most => Judgement::Broken,
        Some(high) if high <= most => Judgement::Kept,
        _ => Judgement::Undecided,
    }
}

/// Where nothing was acknowledged, nothing was at risk, and nothing is proven.
fn at_risk(record: &LedgerRecord, judgement: Judgement) -> Judgement {
    if record.acknowledged == 0 { Judgement::Undecided } else { judgement }
}

fn why(account: &Account<'_>, judgement: Judgement, words: &str) -> String {
    let record = &account.record;
    let written = record.acknowledged;
    if written == 0 {
        return "no write was acknowledged, so nothing was at risk".to_owned();
    }
    let unread =
        [ReadStage::AfterFailover, ReadStage::AfterFailback].into_iter().find_map(|stage| {
            let read = record.reads.iter().find(|read| read.stage == stage);
            match read {
                None => Some(format!("it was not read back {stage}")),
                Some(read) => read.unfinished.as_ref().map(|why| format!("{stage}: {why}")),
            }
        });
    match (judgement, unread) {
        (Judgement::Undecided, Some(unread)) => {
            format!(
                "{} of {written} acknowledged writes are lost as far as is known; {unread}",
                record.lost
            )
        }
        _ => format!("{} of {written} acknowledged writes are lost, {words}", record.lost),
    }
}
