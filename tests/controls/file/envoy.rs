//! Envoy: endpoints in a file (EDS) whose directory it watches.

use std::path::Path;
use std::process::Child;

use firedrill::model::Passage;
use firedrill::traffic::TrafficControl;

use super::world::{Server, World, needed, spawn};
use super::{drain, keeps_the_contract};
use crate::world::within_bounds;

/// The file with these endpoints.
pub fn text(endpoints: &[String]) -> String {
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n  \
         cluster_name: app\n  endpoints:\n  - lb_endpoints:\n    {}\n",
        endpoints.join("\n    ")
    )
}

pub fn start(server: Server, home: &Path, at: &str) -> Child {
    let (host, port) = at.split_once(':').unwrap();
    let panic = if server == Server::EnvoyInPanic { 50 } else { 0 };
    let types = "type.googleapis.com/envoy.extensions.filters";
    let dynamic = home.join("dynamic");
    let dynamic = dynamic.display();
    let config = format!(
        r#"
node: {{ id: test, cluster: test }}
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts:
            - name: app
              domains: ["*"]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: app, timeout: 0s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {types}.http.router.v3.Router }}
  clusters:
  - name: app
    type: EDS
    connect_timeout: 1s
    common_lb_config: {{ healthy_panic_threshold: {{ value: {panic} }} }}
    eds_cluster_config:
      eds_config:
        path_config_source: {{ path: {dynamic}/app.yaml, watched_directory: {{ path: {dynamic} }} }}
"#
    );
    let path = home.join("envoy.yaml");
    std::fs::write(&path, config).unwrap();
    let words = ["-c", path.to_str().unwrap(), "--use-dynamic-base-id", "--concurrency", "1"];
    spawn(needed("envoy"), &words)
}

#[tokio::test]
async fn envoy_keeps_the_contract() {
    keeps_the_contract(Server::Envoy).await;
}

#[tokio::test]
async fn envoy_sends_new_requests_elsewhere() {
    super::moves_new_requests_alone(Server::Envoy).await;
}

#[tokio::test]
async fn a_datacenter_behind_envoy_may_be_dead_or_hang() {
    super::cuts_what_is_dead_or_hangs(Server::Envoy).await;
}

#[tokio::test]
async fn what_another_hand_writes_for_envoy_stays() {
    super::leaves_another_hand_alone(Server::Envoy).await;
}

#[tokio::test]
async fn a_cut_that_envoy_takes_for_panic_is_never_confirmed() {
    let world = World::start(Server::EnvoyInPanic).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let watch = world.watch();
    control.cut(&drain(), &snapshot).await.unwrap();
    // Two of three are said to be ill: Envoy sends to all of them.
    for _ in 0..5 {
        watch.has_seen("a").await;
        let now = control.inspect().await.unwrap();
        assert!(!now.is_cut(&drain()));
        assert!(now.parts.values().all(|part| part.passage == Passage::Open), "{now:?}");
    }
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_file_that_envoy_refuses_moves_nothing_and_is_put_back() {
    let world = World::start(Server::Envoy).await;
    let mut settings = world.settings();
    for edit in &mut settings.replace {
        edit.with = edit.find.replace("HEALTHY", "UNWELL");
    }
    let control = super::world::control(settings);
    let before = std::fs::read(world.file()).unwrap();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert!(!control.inspect().await.unwrap().is_cut(&drain()), "it goes on as before");
    control.restore(&snapshot).await.unwrap();
    assert_eq!(std::fs::read(world.file()).unwrap(), before);
    within_bounds("a serves", async || world.front.served_by("").await == "a").await;
}
