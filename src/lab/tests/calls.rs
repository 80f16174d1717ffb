//! Services that call each other, and gates of their own.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};

use super::{Drill, EAST, WEST, count, names, spec, twin};
use crate::model::{LabCheck, LabService, LabSpec, LabStore, Name, Replication, StoreFaults};
use crate::proxy::Fault;

/// Talk, with pictures that stand only in east.
fn with_objects(check: LabCheck) -> LabSpec {
    let mut spec = spec(2, 2);
    let talk = LabService {
        calls: names(&["objects"]),
        paths: BTreeMap::from([("/text".to_owned(), Vec::new())]),
        check,
        ..twin(2)
    };
    spec.services.insert("talk".into(), talk);
    spec.services.insert("objects".into(), BTreeMap::from([(EAST, 1)]).into());
    spec
}

#[tokio::test]
async fn what_a_callee_cannot_do_its_caller_cannot_but_other_paths_can() {
    let mut drill = Drill::start(with_objects(LabCheck::Up)).await;
    for path in ["/", "/text"] {
        assert_eq!(drill.status("talk", Method::GET, path).await, 200, "{path}");
    }
    drill.cut(Fault::Reset).await;
    drill.east_out().await;
    drill.until("objects", |changes| count(changes, "east", false) == 1).await;
    let (status, datacenter, _) = drill.ask("talk", Method::GET, "/").await.unwrap();
    assert_eq!((status, datacenter.as_str()), (StatusCode::BAD_GATEWAY, "west"));
    let (status, datacenter, _) = drill.ask("talk", Method::GET, "/text/1").await.unwrap();
    assert_eq!((status, datacenter.as_str()), (StatusCode::OK, "west"));

    let talk = drill.truth();
    assert_eq!(talk.recovery, None, "pictures never came back");
    assert!(talk.paths["/text"].recovery.is_some(), "text did");
}

#[tokio::test]
async fn a_deep_check_takes_out_what_cannot_work() {
    let mut drill = Drill::start(with_objects(LabCheck::Deep)).await;
    drill.cut(Fault::Reset).await;
    drill.until("talk", |changes| count(changes, "west", false) == 2).await;
    drill.east_out().await;
    assert_eq!(drill.status("talk", Method::GET, "/text").await, 503);
    drill.restore().await;
    drill.until("talk", |changes| count(changes, "west", true) == 2).await;
    assert_eq!(drill.truth().paths["/text"].recovery, None, "none was in");
}

#[tokio::test]
async fn a_call_carries_method_path_and_query_and_what_is_missing_is_no_failure() {
    let mut spec = spec(2, 2);
    spec.services.insert("talk".into(), LabService { calls: names(&["accounts"]), ..twin(1) });
    let accounts = LabStore {
        primary: EAST,
        replicas: vec![],
        replication: Replication::Sync,
        switched_by: None,
        faults: StoreFaults::default(),
    };
    spec.stores.insert("accounts".into(), accounts);
    let drill = Drill::start(spec).await;
    assert_eq!(drill.status("talk", Method::GET, "/send?x=1&id=7").await, 404);
    assert_eq!(drill.status("talk", Method::POST, "/send?x=1&id=7").await, 200);
    assert_eq!(drill.status("talk", Method::GET, "/send?x=1&id=7").await, 200);
    assert_eq!(drill.status("accounts", Method::GET, "/?id=7").await, 200);
    assert_eq!(drill.status("accounts", Method::GET, "/?id=8").await, 404);
}

#[tokio::test]
async fn each_service_has_a_gate_of_its_own_in_each_datacenter() {
    let mut spec = spec(2, 2);
    spec.services.insert("talk".into(), LabService { calls: names(&["session"]), ..twin(2) });
    spec.services.insert("session".into(), twin(1));
    spec.controllers.insert(
        "switch".into(),
        crate::model::LabController {
            datacenters: vec![WEST],
            detect: super::EVERY,
            promote: super::EVERY,
        },
    );
    let mut drill = Drill::start(spec).await;
    let gates: Vec<String> = drill.lab.gates().into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(gates, ["east/session", "east/talk", "west/session", "west/switch", "west/talk"]);

    let session = [drill.gate("east/session")];
    drill.cut_at(&session, Fault::Reset).await;
    drill.until("session", |changes| count(changes, "east", false) == 1).await;
    let mut served = Vec::new();
    for _ in 0..4 {
        served.push(drill.served_by().await);
    }
    assert_eq!(served, ["east", "east", "west", "west"], "talk stays in both");
    let truth = drill.all_truth();
    let recovery = |name: &str| truth.services[&Name::from(name)].recovery.unwrap();
    assert_eq!(recovery("talk"), recovery("session"), "it waited for what it calls");
}
