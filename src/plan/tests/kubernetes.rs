//! Plans with a Kubernetes cluster.

use std::time::Duration;

use super::{broken, drawn, parsed_with};
use crate::model::{
    DatacenterId, KubernetesAccess, KubernetesBackend, KubernetesBackends, KubernetesBy,
    KubernetesNodes, KubernetesPolicies, KubernetesSettings, KubernetesZone, Provider,
};

/// A good plan with a control of these settings too.
fn with(settings: &str) -> String {
    broken("  door:\n", &format!("  mesh: {{ kubernetes: {{ {settings} }} }}\n  door:\n"))
}

fn settings(text: &str) -> KubernetesSettings {
    let outcome = parsed_with(with(text).as_bytes(), &[]);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let mesh = plan.traffic.into_iter().find(|control| control.name.as_str() == "mesh").unwrap();
    match mesh.provider {
        Provider::Kubernetes(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_mean_exactly_what_they_say() {
    let backend = |route: &str, service: &str| KubernetesBackend {
        namespace: "shop".into(),
        route: route.into(),
        service: service.into(),
    };
    let backends =
        |number, backends| KubernetesBackends { datacenter: DatacenterId(number), backends };
    let routes = vec![
        backends(0, vec![backend("web", "web-e")]),
        backends(1, vec![backend("web", "web-w"), backend("pay", "pay-w")]),
    ];
    let text = "context: me@prod, kubeconfig: /k, server: 'https://api:6443', timeout: 1s, \
                routes: { east: shop/web/web-e, west: [shop/web/web-w, shop/pay/pay-w] }";
    let expected = KubernetesSettings {
        access: KubernetesAccess::Context { name: "me@prod".into(), kubeconfig: Some("/k".into()) },
        server: Some("https://api:6443".into()),
        by: KubernetesBy::Routes(routes),
        timeout: Duration::from_secs(1),
    };
    assert_eq!(settings(text), expected);

    let zone =
        |number, zone: &str| KubernetesZone { datacenter: DatacenterId(number), zone: zone.into() };
    let nodes = KubernetesNodes {
        label: "topology.kubernetes.io/zone".into(),
        zones: vec![zone(0, "a"), zone(1, "b")],
        namespaces: vec!["shop".into()],
        evict_within: Duration::from_secs(12),
    };
    let policies = KubernetesPolicies {
        label: nodes.label.clone(),
        zones: nodes.zones.clone(),
        namespaces: nodes.namespaces.clone(),
    };
    let text = "in_cluster: true, policies: { zones: { east: a, west: b }, namespaces: shop }";
    assert_eq!(settings(text).by, KubernetesBy::Policies(policies));
    let expected = KubernetesSettings {
        access: KubernetesAccess::InCluster,
        server: None,
        by: KubernetesBy::Nodes(nodes),
        timeout: Duration::from_secs(5),
    };
    let text = "in_cluster: true, nodes: { zones: { east: a, west: b }, namespaces: shop }";
    assert_eq!(settings(text), expected);
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    let nodes = "nodes: { zones: { east: a, west: b }, namespaces: shop }";
    for (text, what) in [
        (nodes.to_owned(), "`kubernetes` needs one of `context`, `in_cluster`"),
        (format!("context: a, in_cluster: true, {nodes}"), "has `context` and `in_cluster`"),
        (format!("in_cluster: false, {nodes}"), "no cluster is named"),
        (format!("in_cluster: true, kubeconfig: /k, {nodes}"), "without a `kubeconfig`"),
        ("context: a".to_owned(), "`kubernetes` needs one of `nodes`, `routes`, `policies`"),
        (format!("context: a, {nodes}, server: api"), "a URL begins with"),
        (format!("context: a, {nodes}").replace("west: b", "west: a"), "are the zone `a`"),
        (format!("context: a, {nodes}").replace("west: b", "nort: b"), "nort"),
        (format!("context: a, {nodes}").replace("shop", "../x"), "is not a namespace"),
        (format!("context: a, {nodes}").replace("shop", "[]"), "names none"),
        (format!("context: a, {nodes}").replace("shop }", "shop, label: '/x' }"), "is not a label"),
        (
            format!("context: a, {nodes}").replace("shop }", "shop, evict_within: 13s }"),
            "is longer than 12 s",
        ),
        (
            "context: a, policies: { zones: { east: a }, namespaces: [], evict_within: 1s }"
                .to_owned(),
            "no pod would be isolated",
        ),
        ("context: a, routes: { east: shop/web }".to_owned(), "is not `NAMESPACE/ROUTE/SERVICE`"),
        (
            "context: a, routes: { east: shop/../web }".to_owned(),
            "is not `NAMESPACE/ROUTE/SERVICE`",
        ),
        ("context: a, routes: { east: [] }".to_owned(), "`east` has no backends"),
        ("context: a, routes: { east: a/b/c, west: a/b/c }".to_owned(), "stands here twice"),
    ] {
        let drawn = drawn(with(&text).as_bytes());
        assert!(drawn.contains(what) && drawn.contains("drill.yaml:"), "{text}: {drawn}");
    }
}
