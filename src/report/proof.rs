//! The proof that the cut was real.

use super::page::{Entry, Ink, Page, Span};
use super::words::{grouped, list, percent, plural, time};
use crate::model::{ControlProof, Mode, ModeKind, RunRecord, ServiceProof};

/// More services than this are counted.
const SERVICES: usize = 8;

/// Writes what controls and users' samples said of the cut.
pub fn write(record: &RunRecord, page: &mut Page) {
    if record.marks.cut_issued.is_none() {
        return;
    }
    page.heading("Proof of the cut", &[state(record)]);
    let (entries, hidden) = entries(record, SERVICES);
    page.entries(&entries);
    if hidden > 0 {
        page.paragraph(2, 2, &[(Ink::Dim, format!("and {hidden} more services"))]);
    }
}

/// Whether the cut is proven, in a word or two.
pub fn state(record: &RunRecord) -> Span {
    match record.proof.holds() {
        true => (Ink::Good, "holds".to_owned()),
        false => (Ink::Doubt, "NOT PROVEN".to_owned()),
    }
}

/// What is missing, what controls said, and what the samples of at most `most` services said; and how many services
/// are left out.
pub fn entries(record: &RunRecord, most: usize) -> (Vec<Entry>, usize) {
    let proof = &record.proof;
    let mut entries: Vec<Entry> = proof
        .missing
        .iter()
        .filter(|why| !record.reasons.iter().any(|reason| reason.text.contains(&why.text)))
        .map(|why| Entry {
            label: "missing".to_owned(),
            text: vec![(Ink::Doubt, why.text.clone())],
        })
        .collect();
    // A mode that lets some traffic pass proves nothing by what passed.
    let silent = matches!(record.plan.cut.mode, Mode::Blackhole | Mode::Reset);
    entries.extend(proof.controls.iter().map(|proof| control(proof, silent)));
    // Those that leak come first.
    let mut services: Vec<&ServiceProof> = proof.services.iter().collect();
    services.sort_by_key(|service| service.during.part == 0);
    entries.extend(services.iter().take(most).map(|proof| service(record, proof)));
    (entries, services.len().saturating_sub(most))
}

fn control(proof: &ControlProof, silent: bool) -> Entry {
    let reads = plural(proof.reads, "time", "times");
    let mut text: Vec<Span> = match (proof.reads, proof.reads_cut) {
        (0, _) => vec![(Ink::Doubt, "never read while cut".to_owned())],
        (1, 1) => vec![(Ink::Plain, format!("read {reads}, and cut"))],
        (all, cut) if all == cut => vec![(Ink::Plain, format!("read {reads}, cut every time"))],
        (_, cut) => vec![
            (Ink::Plain, format!("read {reads}, ")),
            (Ink::Doubt, format!("cut only {}", plural(cut, "time", "times"))),
        ],
    };
    if let Some(path) = proof.path {
        let connections = plural(path.connections, "connection", "connections");
        let bytes = plural(path.bytes, "byte", "bytes");
        let ink = if path.bytes == 0 || !silent { Ink::Plain } else { Ink::Doubt };
        text.push((ink, format!("; {connections} met the cut, {bytes} passed")));
    }
    Entry { label: proof.control.to_string(), text }
}

fn service(record: &RunRecord, proof: &ServiceProof) -> Entry {
    let datacenter = record.plan.lost();
    let answers = plural(proof.before.whole, "answer", "answers");
    let before = match proof.before.whole {
        0 => "no answers before, ".to_owned(),
        _ => format!("{datacenter} gave {} of {answers} before, ", percent(proof.before)),
    };
    let during = match proof.during.whole {
        0 => "no answers while cut".to_owned(),
        whole => format!("{} of {} while cut", percent(proof.during), grouped(whole)),
    };
    // A degraded path still carries answers.
    let leaks = proof.during.part > 0 && record.plan.cut.mode.kind() != ModeKind::Degrade;
    let ink = if leaks { Ink::Bad } else { Ink::Plain };
    let mut text = vec![(Ink::Plain, before), (ink, during)];
    if leaks {
        let leaks = plural(proof.during.part, "answer", "answers");
        let mut leak = format!("; LEAK: {leaks}");
        if let (Some(confirmed), false) = (record.marks.cut_confirmed, proof.examples.is_empty()) {
            let times: Vec<String> =
                proof.examples.iter().take(3).map(|at| time(at.since(confirmed))).collect();
            let more = if (times.len() as u64) < proof.during.part { ", such as" } else { "," };
            leak.push_str(&format!("{more} asked for {} after the cut", list(&times)));
        }
        text.push((Ink::Bad, leak));
    }
    Entry { label: proof.service.to_string(), text }
}
