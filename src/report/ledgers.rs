//! What became of the ledgers' records.

use super::page::{Entry, Ink, Page, Span};
use super::promises::numbers;
use super::words::{bounds, grouped, moment, plural, time};
use crate::model::{
    LedgerDatacenter, LedgerReads, LedgerRecord, LostWrite, Marks, ReadStage, RunRecord,
};

/// More ledgers than this are not told; those with losses come first.
const LEDGERS: usize = 20;

/// Writes what became of the ledgers' records, if there were any.
pub fn write(record: &RunRecord, page: &mut Page) {
    let all = ledgers(record);
    if all.is_empty() {
        return;
    }
    page.heading("Ledgers", &[]);
    let entries: Vec<Entry> = all
        .iter()
        .take(LEDGERS)
        .flat_map(|(name, ledger)| entries(name, ledger, &record.marks))
        .collect();
    page.entries(&entries);
    if let Some(more) = all.len().checked_sub(LEDGERS).filter(|more| *more > 0) {
        let text = format!("and {}", plural(more as u64, "more ledger", "more ledgers"));
        page.paragraph(2, 2, &[(Ink::Dim, text)]);
    }
}

/// The ledgers as `SERVICE/PROBE`, those that lost most first.
pub fn ledgers(record: &RunRecord) -> Vec<(String, &LedgerRecord)> {
    let mut all: Vec<(String, &LedgerRecord)> = record
        .services
        .iter()
        .flat_map(|service| service.probes.iter().map(move |probe| (service, probe)))
        .filter_map(|(service, probe)| {
            Some((format!("{}/{}", service.name, probe.name), probe.ledger.as_ref()?))
        })
        .collect();
    // Stable: among equals, the plan's order.
    all.sort_by_key(|(_, ledger)| std::cmp::Reverse(ledger.lost.low));
    all
}

fn entries(name: &str, ledger: &LedgerRecord, marks: &Marks) -> Vec<Entry> {
    let mut entries = vec![Entry { label: name.to_owned(), text: summary(ledger) }];
    let lines = lost(ledger, marks)
        .into_iter()
        .chain(oddities(ledger))
        .chain(both_sides(ledger))
        .chain(ledger.reads.iter().map(|reads| read(reads, marks)));
    entries.extend(lines.map(|text| aside(Ink::Plain, text)));
    let left = ledger.left_behind.iter();
    entries.extend(left.map(|why| {
        aside(Ink::Doubt, format!("records of this drill are left in the store: {why}"))
    }));
    entries
}

fn aside(ink: Ink, text: String) -> Entry {
    Entry { label: String::new(), text: vec![(ink, text)] }
}

/// `lost 21 of 293 acknowledged writes; 49 unknown, 0 refused, 0 not sent`.
fn summary(ledger: &LedgerRecord) -> Vec<Span> {
    let ink = match ledger.lost.high {
        _ if ledger.lost.low > 0 => Ink::Bad,
        Some(0) => Ink::Plain,
        _ => Ink::Doubt,
    };
    let of = plural(ledger.acknowledged, "acknowledged write", "acknowledged writes");
    let lost = match ledger.lost.high {
        Some(0) => format!("lost none of {of}"),
        _ => format!("lost {} of {of}", numbers(ledger.lost)),
    };
    let others =
        [(ledger.unknown, "unknown"), (ledger.refused, "refused"), (ledger.not_sent, "not sent")];
    let others: Vec<String> =
        others.iter().map(|(count, word)| format!("{} {word}", grouped(*count))).collect();
    vec![(ink, lost), (Ink::Plain, format!("; {}", others.join(", ")))]
}

/// When they were lost.
fn lost(ledger: &LedgerRecord, marks: &Marks) -> Vec<String> {
    let (Some(first), Some(last)) = (&ledger.first_lost, &ledger.last_lost) else { return vec![] };
    let write = |write: &LostWrite| {
        format!("number {}, acknowledged {}", write.seq, moment(write.acknowledged, marks))
    };
    let mut lines = vec![match first.seq == last.seq {
        true => format!("lost: {}", write(first)),
        false => format!("first lost: {}; last lost: {}", write(first), write(last)),
    }];
    if let Some(window) = ledger.window {
        lines.push(format!("data loss window {}", bounds(window)));
    }
    if ledger.lost_after_cut > 0 {
        let count = plural(ledger.lost_after_cut, "of them was", "of them were");
        lines.push(format!("{count} acknowledged after the cut"));
    }
    if ledger.returned > 0 {
        let count = plural(ledger.returned, "of them came", "of them came");
        lines.push(format!(
            "{count} back when traffic did; a real disaster would not have brought them back"
        ));
    }
    if died_at_failback(ledger) {
        lines
            .push("nothing was missing after failover: failback is where the data died".to_owned());
    }
    lines
}

/// Whether all was there after failover, and not after failback.
fn died_at_failback(ledger: &LedgerRecord) -> bool {
    let missing = |stage| {
        let reads = ledger.reads.iter().find(|reads| reads.stage == stage)?;
        reads.unfinished.is_none().then_some(reads.missing)
    };
    missing(ReadStage::AfterFailover) == Some(0)
        && missing(ReadStage::AfterFailback).is_some_and(|count| count > 0)
}

/// Whatever else a store should not do; nothing where it did none of it.
fn oddities(ledger: &LedgerRecord) -> Option<String> {
    let told = [
        (ledger.recovered > 0, format!("{} unknown but there", grouped(ledger.recovered))),
        (ledger.unexpected > 0, format!("{} refused but there", grouped(ledger.unexpected))),
        (ledger.duplicated.low > 0, format!("{} more than once", numbers(ledger.duplicated))),
        (ledger.stale > 0, format!("{} missing at first and there later", grouped(ledger.stale))),
    ];
    let told: Vec<String> = told.into_iter().filter(|(is, _)| *is).map(|(_, text)| text).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Two datacenters that acknowledged writes side by side while one of them was cut.
fn both_sides(ledger: &LedgerRecord) -> Option<String> {
    let spans = |it: &LedgerDatacenter| Some((it.first_while_cut?, it.last_while_cut?));
    let mut sides: Vec<_> = ledger
        .datacenters
        .iter()
        .filter_map(|(name, it)| Some((spans(it)?, name, it.while_cut)))
        .collect();
    sides.sort();
    let overlaps = sides.windows(2).any(|pair| pair[1].0.0 < pair[0].0.1);
    let each: Vec<String> =
        sides.iter().map(|(_, name, count)| format!("{name} {}", grouped(*count))).collect();
    overlaps.then(|| {
        format!(
            "split brain: while cut, writes were acknowledged side by side: {}",
            each.join(", ")
        )
    })
}

/// `after failover: 208 records read in 1.3 ms, 21 missing; 11 attempts`.
fn read(reads: &LedgerReads, marks: &Marks) -> String {
    let LedgerReads { stage, attempts, records, missing, foreign, .. } = reads;
    let took = time(reads.ended.since(reads.began));
    let at = moment(reads.began, marks);
    let mut text = match &reads.unfinished {
        Some(why) => format!("{stage}: not read to the end, {at}: {why}"),
        None => format!(
            "{stage}: {} read in {took}, {at}, {} missing",
            plural(*records, "record", "records"),
            grouped(*missing)
        ),
    };
    if *attempts > 1 {
        text.push_str(&format!("; {attempts} attempts"));
    }
    if *foreign > 0 {
        let others = plural(*foreign, "record of others", "records of others");
        text.push_str(&format!("; {others} beside them"));
    }
    text
}
