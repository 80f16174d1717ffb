//! The verdict and the slowest service in one sentence, and the reasons.

use std::time::Duration;

use super::page::{Entry, Ink, Page};
use super::promises::{self, numbers};
use super::words::{GAP, list, mode, percent, plural, time, wanted};
use crate::model::{
    Judgement, Name, ProbeRecord, Promise, PromiseResult, RunRecord, ServiceRecord, Verdict,
};

/// The ink of a verdict.
pub fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Pass => Ink::Good,
        Verdict::Fail => Ink::Bad,
        Verdict::Inconclusive => Ink::Doubt,
        Verdict::Stopped | Verdict::NotStarted => Ink::Stop,
        Verdict::NotRestored => Ink::Alarm,
    }
}

/// Writes the verdict with its sentence, and what the drill is for.
pub fn write(record: &RunRecord, page: &mut Page) {
    let verdict = record.verdict.to_string();
    let hang = verdict.len() + 2;
    let sentence = format!("{}: {}.", record.plan.name, sentence(record));
    page.paragraph(
        0,
        hang,
        // The second space is one that is not taken for the end of a word.
        &[
            (ink(record.verdict), verdict.replace(' ', GAP)),
            (Ink::Plain, format!(" \u{a0}{sentence}")),
        ],
    );
    if let Some(about) = &record.plan.about {
        page.paragraph(hang, hang, &[(Ink::Dim, about.clone())]);
    }
}

/// Writes why the verdict is not PASS.
pub fn write_reasons(record: &RunRecord, page: &mut Page) {
    if record.verdict == Verdict::Pass || record.reasons.is_empty() {
        return;
    }
    page.heading("Why", &[]);
    let entries: Vec<Entry> =
        record.reasons.iter().map(|why| Entry::plain("-", why.text.as_str())).collect();
    page.entries(&entries);
}

/// Writes which run this was.
pub fn write_run(record: &RunRecord, page: &mut Page) {
    page.blank();
    let at = record.started_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let text = format!(
        "run {} ·\u{a0}{} ·\u{a0}{} ·\u{a0}firedrill\u{a0}{}",
        record.run,
        record.plan.file,
        at.replace(' ', "\u{a0}"),
        record.firedrill
    );
    page.paragraph(0, 0, &[(Ink::Dim, text)]);
}

/// What decided, and what was cut, in a sentence without its full stop.
pub fn sentence(record: &RunRecord) -> String {
    if record.marks.cut_issued.is_none() {
        return "nothing was cut".to_owned();
    }
    let service = match record.verdict {
        Verdict::Fail => broken(record).or_else(|| slowest(record)),
        _ => slowest(record),
    };
    match service {
        Some(service) => format!("{service}; {}", cut(record)),
        None => cut(record),
    }
}

/// The worst broken promise of the first service that broke one, services being in order of slowness.
fn broken(record: &RunRecord) -> Option<String> {
    let broken = |p: &&PromiseResult| p.judgement == Judgement::Broken;
    let (service, promise) = record.services.iter().find_map(|service| {
        // A loss has a window, which is no time that anybody waited.
        let waited = |p: &PromiseResult| p.promise != Promise::LoseAtMost;
        let took = |p: &&PromiseResult| p.measured.filter(|_| waited(p)).map(|bounds| bounds.low);
        let worst = service.promises.iter().rev().filter(broken).max_by_key(took);
        worst.map(|promise| (service, promise))
    })?;
    let losses = service.promises.iter().filter(|it| it.promise == Promise::LoseAtMost);
    let also_lost = losses.filter(broken).find(|_| promise.promise != Promise::LoseAtMost);
    let name = named(service, promise.probe.as_ref());
    let low = promise.measured.map_or(String::new(), |bounds| time(bounds.low));
    let budget = promise.budget.map_or(String::new(), |b| format!(" (budget {})", time(b)));
    let unseen = promise.measured.is_some_and(|bounds| bounds.high.is_none());
    let told = match promise.promise {
        Promise::RecoverWithin if unseen => {
            format!("{name} had not recovered after {low}{budget}")
        }
        Promise::RecoverWithin => format!("{name} was away for at least {low}{budget}"),
        Promise::FailbackWithin => format!("{name} took at least {low} to fail back{budget}"),
        Promise::Sustain => {
            let bad = plural(promise.bad.unwrap_or(0), "request failed", "requests failed");
            format!("{name} had to stay up, and {bad}")
        }
        Promise::GoodWhileCut => {
            let held = promise.held.unwrap_or_default();
            let wanted = promise.at_least.map(wanted).unwrap_or_default();
            format!("{name} held {} good while cut (promised {wanted})", percent(held.possible()))
        }
        Promise::P99WhileCut if promise.measured.is_none() => {
            format!("{name} left more than 1 of 100 requests unanswered while cut{budget}")
        }
        Promise::P99WhileCut => {
            format!("{name} took {low} for 99 of 100 requests while cut{budget}")
        }
        Promise::LoseAtMost => format!("{name} {}", lost(promise)),
        Promise::DuplicateAtMost => {
            let count = promise.counted.unwrap_or_default();
            format!(
                "{name} has {} records more than once (budget {})",
                numbers(count),
                promises::budget(promise)
            )
        }
    };
    Some(match also_lost {
        Some(also) => format!("{told}, and {}", lost(also)),
        None => told,
    })
}

/// `lost 21 acknowledged writes (budget none)`; with a budget of time, the window that they stand for.
fn lost(promise: &PromiseResult) -> String {
    let count = promise.counted.unwrap_or_default();
    let writes = if count.high == Some(1) { "write" } else { "writes" };
    let window = promise.measured.filter(|_| promise.budget.is_some());
    let window =
        window.map_or(String::new(), |it| format!(", a window of at least {}", time(it.low)));
    format!(
        "lost {} acknowledged {writes}{window} (budget {})",
        numbers(count),
        promises::budget(promise)
    )
}

fn slowest(record: &RunRecord) -> Option<String> {
    let service = record.services.first()?;
    let end = |probe: &&ProbeRecord| {
        let bounds = probe.recovery.map(|recovery| recovery.bounds);
        bounds.map(|bounds| (bounds.high.unwrap_or(Duration::MAX), bounds.low))
    };
    let required = service.probes.iter().filter(|probe| probe.required);
    let probe = required.rev().max_by_key(end).map(|probe| &probe.name);
    let mut name = named(service, probe);
    if record.services.len() > 1 {
        name.push_str(&format!(", the slowest of {} services,", record.services.len()));
    }
    let budget = service
        .promises
        .iter()
        .filter(|promise| promise.feature.is_none() || promise.feature.as_ref() == probe)
        .find(|promise| promise.promise == Promise::RecoverWithin)
        .and_then(|promise| promise.budget)
        .map_or(String::new(), |budget| format!(" (budget {})", time(budget)));
    let told = match service.recovery {
        None => format!("{name} was not measured"),
        Some(recovery) => match recovery.bounds.high {
            Some(high) if recovery.seamless => {
                format!("{name} never failed, to within {}{budget}", time(high))
            }
            Some(high) => format!("{name} was back after at most {}{budget}", time(high)),
            None => {
                let low = time(recovery.bounds.low);
                format!("{name} had not recovered after {low}{budget}")
            }
        },
    };
    // Allowed or not, what was lost is news.
    let losses = service.promises.iter().filter(|it| it.promise == Promise::LoseAtMost);
    let lossy = |it: &&PromiseResult| it.counted.is_some_and(|count| count.low > 0);
    let worst = losses.filter(lossy).max_by_key(|it| it.counted.map(|count| count.low));
    Some(match worst {
        Some(promise) => format!("{told}, and {}", lost(promise)),
        None => told,
    })
}

/// A service, with the feature that decided if it has several.
fn named(service: &ServiceRecord, probe: Option<&Name>) -> String {
    let name = match probe {
        Some(probe) if service.probes.len() > 1 => format!("{}/{probe}", service.name),
        _ => service.name.to_string(),
    };
    match service.users {
        Some(users) => format!("{name} ({})", plural(users, "user", "users")),
        None => name,
    }
}

fn cut(record: &RunRecord) -> String {
    let cut = &record.plan.cut;
    let datacenter = record.plan.lost();
    let through: Vec<&str> = record.plan.through.iter().map(|name| name.as_str()).collect();
    let what = format!("{datacenter} was cut by {} through {}", mode(&cut.mode), list(&through));
    match (record.marks.cut_issued, record.marks.restore_confirmed) {
        (Some(from), Some(to)) => format!("{what} for {}", time(to.since(from))),
        _ => format!("{what} and may still be cut"),
    }
}
