//! The `kubernetes` control against a double of the API server.

mod cluster;
mod policies;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use firedrill::journal::Says;
use firedrill::model::{
    ControlSpec, ControlState, CutOrder, KubernetesAccess, KubernetesBackend, KubernetesBackends,
    KubernetesBy, KubernetesNodes, KubernetesSettings, KubernetesZone, Mode, Passage, Provider,
    Text,
};
use firedrill::restore::Reading;
use firedrill::traffic::TrafficControl;
use firedrill::traffic::kubernetes::Kubernetes;
use serde_json::json;
use tempfile::TempDir;

use self::cluster::{Cluster, TOKEN, pod};
use crate::contract;
use crate::journal_alone::{End, restored};
use crate::world::{A, B};

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// A control of the cluster at `at`, and the kubeconfig that it reads.
struct Control {
    kubernetes: Kubernetes,
    _home: TempDir,
}

impl std::ops::Deref for Control {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.kubernetes
    }
}

fn control(at: std::net::SocketAddr, by: KubernetesBy) -> Control {
    reached(&format!("http://{at}"), "", by, Duration::from_secs(2))
}

/// A control of the API server at `url`; `cluster` is what the kubeconfig says of it besides.
fn reached(url: &str, cluster: &str, by: KubernetesBy, timeout: Duration) -> Control {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    // The address in the plan goes before that of the file.
    let text = format!(
        "clusters: [{{ name: c, cluster: {{ server: 'https://192.0.2.1:6443'{cluster} }} }}]\n\
         contexts: [{{ name: drill@c, context: {{ cluster: c, user: drill }} }}]\n\
         users: [{{ name: drill, user: {{ token: {TOKEN} }} }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let kubeconfig = Some(Text::from(file.to_str().unwrap()));
    let provider = Provider::Kubernetes(KubernetesSettings {
        access: KubernetesAccess::Context { name: "drill@c".into(), kubeconfig },
        server: Some(Text::from(url)),
        by,
        timeout,
    });
    let spec = ControlSpec { name: "mesh".into(), provider };
    Control { kubernetes: Kubernetes::new(&spec).unwrap(), _home: home }
}

fn nodes() -> KubernetesBy {
    let zone = |datacenter, zone: &str| KubernetesZone { datacenter, zone: zone.into() };
    KubernetesBy::Nodes(KubernetesNodes {
        label: "topology.kubernetes.io/zone".into(),
        zones: vec![zone(A, "zone-a"), zone(B, "zone-b")],
        namespaces: vec!["shop".into()],
        evict_within: Duration::from_secs(3),
    })
}

fn routes() -> KubernetesBy {
    let backends = |datacenter, service: &str| KubernetesBackends {
        datacenter,
        backends: vec![KubernetesBackend {
            namespace: "shop".into(),
            route: "web".into(),
            service: service.into(),
        }],
    };
    KubernetesBy::Routes(vec![backends(A, "web-a"), backends(B, "web-b")])
}

#[tokio::test]
async fn kubernetes_keeps_the_contract_by_nodes_and_by_routes() {
    for by in [nodes(), routes()] {
        let cluster = Cluster::start().await;
        let control = control(cluster.at, by);
        contract::holds(&*control, &drain()).await;
        let identity = control.identity().await.unwrap();
        assert_eq!(identity.as_deref(), Some("kubernetes cluster cluster-1"));
        let shown = format!("{:?}", control.exchanges());
        assert!(shown.contains("PATCH") && !shown.contains(TOKEN), "{shown}");
    }
}

#[tokio::test]
async fn a_weight_that_another_hand_set_is_left_alone() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, routes());
    let hand = async {
        let mut state = cluster.state();
        state.routes[0]["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(5);
    };
    let part = "shop/web/0/web-a:8080";
    contract::leaves_another_hand_alone(&*control, &drain(), part, hand).await;
}

#[tokio::test]
async fn another_cluster_in_which_all_is_as_it_was_is_not_taken_for_the_one_that_was_cut() {
    for (by, order) in [
        (nodes(), drain()),
        (routes(), drain()),
        (policies::policies(), CutOrder::of(A, Mode::Blackhole)),
    ] {
        let cluster = Cluster::start().await;
        let control = control(cluster.at, by);
        let before = control.inspect().await.unwrap();
        let ours = before.cuttable(&order);
        // The context leads elsewhere now, where the same names are: nothing is cut there, and nothing was put back.
        cluster.state().uid = "cluster-2";
        let now = control.inspect().await.unwrap();
        let reading = Reading::of(&now, &ours, &control.cut_state(&order, &before));
        assert_eq!(reading.says(), Says::Neither, "{now:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_has_none_of_it_is_not_taken_for_another_hand() {
    for (by, what) in [
        (nodes(), "has no node in any zone of the plan"),
        (routes(), "has none of the routes' backends"),
    ] {
        let cluster = Cluster::start().await;
        cluster.state().nodes.clear();
        cluster.state().routes.clear();
        let error = control(cluster.at, by).inspect().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_route_that_is_gone_or_unclear_keeps_no_other_cut() {
    type Hand = fn(&mut cluster::State);
    let hands: [(Hand, &[&str]); 2] = [
        (|it| drop(it.routes.remove(0)), &["shop/web/0/web-a:8080", "shop/web/1/web-a:8080"]),
        (
            |it| {
                let refs = it.routes[0]["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
                refs.push(json!({ "name": "web-a", "port": 8080, "weight": 3 }));
            },
            &["shop/web/0/web-a:8080"],
        ),
    ];
    for (hand, gone) in hands {
        let cluster = Cluster::start().await;
        let mut other = cluster.state().routes[0].clone();
        other["metadata"]["name"] = json!("api");
        cluster.state().routes.push(other);
        let KubernetesBy::Routes(mut both) = routes() else { unreachable!() };
        for it in &mut both {
            let mut api = it.backends[0].clone();
            api.route = "api".into();
            it.backends.push(api);
        }
        let Control { kubernetes, _home } = control(cluster.at, KubernetesBy::Routes(both));
        let control: Arc<dyn TrafficControl> = Arc::new(kubernetes);
        let before = control.inspect().await.unwrap();
        let end = restored(&control, &drain(), async { hand(&mut cluster.state()) }).await;
        let gone = gone.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(end, End::Foreign(gone));
        let after = control.inspect().await.unwrap();
        let api = |state: &ControlState| {
            let parts = state.parts.iter().filter(|(part, _)| part.starts_with("shop/api/"));
            parts.map(|(part, is)| (part.clone(), is.clone())).collect::<Vec<_>>()
        };
        assert_eq!((api(&after).len(), api(&after)), (4, api(&before)));
        control.preflight().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for by in [nodes(), routes()] {
        let mut control = control(silent.local_addr().unwrap(), by);
        let mut spec = control.spec().clone();
        let Provider::Kubernetes(settings) = &mut spec.provider else { unreachable!() };
        settings.timeout = Duration::from_millis(200);
        control.kubernetes = Kubernetes::new(&spec).unwrap();
        contract::gives_up_within(&*control, &drain(), Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_cut_empties_the_nodes_of_the_zone_and_touches_nothing_else() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let before = cluster.state().pods.clone();
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts.keys().collect::<Vec<_>>(), ["a1", "a2", "b1"]);
    // A budget holds each pod up at first.
    cluster.state().held_up = 2;
    control.cut(&drain(), &snapshot).await.unwrap();
    {
        let state = cluster.state();
        let at = |zone: &str| {
            let on = state
                .pods
                .iter()
                .filter(|pod| pod["spec"]["nodeName"].as_str().unwrap().starts_with(zone));
            on.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        // What its node runs for itself and what is done stays; the rest is elsewhere.
        assert_eq!(at("a"), ["agent-1", "job-1"]);
        assert_eq!(state.pods.len(), before.len());
    }
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert!(cluster.state().nodes.iter().all(|node| node["spec"] == json!({ "providerID": "x" })));
}

#[tokio::test]
async fn what_holds_an_eviction_up_is_named_and_the_way_back_is_whole() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let snapshot = control.inspect().await.unwrap();
    cluster.state().held_up = usize::MAX;
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(
        error.what.contains("shop/web-1 stays") && error.what.contains("shop/web-2"),
        "{error}"
    );
    assert!(error.what.contains("Cannot evict pod as it would violate"), "{error}");
    assert!(error.hint.contains("PodDisruptionBudget"), "{error}");
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&drain()), "{now:?}");
    assert_eq!(now.parts["a1"].passage, Passage::Degraded, "what runs there serves on");
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_before_the_cut() {
    for (by, denied, words) in [
        (nodes(), "patch nodes", "patch nodes"),
        (nodes(), "create pods/eviction", "create pods/eviction in namespace shop"),
        (nodes(), "list pods", "list pods in namespace shop"),
        (
            routes(),
            "patch httproutes",
            "patch httproutes.gateway.networking.k8s.io in namespace shop",
        ),
        (routes(), "get namespaces", "get namespaces in namespace kube-system"),
    ] {
        let cluster = Cluster::start().await;
        cluster.state().denied = vec![denied];
        let control = control(cluster.at, by);
        let error = control.preflight().await.unwrap_err();
        let what = format!("the cluster does not let us {words}");
        assert_eq!(error.what, what, "{error}");
        let needs = control.spec().provider.settings().needs();
        assert!(needs.iter().any(|need| need.starts_with(words)), "{needs:?}");
    }
}

#[tokio::test]
async fn preflight_finds_what_would_not_work_and_changes_nothing() {
    type Change = fn(&mut cluster::State);
    let cases: [(KubernetesBy, Change, &str); 6] = [
        (nodes(), |it| it.pods.push(pod("bare", "a1", None)), "shop/bare has no controller"),
        (
            nodes(),
            |it| it.node("a2")["spec"]["unschedulable"] = json!(true),
            "a2 is cordoned and shop/web-2",
        ),
        (nodes(), |it| it.nodes.retain(|node| node["metadata"]["name"] != "b1"), "zone=zone-b"),
        (routes(), |it| it.routes.clear(), "there is no HTTP route shop/web"),
        (routes(), |it| it.routes[0]["status"] = json!({}), "no gateway says"),
        (
            routes(),
            |it| {
                for rule in 0..2 {
                    let refs = &mut it.routes[0]["spec"]["rules"][rule]["backendRefs"];
                    refs.as_array_mut().unwrap().retain(|backend| backend["name"] != "web-b");
                }
            },
            "no rule of shop/web has a backend web-b",
        ),
    ];
    for (by, change, what) in cases {
        let cluster = Cluster::start().await;
        change(&mut cluster.state());
        let all = || {
            let state = cluster.state();
            format!("{:?}{:?}", state.nodes, state.routes)
        };
        let before = all();
        let error = control(cluster.at, by).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert_eq!(all(), before);
    }
    for by in [nodes(), routes()] {
        let cluster = Cluster::start().await;
        control(cluster.at, by).preflight().await.unwrap();
        let heard = cluster.state().heard.clone();
        let patches: Vec<_> = heard.iter().filter(|line| line.starts_with("PATCH")).collect();
        assert!(!patches.is_empty() && patches.iter().all(|line| line.contains("dryRun=All")));
    }
}

#[tokio::test]
async fn a_cluster_that_accepts_and_does_nothing_is_never_cut() {
    for by in [nodes(), routes()] {
        let cluster = Cluster::start().await;
        let control = control(cluster.at, by);
        let snapshot = control.inspect().await.unwrap();
        cluster.state().obeys = false;
        // By nodes the pods stay, and that is said; by routes only a reading tells.
        let _ = control.cut(&drain(), &snapshot).await;
        assert!(!control.inspect().await.unwrap().is_cut(&drain()));
    }
}

#[tokio::test]
async fn a_route_is_cut_and_back_only_when_its_gateway_goes_by_it() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, routes());
    let before = control.inspect().await.unwrap();
    let (ours, expected) = (before.cuttable(&drain()), control.cut_state(&drain(), &before));
    let says = async || Reading::of(&control.inspect().await.unwrap(), &ours, &expected).says();
    cluster.state().is_followed = false;
    control.cut(&drain(), &before).await.unwrap();
    assert_eq!(cluster.state().weights(), [0, 1]);
    assert!(!control.inspect().await.unwrap().is_cut(&drain()), "accepted is not in force");
    assert_eq!(says().await, Says::Cut);
    cluster.state().follow();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));

    control.restore(&ours).await.unwrap();
    assert_eq!(cluster.state().weights(), [1, 1]);
    assert_eq!(says().await, Says::Cut, "accepted is not in force");
    cluster.state().follow();
    assert_eq!(says().await, Says::NotCut);
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn a_route_that_is_changed_at_the_same_time_keeps_what_the_other_hand_did() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, routes());
    let before = control.inspect().await.unwrap();
    // Another backend is put before ours, so that our steps are made for the wrong place.
    cluster.state().meanwhile = Some(|route| {
        let refs = route["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
        refs.insert(0, json!({ "name": "shadow", "port": 8080, "weight": 3 }));
    });
    control.cut(&drain(), &before).await.unwrap();
    assert_eq!(cluster.state().weights(), [3, 0, 1]);
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    control.restore(&before.cuttable(&drain())).await.unwrap();
    assert_eq!(cluster.state().weights(), [3, 1, 1]);
    let rule = &cluster.state().routes[0]["spec"]["rules"][0];
    assert_eq!(rule["timeouts"], json!({ "request": "3s" }), "what we do not know of stays");
}

#[tokio::test]
async fn a_restore_goes_on_after_a_refusal_and_names_what_is_gone() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    cluster.state().nodes.retain(|node| node["metadata"]["name"] != "a1");
    let error = control.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains("nodes \"a1\" not found"), "{error}");
    assert_eq!(cluster.state().node("a2")["spec"], json!({ "providerID": "x" }));

    let cluster = Cluster::start().await;
    let control = self::control(cluster.at, routes());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    let rule = cluster.state().routes[0]["spec"]["rules"].as_array_mut().unwrap().pop();
    let error = control.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains("shop/web/1/web-a:8080 is no longer there"), "{error}");
    assert_eq!(cluster.state().weights(), [1, 1]);
    assert!(rule.is_some());
}

#[tokio::test]
async fn a_refusal_of_the_cut_is_told_in_the_words_of_the_cluster() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let snapshot = control.inspect().await.unwrap();
    cluster.state().denied = vec!["patch nodes"];
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(
        error.what.contains("403 Forbidden: nodes is forbidden: User \"drill\" cannot patch"),
        "{error}"
    );
    assert!(!cluster.state().heard.iter().any(|line| line.contains("/eviction")));
}

#[tokio::test]
async fn the_way_back_by_hand_names_the_cluster_and_each_part() {
    for (by, words) in [
        (nodes(), "uncordon a1"),
        (
            routes(),
            "-n shop get httproute web -o json | jq '(.spec.rules[1].backendRefs[] | select(.name == \"web-a\" and .port == 8080)).weight = 9'",
        ),
    ] {
        let cluster = Cluster::start().await;
        let control = control(cluster.at, by);
        let snapshot = control.inspect().await.unwrap();
        let commands = control.by_hand(&snapshot.cuttable(&drain()));
        let all = commands.join("\n");
        assert!(all.contains("kubectl --context drill@c --kubeconfig /"), "{all}");
        assert!(all.contains(words), "{all}");
        let calls = control.calls(&drain(), &snapshot);
        assert!(
            calls.iter().any(|call| call.call.starts_with("PATCH") && call.undone_by.is_some())
        );
    }
}
