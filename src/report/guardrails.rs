//! What the guardrails and the kill switch saw.

use super::page::{Entry, Ink, Page, Span};
use super::words::{moment, plural, time};
use crate::model::{GuardrailKind, GuardrailRecord, RunRecord};

/// Writes each of them, with the worst value that it saw.
pub fn write(record: &RunRecord, page: &mut Page) {
    let entries = entries(record);
    if entries.is_empty() {
        return;
    }
    page.heading("Guardrails", &[]);
    page.entries(&entries);
}

/// A line for each that there is something to tell of.
pub fn entries(record: &RunRecord) -> Vec<Entry> {
    let told = record.guardrails.iter().filter(|guardrail| is_news(guardrail));
    told.map(|it| entry(record, it)).collect()
}

/// A switch that stayed clear all along is not: there is one in every drill.
fn is_news(guardrail: &GuardrailRecord) -> bool {
    let clear = guardrail.broken.is_none() && guardrail.unreadable == 0 && guardrail.reads > 0;
    guardrail.kind != GuardrailKind::KillSwitch || !clear
}

fn entry(record: &RunRecord, guardrail: &GuardrailRecord) -> Entry {
    let switch = guardrail.kind == GuardrailKind::KillSwitch;
    let mut text: Vec<Span> = vec![match guardrail.broken {
        None if guardrail.reads == guardrail.unreadable => (Ink::Doubt, "not read".to_owned()),
        None if switch => (Ink::Good, "clear".to_owned()),
        None => (Ink::Good, "held".to_owned()),
        Some(_) if switch && guardrail.worst == Some(1.0) => (Ink::Stop, "set".to_owned()),
        Some(_) if switch => (Ink::Stop, "unreadable".to_owned()),
        Some(_) => (Ink::Stop, "broken".to_owned()),
    }];
    if let Some(broken) = guardrail.broken {
        text.push((Ink::Plain, format!(" {}", moment(broken, &record.marks))));
    }
    let worst = guardrail.worst.and_then(|worst| value(guardrail.kind, worst));
    let worst = worst.map_or(String::new(), |worst| format!("worst {worst}, "));
    let mut rest = format!(": {worst}limit {}", guardrail.limit);
    if guardrail.unreadable > 0 {
        let reads = plural(guardrail.reads, "reading", "readings");
        rest.push_str(&format!("; {} of {reads} failed", guardrail.unreadable));
    }
    text.push((Ink::Plain, rest));
    Entry { label: guardrail.name.to_string(), text }
}

/// A value as people read it; where it says no more than the word before it, nothing.
fn value(kind: GuardrailKind, value: f64) -> Option<String> {
    Some(match kind {
        GuardrailKind::GoodShare => {
            let digits = usize::from(value > 0.99 && value < 1.0);
            // Rounded down: nothing short of all is shown as 100.
            let scale = 10_f64.powi(digits as i32);
            let shown = (value * 100.0 * scale).floor() / scale;
            format!("{shown:.digits$}\u{a0}% good")
        }
        GuardrailKind::Latency => {
            let seconds = (value / 1e3).clamp(0.0, 1e9);
            time(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
        }
        GuardrailKind::Prometheus => {
            if value.abs() >= 1e15 {
                return Some(format!("{value:e}"));
            }
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        GuardrailKind::Alertmanager => plural(value.max(0.0) as u64, "alert", "alerts"),
        GuardrailKind::Http | GuardrailKind::KillSwitch => return None,
    })
}
