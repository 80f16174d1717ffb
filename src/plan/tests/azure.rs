//! Plans with an Azure Traffic Manager profile.

use std::time::Duration;

use super::{broken, drawn, parsed_with};
use crate::model::{AzureEndpoints, AzureSettings, DatacenterId, Provider};

/// A good plan with a control of these settings too.
fn with(settings: &str) -> String {
    broken("  door:\n", &format!("  names: {{ azure: {{ {settings} }} }}\n  door:\n"))
}

const GOOD: &str = "subscription: s-1, resource_group: shop, \
                    traffic_manager: { profile: web, endpoints: { east: 'e-*', west: [w-1, w-2] } }";

#[test]
fn settings_mean_exactly_what_they_say() {
    let outcome = parsed_with(with(GOOD).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let names = plan.traffic.into_iter().find(|it| it.name.as_str() == "names").unwrap();
    let endpoints = |number, patterns: &[&str]| AzureEndpoints {
        datacenter: DatacenterId(number),
        patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
    };
    let expected = AzureSettings {
        subscription: "s-1".into(),
        resource_group: "shop".into(),
        profile: "web".into(),
        endpoints: vec![endpoints(0, &["e-*"]), endpoints(1, &["w-1", "w-2"])],
        endpoint: None,
        timeout: Duration::from_secs(5),
    };
    assert_eq!(names.provider, Provider::Azure(expected));
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    for (from, to, what) in [
        ("subscription: s-1, ", "", "subscription"),
        ("s-1", "a/b", "is not the id of a subscription"),
        ("resource_group: shop", "resource_group: '..'", "is not the name of a resource group"),
        ("profile: web", "profile: a/b", "is not the name of a profile"),
        ("'e-*'", "e/1", "is not the name of an endpoint"),
        ("'e-*'", "[]", "`east` has no endpoints"),
        ("east:", "nowhere:", "nowhere"),
        ("traffic_manager:", "endpoint: x, traffic_manager:", "a URL begins with"),
    ] {
        let drawn = drawn(with(&GOOD.replacen(from, to, 1)).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{to}: {drawn}");
    }
}
