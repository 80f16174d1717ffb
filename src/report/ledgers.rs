//! What became of the ledgers' records.

use std::collections::BTreeMap;

use super::page::{Entry, Ink, Page, Span};
use super::promises::numbers;
use super::words::{bounds, grouped, list, moment, plural, time};
use crate::model::{
    LedgerReads, LedgerRecord, LostWrite, Marks, Offset, ProbeRecord, ReadStage, RunRecord,
    ServiceRecord,
};

/// More ledgers than this are not told; those with losses come first.
const LEDGERS: usize = 20;

/// A ledger of the record: what it is called, and who writes it.
pub struct Written<'r> {
    /// `SERVICE/PROBE`.
    pub name: String,
    pub service: &'r ServiceRecord,
    pub probe: &'r ProbeRecord,
    pub ledger: &'r LedgerRecord,
}

/// Writes what became of the ledgers' records, if there were any.
pub fn write(record: &RunRecord, page: &mut Page) {
    let (told, hidden) = entries(record, LEDGERS);
    if told.is_empty() {
        return;
    }
    page.heading("Ledgers", &[]);
    page.entries(&told);
    if hidden > 0 {
        let text = format!("and {}", plural(hidden as u64, "more ledger", "more ledgers"));
        page.paragraph(2, 2, &[(Ink::Dim, text)]);
    }
}

/// What became of the records of the first `most` ledgers, and how many more there are.
pub fn entries(record: &RunRecord, most: usize) -> (Vec<Entry>, usize) {
    let all = ledgers(record);
    let mut told: Vec<Entry> =
        all.iter().take(most).flat_map(|written| of_one(written, &record.marks)).collect();
    // A split shows sooner in two writers of one place, each with a path of its own.
    told.extend(record.services.iter().flat_map(|service| apart(&all, service)));
    (told, all.len().saturating_sub(most))
}

/// The ledgers, those that lost most first.
pub fn ledgers(record: &RunRecord) -> Vec<Written<'_>> {
    let mut all: Vec<Written<'_>> = record
        .services
        .iter()
        .flat_map(|service| service.probes.iter().map(move |probe| (service, probe)))
        .filter_map(|(service, probe)| {
            let name = format!("{}/{}", service.name, probe.name);
            Some(Written { name, service, probe, ledger: probe.ledger.as_ref()? })
        })
        .collect();
    // Stable: among equals, the plan's order.
    all.sort_by_key(|written| std::cmp::Reverse(written.ledger.lost.low));
    all
}

fn of_one(written: &Written<'_>, marks: &Marks) -> Vec<Entry> {
    let ledger = written.ledger;
    let mut entries = vec![Entry { label: written.name.clone(), text: summary(ledger) }];
    let lines = lost(ledger, marks)
        .into_iter()
        .chain(oddities(ledger))
        .chain(ledger.reads.iter().map(|reads| read(reads, marks)));
    entries.extend(both_sides(&[written]).map(|text| aside(Ink::Bad, text)));
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
pub fn summary(ledger: &LedgerRecord) -> Vec<Span> {
    let ink = match ledger.lost.high {
        _ if ledger.lost.low > 0 => Ink::Bad,
        Some(0) => Ink::Plain,
        _ => Ink::Doubt,
    };
    let of = plural(ledger.acknowledged, "acknowledged write", "acknowledged writes");
    let lost = match ledger.lost.high {
        Some(0) => format!("lost none of {of}"),
        None if ledger.lost.low == 0 => format!("not known how many of {of} are lost"),
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
        lines.push(format!("data loss window {}{}", bounds(window), each_window(ledger)));
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

/// The windows of two losses: at the cut and at failback. Nothing where failback took none.
fn each_window(ledger: &LedgerRecord) -> String {
    match (ledger.window_at_cut, ledger.window_at_failback) {
        (Some(at_cut), Some(at_failback)) => {
            format!(
                ", the larger of {} at the cut and {} at failback",
                bounds(at_cut),
                bounds(at_failback)
            )
        }
        _ => String::new(),
    }
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

/// Two datacenters that acknowledged writes to one place side by side while one of them was cut.
fn both_sides(writers: &[&Written<'_>]) -> Option<String> {
    type Side = (Offset, Offset, u64);
    let mut sides: BTreeMap<&str, Side> = BTreeMap::new();
    for (name, it) in writers.iter().flat_map(|writer| &writer.ledger.datacenters) {
        let (Some(first), Some(last)) = (it.first_while_cut, it.last_while_cut) else { continue };
        let side = sides.entry(name).or_insert((first, last, 0));
        *side = (side.0.min(first), side.1.max(last), side.2 + it.while_cut);
    }
    let mut sides: Vec<(Side, &str)> = sides.into_iter().map(|(name, side)| (side, name)).collect();
    sides.sort_unstable();
    let overlaps = sides.windows(2).any(|pair| pair[1].0.0 < pair[0].0.1);
    let each: Vec<String> =
        sides.iter().map(|((.., count), name)| format!("{name} {}", grouped(*count))).collect();
    overlaps.then(|| {
        format!(
            "split brain: while cut, writes were acknowledged side by side: {}",
            each.join(", ")
        )
    })
}

/// As [`both_sides`], across the ledgers of a service that write the same place: a line for each such place, unless a ledger of
/// it says so already.
fn apart(all: &[Written<'_>], service: &ServiceRecord) -> Vec<Entry> {
    let mut places: BTreeMap<String, Vec<&Written<'_>>> = BTreeMap::new();
    for written in all.iter().filter(|it| std::ptr::eq(it.service, service)) {
        places.entry(place(&written.probe.asks)).or_default().push(written);
    }
    let shared = places.into_values().filter(|writers| {
        writers.len() > 1 && writers.iter().all(|writer| both_sides(&[writer]).is_none())
    });
    let entry = |writers: Vec<&Written<'_>>| {
        let names: Vec<&str> = writers.iter().map(|it| it.probe.name.as_str()).collect();
        let text = format!("{} of {}", both_sides(&writers)?, list(&names));
        Some(Entry { label: service.name.to_string(), text: vec![(Ink::Bad, text)] })
    };
    shared.filter_map(entry).collect()
}

/// What is written, without the way to it: the same table or path behind another address is the same place. Two parts of
/// the lab are two places.
fn place(asks: &str) -> String {
    match asks.split_once("://") {
        Some((before, after)) => {
            let before = before.rfind(' ').map_or("", |at| &before[..=at]);
            let path = after.find('/').map_or("", |at| &after[at..]);
            format!("{before}{path}")
        }
        None => asks.to_owned(),
    }
}

/// `after failover: 208 records read in 1.3 ms, 21 missing; 11 attempts`.
fn read(reads: &LedgerReads, marks: &Marks) -> String {
    let LedgerReads { stage, attempts, records, missing, since, foreign, one_by_one, .. } = reads;
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
    if *since > 0 {
        let writes = plural(*since, "write", "writes");
        text.push_str(&format!("; {writes} acknowledged since, looked for after failback only"));
    }
    if *one_by_one {
        text.push_str("; asked for one by one, which shows no copies and no records of others");
    }
    if *foreign > 0 {
        let others = plural(*foreign, "record of others", "records of others");
        text.push_str(&format!("; {others} beside them"));
    }
    text
}
