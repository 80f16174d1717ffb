//! A service in two datacenters: failing over and back, and the lab's own faults.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{AT_MOST, Drill, EAST, EVERY, SLACK, WEST, is_what_clients_saw, millis, send_on, spec};
use crate::clock::Clock;
use crate::lab::upstream::ask;
use crate::lab::{Broken, Lab, LabFaults, Leak};
use crate::model::{DatacenterId, Name, Offset, Spread};
use crate::proxy::Fault;

#[tokio::test]
async fn replicas_take_turns_in_the_plans_order_and_say_who_they_are() {
    let drill = Drill::start(spec(3, 2)).await;
    let mut served = Vec::new();
    for _ in 0..8 {
        served.push(drill.served_by().await);
    }
    assert_eq!(served, ["east", "east", "west", "west", "east", "east", "west", "west"]);
    let answers = drill.truth().answers;
    assert_eq!(answers[&Name::from("east")].count, 4);
    assert!(answers[&Name::from("east")].last < answers[&Name::from("west")].last);
    assert_eq!(drill.lab.address("nothing"), None);
}

#[tokio::test]
async fn an_answer_passes_with_its_header_fields_and_its_body() {
    let drill = Drill::start(spec(3, 2)).await;
    let to = drill.lab.address("talk").unwrap()[7..].parse().unwrap();
    let body = http_body_util::Full::new(Bytes::from("hello"));
    let answer = ask(to, Request::post("/send").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["x-replica"], "1");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json, serde_json::json!({"datacenter": "east", "replica": 1, "service": "talk"}));
}

#[tokio::test]
async fn a_client_may_keep_its_connection() {
    let drill = Drill::start(spec(3, 2)).await;
    let mut client = TcpStream::connect(&drill.lab.address("talk").unwrap()[7..]).await.unwrap();
    for _ in 0..3 {
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut piece = [0; 1024];
            let length = client.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..length]);
        }
    }
}

#[tokio::test]
async fn the_truth_is_what_clients_see() {
    for (fault, fall, rise) in [(Fault::Reset, 2, 3), (Fault::Blackhole, 2, 1)] {
        let mut drill = Drill::start(spec(fall, rise)).await;
        let (stop, stopped) = oneshot::channel();
        let clients = send_on(drill.lab.address("talk").unwrap(), drill.clock, stopped);
        let clients = tokio::spawn(clients);
        drill.clock.sleep_until(drill.clock.now().plus(EVERY)).await;
        drill.cut(fault).await;
        drill.east_out().await;
        // Long enough for clients to see whether it is true.
        drill.clock.sleep_until(drill.clock.now().plus(EVERY * 2)).await;
        drill.restore().await;
        drill.east_in().await;
        stop.send(()).unwrap();

        let recovery = drill.truth().recovery.unwrap();
        let sent = clients.await.unwrap();
        is_what_clients_saw(recovery, &drill.marks, sent, &format!("{fault:?}"));
    }
}

/// Cut, out, restore, in; with the truth held to what the settings allow.
async fn fails_over_and_back(fault: Fault, slowest_check: Duration) {
    let (fall, rise) = (3, 2);
    let mut drill = Drill::start(spec(fall, rise)).await;
    drill.cut(fault).await;
    drill.east_out().await;
    for _ in 0..8 {
        assert_eq!(drill.served_by().await, "west", "{fault:?}");
    }
    drill.restore().await;
    drill.east_in().await;

    let truth = drill.truth();
    let east = truth.changes.iter().filter(|change| change.datacenter.as_str() == "east");
    let east: Vec<bool> = east.map(|change| change.is_in).collect();
    assert_eq!(east, [false, false, true, true], "{fault:?}");
    // The last replica fails its first check up to a period after the cut, and its last one
    // `fall - 1` periods later; before that it cannot be out. A check that was under way at the cut
    // may have begun before it.
    let recovery = truth.recovery.unwrap();
    assert!(recovery >= EVERY * (fall - 1) - EVERY / 2, "{fault:?}: {} ms", millis(recovery));
    let longest = EVERY * fall + slowest_check + SLACK;
    assert!(recovery <= longest, "{fault:?}: {} ms", millis(recovery));
    let failback = truth.failback.unwrap();
    assert!(failback >= EVERY * (rise - 1) - EVERY / 2, "{fault:?}: {} ms", millis(failback));
    assert!(failback <= EVERY * rise + slowest_check + SLACK, "{fault:?}: {}", millis(failback));
    drill.lab.stop().await;
}

#[tokio::test]
async fn a_reset_datacenter_goes_out_after_fall_checks_and_comes_back_after_rise() {
    fails_over_and_back(Fault::Reset, Duration::ZERO).await;
}

#[tokio::test]
async fn a_blackholed_datacenter_does_too_though_its_checks_hang() {
    fails_over_and_back(Fault::Blackhole, EVERY).await;
}

#[tokio::test]
async fn a_drained_datacenter_takes_no_new_request() {
    fails_over_and_back(Fault::Drain, Duration::ZERO).await;
}

#[tokio::test]
async fn checks_that_take_longer_than_their_period_still_end_in_a_failover() {
    let mut spec = spec(2, 1);
    spec.balancer.check_timeout = EVERY * 5 / 2;
    let mut drill = Drill::start(spec).await;
    drill.cut(Fault::Blackhole).await;
    drill.east_out().await;
    // Two checks of 2.5 periods, each begun on the schedule.
    let recovery = drill.truth().recovery.unwrap();
    assert!(recovery >= EVERY * 9 / 2, "{} ms", millis(recovery));
    assert!(recovery <= EVERY * 7 + SLACK, "{} ms", millis(recovery));
}

#[tokio::test]
async fn both_datacenters_answer_before_the_cut_and_none_of_the_cut_one_after_it() {
    let mut drill = Drill::start(spec(3, 2)).await;
    for _ in 0..4 {
        drill.get().await;
    }
    drill.cut(Fault::Blackhole).await;
    // Requests that meet the hole hang until their client gives up; the others are served.
    let (first, second, third) = tokio::join!(drill.get(), drill.get(), drill.get());
    assert_eq!([first, second].iter().flatten().count() + third.iter().len(), 1);
    drill.east_out().await;
    assert_eq!(drill.served_by().await, "west");

    let truth = drill.truth();
    let confirmed = drill.marks.cut_confirmed.unwrap();
    assert!(truth.answers[&Name::from("east")].last <= confirmed);
    assert!(truth.answers[&Name::from("west")].last > confirmed);
    assert_eq!(truth.answers[&Name::from("east")].count, 2);
    assert_eq!(drill.gate("east/talk").counters().bytes, 0);
    assert!(drill.gate("east/talk").counters().connections > 0, "checks knock at the closed gate");
}

#[tokio::test]
async fn a_reset_shows_to_clients_as_a_bad_gateway_until_the_failover() {
    let mut drill = Drill::start(spec(3, 2)).await;
    drill.cut(Fault::Reset).await;
    let (status, datacenter) = drill.get().await.unwrap();
    assert_eq!((status, datacenter.as_str()), (StatusCode::BAD_GATEWAY, ""));
}

#[tokio::test(start_paused = true)]
async fn the_balancer_gives_up_on_a_replica_that_never_answers() {
    let mut drill = Drill::start(spec(u32::MAX, 1)).await;
    drill.cut(Fault::Blackhole).await;
    let to = drill.lab.address("talk").unwrap()[7..].parse().unwrap();
    let sent = drill.clock.now();
    let answer = ask(to, Request::get("/").body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(drill.clock.now().since(sent) >= Duration::from_secs(30));
}

#[tokio::test]
async fn with_every_datacenter_out_the_service_is_unavailable() {
    let mut drill = Drill::start(spec(1, 1)).await;
    drill.cut(Fault::Reset).await;
    drill.gate("west/talk").cut(Fault::Reset).await.unwrap();
    drill.until("talk", |changes| changes.len() == 4).await;
    assert_eq!(drill.get().await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_standby_datacenter_serves_only_when_the_first_is_out() {
    let mut spec = spec(2, 1);
    spec.balancer.spread = Spread::First;
    let mut drill = Drill::start(spec).await;
    for _ in 0..4 {
        assert_eq!(drill.served_by().await, "east");
    }
    drill.cut(Fault::Reset).await;
    drill.east_out().await;
    assert_eq!(drill.served_by().await, "west");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let mut drill = Drill::start(spec(1000, 1)).await;
    drill.cut(Fault::Blackhole).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let address = drill.lab.address("talk").unwrap();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(&address[7..]).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    let gone = async |least: usize, most: usize| {
        let within = async {
            while !(least..=most).contains(&tasks()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(AT_MOST, within).await.is_ok()
    };
    assert!(gone(before + 50, usize::MAX).await, "{} tasks of {before}", tasks());
    drop(clients);
    assert!(gone(0, before + 5).await, "{} tasks left of {before}", tasks());
}

#[tokio::test]
async fn nothing_of_a_stopped_lab_answers_or_runs() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let drill = Drill::start(spec(3, 2)).await;
    drill.served_by().await;
    let address = drill.lab.address("talk").unwrap();
    drill.lab.stop().await;
    assert!(TcpStream::connect(&address[7..]).await.is_err());
    let ends = async {
        while alive() > before {
            tokio::task::yield_now().await;
        }
    };
    timeout(AT_MOST, ends).await.expect("all tasks end");
}

#[tokio::test]
async fn a_lab_that_leaks_still_answers_from_the_cut_datacenter() {
    let leak = Some(Leak { datacenter: EAST, every: 5 });
    let mut drill = Drill::start_with(spec(1, 1), LabFaults { leak, broken: None }).await;
    drill.cut(Fault::Blackhole).await;
    drill.east_out().await;
    let mut leaked = 0;
    for _ in 0..20 {
        leaked += usize::from(drill.served_by().await == "east");
    }
    assert_eq!(leaked, 4);
    assert_eq!(drill.gate("east/talk").counters().bytes, 0, "it goes around the gate");
}

#[tokio::test]
async fn a_lab_can_break_for_another_reason_than_the_cut() {
    let broken =
        Broken { datacenters: vec![EAST, WEST], during: Offset::ZERO..Offset::from_millis(1500) };
    let faults = LabFaults { leak: None, broken: Some(broken) };
    let drill = Drill::start_with(spec(1000, 1), faults).await;
    let (status, datacenter) = drill.get().await.unwrap();
    assert_eq!((status, datacenter.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "east"));
    drill.clock.sleep_until(Offset::from_millis(1500)).await;
    assert_eq!(drill.get().await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn replicas_in_a_datacenter_that_the_plan_does_not_have_are_an_error() {
    let mut spec = spec(1, 1);
    spec.services.insert("typo".into(), BTreeMap::from([(DatacenterId(9), 1)]).into());
    let error = Lab::start(&spec, &["east".into(), "west".into()], Clock::start()).await;
    assert!(error.unwrap_err().to_string().contains("datacenter 9"));
}
