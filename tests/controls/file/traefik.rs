//! Traefik: weights in a file of the directory that it watches.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use firedrill::model::DatacenterId;

use super::keeps_the_contract;
use super::world::{Server, needed, spawn};

/// The file with these weights.
pub fn text(weights: &[String], behind: &[(DatacenterId, SocketAddr)]) -> String {
    let servers = behind.iter().enumerate().map(|(place, (_, at))| {
        format!(
            "    server{place}: {{ loadBalancer: {{ servers: [{{ url: \"http://{at}\" }}] }} }}\n"
        )
    });
    format!(
        "http:\n  routers:\n    all: {{ rule: \"PathPrefix(`/`)\", service: app, entryPoints: [front] }}\n  \
         services:\n    app:\n      weighted:\n        services:\n        {}\n{}",
        weights.join("\n        "),
        servers.collect::<String>()
    )
}

pub fn start(home: &Path, at: &str) -> Child {
    let words = [
        format!("--entryPoints.front.address={at}"),
        format!("--providers.file.directory={}", home.join("dynamic").display()),
        "--providers.file.watch=true".to_owned(),
        "--providers.providersThrottleDuration=100ms".to_owned(),
        "--global.checkNewVersion=false".to_owned(),
        "--global.sendAnonymousUsage=false".to_owned(),
    ];
    spawn(needed("traefik"), &words.each_ref().map(String::as_str))
}

#[tokio::test]
async fn traefik_keeps_the_contract() {
    keeps_the_contract(Server::Traefik).await;
}

#[tokio::test]
async fn traefik_sends_new_requests_elsewhere() {
    super::moves_new_requests_alone(Server::Traefik).await;
}

#[tokio::test]
async fn a_datacenter_behind_traefik_may_be_dead_or_hang() {
    super::cuts_what_is_dead_or_hangs(Server::Traefik).await;
}

#[tokio::test]
async fn what_another_hand_writes_for_traefik_stays() {
    super::leaves_another_hand_alone(Server::Traefik).await;
}
