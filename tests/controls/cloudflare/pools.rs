//! Pools and origins of load balancers.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill::traffic::TrafficControl;
use serde_json::{Value, json};

use super::account::{Cloudflare, TOKEN, origin};
use super::{both, control, drain, front};
use crate::contract;
use crate::journal_alone::{End, restored};

/// What is set on pools, without what Cloudflare alone decides, and without what is set to nothing.
fn set(cloudflare: &Cloudflare) -> Vec<Value> {
    let mut pools = cloudflare.state().pools.clone();
    for origin in pools.iter_mut().flat_map(|it| it["origins"].as_array_mut().unwrap()) {
        let origin = origin.as_object_mut().unwrap();
        origin.retain(|key, value| key != "disabled_at" && !value.is_null());
    }
    pools
}

#[tokio::test]
async fn pools_and_origins_keep_the_contract_and_all_else_on_them_stays() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let before = set(&cloudflare);
    contract::holds(&control, &drain()).await;
    assert_eq!(set(&cloudflare), before, "weights, headers, and what was disabled before");
    assert_eq!(cloudflare.state().count("PATCH", "front-b-id"), 0);
    let shown = format!("{:?}", control.exchanges());
    assert!(shown.contains("PATCH") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_cut_disables_the_pools_and_origins_of_the_datacenter_and_no_other() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let snapshot = control.inspect().await.unwrap();
    let parts: Vec<_> = snapshot.parts.keys().map(String::as_str).collect();
    assert_eq!(parts, ["front-a", "front-b", "mixed/a-1", "mixed/a-2", "mixed/b-1"]);
    control.cut(&drain(), &snapshot).await.unwrap();
    let pools = set(&cloudflare);
    assert_eq!(
        [&pools[0]["enabled"], &pools[1]["enabled"], &pools[2]["enabled"]],
        [false, true, true]
    );
    let enabled: Vec<_> = (0..3).map(|at| &pools[2]["origins"][at]["enabled"]).collect();
    assert_eq!(enabled, [false, false, true]);
    assert_eq!(cloudflare.state().count("PATCH", ""), 2, "one for each pool");
}

#[tokio::test]
async fn origins_that_can_no_longer_be_told_apart_keep_no_other_pool_cut() {
    let cloudflare = Cloudflare::start().await;
    let control: Arc<dyn TrafficControl> = Arc::new(control(cloudflare.at, front()));
    let hand = async {
        let twin = origin("a-1", "192.0.2.77", true);
        cloudflare.state().pools[2]["origins"].as_array_mut().unwrap().push(twin);
    };
    let end = restored(&control, &drain(), hand).await;
    assert_eq!(end, End::Foreign(vec!["mixed/a-1".to_owned()]));
    let pools = set(&cloudflare);
    assert_eq!(
        (&pools[0]["enabled"], &pools[2]["origins"][0]["enabled"]),
        (&json!(true), &json!(false))
    );
}

// A pool and an origin have two words here, so no other hand can leave a third; weights are none of the state.
#[tokio::test]
async fn what_another_hand_sets_on_a_pool_meanwhile_stays() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    cloudflare.state().pools[2]["origins"][2]["weight"] = json!(0.1);
    cloudflare.state().pools[2]["origins"].as_array_mut().unwrap().push(origin(
        "b-2",
        "198.51.100.3",
        true,
    ));
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    let pools = set(&cloudflare);
    assert_eq!(pools[2]["origins"][2]["weight"], 0.1);
    assert_eq!(pools[2]["origins"][3]["name"], "b-2");
    assert_eq!(pools[2]["origins"][0]["enabled"], true);
    assert_eq!(pools[2]["origins"][1]["enabled"], false, "it was not ours");
}

#[tokio::test]
async fn a_list_of_origins_is_never_sent_a_second_time_as_it_was() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let snapshot = control.inspect().await.unwrap();
    let busy = "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n".to_owned();
    // The first change is that of the pool `front-a`.
    cloudflare.state().instead.extend([("PATCH", busy.clone(), true), ("PATCH", busy, false)]);
    cloudflare.state().meanwhile = Some(|it| it.pools[2]["origins"][2]["weight"] = json!(0.2));
    let begun = Instant::now();
    control.cut(&drain(), &snapshot).await.unwrap();
    // Cloudflare is left alone after each: the first was done all the same, and the second is another pool's.
    assert!(begun.elapsed() >= Duration::from_millis(500 + 500), "{:?}", begun.elapsed());
    assert_eq!(cloudflare.state().pools[2]["origins"][2]["weight"], 0.2);
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn who_serves_on_is_told_for_each_load_balancer_by_its_own_health_checks() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let left = async || {
        let survivors = control.survivors(&drain()).await.unwrap();
        survivors.into_iter().map(|it| (it.group, it.left)).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [("shop.example".to_owned(), 2)]);
    let ill = |healthy: bool| json!({ "healthy": healthy, "origins": [{ "198.51.100.1": { "healthy": healthy } }] });
    cloudflare
        .state()
        .health
        .insert("front-b-id".into(), json!({ "Paris": ill(false), "Oslo": ill(true) }));
    assert_eq!(left().await[0].1, 2, "ill in one place is not ill");
    cloudflare
        .state()
        .health
        .insert("front-b-id".into(), json!({ "Paris": ill(false), "Oslo": ill(false) }));
    assert_eq!(left().await[0].1, 1);
    cloudflare.state().pools[2]["minimum_origins"] = json!(2);
    assert_eq!(left().await[0].1, 0, "with one origin the pool is ill as a whole");
    cloudflare.state().health.insert("front-b-id".into(), ill(true));
    assert_eq!(left().await[0].1, 1);
    cloudflare.state().pools[1]["enabled"] = json!(false);
    assert_eq!(left().await[0].1, 0);
    cloudflare.state().users.clear();
    let alone = [("mixed".to_owned(), 0), ("front-a".to_owned(), 0)];
    let alone: Vec<_> =
        alone.into_iter().map(|(pool, left)| (format!("pool {pool}"), left)).rev().collect();
    assert_eq!(left().await, alone);
}

#[tokio::test]
async fn a_restore_goes_on_after_a_refusal_and_names_what_is_gone() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&both(), &snapshot).await.unwrap();
    cloudflare.state().refused = Some(("PATCH", "/front-a-id", 403, 10000, "Authentication error"));
    cloudflare.state().pools[2]["origins"].as_array_mut().unwrap().remove(0);
    let error = control.restore(&snapshot.cuttable(&both())).await.unwrap_err();
    assert!(error.what.contains("403 Forbidden: Authentication error"), "{error}");
    assert!(error.what.contains("mixed/a-1 is no longer there"), "{error}");
    let pools = set(&cloudflare);
    assert_eq!([&pools[1]["enabled"], &pools[2]["origins"][1]["enabled"]], [true, true]);
    assert_eq!(pools[2]["origins"][0]["enabled"], false, "it was not ours");
}

#[tokio::test]
async fn the_way_back_by_hand_is_a_command_for_each_part() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, front());
    let snapshot = control.inspect().await.unwrap();
    let by_hand = control.by_hand(&snapshot.cuttable(&drain()));
    let url = format!(
        "'http://{}/client/v4/accounts/01a7362d577a6c3019a474fd6f485823/load_balancers/pools/",
        cloudflare.at
    );
    let patch = "curl -X PATCH -H \"authorization: Bearer $CLOUDFLARE_API_TOKEN\" -H 'content-type: application/json'";
    assert_eq!(by_hand[0], format!("{patch} -d '{{\"enabled\":true}}' {url}front-a-id'"));
    let (read, rest) = by_hand[1].split_once(" | jq '").unwrap();
    assert_eq!(
        read,
        format!("curl -H \"authorization: Bearer $CLOUDFLARE_API_TOKEN\" {url}mixed-id'")
    );
    let (filter, write) = rest.split_once("' | ").unwrap();
    assert_eq!(write, format!("{patch} -d @- {url}mixed-id'"));
    assert!(filter.contains(".name == \"a-1\" then .enabled = true"), "{filter}");
    // The filter, where jq is installed.
    let jq = Command::new("jq")
        .args(["-c", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut jq) = jq else { return };
    let pool = json!({ "result": { "origins": [origin("a-1", "192.0.2.2", false)] } });
    serde_json::to_writer(jq.stdin.take().unwrap(), &pool).unwrap();
    let made: Value = serde_json::from_slice(&jq.wait_with_output().unwrap().stdout).unwrap();
    let mut due = origin("a-1", "192.0.2.2", true);
    due.as_object_mut().unwrap().remove("disabled_at");
    assert_eq!(made, json!({ "origins": [due] }));
}
