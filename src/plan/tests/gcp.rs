//! Plans with Google Cloud's load balancers and names.

use std::time::Duration;

use super::{broken, drawn, parsed_with};
use crate::model::{
    DatacenterId, GcpBy, GcpGroups, GcpItem, GcpItems, GcpService, GcpSettings, Provider,
};

/// A good plan with a control of these settings too.
fn with(settings: &str) -> String {
    broken("  door:\n", &format!("  glb: {{ gcp: {{ {settings} }} }}\n  door:\n"))
}

const GOOD: &str = "project: shop-1, backend_services: [web, r1/pay], groups: { east: 'z-a/*', west: [z-b/x, z-b/y] }";

#[test]
fn settings_mean_exactly_what_they_say() {
    let outcome = parsed_with(with(GOOD).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let glb = plan.traffic.into_iter().find(|control| control.name.as_str() == "glb").unwrap();
    let groups = |number, patterns: &[&str]| GcpGroups {
        datacenter: DatacenterId(number),
        patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
    };
    let expected = GcpSettings {
        project: "shop-1".into(),
        by: GcpBy::Backends {
            services: vec![
                GcpService { region: None, name: "web".into() },
                GcpService { region: Some("r1".into()), name: "pay".into() },
            ],
            groups: vec![groups(0, &["z-a/*"]), groups(1, &["z-b/x", "z-b/y"])],
        },
        endpoint: None,
        timeout: Duration::from_secs(5),
    };
    assert_eq!(glb.provider, Provider::Gcp(expected));
}

const NAMES: &str = "project: shop-1, dns: { zone: shop, \
                     items: { east: WWW.shop.example./a/192.0.2.1, west: [www.shop.example/A/198.51.100.1] } }";

#[test]
fn items_are_named_by_a_record_set_and_one_of_its_answers() {
    let outcome = parsed_with(with(NAMES).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let glb = plan.traffic.into_iter().find(|control| control.name.as_str() == "glb").unwrap();
    let of = |number, data: &str| GcpItems {
        datacenter: DatacenterId(number),
        items: vec![GcpItem {
            name: "www.shop.example".into(),
            kind: "A".into(),
            data: data.into(),
        }],
    };
    let items = vec![of(0, "192.0.2.1"), of(1, "198.51.100.1")];
    let Provider::Gcp(GcpSettings { by, .. }) = glb.provider else { panic!() };
    assert_eq!(by, GcpBy::Dns { zone: "shop".into(), items });
    for (from, to, what) in [
        ("zone: shop, ", "", "`dns` lacks the key `zone`"),
        ("zone: shop", "zone: a.b", "is not the name of a managed zone"),
        ("192.0.2.1", "198.51.100.1", "stands here twice"),
        ("/a/192.0.2.1", "/a", "is not `NAME/TYPE/ANSWER`"),
        ("WWW.shop.example.", "www", "is not `NAME/TYPE/ANSWER`"),
        ("[www.shop.example/A/198.51.100.1]", "[]", "`west` has no items"),
        ("dns: {", "backend_services: web, dns: {", "`backend_services` and `dns`"),
        ("dns: {", "groups: { east: a/b }, dns: {", "`groups` are those of `backend_services`"),
        ("dns: {", "x: {", "needs one of `backend_services`, `dns`"),
    ] {
        let drawn = drawn(with(&NAMES.replacen(from, to, 1)).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{to}: {drawn}");
    }
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    for (from, to, what) in [
        ("project: shop-1, ", "", "project"),
        ("shop-1", "a/b", "is not the id of a project"),
        ("[web, r1/pay]", "[]", "`backend_services` names none"),
        ("[web, r1/pay]", "[web, web]", "`web` stands here twice"),
        ("r1/pay", "a/b/c", "is not `NAME` or `REGION/NAME`"),
        ("'z-a/*'", "z-a", "is not `LOCATION/GROUP`"),
        ("'z-a/*'", "[]", "`east` has no groups"),
        ("east:", "nowhere:", "nowhere"),
        ("groups:", "endpoint: x, groups:", "a URL begins with"),
    ] {
        let drawn = drawn(with(&GOOD.replacen(from, to, 1)).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{to}: {drawn}");
    }
}
