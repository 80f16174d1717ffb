//! Plans with a profile of Azure's Traffic Manager or Front Door.

use std::time::Duration;

use super::{broken, drawn, parsed_with};
use crate::model::{AzureBy, AzureParts, AzureSettings, DatacenterId, Provider};

/// A good plan with a control of these settings too.
fn with(settings: &str) -> String {
    broken("  door:\n", &format!("  names: {{ azure: {{ {settings} }} }}\n  door:\n"))
}

const GOOD: &str = "subscription: s-1, resource_group: shop, \
                    traffic_manager: { profile: web, endpoints: { east: 'e-*', west: [w-1, w-2] } }";

const DOOR: &str = "subscription: s-1, resource_group: shop, \
                    front_door: { profile: web, origins: { east: 'web/e-*', west: [web/w-1, api/w] } }";

fn parts(number: u16, patterns: &[&str]) -> AzureParts {
    AzureParts {
        datacenter: DatacenterId(number),
        patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
    }
}

fn by(settings: &str) -> AzureBy {
    let outcome = parsed_with(with(settings).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let names = plan.traffic.into_iter().find(|it| it.name.as_str() == "names").unwrap();
    match names.provider {
        Provider::Azure(AzureSettings { by, .. }) => by,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_profile_is_of_traffic_manager_or_of_front_door() {
    let origins = vec![parts(0, &["web/e-*"]), parts(1, &["web/w-1", "api/w"])];
    assert_eq!(by(DOOR), AzureBy::FrontDoor { profile: "web".into(), origins });
    for (from, to, what) in [
        ("web/e-*", "e-*", "is not `ORIGIN_GROUP/ORIGIN`"),
        ("web/e-*", "web/", "is not `ORIGIN_GROUP/ORIGIN`"),
        ("web/e-*", "a_b/c", "is not `ORIGIN_GROUP/ORIGIN`"),
        ("'web/e-*'", "[]", "`east` has no origins"),
        ("profile: web", "profile: a_b", "is not the name of a profile"),
        ("front_door:", "traffic_manager: {}, front_door:", "`traffic_manager` and `front_door`"),
        ("front_door: {", "x: {", "needs one of `traffic_manager`, `front_door`"),
    ] {
        let drawn = drawn(with(&DOOR.replacen(from, to, 1)).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{to}: {drawn}");
    }
}

#[test]
fn settings_mean_exactly_what_they_say() {
    let outcome = parsed_with(with(GOOD).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let names = plan.traffic.into_iter().find(|it| it.name.as_str() == "names").unwrap();
    let expected = AzureSettings {
        subscription: "s-1".into(),
        resource_group: "shop".into(),
        by: AzureBy::TrafficManager {
            profile: "web".into(),
            endpoints: vec![parts(0, &["e-*"]), parts(1, &["w-1", "w-2"])],
        },
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
        ("'e-*'", "e 1", "is not the name of an endpoint"),
        ("'e-*'", "[]", "`east` has no endpoints"),
        ("east:", "nowhere:", "nowhere"),
        ("traffic_manager:", "endpoint: x, traffic_manager:", "a URL begins with"),
    ] {
        let drawn = drawn(with(&GOOD.replacen(from, to, 1)).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{to}: {drawn}");
    }
}
