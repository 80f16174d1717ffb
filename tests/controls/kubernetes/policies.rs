//! Pods isolated by network policies.

use firedrill::model::{KubernetesPolicies, KubernetesZone, ModeKind};
use serde_json::Value;

use super::*;
use crate::rest::{Instead, said};

fn blackhole() -> CutOrder {
    CutOrder::of(A, Mode::Blackhole)
}

pub fn policies() -> KubernetesBy {
    let zone = |datacenter, zone: &str| KubernetesZone { datacenter, zone: zone.into() };
    KubernetesBy::Policies(KubernetesPolicies {
        label: "topology.kubernetes.io/zone".into(),
        zones: vec![zone(A, "zone-a"), zone(B, "zone-b")],
        namespaces: vec!["shop".into()],
    })
}

/// A policy of somebody else's, for the pods that `selector` takes.
fn policy(name: &str, selector: Value, ingress: Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress },
    })
}

#[tokio::test]
async fn policies_keep_the_contract_and_cut_as_if_packets_vanished() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    assert_eq!(control.spec().provider.modes(), [ModeKind::Blackhole]);
    contract::holds(&*control, &blackhole()).await;
    assert!(cluster.state().policies.is_empty(), "nothing of ours is left");
    let shown = format!("{:?}", control.exchanges());
    assert!(shown.contains("DELETE") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_policy_of_ours_that_another_hand_changed_is_left_alone() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    let hand = async {
        cluster.state().policies[0]["spec"]["ingress"] = json!([{}]);
    };
    contract::leaves_another_hand_alone(&*control, &blackhole(), "shop/zone-a", hand).await;
}

#[tokio::test]
async fn a_cut_isolates_the_pods_of_the_zone_and_the_way_back_takes_away_ours_alone() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    // One that only forbids does not stand in the way.
    let others = policy("deny-batch", json!({ "matchLabels": { "app": "batch" } }), json!([]));
    cluster.state().policies.push(others.clone());
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts.keys().collect::<Vec<_>>(), ["shop/zone-a", "shop/zone-b"]);
    control.cut(&blackhole(), &snapshot).await.unwrap();
    let ours = cluster.state().policies[1].clone();
    assert_eq!(
        ours["spec"],
        json!({
            "podSelector": { "matchLabels": { "topology.kubernetes.io/zone": "zone-a" } },
            "policyTypes": ["Ingress", "Egress"],
        })
    );
    let by_hand = control.by_hand(&snapshot.cuttable(&blackhole()));
    assert_eq!(by_hand.len(), 1);
    assert!(by_hand[0].ends_with("-n shop delete networkpolicy firedrill-zone-a-0"), "{by_hand:?}");
    control.restore(&snapshot.cuttable(&blackhole())).await.unwrap();
    assert_eq!(cluster.state().policies, [others]);
}

#[tokio::test]
async fn a_policy_of_our_name_that_is_not_ours_is_never_taken_away() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    let snapshot = control.inspect().await.unwrap();
    let theirs = policy("firedrill-zone-a-0", json!({}), json!([{}]));
    cluster.state().policies.push(theirs.clone());
    let error = control.cut(&blackhole(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("already exists"), "{error}");
    let error = control.restore(&snapshot).await.unwrap_err();
    assert!(error.what.contains("is not firedrill's"), "{error}");
    assert_eq!(cluster.state().policies, [theirs]);
}

#[tokio::test]
async fn a_404_that_is_not_the_clusters_is_no_way_back() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&blackhole(), &snapshot).await.unwrap();
    // As of something that stands before the cluster.
    let page = said("404 Not Found", "", "404 page not found");
    cluster.state().instead = Instead::always("GET", "/networkpolicies", &page);
    assert!(control.inspect().await.unwrap_err().what.contains("404 page not found"));
    control.restore(&snapshot).await.unwrap_err();
    cluster.state().instead = Instead::default();
    assert!(control.inspect().await.unwrap().is_cut(&blackhole()));
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    for verb in ["get", "list", "create", "delete"] {
        let cluster = Cluster::start().await;
        let denied = format!("{verb} networkpolicies");
        cluster.state().denied = vec![denied.clone().leak()];
        let control = control(cluster.at, policies());
        let error = control.preflight().await.unwrap_err();
        let words = format!("{denied}.networking.k8s.io in namespace shop");
        assert_eq!(error.what, format!("the cluster does not let us {words}"));
        let needs = control.spec().provider.settings().needs();
        assert!(needs.iter().any(|need| need.starts_with(&words)), "{needs:?}");
    }
}

#[tokio::test]
async fn preflight_finds_what_no_policy_could_cut_and_changes_nothing() {
    type Change = fn(&mut cluster::State);
    let allow = |selector: Value| policy("allow-web", selector, json!([{}]));
    let by_label = allow(json!({ "matchLabels": { "app": "web" } }));
    let by_words = allow(json!({ "matchExpressions": [
        { "key": "app", "operator": "In", "values": ["web"] },
        { "key": "canary", "operator": "DoesNotExist" },
    ]}));
    let all = allow(json!({}));
    for allowing in [by_label, by_words, all] {
        let cluster = Cluster::start().await;
        cluster.state().policies.push(allowing.clone());
        let error = control(cluster.at, policies()).preflight().await.unwrap_err();
        let what = "the NetworkPolicy shop/allow-web lets traffic of shop/web-1 pass";
        assert!(error.what.starts_with(what), "{error}");
        assert_eq!(cluster.state().policies, [allowing]);
    }
    let cases: [(Change, &str); 2] = [
        (
            |it| it.pods[0]["spec"]["hostNetwork"] = json!(true),
            "shop/web-1 is on its node's own network",
        ),
        (
            |it| it.pods.retain(|pod| pod["spec"]["nodeName"] != "b1"),
            "no pod has the label topology.kubernetes.io/zone=zone-b",
        ),
    ];
    for (change, what) in cases {
        let cluster = Cluster::start().await;
        change(&mut cluster.state());
        let error = control(cluster.at, policies()).preflight().await.unwrap_err();
        assert!(error.what.starts_with(what), "{error}");
        assert!(cluster.state().policies.is_empty());
    }
}

#[tokio::test]
async fn who_serves_on_is_told_by_pods_that_are_ready_elsewhere() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    let left = async || control.survivors(&blackhole()).await.unwrap()[0].left;
    assert_eq!(left().await, 1);
    cluster.state().pods[2]["status"]["conditions"][0]["status"] = json!("False");
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn a_cluster_that_accepts_and_keeps_nothing_reads_as_not_cut() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, policies());
    cluster.state().obeys = false;
    let snapshot = control.inspect().await.unwrap();
    control.cut(&blackhole(), &snapshot).await.unwrap();
    assert!(!control.inspect().await.unwrap().is_cut(&blackhole()));
}
