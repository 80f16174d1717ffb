//! `lose_at_most` and `duplicate_at_most`: a budget against what may be lost.
//!
//! The worst that is possible decides a pass, the best a fail; between them nothing is proven.

use std::time::Duration;

use super::account::IMPATIENT;
use crate::measure::promise::{Evidence, doubt_since_cut};
use crate::measure::timeline::longest_pause;
use crate::model::{
    CountBounds, Judgement, LedgerReads, LedgerRecord, LossBudget, Marks, ProbeKind, ProbeSpec,
    Promise, PromiseResult, Promises, ReadStage, Shown,
};

/// A ledger's account; an empty one where it wrote nothing.
struct Account<'a> {
    probe: &'a ProbeSpec,
    record: LedgerRecord,
    marks: &'a Marks,
    /// Why too little was written since the cut to prove anything.
    doubt: Option<String>,
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
        let doubt = ledger.and_then(|it| doubt_since_cut(&[*it], marks));
        Account { probe, record: record.unwrap_or_default(), marks, doubt }
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
    let unproven = unproven(account, judgement).or_else(|| match budget {
        // A budget of time has the pause within its bounds.
        LossBudget::Writes(_) => {
            paused_before_cut(account).filter(|_| judgement == Judgement::Kept)
        }
        LossBudget::Window(_) => None,
    });
    let of = format!("of {} acknowledged writes", record.acknowledged);
    let found = match record.lost {
        CountBounds { low: 0, high: None } => format!("how many {of} are lost is not known"),
        count => format!("{count} {of} are lost"),
    };
    let (judgement, why) = match unproven {
        Some(unproven) => (Judgement::Undecided, unproven),
        None => (judgement, why(account, judgement, (&found, record.lost), &words)),
    };
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
    let judgement = by_count(record.duplicated, most);
    let found = match record.duplicated {
        CountBounds { low: 0, high: None } => "whether records are there twice is not known".into(),
        count => format!("{count} records are there more than once"),
    };
    let (judgement, why) = match unproven(account, judgement)
        .or_else(|| unshown(account, judgement))
    {
        Some(unproven) => (Judgement::Undecided, unproven),
        None => (judgement, why(account, judgement, (&found, record.duplicated), &allowed(most))),
    };
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

/// Why what looks kept is not proven: a pass must be earned by writes that were at risk.
fn unproven(account: &Account<'_>, judgement: Judgement) -> Option<String> {
    let record = &account.record;
    if record.acknowledged == 0 && judgement != Judgement::Broken {
        let text =
            "no write was acknowledged, so nothing was at risk; see what refuses or fails them";
        return Some(text.to_owned());
    }
    if judgement != Judgement::Kept {
        return None;
    }
    let mut reads = record.reads.iter();
    let after_failover = reads.find(|reads| reads.stage == ReadStage::AfterFailover);
    if after_failover.is_none_or(|reads| reads.of_the_cut == 0) {
        let text = "no write was acknowledged while cut before the ledger was read back after failover: no failover was seen to \
                    keep anything; see why writes did not recover, and give them more time (`at_most`)";
        return Some(text.to_owned());
    }
    account.doubt.clone()
}

/// Whether no write was acknowledged for long before the cut: then nothing was at risk that the cut could have taken.
fn paused_before_cut(account: &Account<'_>) -> Option<String> {
    let cut = account.marks.cut_issued?;
    let pause = account.record.last_before_cut.map_or(Duration::MAX, |last| cut.since(last));
    if pause <= longest_pause(account.probe.every) {
        return None;
    }
    let when = match account.record.last_before_cut {
        Some(_) => format!("no write was acknowledged in the last {} before the cut", Shown(pause)),
        None => "no write was acknowledged before the cut".to_owned(),
    };
    Some(format!("{when}, so that little was at risk; see what refused or failed them"))
}

/// Why copies were not seen, where that alone leaves it open whether there are any.
fn unshown(account: &Account<'_>, judgement: Judgement) -> Option<String> {
    let record = &account.record;
    let all_read = record.lost.high.is_some();
    let one_by_one = record.reads.iter().any(|reads| reads.one_by_one);
    (judgement == Judgement::Undecided && all_read && one_by_one).then(|| {
        "whether records are there twice is not known: they were asked for one by one, which shows no copies; let `read` list them"
            .to_owned()
    })
}

/// Why it was judged so, and where nothing is proven, what would prove it.
fn why(
    account: &Account<'_>,
    judgement: Judgement,
    (found, count): (&str, CountBounds),
    words: &str,
) -> String {
    if judgement != Judgement::Undecided {
        return format!("{found}, {words}");
    }
    match unread(&account.record) {
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
            Some(LedgerReads { unfinished, .. }) => {
                unfinished.as_ref().map(|why| match why.as_str() {
                    IMPATIENT => {
                        format!(
                            "{stage} {IMPATIENT}; give it `settle`, and `at_most` the room for that"
                        )
                    }
                    why => format!("{stage} it could not be read back: {why}; {}", way(stage)),
                })
            }
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
