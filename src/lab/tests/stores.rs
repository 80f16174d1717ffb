//! Stores: what is acknowledged, what is lost, and what the truth says of it.

use std::time::Duration;

use hyper::Method;
use tokio::time::timeout;

use super::{AT_MOST, Drill, EAST, EVERY, WEST, spec};
use crate::model::{
    LabActor, LabController, LabSpec, LabStore, LabStoreTruth, Name, Replication, SplitBrain,
    StoreFaults,
};
use crate::proxy::Fault;

const LAG: Duration = Duration::from_secs(1);

fn store(replication: Replication, by_controller: bool) -> LabSpec {
    let mut spec = spec(2, 1);
    let switched_by = by_controller.then(|| Name::from("switch-over"));
    let faults = StoreFaults::default();
    let accounts =
        LabStore { primary: EAST, replicas: vec![WEST], replication, switched_by, faults };
    spec.stores.insert("accounts".into(), accounts);
    let controller = LabController { datacenters: vec![WEST], detect: EVERY * 2, promote: EVERY };
    spec.controllers.insert("switch-over".into(), controller);
    spec
}

impl Drill {
    async fn write(&self, id: &str) -> u16 {
        self.status("accounts", Method::POST, &format!("/?id={id}")).await
    }

    async fn read(&self, id: &str) -> u16 {
        self.status("accounts", Method::GET, &format!("/?id={id}")).await
    }

    async fn ids(&self) -> Vec<String> {
        let (_, _, body) = self.ask("accounts", Method::GET, "/ids").await.unwrap();
        serde_json::from_str(&body).unwrap()
    }

    fn store_truth(&self) -> LabStoreTruth {
        self.all_truth().stores[&Name::from("accounts")].clone()
    }

    /// Waits until west has `count` ids.
    async fn until_west_has(&self, count: usize) {
        let front = &self.lab.fronts[&Name::from("accounts")];
        let has = front.balancer.store().unwrap().until_copy_has(WEST, count);
        timeout(AT_MOST, has).await.expect("they are copied");
    }
}

#[tokio::test]
async fn an_asynchronous_store_loses_what_was_not_copied_and_the_truth_says_what() {
    for by_controller in [true, false] {
        let mut drill = Drill::start(store(Replication::Async(LAG), by_controller)).await;
        let (copied, late) = (["a1", "a2", "a3"], ["b1", "b2", "b3"]);
        for id in copied {
            assert_eq!(drill.write(id).await, 201);
        }
        drill.until_west_has(copied.len()).await;
        let before_the_late = drill.clock.now();
        for id in late {
            assert_eq!(drill.write(id).await, 201);
        }
        drill.cut(Fault::Blackhole).await;
        drill.active("accounts", "west", 1).await;

        let mut missing = Vec::new();
        for id in copied.iter().chain(&late) {
            match drill.read(id).await {
                200 => {}
                404 => missing.push((*id).to_owned()),
                other => panic!("{id}: {other}"),
            }
        }
        let truth = drill.store_truth();
        assert_eq!((&truth.lost, truth.acknowledged), (&missing, 6));
        assert!(missing.iter().all(|id| late.contains(&id.as_str())), "{missing:?}");
        assert!(!missing.is_empty(), "what is acknowledged within the lag is lost");
        assert!(truth.first_lost.unwrap() >= before_the_late);
        assert!(truth.last_lost.unwrap() <= drill.marks.cut_confirmed.unwrap());
        let by = if by_controller { LabActor::Controller } else { LabActor::HealthChecks };
        assert_eq!(truth.serving.switches[0].by, by);
        assert!(truth.serving.recovery.is_some());

        // The old primary comes back, follows the new one, and only then is active again.
        assert_eq!(drill.write("c1").await, 201);
        drill.restore().await;
        drill.active("accounts", "east", 1).await;
        let ids = drill.ids().await;
        assert!(ids.contains(&"c1".to_owned()), "{ids:?}");
        assert!(!ids.iter().any(|id| missing.contains(id)), "{ids:?} without {missing:?}");
        assert_eq!(drill.store_truth().lost, missing);
        assert_eq!(drill.store_truth().acknowledged, 7);
    }
}

#[tokio::test]
async fn a_synchronous_store_loses_nothing_that_it_acknowledged() {
    let mut drill = Drill::start(store(Replication::Sync, true)).await;
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let id = format!("a{n}");
        assert_eq!(drill.write(&id).await, 201);
        acknowledged.push(id);
    }
    drill.cut(Fault::Reset).await;
    drill.active("accounts", "west", 1).await;
    assert_eq!(drill.write("after").await, 201, "a copy that is gone holds nobody up");
    acknowledged.push("after".to_owned());
    assert_eq!(drill.ids().await, acknowledged);
    let truth = drill.store_truth();
    assert_eq!((truth.acknowledged, truth.lost.len(), truth.first_lost), (21, 0, None));

    drill.restore().await;
    drill.active("accounts", "east", 1).await;
    assert_eq!(drill.ids().await, acknowledged);
    assert_eq!(drill.store_truth().lost.len(), 0);
}

#[tokio::test]
async fn a_synchronous_store_waits_for_a_hung_copy_and_then_does_without() {
    let mut drill = Drill::start(store(Replication::Sync, true)).await;
    assert_eq!(drill.write("before").await, 201);
    let west = drill.gates(WEST);
    drill.cut_at(&west, Fault::Blackhole).await;
    assert_eq!(drill.write("held").await, 201);
    let answered = drill.clock.now().since(drill.marks.cut_issued.unwrap());
    let truth = drill.lab.truth(&[WEST], &drill.marks);
    let truth = &truth.stores[&Name::from("accounts")];
    let recovery = truth.serving.recovery.unwrap();
    assert!(recovery > Duration::ZERO && recovery <= answered, "{recovery:?} of {answered:?}");
    assert_eq!((truth.acknowledged, truth.lost.len()), (2, 0));
}

#[tokio::test]
async fn a_store_in_one_place_is_gone_with_it_and_back_with_all_it_had() {
    let mut spec = store(Replication::Sync, false);
    spec.stores.get_mut(&Name::from("accounts")).unwrap().replicas.clear();
    let mut drill = Drill::start(spec).await;
    assert_eq!(drill.write("a").await, 201);
    drill.cut(Fault::Reset).await;
    drill.until("accounts", |changes| !changes.is_empty()).await;
    assert_eq!(drill.read("a").await, 503);
    drill.restore().await;
    drill.active("accounts", "east", 1).await;
    assert_eq!(drill.read("a").await, 200);
    let truth = drill.store_truth();
    assert_eq!((truth.serving.recovery, truth.lost.len()), (None, 0));
}

fn sick(replication: Replication, faults: StoreFaults) -> LabSpec {
    let mut spec = store(replication, true);
    spec.stores.get_mut(&Name::from("accounts")).unwrap().faults = faults;
    spec
}

#[tokio::test]
async fn a_sick_store_loses_and_doubles_what_the_truth_says() {
    let faults = StoreFaults { loses: 0.25, duplicates: 0.5, ..StoreFaults::default() };
    let drill = Drill::start(sick(Replication::Sync, faults)).await;
    for n in 0..16 {
        assert_eq!(drill.write(&format!("a:{n}")).await, 201);
    }
    assert_eq!(drill.write("b:0").await, 201);
    let ids = drill.ids().await;
    let there = |id: &String| ids.iter().filter(|other| *other == id).count();
    let written: Vec<String> = (0..16).map(|n| format!("a:{n}")).collect();
    let truth = drill.store_truth();
    let missing: Vec<&String> = written.iter().filter(|id| there(id) == 0).collect();
    assert_eq!(missing, truth.lost.iter().collect::<Vec<_>>());
    assert_eq!((missing.len(), truth.never_stored, truth.acknowledged), (4, 4, 17));
    assert_eq!(truth.duplicated.len(), 6);
    assert!(truth.duplicated.iter().all(|id| there(id) == 2), "{ids:?} {:?}", truth.duplicated);

    // Removed: what was true of them stays so, and others are left alone.
    let listed = drill.ask("accounts", Method::GET, "/ids?prefix=b:").await.unwrap().2;
    assert_eq!(listed, "[\"b:0\"]");
    assert_eq!(drill.status("accounts", Method::DELETE, "/").await, 400);
    assert_eq!(drill.status("accounts", Method::DELETE, "/?prefix=a:").await, 200);
    assert_eq!(drill.ids().await, ["b:0"]);
    assert_eq!(drill.store_truth().lost, truth.lost);
    assert_eq!(drill.store_truth().duplicated, truth.duplicated);
}

#[tokio::test]
async fn a_stale_store_answers_from_the_past() {
    let stale_for = Duration::from_millis(1500);
    let faults = StoreFaults { stale_for, ..StoreFaults::default() };
    let drill = Drill::start(sick(Replication::Sync, faults)).await;
    let began = drill.clock.now();
    assert_eq!(drill.write("a").await, 201);
    let (found, ids) = (drill.read("a").await, drill.ids().await);
    // On a machine that stood still the past is over by now.
    if drill.clock.now() < began.plus(stale_for) {
        assert_eq!((found, ids.len()), (404, 0));
        assert_eq!(drill.store_truth().stale_reads, 2);
    }
    timeout(AT_MOST, async { while drill.read("a").await != 200 {} }).await.unwrap();
    assert!(drill.clock.now() >= began.plus(stale_for));
    assert_eq!(drill.ids().await, ["a"]);
    assert_eq!(drill.store_truth().lost.len(), 0);
}

/// Writes beside the copies of a store: east is cut, west takes over, and east is written on.
async fn split(split_brain: Option<SplitBrain>) -> (Drill, u16, LabStoreTruth) {
    let faults = StoreFaults { split_brain, ..StoreFaults::default() };
    let mut drill = Drill::start(sick(Replication::Async(Duration::ZERO), faults)).await;
    let beside = |id: &'static str| ("east/accounts", Method::POST, format!("/?id={id}"));
    let (name, method, path) = beside("before");
    assert_eq!(drill.status(name, method, &path).await, 201);
    assert_eq!(drill.status("west/accounts", Method::POST, "/?id=no").await, 421);
    drill.until_west_has(1).await;
    drill.cut(Fault::Blackhole).await;
    drill.active("accounts", "west", 1).await;
    assert_eq!(drill.write("west").await, 201);
    let (name, method, path) = beside("east");
    let status = drill.status(name, method, &path).await;
    assert_eq!(drill.ids().await, ["before", "west"]);
    let while_cut = drill.store_truth();
    drill.restore().await;
    drill.active("accounts", "east", 1).await;
    (drill, status, while_cut)
}

#[tokio::test]
async fn a_primary_that_was_replaced_refuses_or_goes_on_and_one_side_is_lost() {
    let (drill, status, truth) = split(None).await;
    assert_eq!((status, truth.by_deposed, truth.lost.len()), (421, 0, 0));
    assert_eq!(drill.ids().await, ["before", "west"]);

    let (drill, status, truth) = split(Some(SplitBrain::NewWins)).await;
    assert_eq!((status, truth.by_deposed), (201, 1));
    assert_eq!((truth.acknowledged, truth.lost), (3, vec!["east".to_owned()]));
    assert_eq!(drill.ids().await, ["before", "west"]);
    assert_eq!(drill.store_truth().lost, ["east"]);

    let (drill, status, truth) = split(Some(SplitBrain::OldWins)).await;
    assert_eq!((status, truth.lost), (201, vec!["east".to_owned()]));
    assert_eq!(drill.ids().await, ["before", "east"], "what the other took is gone");
    assert_eq!(drill.store_truth().lost, ["west"]);
    assert_eq!(drill.write("after").await, 201);
    assert_eq!(drill.ids().await, ["before", "east", "after"]);
    drill.until_west_has(3).await;
    assert_eq!(drill.status("west/accounts", Method::POST, "/?id=no").await, 421);
}
