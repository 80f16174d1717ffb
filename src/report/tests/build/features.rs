//! A service of two features, one of which is not back.

use super::{bounds, failed, ms, promise, send};
use crate::model::*;

/// Text is back in time, images are not; and text does not carry the load.
pub fn features() -> RunRecord {
    let mut record = failed();
    let service = &mut record.services[0];
    let images = Recovery {
        bounds: Bounds { low: ms(6_012), high: None },
        seamless: false,
        relapses: 0,
        split: None,
    };
    service.recovery = Some(images);
    service.probes.push(ProbeRecord {
        name: "images".into(),
        counts: ProbeCounts { due: 240, sent: 240, good: 118, bad: 122, ..Default::default() },
        recovery: Some(images),
        ..send()
    });
    let held = HeldShare { good: 80, bad: 18, unknown: 2 };
    let why = "80 of 100 samples were good once the time to recover was over".into();
    let brownout = PromiseResult::new(Promise::GoodWhileCut, Judgement::Broken, why);
    let why = "still failing 6.012 s after, budget 3 s".into();
    let late = PromiseResult::new(Promise::RecoverWithin, Judgement::Broken, why);
    let measured = Some(images.bounds);
    let feature: Option<Name> = Some("images".into());
    service.promises = vec![
        promise(Promise::RecoverWithin, 3_000, 612, 812),
        PromiseResult {
            held: Some(held),
            at_least: Some(0.99),
            probe: Some("send".into()),
            ..brownout
        },
        promise(Promise::P99WhileCut, 500, 212, 230),
        PromiseResult {
            probe: feature.clone(),
            feature,
            budget: Some(ms(3_000)),
            measured,
            ..late
        },
    ];
    let users = 47_430_000.0 / 60.0;
    service.impact = Some(Impact {
        probe: "images".into(),
        bad: bounds(6_100, 6_250),
        user_minutes: Some(UserMinutes { low: 6.1 * users, high: 6.25 * users }),
    });
    let text = "talk: recover_within: still failing 6.012 s after, budget 3 s";
    record.reasons = vec![Why::new("promise-broken", text)];
    let latency = Latency { count: 2_110, p50: ms(12), p99: ms(480), max: ms(990) };
    record.loads = vec![LoadRecord {
        name: "greetings".into(),
        rate: 300.0,
        counts: ProbeCounts {
            due: 2_140,
            sent: 2_134,
            good: 2_110,
            bad: 24,
            unknown: 6,
            ..Default::default()
        },
        latency: [(Stage::Observe, latency)].into(),
        course: super::course(),
    }];
    record.lab = None;
    record.environment = Some(environment());
    let why = Some("No space left on device (os error 28)".into());
    record.samples = Some(SamplesRecord { kept: 2_102, lost: 512, why });
    record
}

/// A machine of which all is known.
fn environment() -> Environment {
    Environment {
        host: "observer-1".into(),
        os: Some("Debian GNU/Linux 13 (trixie)".into()),
        kernel: "Linux 6.12.43 x86_64".into(),
        cores: Some(2),
        memory_bytes: Some(4 << 30),
        open_files: Some(1_048_576),
        time_zone: Some("Asia/Seoul".into()),
        commit: Some("4f41f60".into()),
        timer: Timer { sent: 2_614, late: 3, late_by_at_most: ms(41) },
    }
}
