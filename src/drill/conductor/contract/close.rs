//! The end of a test: what came of it, and what a person has to do.

use super::super::super::controls::Held;
use super::super::super::trial::Book;
use super::super::Conductor;
use crate::journal::Record;
use crate::measure::Ending;
use crate::model::{ContractRecord, CutOrder, TestedControl, Verdict};
use crate::watchdog::Phase;

impl Conductor {
    /// Says what came of it, in the journal too.
    pub(super) fn close(mut self, book: Book) -> ContractRecord {
        let Ending { not_restored, not_started, stopped, cut_failed } =
            std::mem::take(&mut self.ending);
        let mut broken = book.broken();
        // What is said of traffic that is not back need not be said twice.
        broken.retain(|rule| !not_restored.iter().any(|why| rule.text.contains(&why.text)));
        let (verdict, reasons) = if !not_restored.is_empty() {
            (Verdict::NotRestored, [not_restored, broken].concat())
        } else if !not_started.is_empty() && !book.has_cut() {
            (Verdict::NotStarted, [not_started, broken].concat())
        } else if !not_started.is_empty() {
            // Before the cut of a control that is not the first.
            (Verdict::Stopped, [not_started, broken].concat())
        } else if let Some(stopped) = stopped {
            (Verdict::Stopped, [vec![stopped], broken].concat())
        } else if !broken.is_empty() {
            (Verdict::Fail, [broken, cut_failed.into_iter().collect()].concat())
        } else if let Some(why) = cut_failed {
            (Verdict::Inconclusive, vec![why])
        } else {
            (Verdict::Pass, Vec::new())
        };
        if self.opened {
            // Without this line a reader of the journal looks at the controls once more: no harm.
            let _ = self.journal.append(&Record::Closed { verdict });
        }
        // Whatever is left is a person's work from here on.
        self.watch.beat(Phase::Ended);
        let is_back = verdict != Verdict::NotRestored;
        let controls = self.held.iter().zip(book.into_rules()).map(|(held, rules)| {
            let spec = held.control.spec();
            TestedControl {
                name: spec.name.clone(),
                provider: spec.provider.key().to_owned(),
                place: spec.provider.settings().place(),
                rules,
                by_hand: if is_back { Vec::new() } else { by_hand(held, &self.plan.cut) },
            }
        });
        ContractRecord {
            format: ContractRecord::FORMAT,
            firedrill: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run,
            started_at: self.started_at,
            plan: self.plan.name.clone(),
            file: self.file.path,
            lost: self.plan.lost(),
            mode: self.plan.cut.mode.kind(),
            verdict,
            reasons,
            controls: controls.collect(),
        }
    }
}

/// How a person puts back what differs, or all of it where that is not known.
fn by_hand(held: &Held, order: &CutOrder) -> Vec<String> {
    let (Some(before), true) = (&held.before, held.is_touched()) else { return Vec::new() };
    let wrong = match &held.after {
        None => held.ours(order),
        Some(after) => {
            let mut wrong = before.clone();
            wrong.parts.retain(|name, part| after.parts.get(name) != Some(part));
            wrong
        }
    };
    if wrong.parts.is_empty() { Vec::new() } else { held.control.by_hand(&wrong) }
}
