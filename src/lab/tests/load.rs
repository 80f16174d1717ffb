//! Replicas that have enough to do.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;

use super::{Drill, EAST, WEST, spec};
use crate::model::{LabCold, LabService, LabStrain};
use crate::proxy::Fault;

#[tokio::test]
async fn what_cannot_be_worked_on_waits_and_what_cannot_wait_is_refused() {
    let mut spec = spec(1000, 1);
    let talk = LabService {
        takes: Duration::from_millis(250),
        at_once: Some(1),
        queue: 1,
        ..BTreeMap::from([(EAST, 1), (WEST, 1)]).into()
    };
    spec.services.insert("talk".into(), talk);
    let mut drill = Drill::start(spec).await;
    drill.marks.cut_issued = Some(drill.clock.now());
    let mut answers = join_all((0..6).map(|_| drill.status("talk", Method::GET, "/"))).await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 200, 200, 503, 503]);
    assert_eq!(drill.truth().strain, LabStrain { refused: 2, left: 0, cold: 0 });
}

#[tokio::test]
async fn survivors_that_are_cold_are_slow_first_and_health_checks_do_not_warm_them() {
    let mut spec = spec(2, 1);
    let cold = LabCold { takes: Duration::from_millis(200), requests: 1 };
    let talk = LabService {
        cold: Some(cold),
        spread: Some(crate::model::Spread::First),
        ..BTreeMap::from([(EAST, 2), (WEST, 1)]).into()
    };
    spec.services.insert("talk".into(), talk);
    let mut drill = Drill::start(spec).await;
    for _ in 0..2 {
        drill.served_by().await;
    }
    drill.cut(Fault::Reset).await;
    drill.east_out().await;
    let asked = drill.clock.now();
    assert_eq!(drill.served_by().await, "west");
    assert!(drill.clock.now().since(asked) >= cold.takes);
    drill.served_by().await;
    let truth = drill.truth();
    assert_eq!(truth.strain, LabStrain { refused: 0, left: 0, cold: 1 });
    assert_eq!(truth.recovery, None, "slowness decides now, and the lab does not judge it");
}
