//! A name that moved: the DNS itself, and three cohorts of clients that follow it sooner or later.

use super::{at, ms, passed, recovery, send};
use crate::model::*;

/// One probe of the DNS and three of the site.
pub fn cohorts() -> RunRecord {
    let mut record = passed();
    let cohort = |cache| Cohort {
        name: None,
        cache,
        servers: vec!["10.0.0.53:53".to_owned()],
        every_address: false,
        last_led_there: None,
    };
    let named = |name: &str, cache, last| {
        let (name, last_led_there) = (Some(name.into()), Some(at(last)));
        Some(Cohort { name, last_led_there, ..cohort(Some(cache)) })
    };
    record.services[0].probes = vec![
        ProbeRecord {
            name: "zone".into(),
            asks: "DNS A app.example at 10.0.0.53:53".into(),
            cohort: Some(cohort(None)),
            recovery: Some(Recovery { seamless: true, ..recovery(0, 124) }),
            ..send()
        },
        ProbeRecord {
            name: "home.ttl".into(),
            cohort: named("ttl", DnsCache::Ttl, 4_980),
            recovery: Some(recovery(1_980, 2_080)),
            ..send()
        },
        ProbeRecord {
            name: "home.stale".into(),
            cohort: named("stale", DnsCache::For(ms(300_000)), 12_000),
            recovery: Some(Recovery {
                bounds: Bounds { low: ms(8_997), high: None },
                ..recovery(8_997, 8_997)
            }),
            ..send()
        },
        ProbeRecord {
            name: "home.every".into(),
            cohort: Some(Cohort { every_address: true, ..cohort(Some(DnsCache::None)) }),
            recovery: None,
            ..send()
        },
    ];
    record
}
