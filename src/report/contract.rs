//! What came of a test of controls: a line for each rule as it goes, and the table at its end.

use std::fmt::Write;

use super::TableStyle;
use super::headline::ink;
use super::page::{Entry, Ink, Page, Span};
use super::traffic::{ALARM, STEPS};
use super::words::{GAP, plural};
use crate::model::{
    ContractEvent, ContractRecord, Exchange, Rule, RuleEnd, RuleRecord, Shown, TestedControl,
    Verdict,
};

/// More calls than this are not told where a rule was broken: the record has all.
const CALLS: usize = 12;

/// A line about a rule; where it was broken, what was asked and answered below it.
pub fn contract_event(event: &ContractEvent) -> String {
    match event {
        ContractEvent::Begins { control, rule, at_most } => {
            let what = match rule {
                Rule::Cut => "cutting, for at most",
                _ => "putting back, within",
            };
            format!("{control}: {what} {}\n", Shown(*at_most))
        }
        ContractEvent::Ended { control, record } => {
            let mut text = format!("{control}: {}: {}", record.kept, sentence(record));
            text.push('\n');
            for line in evidence(record) {
                let _ = writeln!(text, "    {line}");
            }
            text
        }
    }
}

/// The rule, and what was seen.
fn sentence(record: &RuleRecord) -> String {
    match record.text.is_empty() {
        true => record.rule.to_string(),
        false => format!("{}: {}", record.rule, record.text),
    }
}

/// What was asked and answered, where a rule was not kept.
fn evidence(record: &RuleRecord) -> Vec<String> {
    if record.kept == RuleEnd::Yes {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for call in &record.calls {
        let took = Shown(call.done.since(call.issued));
        if call.exchanges.is_empty() {
            let answer = call.error.as_deref().unwrap_or("done");
            lines.push(format!("{} after {took}: {answer}", call.act));
        }
        for Exchange { asked, answered, took } in &call.exchanges {
            lines.push(format!(
                "{}: asked {asked}, answered after {}: {answered}",
                call.act,
                Shown(*took)
            ));
        }
    }
    // What came last decided.
    let more = lines.len().saturating_sub(CALLS);
    if more > 0 {
        lines.drain(..more);
        lines.insert(
            0,
            format!("{} before that, in the record", plural(more as u64, "call", "calls")),
        );
    }
    lines
}

/// The table: the verdict, why, and every rule at every control.
pub fn contract(record: &ContractRecord, style: TableStyle) -> String {
    let mut page = Page::new(style);
    let verdict = record.verdict.to_string();
    page.paragraph(
        0,
        verdict.len() + 2,
        &[
            (ink(record.verdict), verdict.replace(' ', GAP)),
            (Ink::Plain, format!(" \u{a0}{}: {}.", record.plan, headline(record))),
        ],
    );
    alarm(record, &mut page);
    if !record.reasons.is_empty() {
        page.heading("Why", &[]);
        let whys = record.reasons.iter().map(|why| Entry::plain("-", why.text.as_str()));
        page.entries(&whys.collect::<Vec<_>>());
    }
    for control in &record.controls {
        rules(control, &mut page);
    }
    page.blank();
    let at = record.started_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let run = format!(
        "test {} ·\u{a0}{} ·\u{a0}{} ·\u{a0}firedrill\u{a0}{}",
        record.run,
        record.file,
        at.replace(' ', GAP),
        record.firedrill
    );
    page.paragraph(0, 0, &[(Ink::Dim, run)]);
    page.finish()
}

fn headline(record: &ContractRecord) -> String {
    let what = format!("{} of {}", record.mode, record.lost);
    let controls = plural(record.controls.len() as u64, "control", "controls");
    match record.verdict {
        Verdict::Pass => format!("{controls} kept every rule, in {what}"),
        Verdict::Fail => format!("a rule was broken in {what}; traffic is back"),
        Verdict::NotStarted => "nothing was cut".to_owned(),
        Verdict::Stopped => format!("stopped in {what}; traffic is back"),
        Verdict::Inconclusive => format!("not tested to the end in {what}; traffic is back"),
        Verdict::NotRestored => format!("{what} may still be in force"),
    }
}

/// What to do where traffic is not known to be back.
fn alarm(record: &ContractRecord, page: &mut Page) {
    if record.verdict != Verdict::NotRestored {
        return;
    }
    page.blank();
    page.paragraph(0, 0, &[(Ink::Alarm, format!(" {ALARM} ").replace(' ', GAP))]);
    if record.can_be_restored() {
        page.entries(&STEPS.map(|(number, text)| Entry::plain(number, text)));
        page.verbatim(4, &format!("firedrill restore {}", record.run));
    } else {
        let text = "set by hand what is said above: `firedrill restore` does not know it";
        page.entries(&[Entry::plain("1.", text)]);
    }
    for control in record.controls.iter().filter(|control| !control.by_hand.is_empty()) {
        page.paragraph(4, 6, &[(Ink::Bold, place(control))]);
        control.by_hand.iter().for_each(|command| page.verbatim(6, command));
    }
}

fn place(control: &TestedControl) -> String {
    format!("{} ({})", control.name, control.place)
}

fn rules(control: &TestedControl, page: &mut Page) {
    page.heading(&place(control), &[]);
    for record in &control.rules {
        let ink = match record.kept {
            RuleEnd::Yes => Ink::Good,
            RuleEnd::No => Ink::Bad,
            RuleEnd::Refused => Ink::Stop,
            RuleEnd::Untried => Ink::Dim,
        };
        let kept = record.kept.to_string();
        let gap = GAP.repeat(11_usize.saturating_sub(kept.len()));
        let text: [Span; 2] =
            [(ink, kept.replace(' ', GAP)), (Ink::Plain, format!("{gap}{}", sentence(record)))];
        page.paragraph(2, 13, &text);
        for line in evidence(record) {
            page.paragraph(13, 15, &[(Ink::Dim, line)]);
        }
    }
}
