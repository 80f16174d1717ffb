//! Records to draw: a drill that passed, and what can be made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::*;

mod cohorts;
mod features;
mod hostile;
mod ledgers;
mod not_restored;
mod placed;
mod providers;
mod truth;
pub use cohorts::cohorts;
pub use features::features;
pub use hostile::{hostile, hostile_as};
pub use ledgers::{lost_writes, split_brain, unread};
pub use not_restored::not_restored;
pub use placed::placed;
pub use providers::every_provider;
pub use truth::switched;
use truth::truth;

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn at(millis: u64) -> Offset {
    Offset::from_millis(millis)
}

pub fn bounds(low: u64, high: u64) -> Bounds {
    Bounds { low: ms(low), high: Some(ms(high)) }
}

/// The quickstart drill: cut at 3.0 s, back after 612 to 812 ms, restored at 9.1 s.
pub fn passed() -> RunRecord {
    RunRecord {
        format: RunRecord::FORMAT,
        firedrill: "0.1.0".into(),
        run: "20260714-102203-quickstart-7f3a".into(),
        started_at: "2026-07-14T10:22:03.5Z".parse().unwrap(),
        plan: PlanSummary {
            name: "quickstart".into(),
            about: Some(
                "East goes dark without warning. Talk must answer again within 3 s.".into(),
            ),
            file: "drills/quickstart.yaml".into(),
            hash: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()),
            text: Some("version: 1\nname: quickstart\n".into()),
            vars: BTreeMap::from([("region".into(), "east".into())]),
            env: Some(Sealed {
                key: "9f86d081884c7d65".into(),
                values: BTreeMap::from([("HOST".into(), "2feaa0c55ad015a3".repeat(4))]),
            }),
            lab: true,
            datacenters: vec!["east".into(), "west".into()],
            cut: CutOrder::of(DatacenterId(0), Mode::Blackhole),
            through: vec!["wan".into()],
            stable_for: ms(2000),
            at_most: ms(60_000),
        },
        verdict: Verdict::Pass,
        reasons: vec![],
        marks: Marks {
            started: at(0),
            cut_issued: Some(at(3000)),
            cut_confirmed: Some(at(3003)),
            restore_issued: Some(at(9090)),
            restore_confirmed: Some(at(9102)),
            ended: Some(at(12_000)),
        },
        services: vec![talk()],
        proof: Proof {
            controls: vec![ControlProof {
                control: "wan".into(),
                reads: 12,
                reads_cut: 12,
                path: Some(PathCounters { connections: 214, bytes: 0 }),
            }],
            services: vec![ServiceProof {
                service: "talk".into(),
                before: Share { part: 30, whole: 60 },
                during: Share { part: 0, whole: 109 },
                examples: vec![],
            }],
            missing: vec![],
        },
        controls: vec![control()],
        calls: vec![],
        guardrails: vec![],
        placement: Default::default(),
        loads: vec![],
        lab: Some(truth()),
        environment: None,
        samples: None,
        notifications: Vec::new(),
    }
}

pub fn recovery(low: u64, high: u64) -> Recovery {
    let split = Split {
        until_first_bad: ms(24),
        until_other_datacenter: ms(high - 124),
        until_stable: ms(100),
    };
    Recovery { bounds: bounds(low, high), seamless: false, relapses: 1, split: Some(split) }
}

pub fn promise(promise: Promise, budget: u64, low: u64, high: u64) -> PromiseResult {
    PromiseResult {
        budget: Some(ms(budget)),
        measured: Some(bounds(low, high)),
        probe: Some("send".into()),
        ..PromiseResult::new(promise, Judgement::Kept, format!("it took at most {high} ms"))
    }
}

pub fn talk() -> ServiceRecord {
    let failback = Recovery { relapses: 0, split: None, ..recovery(180, 230) };
    ServiceRecord {
        name: "talk".into(),
        users: Some(47_430_000),
        recovery: Some(recovery(612, 812)),
        failback: Some(failback),
        promises: vec![
            promise(Promise::RecoverWithin, 3000, 612, 812),
            promise(Promise::FailbackWithin, 1000, 180, 230),
        ],
        impact: None,
        probes: vec![send()],
    }
}

pub fn send() -> ProbeRecord {
    let latency = |p50, p99| Latency {
        count: 60,
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
        max: Duration::from_micros(2 * p99),
    };
    ProbeRecord {
        name: "send".into(),
        asks: "GET ${lab:talk}/send".into(),
        may_stay: false,
        required: true,
        every: ms(50),
        keep_alive: false,
        cohort: None,
        counts: ProbeCounts {
            due: 240,
            sent: 240,
            good: 226,
            bad: 14,
            stalled: 3,
            unknown: 0,
            late: 0,
            late_by_at_most: ms(2),
            reasons: [("time-out (connect)".to_owned(), 13), ("reset".to_owned(), 1)].into(),
            blindness: BTreeMap::new(),
        },
        latency: [(Stage::Baseline, latency(620, 1900)), (Stage::Observe, latency(710, 2400))]
            .into(),
        served: [(Stage::Baseline, [("east".to_owned(), 30), ("west".to_owned(), 30)].into())]
            .into(),
        outages: vec![Outage {
            began_after: at(2974),
            began_by: at(3024),
            ended_after: at(3612),
            ended_by: Some(at(3812)),
            samples: 14,
        }],
        outage_count: 1,
        recovery: Some(recovery(612, 812)),
        failback: None,
        ledger: None,
        course: course(),
    }
}

/// Two samples in each tenth of 12 s: bad from 3 s to 3.7 s, both datacenters before and after, west alone between.
pub fn course() -> Course {
    let row = |value: fn(usize) -> u64| (0..120).map(value).collect::<Vec<u64>>();
    let latency = |micros: u64| {
        let seen = row(|cell| if (30..37).contains(&cell) { 0 } else { 1 });
        seen.iter().map(|any| (*any > 0).then_some(micros)).collect()
    };
    Course {
        cell: ms(100),
        good: row(|cell| if (30..37).contains(&cell) { 0 } else { 2 }),
        stalled: row(|cell| u64::from((34..37).contains(&cell))),
        bad: row(
            |cell| if (30..34).contains(&cell) { 2 } else { u64::from((34..37).contains(&cell)) },
        ),
        unknown: row(|_| 0),
        served: [
            ("east".to_owned(), row(|cell| u64::from(!(30..85).contains(&cell)))),
            (
                "west".to_owned(),
                row(|cell| if !(30..85).contains(&cell) { 1 } else { 2 * u64::from(cell >= 37) }),
            ),
        ]
        .into(),
        p50_us: latency(620),
        p99_us: latency(1_900),
    }
}

pub fn control() -> ControlRecord {
    let part = |datacenter| PartState {
        datacenter: DatacenterId(datacenter),
        passage: Passage::Open,
        settings: BTreeMap::new(),
    };
    let state = ControlState {
        parts: [("talk/east".to_owned(), part(0)), ("talk/west".to_owned(), part(1))].into(),
    };
    ControlRecord {
        name: "wan".into(),
        provider: Provider::Lab,
        before: Some(state.clone()),
        cut: None,
        after: Some(state),
        restored: Restored::Yes,
        by_hand: Vec::new(),
    }
}

/// Three of the two budgets' worth: the promise was broken.
pub fn failed() -> RunRecord {
    let mut record = passed();
    record.verdict = Verdict::Fail;
    record.reasons = vec![Why::new(
        "promise-broken",
        "talk did not recover within 500 ms: it was away for at least 612 ms",
    )];
    let promise = &mut record.services[0].promises[0];
    promise.budget = Some(ms(500));
    promise.judgement = Judgement::Broken;
    promise.why = "it was away for at least 612 ms".into();
    record
}

/// The cut datacenter went on serving, and a budget lay within the bounds.
pub fn leaking() -> RunRecord {
    let mut record = passed();
    record.verdict = Verdict::Inconclusive;
    let leak = "east still served talk after the cut: 3 of 109 answers came from it";
    record.reasons = vec![
        Why::new("leak", leak),
        Why::new("undecided", "talk: 700 ms lies within the bounds; `every: 20ms` would decide it"),
    ];
    record.proof.missing = vec![Why::new("leak", leak)];
    let proof = &mut record.proof.services[0];
    proof.during.part = 3;
    proof.examples = vec![at(3103), at(3403), at(4103)];
    let promise = &mut record.services[0].promises[0];
    promise.budget = Some(ms(700));
    promise.judgement = Judgement::Undecided;
    promise.why = "700 ms lies within the bounds; `every: 20ms` would decide it".into();
    record.proof.controls[0].reads_cut = 11;
    record.proof.controls[0].path = Some(PathCounters { connections: 3, bytes: 1 });
    record
}

/// Refused before the cut.
pub fn not_started() -> RunRecord {
    let mut record = passed();
    record.verdict = Verdict::NotStarted;
    let text = "talk is not well before the drill: 31 of 60 samples at baseline were bad";
    record.reasons = vec![Why::new("unsteady", text)];
    record.marks = Marks { started: at(0), ended: Some(at(3000)), ..Marks::default() };
    record.controls[0].restored = Restored::Untouched;
    record.proof = Proof::default();
    record.lab = None;
    let service = &mut record.services[0];
    (service.recovery, service.failback) = (None, None);
    for promise in &mut service.promises {
        promise.measured = None;
        promise.judgement = Judgement::Undecided;
        promise.why = "nothing was cut".into();
    }
    let probe = &mut service.probes[0];
    (probe.recovery, probe.outages, probe.outage_count) = (None, vec![], 0);
    probe.latency.remove(&Stage::Observe);
    record
}

/// Stopped by a person before the service was back.
pub fn stopped() -> RunRecord {
    let mut record = passed();
    record.verdict = Verdict::Stopped;
    record.reasons = vec![Why::new("signal", "stopped by SIGINT 1.2 s after the cut")];
    record.marks.restore_issued = Some(at(4200));
    record.marks.restore_confirmed = Some(at(4210));
    let unseen = Bounds { low: ms(1180), high: None };
    let service = &mut record.services[0];
    service.recovery = Some(Recovery { bounds: unseen, split: None, ..recovery(612, 812) });
    service.failback = None;
    service.promises[0].measured = Some(unseen);
    service.promises[0].judgement = Judgement::Undecided;
    service.promises[0].why = "the drill ended before talk was back".into();
    service.promises[1].measured = None;
    service.promises[1].judgement = Judgement::Undecided;
    service.promises[1].why = "the drill ended before failback".into();
    service.probes[0].outages[0].ended_by = None;
    record.lab = None;
    record
}

/// Stopped by a guardrail, beside others that held.
pub fn guarded() -> RunRecord {
    let mut record = stopped();
    let limit = "`job:errors:ratio_rate1m` above 0.05 for 10 s";
    let why = format!("guardrail errors is broken: the query gives 0.0731 (limit: {limit})");
    record.reasons = vec![Why::new("guardrail-broken", why.clone())];
    let held = |name: &str, kind, limit: &str, worst| GuardrailRecord {
        name: name.into(),
        kind,
        limit: limit.into(),
        last: None,
        worst,
        reads: 42,
        unreadable: 0,
        broken: None,
        why: None,
    };
    record.guardrails = vec![
        held(
            "talk-good-share",
            GuardrailKind::GoodShare,
            "below 20 % good for 30 s",
            Some(0.99951),
        ),
        held("talk-latency", GuardrailKind::Latency, "p95 above 2 s for 10 s", Some(1234.5)),
        GuardrailRecord {
            last: Some(0.0731),
            broken: Some(at(4188)),
            why: Some(why),
            ..held("errors", GuardrailKind::Prometheus, limit, Some(0.0731))
        },
        GuardrailRecord {
            unreadable: 2,
            ..held(
                "alertmanager",
                GuardrailKind::Alertmanager,
                "an alert with severity=\"critical\" fires",
                Some(0.0),
            )
        },
        GuardrailRecord {
            unreadable: 42,
            ..held("shop", GuardrailKind::Http, "a bad answer", None)
        },
        held("kill-switch", GuardrailKind::KillSwitch, "/etc/firedrill.stop exists", Some(0.0)),
    ];
    record
}

/// No sample was bad.
pub fn seamless() -> RunRecord {
    let mut record = passed();
    let service = &mut record.services[0];
    let recovery = Recovery { bounds: bounds(0, 103), seamless: true, relapses: 0, split: None };
    service.recovery = Some(recovery);
    service.promises[0] = promise(Promise::RecoverWithin, 3000, 0, 103);
    let why = "no sample was bad from the cut to the end of failback".into();
    let kept = PromiseResult::new(Promise::Sustain, Judgement::Kept, why);
    service.promises.push(PromiseResult { bad: Some(0), ..kept });
    let probe = &mut service.probes[0];
    probe.counts = ProbeCounts { due: 240, sent: 240, good: 240, ..ProbeCounts::default() };
    (probe.recovery, probe.outages, probe.outage_count) = (Some(recovery), vec![], 0);
    record.lab = None;
    record
}

/// The observer was blind, and nothing could be measured.
pub fn unmeasured() -> RunRecord {
    let mut record = passed();
    record.verdict = Verdict::Inconclusive;
    let text = "the observer was blind: 180 of 240 samples of talk/send were not sent";
    record.reasons = vec![Why::new("observer-blind", text)];
    let service = &mut record.services[0];
    (service.recovery, service.failback) = (None, None);
    for promise in &mut service.promises {
        (promise.measured, promise.probe) = (None, None);
        promise.judgement = Judgement::Undecided;
        promise.why = "the observer was blind when it mattered".into();
    }
    let probe = &mut service.probes[0];
    probe.counts = ProbeCounts {
        due: 240,
        sent: 60,
        good: 60,
        unknown: 180,
        late: 1,
        late_by_at_most: ms(41),
        blindness: [("no file descriptor".to_owned(), 180)].into(),
        ..ProbeCounts::default()
    };
    (probe.recovery, probe.outages, probe.outage_count) = (None, vec![], 0);
    probe.latency.remove(&Stage::Observe);
    record
}

/// More than anyone wants to read one by one.
pub fn many_services() -> RunRecord {
    let mut record = passed();
    let (service, proof) = (record.services.remove(0), record.proof.services.remove(0));
    for number in 0..50 {
        let name: Name = format!("service-{number:02}").as_str().into();
        record.services.push(ServiceRecord { name: name.clone(), users: None, ..service.clone() });
        record.proof.services.push(ServiceProof { service: name, ..proof.clone() });
    }
    record.services[7].probes.push(ProbeRecord {
        name: "over-kept-connections".into(),
        may_stay: true,
        required: false,
        keep_alive: true,
        counts: ProbeCounts { due: 1_234_567, sent: 1_234_567, good: 1_234_567, ..send().counts },
        ..send()
    });
    record.plan.cut.mode = Mode::Degrade(Degrade {
        latency: ms(200),
        jitter: ms(50),
        loss: 0.05,
        bandwidth: Some(125_000),
    });
    record
}
