//! History, comparison and gate: they fit, they are harmless, and colour adds nothing.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::super::{TableStyle, comparison, gate, history};
use super::build::{bounds, hostile};
use super::stripped;
use crate::model::*;

/// A run of the plan `plan` that took up to `high` ms; without a number, its end was not seen.
fn run(number: i64, plan: &str, high: Option<u64>) -> Summary {
    let day = jiff::SignedDuration::from_hours(24 * number);
    let started_at = "2026-07-01T10:22:03Z".parse::<jiff::Timestamp>().unwrap() + day;
    let recovery = Bounds { high: high.map(super::build::ms), ..bounds(300, 0) };
    Summary {
        run: started_at.strftime("%Y%m%dT%H%M%SZ-7f3a").to_string(),
        started_at,
        ended_at: started_at,
        plan: plan.into(),
        file: format!("drills/{plan}.yaml"),
        hash: None,
        vars: BTreeMap::new(),
        verdict: if high.is_some() { Verdict::Pass } else { Verdict::NotRestored },
        kept_off: false,
        lab: number % 2 == 0,
        cut: "east".to_owned(),
        mode: Mode::Blackhole,
        slowest: Some(Slowest { service: "talk".into(), recovery: Some(recovery) }),
        measured: vec!["talk".into()],
        env: None,
        contradiction: None,
    }
}

fn past(plan: &str) -> History {
    let unmeasured = Summary { slowest: None, verdict: Verdict::NotStarted, ..run(4, plan, None) };
    let runs =
        vec![unmeasured, run(3, plan, Some(900)), run(2, plan, None), run(1, plan, Some(400))];
    let point = |run: &Summary| Point {
        run: run.run.clone(),
        verdict: run.verdict,
        recovery: run.recovery(),
    };
    let trend = Trend {
        plan: plan.into(),
        lab: true,
        cut: "east".to_owned(),
        mode: Mode::Blackhole,
        points: runs.iter().rev().map(point).collect(),
        passed: 4,
        p75: Some(super::build::ms(900)),
        change: Some(Change::NotMeasuredNow),
    };
    History { runs, earlier: 7, trends: vec![trend], left_out: vec![] }
}

fn pair(name: &str) -> Comparison {
    let time = |probe: Option<Name>, before, after, change| ComparedTime {
        service: name.into(),
        probe,
        what: Timed::Recovery,
        before,
        after,
        change,
    };
    let kept = |judgement| {
        Some(Kept { judgement, budget: Some(super::build::ms(3000)), measured: Some(bounds(1, 2)) })
    };
    let minutes = |low, high| Some(UserMinutes { low, high });
    let count = |(low, high)| CountBounds { low, high };
    type Ends = Option<(u64, Option<u64>)>;
    let loss = |probe: &str, before: Ends, after: Ends, change| ComparedLoss {
        service: name.into(),
        probe: probe.into(),
        before: before.map(count),
        after: after.map(count),
        change,
    };
    Comparison {
        before: run(1, name, Some(400)),
        after: run(3, name, Some(900)),
        plan: PlanChange::Edited,
        notes: vec![format!("they did not cut the same: {name} by blackhole")],
        times: vec![
            time(None, Some(bounds(1, 2)), Some(bounds(3, 4)), Change::Slower),
            time(Some("get".into()), Some(bounds(1, 2)), None, Change::NotMeasuredNow),
            time(
                Some(name.into()),
                Some(bounds(1, 2)),
                Some(bounds(1, 2)),
                Change::NoDifferenceShown,
            ),
        ],
        promises: vec![ComparedPromise {
            service: name.into(),
            feature: None,
            promise: Promise::RecoverWithin,
            before: kept(Judgement::Kept),
            after: kept(Judgement::Broken),
            change: Some(Change::Slower),
        }],
        losses: vec![
            loss("orders", Some((2, Some(2))), Some((40, None)), Change::Slower),
            loss(name, None, Some((0, Some(0))), Change::NotMeasuredBefore),
        ],
        user_minutes: vec![ComparedMinutes {
            service: name.into(),
            before: minutes(1.0, 2.0),
            after: minutes(30_000.0, 40_000.0),
            change: Change::Slower,
        }],
    }
}

fn shut(name: &str) -> Gate {
    let why = Why::new("not-passed", format!("its last drill ended FAIL; {name}"));
    let plan = |plan: &str, objections| GatedPlan {
        plan: plan.into(),
        file: format!("{name}.yaml"),
        last: Some(run(3, plan, Some(900))),
        objections,
        notes: vec!["it drilled a lab, not a system that users meet".to_owned()],
    };
    let unproven = UnprovenService { service: name.into(), plan: "pay".into(), last_passed: None };
    Gate {
        open: false,
        objections: vec![Why::new("traffic-cut", format!("{name} left traffic cut"))],
        plans: vec![plan("open", vec![]), plan("pay", vec![why])],
        unproven: vec![unproven],
        all_required: true,
    }
}

/// Each of them about things that are called `name`.
fn drawn(name: &str, style: TableStyle) -> [String; 3] {
    [history(&past(name), style), comparison(&pair(name), style), gate(&shut(name), style)]
}

#[test]
fn they_read_well_at_80_columns() {
    for (what, text) in ["history", "comparison", "gate"].iter().zip(drawn("pay", plain(80))) {
        insta::assert_snapshot!(format!("past-{what}"), text);
    }
}

fn plain(width: u16) -> TableStyle {
    TableStyle { width, color: false, ascii: false }
}

#[test]
fn no_line_is_wider_than_asked_for_whatever_the_names() {
    for name in ["pay", hostile().plan.name.as_str(), &"판교".repeat(60)] {
        for width in 40..=160 {
            for text in drawn(name, plain(width)) {
                let widest = text.lines().map(UnicodeWidthStr::width).max();
                assert!(widest <= Some(usize::from(width)), "{width}:\n{text}");
            }
        }
    }
}

#[test]
fn hostile_names_steer_no_terminal_and_colour_adds_nothing() {
    for name in ["pay", "\u{1b}[31m<script>\u{202e}\n::error::"] {
        let colored = drawn(name, TableStyle { width: 100, color: true, ascii: false });
        for (colored, plain) in colored.iter().zip(drawn(name, plain(100))) {
            let stripped: Vec<String> =
                stripped(colored).lines().map(|line| line.trim_end().to_owned()).collect();
            assert_eq!(stripped, plain.lines().collect::<Vec<_>>());
            for c in plain.chars().filter(|c| *c != '\n') {
                assert_eq!(printable(&c.to_string()), c.to_string(), "{c:?} in\n{plain}");
            }
        }
    }
}

#[test]
fn in_ascii_a_trend_still_rises_and_falls() {
    for text in drawn("pay", TableStyle { width: 120, color: false, ascii: true }) {
        assert!(text.is_ascii(), "{text}");
    }
    let [text, ..] = drawn("pay", TableStyle { width: 120, color: false, ascii: true });
    assert!(text.contains("pay  =!#?, not measured now"), "{text}");
}
