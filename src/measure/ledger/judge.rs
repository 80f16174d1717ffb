//! `lose_at_most` and `duplicate_at_most`: a budget against what may be lost.
//!
//! The worst that is possible decides a pass, the best a fail; between them nothing is proven.

use std::time::Duration;

use super::account::IMPATIENT;
use crate::measure::promise::Evidence;
use crate::model::{
    CountBounds, Judgement, LedgerReads, LedgerRecord, LossBudget, Marks, ProbeKind, ProbeSpec,
    Promise, PromiseResult, Promises, ReadStage, Shown,
};

/// A ledger's account; an empty one where it wrote nothing.
struct Account<'a> {
    probe: &'a ProbeSpec,
    record: LedgerRecord,
}

/// Judges what is promised of the ledgers among `specs` by what those that wrote anything `found`. Each ledger is held to
/// the promise by itself, and the worst counts.
pub fn judge(
    promises: &Promises,
    (specs, found): (&[&ProbeSpec], &[&Evidence<'_>]),
    marks: &Marks,
) -> Vec<PromiseResult> {
    if promises.lose_at_most.is_none() && promises.duplicate_at_most.is_none() {
        return Vec::new();
    }
    let ledgers = specs.iter().filter(|probe| matches!(probe.kind, ProbeKind::Ledger(_)));
    let accounts = ledgers.map(|probe| {
        let ledger = found.iter().find(|evidence| evidence.probe.name == probe.name);
        // Who acknowledged what decides nothing here.
        let record = ledger.and_then(|it| it.ledger).map(|it| it.judged_by(marks));
        Account { probe, record: record.unwrap_or_default() }
    });
    let accounts: Vec<Account<'_>> = accounts.collect();
    let lose = promises
        .lose_at_most
        .map(|budget| worst(&accounts, Promise::LoseAtMost, |it| lost(it, budget)));
    let twice = promises
        .duplicate_at_most
        .map(|most| worst(&accounts, Promise::DuplicateAtMost, |it| duplicated(it, most)));
    lose.into_iter().chain(twice).collect()
}

/// The result of the ledger that does worst.
fn worst(
    accounts: &[Account<'_>],
    promise: Promise,
    judge: impl Fn(&Account<'_>) -> PromiseResult,
) -> PromiseResult {
    let rank = |result: &PromiseResult| {
        let count = result
            .counted
            .map_or((u64::MAX, 0), |count| (count.high.unwrap_or(u64::MAX), count.low));
        (result.judgement, count)
    };
    let none = || {
        let text = "not measured: there is no ledger to judge it by; give the service one";
        PromiseResult::new(promise, Judgement::Undecided, text.to_owned())
    };
    accounts.iter().map(judge).max_by_key(rank).unwrap_or_else(none)
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
    let of = format!("of {} acknowledged writes", record.acknowledged);
    let found = match record.lost {
        CountBounds { low: 0, high: None } => format!("how many {of} are lost is not known"),
        count => format!("{count} {of} are lost"),
    };
    let why = why(account, judgement, (&found, record.lost), &words);
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
        probe: Some(account.probe.name.clone()),
        ..PromiseResult::new(Promise::LoseAtMost, judgement, why)
    }
}

fn duplicated(account: &Account<'_>, most: u64) -> PromiseResult {
    let record = &account.record;
    let judgement = at_risk(record, by_count(record.duplicated, most));
    let found = match record.duplicated {
        CountBounds { low: 0, high: None } => "whether records are there twice is not known".into(),
        count => format!("{count} records are there more than once"),
    };
    let why = why(account, judgement, (&found, record.duplicated), &allowed(most));
    PromiseResult {
        counted: Some(record.duplicated),
        at_most: Some(most),
        probe: Some(account.probe.name.clone()),
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

/// Where nothing was acknowledged, nothing was at risk, and nothing is proven to be kept.
fn at_risk(record: &LedgerRecord, judgement: Judgement) -> Judgement {
    match judgement {
        Judgement::Kept if record.acknowledged == 0 => Judgement::Undecided,
        judgement => judgement,
    }
}

/// Why it was judged so, and where nothing is proven, what would prove it.
fn why(
    account: &Account<'_>,
    judgement: Judgement,
    (found, count): (&str, CountBounds),
    words: &str,
) -> String {
    let record = &account.record;
    if record.acknowledged == 0 && judgement == Judgement::Undecided {
        return "no write was acknowledged, so nothing was at risk; see what refuses or fails them"
            .to_owned();
    }
    if judgement != Judgement::Undecided {
        return format!("{found}, {words}");
    }
    match unread(record) {
        Some(unread) => format!("{found}; {unread}"),
        // Read to the end, and the bounds still lie around the budget.
        None if count.high != Some(count.low) => format!(
            "{found}: some were seen by one reading and not by the last; raise `settle` so that it waits for them"
        ),
        None => format!("{found}, {words}: too close to decide; {}", closer(account)),
    }
}

/// Which end of the drill was not read back, why not, and what to do about it.
fn unread(record: &LedgerRecord) -> Option<String> {
    [ReadStage::AfterFailover, ReadStage::AfterFailback].into_iter().find_map(|stage| {
        let reads = record.reads.iter().find(|reads| reads.stage == stage);
        match reads {
            None => Some(format!(
                "it was not read back {stage}, as the drill ended before; run it to its end"
            )),
            Some(LedgerReads { unfinished, .. }) => unfinished.as_ref().map(|why| match why.as_str() {
                IMPATIENT => {
                    format!("{stage} {IMPATIENT}; raise `at_most`, or see whether `settle` can be shorter")
                }
                why => format!("{stage} it could not be read back: {why}; {}", way(stage)),
            }),
        }
    })
}

/// What lets a ledger be read at an end of the drill.
fn way(stage: ReadStage) -> &'static str {
    match stage {
        ReadStage::AfterFailover => {
            "let it be read from where the survivors can be reached, and leave the cut time for it (`at_most`)"
        }
        ReadStage::AfterFailback => "see that its address answers when traffic is back",
    }
}

/// Which period would have decided a budget of time.
fn closer(account: &Account<'_>) -> String {
    let every = account.probe.every;
    format!(
        "the window is uncertain by about one period; a shorter `every` than {} on {} tells more",
        Shown(every),
        account.probe.name
    )
}
