//! What the lab knows to be true, beside what was measured.

use super::ledgers::{Written, ledgers};
use super::page::{Entry, Ink, Page, Span};
use super::promises::numbers;
use super::words::{bounds, grouped, list, moment, plural, time};
use crate::model::{
    CountBounds, LabActor, LabChange, LabPathTruth, LabServiceTruth, LabStoreTruth, LabStrain,
    LabSwitch, Marks, Name, Offset, ProbeRecord, Recovery, RunRecord,
};

/// More services than this are not told.
const SERVICES: usize = 8;
/// More changes of the balancer than this are counted.
const CHANGES: usize = 8;

/// Writes the ground truth, if a lab was drilled.
pub fn write(record: &RunRecord, page: &mut Page) {
    let entries = entries(record);
    if entries.is_empty() {
        return;
    }
    page.heading("What the lab knows", &[]);
    page.entries(&entries);
}

/// The truth about the first few services and stores; nothing if nothing was cut, or no lab.
pub fn entries(record: &RunRecord) -> Vec<Entry> {
    let (Some(lab), Some(_)) = (&record.lab, record.marks.cut_issued) else { return vec![] };
    let mut entries = vec![];
    for service in record.services.iter().take(SERVICES) {
        let Some(truth) = lab.services.get(&service.name) else { continue };
        // What a probe of another part of the lab measured, this truth is not about.
        let is_asked =
            service.probes.iter().all(|probe| !probe.required || asks(probe, &service.name));
        let comparable =
            |measured: Option<Recovery>| measured.filter(|_| is_asked && truth.paths.is_empty());
        let mut text = told("recovery", truth.recovery, comparable(service.recovery));
        let failback = told("failback", truth.failback, comparable(service.failback));
        if !text.is_empty() && !failback.is_empty() {
            text.push((Ink::Plain, "; ".to_owned()));
        }
        text.extend(failback);
        if text.is_empty() {
            text.push((Ink::Plain, untimed(truth, record).to_owned()));
        }
        entries.push(Entry { label: service.name.to_string(), text });
        let more = [paths(truth), switches(truth, &record.marks), changes(truth, &record.marks)];
        entries.extend(more.into_iter().flatten().map(aside));
    }
    for (name, store) in lab.stores.iter().take(SERVICES) {
        let ink = if store.lost.is_empty() { Ink::Plain } else { Ink::Bad };
        let mut text = vec![(ink, losses(store, &record.marks))];
        text.extend(beside(name, store, record));
        entries.push(Entry { label: name.to_string(), text });
        entries.extend(switches(&store.serving, &record.marks).map(aside));
    }
    entries
}

/// Whether `probe` asks the lab service `name`. Older records do not say, and had it so.
fn asks(probe: &ProbeRecord, name: &Name) -> bool {
    probe.asks.is_empty() || probe.asks.contains(&format!("${{lab:{name}}}"))
}

/// Why there is no truth about its times.
fn untimed(truth: &LabServiceTruth, record: &RunRecord) -> &'static str {
    let RunRecord { marks, plan, .. } = record;
    let cut = plan.cut.datacenters.iter().filter_map(|id| plan.datacenters.get(id.index()));
    let cut: Vec<&Name> = cut.collect();
    let while_cut = |at: Offset| {
        marks.cut_issued.is_some_and(|cut| at >= cut)
            && marks.restore_issued.is_none_or(|end| at < end)
    };
    let out = |change: &LabChange| {
        !change.is_in && while_cut(change.at) && cut.contains(&&change.datacenter)
    };
    if truth.strain != LabStrain::default() {
        "no recovery time: capacity decided what was answered"
    } else if truth.changes.iter().any(out) {
        "no recovery time: it came to no instant from which every request could be served"
    } else {
        "the balancer never took the cut datacenter out"
    }
}

/// A line below an entry.
fn aside(text: String) -> Entry {
    Entry { label: String::new(), text: vec![(Ink::Dim, text)] }
}

/// How long each path was without what it calls.
fn paths(truth: &LabServiceTruth) -> Option<String> {
    let one = |(path, truth): (&String, &LabPathTruth)| {
        truth.recovery.map(|recovery| format!("{path} took {}", time(recovery)))
    };
    let mut told: Vec<String> = truth.paths.iter().take(SERVICES).filter_map(one).collect();
    let none = truth.paths.iter().filter(|(_, truth)| truth.recovery.is_none());
    let none: Vec<&str> = none.take(SERVICES).map(|(path, _)| path.as_str()).collect();
    if !none.is_empty() {
        // It never failed, never came back, or capacity decided.
        told.push(format!("no recovery time for {}", list(&none)));
    }
    (!told.is_empty()).then(|| told.join(", "))
}

/// Who made which datacenter active.
fn switches(truth: &LabServiceTruth, marks: &Marks) -> Option<String> {
    let one = |switch: &LabSwitch| {
        let by = match switch.by {
            LabActor::HealthChecks => "health checks",
            LabActor::Controller => "the controller",
            LabActor::Operator => "the operator",
        };
        format!("{} made active by {by} {}", switch.datacenter, moment(switch.at, marks))
    };
    let told: Vec<String> = truth.switches.iter().take(CHANGES).map(one).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// What became of a store's acknowledged writes.
fn losses(store: &LabStoreTruth, marks: &Marks) -> String {
    let written = plural(store.acknowledged, "acknowledged write", "acknowledged writes");
    let lost = store.lost.len() as u64;
    match (store.first_lost, store.last_lost) {
        (Some(first), Some(last)) => format!(
            "lost {} of {written}, acknowledged from {} to {}",
            grouped(lost),
            moment(first, marks),
            moment(last, marks)
        ),
        _ => format!("lost none of {written}"),
    }
}

/// What the ledgers of the store found, beside its truth; nothing where none writes it.
fn beside(name: &Name, store: &LabStoreTruth, record: &RunRecord) -> Vec<Span> {
    let own = |written: &Written<'_>| written.probe.asks.contains(&format!("${{lab:{name}}}"));
    let one = |written: &Written<'_>| {
        let key =
            format!("firedrill:{}:{}:{}:", record.run, written.service.name, written.probe.name);
        let lost = store.lost.iter().filter(|id| id.contains(&key)).count() as u64;
        let CountBounds { low, high } = written.ledger.lost;
        // What came back when traffic did is no loss to the store.
        let low = low.saturating_sub(written.ledger.returned);
        let within = low <= lost && high.is_none_or(|high| lost <= high);
        let found = numbers(written.ledger.lost);
        let name = &written.name;
        match high {
            _ if !within => {
                (Ink::Bad, format!("; {name} found {found}, and it is {}", grouped(lost)))
            }
            None => (Ink::Plain, format!("; {name} was not read to the end")),
            Some(high) if low == lost && high == lost => {
                (Ink::Plain, format!("; {name} found the same"))
            }
            Some(_) => {
                (Ink::Plain, format!("; {name} found {found}, which holds its {}", grouped(lost)))
            }
        }
    };
    ledgers(record).iter().filter(|written| own(written)).take(SERVICES).map(one).collect()
}

/// The truth, and whether the measured bounds hold it.
fn told(what: &str, truth: Option<std::time::Duration>, measured: Option<Recovery>) -> Vec<Span> {
    let Some(truth) = truth else { return vec![] };
    let mut text = vec![(Ink::Plain, format!("{what} took {}", time(truth)))];
    if let Some(Recovery { bounds: measured, .. }) = measured {
        text.push(match measured.contains(truth) {
            true => (Ink::Plain, ", within the measured bounds".to_owned()),
            false => (Ink::Bad, format!(", OUTSIDE the measured {}", bounds(measured))),
        });
    }
    text
}

fn changes(truth: &LabServiceTruth, marks: &Marks) -> Option<String> {
    let origin = marks.cut_issued?;
    let after_cut: Vec<String> = truth
        .changes
        .iter()
        .filter(|change| change.at >= origin)
        .map(|change| {
            let way = if change.is_in { "in" } else { "out" };
            let at = time(change.at.since(origin));
            format!("{}/{} {way} at {at}", change.datacenter, change.replica)
        })
        .collect();
    if after_cut.is_empty() {
        return None;
    }
    let hidden = after_cut.len().saturating_sub(CHANGES);
    let shown = after_cut.iter().take(CHANGES).map(|c| c.replace(' ', "\u{a0}"));
    let mut text = format!("after the cut: {}", shown.collect::<Vec<_>>().join(", "));
    if hidden > 0 {
        text.push_str(&format!(" and {hidden} more"));
    }
    Some(text)
}
