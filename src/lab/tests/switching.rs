//! Active and standby, switched by a controller that lives somewhere, or by hand.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Drill, EAST, EVERY, WEST, count, is_what_clients_saw, send_on, spec, twin};
use crate::model::{
    DatacenterId, LabActor, LabController, LabOperator, LabService, LabSpec, LabSwitch, Name,
};
use crate::proxy::Fault;

const DETECT: Duration = Duration::from_millis(300);

/// Talk, switched by a controller in `datacenters`.
fn switched(datacenters: Vec<DatacenterId>) -> LabSpec {
    let mut spec = spec(2, 1);
    let by = |name: &str| LabService { switched_by: Some(name.into()), ..twin(1) };
    spec.services.insert("talk".into(), by("switch-over"));
    let controller = LabController { datacenters, detect: DETECT, promote: EVERY };
    spec.controllers.insert("switch-over".into(), controller);
    spec
}

fn told(switches: &[LabSwitch]) -> Vec<(&str, LabActor)> {
    switches.iter().map(|switch| (switch.datacenter.as_str(), switch.by)).collect()
}

#[tokio::test]
async fn a_controller_elsewhere_switches_over_and_back() {
    for fault in [Fault::Blackhole, Fault::Reset] {
        let mut drill = Drill::start(switched(vec![EAST, WEST])).await;
        for _ in 0..3 {
            assert_eq!(drill.served_by().await, "east", "west stands by");
        }
        let (stop, stopped) = oneshot::channel();
        let clients = send_on(drill.lab.address("talk").unwrap(), drill.clock, stopped);
        let clients = tokio::spawn(clients);
        drill.cut(fault).await;
        drill.active("talk", "west", 1).await;
        drill.clock.sleep_until(drill.clock.now().plus(EVERY * 2)).await;
        drill.restore().await;
        drill.active("talk", "east", 1).await;
        stop.send(()).unwrap();
        assert_eq!(drill.served_by().await, "east");

        let truth = drill.truth();
        let by = LabActor::Controller;
        assert_eq!(told(&truth.switches), [("west", by), ("east", by)]);
        let decided = &drill.all_truth().controllers[&Name::from("switch-over")];
        let decided: Vec<_> = decided.iter().map(|it| it.datacenter.as_str()).collect();
        assert_eq!(decided, ["west", "east"]);
        let recovery = truth.recovery.unwrap();
        assert!(recovery >= DETECT, "{recovery:?}");
        assert!(truth.failback.unwrap() >= DETECT, "{:?}", truth.failback);
        let sent = clients.await.unwrap();
        is_what_clients_saw(recovery, &drill.marks, sent, &format!("{fault:?}"));
    }
}

#[tokio::test]
async fn a_controller_that_is_lost_with_what_it_guards_switches_nothing() {
    let mut spec = switched(vec![EAST]);
    // The same service with the same controller elsewhere: when it has moved, the other could have.
    let mut other = spec.controllers[&Name::from("switch-over")].clone();
    other.datacenters = vec![WEST];
    other.detect = DETECT * 4;
    spec.controllers.insert("elsewhere".into(), other);
    let guarded = LabService { switched_by: Some("elsewhere".into()), ..twin(1) };
    spec.services.insert("guarded".into(), guarded);
    let mut drill = Drill::start(spec).await;
    drill.cut(Fault::Blackhole).await;
    drill.active("guarded", "west", 1).await;
    assert_eq!(drill.get().await.map(|(status, _)| status.as_u16()), Some(503));
    let truth = drill.truth();
    assert_eq!((told(&truth.switches), truth.recovery), (vec![], None));
    assert!(drill.all_truth().controllers[&Name::from("switch-over")].is_empty());

    drill.restore().await;
    drill.active("talk", "east", 1).await;
    assert!(drill.truth().switches.is_empty(), "it was the active one all along");
}

#[tokio::test]
async fn an_operator_does_by_hand_what_the_lost_controller_cannot_and_gives_it_back() {
    let mut spec = switched(vec![EAST]);
    let after = DETECT * 2;
    spec.operator = Some(LabOperator { after });
    let mut drill = Drill::start(spec).await;
    drill.cut(Fault::Reset).await;
    drill.active("talk", "west", 1).await;
    assert_eq!(drill.served_by().await, "west");
    assert!(drill.truth().recovery.unwrap() >= after, "{:?}", drill.truth().recovery);
    drill.restore().await;
    drill.active("talk", "east", 1).await;
    assert_eq!(drill.served_by().await, "east");
    let by = LabActor::Operator;
    assert_eq!(told(&drill.truth().switches), [("west", by), ("east", by)]);
}

#[tokio::test]
async fn a_standby_that_is_cut_disturbs_nobody() {
    let mut drill = Drill::start(switched(vec![EAST])).await;
    let west = drill.gates(WEST);
    drill.cut_at(&west, Fault::Reset).await;
    for _ in 0..3 {
        assert_eq!(drill.served_by().await, "east");
    }
    let truth = drill.lab.truth(&[WEST], &drill.marks);
    let talk = &truth.services[&Name::from("talk")];
    assert_eq!(talk.recovery, Some(Duration::ZERO));
    assert_eq!(count(&talk.changes, "west", false), 0, "it was not in");
}
