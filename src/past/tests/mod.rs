//! What past runs say together, on runs made up for it.

mod compare;
mod contradiction;
mod gate;
mod history;
mod own;
mod slower;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::*;

/// `days` after the first of the year.
pub fn day(days: i64) -> Timestamp {
    let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    first + jiff::SignedDuration::from_hours(24 * days)
}

pub fn bounds(low: u64, high: u64) -> Bounds {
    Bounds { low: Duration::from_millis(low), high: Some(Duration::from_millis(high)) }
}

/// A run of the plan `pay` on the day `days` that passed; its recovery took up to `high` ms.
pub fn run(days: i64, high: u64) -> Summary {
    Summary {
        run: format!("run-{days:03}"),
        started_at: day(days),
        ended_at: day(days),
        plan: "pay".into(),
        file: "pay.yaml".to_owned(),
        hash: Some("now".to_owned()),
        vars: BTreeMap::new(),
        env: None,
        verdict: Verdict::Pass,
        kept_off: false,
        lab: false,
        cut: "east".to_owned(),
        mode: Mode::Blackhole,
        slowest: Some(Slowest { service: "shop".into(), recovery: Some(bounds(high / 2, high)) }),
        measured: vec!["shop".into()],
        contradiction: None,
    }
}

pub fn lost(plan: Option<&str>, days: Option<i64>) -> LostRun {
    LostRun {
        run: "run-lost".to_owned(),
        plan: plan.map(Name::from),
        at: days.map(day),
        under_way: false,
        why: "its record is damaged".to_owned(),
    }
}
