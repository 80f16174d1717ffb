//! The result as metrics, in the part of OpenMetrics that is Prometheus' text format too: node_exporter's textfile
//! collector and the Pushgateway read the latter.
//!
//! So there are gauges only, states are gauges of 0 and 1 with the state as a label, and no sample has a time of its own.

use std::fmt::Write;
use std::time::Duration;

use super::words::plain;
use crate::model::{
    Bounds, Judgement, LedgerRecord, PromiseResult, Restored, RunRecord, ServiceRecord, Verdict,
};

/// A label with its value.
type Label<'a> = (&'static str, &'a str);

const VERDICTS: [Verdict; 6] = [
    Verdict::Pass,
    Verdict::Fail,
    Verdict::Inconclusive,
    Verdict::Stopped,
    Verdict::NotStarted,
    Verdict::NotRestored,
];

const JUDGEMENTS: [(Judgement, &str); 3] =
    [(Judgement::Kept, "kept"), (Judgement::Undecided, "undecided"), (Judgement::Broken, "broken")];

/// The result of the drill as metrics.
///
/// What was not measured has no sample; the end of what was not seen to end is `+Inf`.
pub fn openmetrics(record: &RunRecord) -> String {
    let mut text = String::new();
    drill(record, &mut text);
    services(record, &mut text);
    promises(record, &mut text);
    ledgers(record, &mut text);
    text.push_str("# EOF\n");
    text
}

fn drill(record: &RunRecord, text: &mut String) {
    let plan = plain(record.plan.name.as_str());
    let plan = ("plan", plan.as_str());
    let marks = &record.marks;
    let mut verdicts = Family::new("drill_verdict", "Whether the last drill ended so");
    for verdict in VERDICTS {
        let holds = f64::from(u8::from(verdict == record.verdict));
        verdicts.sample(&[plan, ("verdict", &verdict.to_string())], holds);
    }
    verdicts.end(text);
    let mut family = Family::new(
        "drill_last_run_timestamp_seconds",
        "When the last drill began, in seconds since 1970 by the wall clock",
    );
    family.sample(&[plan], record.started_at.as_millisecond() as f64 / 1e3);
    family.end(text);
    let mut family = Family::new("drill_duration_seconds", "How long the last drill took");
    if let Some(ended) = marks.ended {
        family.sample(&[plan], ended.since(marks.started).as_secs_f64());
    }
    family.end(text);
    let mut family = Family::new(
        "drill_cut_seconds",
        "How long traffic was cut in the last drill; 0 if nothing was cut, +Inf if it may be still",
    );
    let cut = match (marks.cut_issued, marks.restore_confirmed) {
        (None, _) => 0.0,
        (Some(from), Some(to)) => to.since(from).as_secs_f64(),
        (Some(_), None) => f64::INFINITY,
    };
    family.sample(&[plan], cut);
    family.end(text);
    let mut family = Family::new(
        "drill_traffic_restored",
        "Whether all traffic is known to be as it was before the last drill",
    );
    let left = record.controls.iter().any(|control| control.restored == Restored::No);
    let restored = !left && record.verdict != Verdict::NotRestored;
    family.sample(&[plan], f64::from(u8::from(restored)));
    family.end(text);
}

/// A number of a service, if it has it.
type OfService = fn(&ServiceRecord) -> Option<f64>;

fn services(record: &RunRecord, text: &mut String) {
    fn recovery(service: &ServiceRecord) -> Option<Bounds> {
        service.recovery.map(|recovery| recovery.bounds)
    }
    fn failback(service: &ServiceRecord) -> Option<Bounds> {
        service.failback.map(|failback| failback.bounds)
    }
    let families: [(&str, &str, OfService); 7] = [
        (
            "service_recovery_low_seconds",
            "Users were without the service for at least this long after the cut",
            |service| recovery(service).map(low),
        ),
        (
            "service_recovery_high_seconds",
            "Users were without the service for at most this long after the cut",
            |service| recovery(service).map(high),
        ),
        (
            "service_failback_low_seconds",
            "The way back took the service at least this long",
            |service| failback(service).map(low),
        ),
        (
            "service_failback_high_seconds",
            "The way back took the service at most this long",
            |service| failback(service).map(high),
        ),
        ("service_users", "How many people use the service, as the plan says", |service| {
            service.users.map(|users| users as f64)
        }),
        (
            "service_user_loss_low_seconds",
            "Time that all users together lost, at least",
            |service| service.impact.as_ref()?.user_minutes.map(|minutes| 60.0 * minutes.low),
        ),
        (
            "service_user_loss_high_seconds",
            "Time that all users together lost, at most",
            |service| service.impact.as_ref()?.user_minutes.map(|minutes| 60.0 * minutes.high),
        ),
    ];
    let plan = plain(record.plan.name.as_str());
    for (name, help, value) in families {
        let mut family = Family::new(name, help);
        for service in &record.services {
            if let Some(value) = value(service) {
                let name = plain(service.name.as_str());
                family.sample(&[("plan", &plan), ("service", &name)], value);
            }
        }
        family.end(text);
    }
}

/// A number of a promise, if it has it.
type OfPromise = fn(&PromiseResult) -> Option<f64>;

fn promises(record: &RunRecord, text: &mut String) {
    let families: [(&str, &str, OfPromise); 3] = [
        ("promise_budget_seconds", "How long it may take, as promised", |promise| {
            promise.budget.map(|budget| budget.as_secs_f64())
        }),
        ("promise_low_seconds", "How long it took, at least", |promise| promise.measured.map(low)),
        ("promise_high_seconds", "How long it took, at most", |promise| promise.measured.map(high)),
    ];
    for (name, help, value) in families {
        let mut family = Family::new(name, help);
        each_promise(record, |labels, promise| {
            if let Some(value) = value(promise) {
                family.sample(labels, value);
            }
        });
        family.end(text);
    }
    let mut family = Family::new("promise_judgement", "Whether the promise was judged so");
    each_promise(record, |labels, promise| {
        for (judgement, word) in JUDGEMENTS {
            let holds = f64::from(u8::from(judgement == promise.judgement));
            family.sample(&[labels, &[("judgement", word)]].concat(), holds);
        }
    });
    family.end(text);
}

/// Calls `write` for every promise, with its labels. The probe of a promise of the whole service is empty.
fn each_promise(record: &RunRecord, mut write: impl FnMut(&[Label<'_>], &PromiseResult)) {
    let plan = plain(record.plan.name.as_str());
    for service in &record.services {
        let name = plain(service.name.as_str());
        for promise in &service.promises {
            let probe =
                promise.feature.as_ref().map(|probe| plain(probe.as_str())).unwrap_or_default();
            let word = promise.promise.to_string();
            write(
                &[("plan", &plan), ("service", &name), ("probe", &probe), ("promise", &word)],
                promise,
            );
        }
    }
}

/// A number of a ledger, if it has it.
type OfLedger = fn(&LedgerRecord) -> Option<f64>;

/// Counts of a ledger, by state.
type States = fn(&LedgerRecord) -> Vec<(&'static str, u64)>;

fn ledgers(record: &RunRecord, text: &mut String) {
    let by_state: [(&str, &str, States); 2] = [
        ("ledger_writes", "What became of the writes, as their writer knows", |it| {
            vec![
                ("acknowledged", it.acknowledged),
                ("refused", it.refused),
                ("unknown", it.unknown),
                ("not-sent", it.not_sent),
            ]
        }),
        ("ledger_records", "What the store did with records beside losing them", |it| {
            vec![
                ("recovered", it.recovered),
                ("unexpected", it.unexpected),
                ("duplicated", it.duplicated.low),
                ("stale", it.stale),
                ("returned", it.returned),
            ]
        }),
    ];
    for (name, help, states) in by_state {
        let mut family = Family::new(name, help);
        each_ledger(record, |labels, ledger| {
            for (state, count) in states(ledger) {
                family.sample(&[labels, &[("state", state)]].concat(), count as f64);
            }
        });
        family.end(text);
    }
    let families: [(&str, &str, OfLedger); 4] = [
        ("ledger_lost_low", "Acknowledged writes that are lost, at least", |it| {
            Some(it.lost.low as f64)
        }),
        (
            "ledger_lost_high",
            "Acknowledged writes that may be lost; +Inf if not all was read",
            |it| Some(it.lost.high.map_or(f64::INFINITY, |high| high as f64)),
        ),
        ("ledger_window_low_seconds", "How far back writes are lost, at least", |it| {
            it.window.map(low)
        }),
        ("ledger_window_high_seconds", "How far back writes may be lost", |it| it.window.map(high)),
    ];
    for (name, help, value) in families {
        let mut family = Family::new(name, help);
        each_ledger(record, |labels, ledger| {
            if let Some(value) = value(ledger) {
                family.sample(labels, value);
            }
        });
        family.end(text);
    }
}

/// Calls `write` for every ledger, with its labels.
fn each_ledger(record: &RunRecord, mut write: impl FnMut(&[Label<'_>], &LedgerRecord)) {
    let plan = plain(record.plan.name.as_str());
    for service in &record.services {
        let name = plain(service.name.as_str());
        for probe in &service.probes {
            if let Some(ledger) = &probe.ledger {
                let probe = plain(probe.name.as_str());
                write(&[("plan", &plan), ("service", &name), ("probe", &probe)], ledger);
            }
        }
    }
}

fn low(bounds: Bounds) -> f64 {
    bounds.low.as_secs_f64()
}

fn high(bounds: Bounds) -> f64 {
    bounds.high.as_ref().map_or(f64::INFINITY, Duration::as_secs_f64)
}

/// A metric with its samples.
struct Family {
    name: String,
    help: &'static str,
    samples: String,
}

impl Family {
    fn new(name: &str, help: &'static str) -> Family {
        Family { name: format!("firedrill_{name}"), help, samples: String::new() }
    }

    fn sample(&mut self, labels: &[Label<'_>], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let value = if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() };
        // Writing to a string cannot fail.
        let _ = writeln!(self.samples, "{}{{{}}} {value}", self.name, labels.join(","));
    }

    /// Writes it after `text`; a family without samples is left out.
    fn end(self, text: &mut String) {
        if self.samples.is_empty() {
            return;
        }
        let Family { name, help, samples } = self;
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} gauge\n{samples}");
    }
}

/// A label's value as both formats write it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
