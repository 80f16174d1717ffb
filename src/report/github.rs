//! The verdict and the promises that were not kept, as annotations of GitHub Actions.

use super::headline;
use super::promises::{budget, decided_by, measured, whose};
use super::words::{bounds, plain};
use crate::model::{Judgement, RunRecord, Verdict};

/// GitHub shows this many errors and this many warnings of a step.
const SHOWN: usize = 10;

/// GitHub's workflow commands for the verdict, if it is not PASS, and for the promises that were not kept: the broken
/// ones are errors, the undecided ones warnings. A line each.
pub fn annotations(record: &RunRecord) -> Vec<String> {
    let mut all = Vec::new();
    if record.verdict != Verdict::Pass {
        let is_error = matches!(record.verdict, Verdict::Fail | Verdict::NotRestored);
        let why = record.reasons.first().map(|why| format!(": {}", why.text)).unwrap_or_default();
        let text = format!("{}{why}", headline::sentence(record));
        all.push((is_error, format!("{}: {}", record.verdict, record.plan.name), text));
    }
    let cut = record.marks.cut_issued.is_some();
    for service in record.services.iter().filter(|_| cut) {
        for promise in service.promises.iter().filter(|it| it.judgement != Judgement::Kept) {
            let is_error = promise.judgement == Judgement::Broken;
            let word = if is_error { "broken" } else { "undecided" };
            let title = format!("{} {} is {word}", whose(service, promise), promise.promise);
            let text = format!(
                "{} (measured {}, budget {}{})",
                promise.why,
                measured(promise, bounds),
                budget(promise),
                decided_by(service, promise)
            );
            all.push((is_error, title, text));
        }
    }
    let (errors, warnings): (Vec<_>, Vec<_>) = all.into_iter().partition(|(error, ..)| *error);
    let lines = errors.into_iter().take(SHOWN).chain(warnings.into_iter().take(SHOWN));
    lines.map(|(is_error, title, text)| command(record, is_error, &title, &text)).collect()
}

fn command(record: &RunRecord, is_error: bool, title: &str, text: &str) -> String {
    let kind = if is_error { "error" } else { "warning" };
    let (file, title) = (property(&record.plan.file), property(title));
    format!("::{kind} file={file},title={title}::{}", data(text))
}

/// The text of a command, escaped as GitHub's runner unescapes it.
fn data(text: &str) -> String {
    plain(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, where colon and comma mean something too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
