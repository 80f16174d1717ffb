//! What users lost, by service and by feature.

use super::page::{Entry, Ink, Page, Span};
use super::words::{plural, time};
use crate::model::{Impact, ProbeRecord, RunRecord, ServiceRecord};

/// More services than this are not looked at.
const ROWS: usize = 12;

/// Writes a line for each service, and below it one for each of several features, the slowest first.
pub fn write(record: &RunRecord, page: &mut Page) {
    let entries: Vec<Entry> = told(record).flat_map(entries).collect();
    if !entries.is_empty() {
        page.heading("Impact", &[]);
        page.entries(&entries);
    }
}

fn told(record: &RunRecord) -> impl Iterator<Item = &ServiceRecord> {
    record.services.iter().filter(|service| is_news(service)).take(ROWS)
}

/// What each service lost, by its name.
pub fn lines(record: &RunRecord) -> impl Iterator<Item = (String, Vec<Span>)> {
    told(record).filter_map(|service| {
        service.impact.as_ref().map(|impact| (service.name.to_string(), lost(service, impact)))
    })
}

/// A service that never failed has no impact, unless people are known to use it.
fn is_news(service: &ServiceRecord) -> bool {
    let lost = |impact: &Impact| !impact.bad.high.unwrap_or(impact.bad.low).is_zero();
    service.impact.as_ref().is_some_and(|impact| service.users.is_some() || lost(impact))
}

fn entries(service: &ServiceRecord) -> Vec<Entry> {
    let Some(impact) = &service.impact else { return Vec::new() };
    let mut entries = vec![Entry { label: service.name.to_string(), text: lost(service, impact) }];
    if service.probes.len() > 1 {
        let mut features: Vec<&ProbeRecord> = service.probes.iter().collect();
        features.sort_by_key(|probe| {
            std::cmp::Reverse(probe.recovery.map(|recovery| {
                (recovery.bounds.high.unwrap_or(std::time::Duration::MAX), recovery.bounds.low)
            }))
        });
        entries.extend(
            features.into_iter().map(|probe| Entry {
                label: format!("- {}", probe.name),
                text: vec![feature(probe)],
            }),
        );
    }
    entries
}

fn lost(service: &ServiceRecord, impact: &Impact) -> Vec<Span> {
    let users = service.users.map_or(String::new(), |users| plural(users, "user", "users"));
    let high = impact.bad.high.unwrap_or(impact.bad.low);
    if high.is_zero() {
        return vec![(Ink::Good, format!("nothing lost to {users}"))];
    }
    let range = |low: String, high: String| {
        if low == high { high } else { format!("{low} to {high}") }
    };
    let away = range(time(impact.bad.low), time(high));
    let bad = format!("{} was bad for {away} in sum", impact.probe);
    match impact.user_minutes {
        None => vec![(Ink::Plain, bad)],
        Some(minutes) => {
            let count = |minutes: f64| super::words::grouped(minutes.round() as u64);
            let minutes = range(count(minutes.low), count(minutes.high));
            let head = format!("{minutes} user-minutes lost");
            vec![(Ink::Bold, head), (Ink::Plain, format!(": {bad}, for {users}"))]
        }
    }
}

fn feature(probe: &ProbeRecord) -> Span {
    let Some(recovery) = probe.recovery else {
        return (Ink::Doubt, "not measured".to_owned());
    };
    match recovery.bounds.high {
        Some(_) if recovery.seamless => (Ink::Good, "never failed".to_owned()),
        Some(high) => (Ink::Plain, format!("back after at most {}", time(high))),
        None if recovery.seamless => {
            (Ink::Doubt, "no failure seen, not watched to the end".to_owned())
        }
        None => {
            let low = time(recovery.bounds.low);
            (Ink::Bad, format!("not back while cut; still failing {low} after the cut"))
        }
    }
}
