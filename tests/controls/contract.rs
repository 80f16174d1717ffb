//! What every traffic control must keep, whatever its provider: the real ones, and those of the simulation, which
//! includes this file too.

use std::future::Future;
use std::time::Duration;

use firedrill::journal::Says;
use firedrill::model::{ControlState, CutOrder};
use firedrill::restore::Reading;
use firedrill::traffic::{ControlError, TrafficControl};

/// Inspect, cut, read back, cut again, restore, compare, restore again.
pub async fn holds(control: &dyn TrafficControl, order: &CutOrder) {
    let about = format!("{} in mode {}", control.spec().name, order.mode.kind());
    let before = inspect(control, &about).await;
    assert!(before.has_open(order), "{about}: nothing to cut in {before:?}");
    assert!(!before.is_cut(order), "{about}: cut before the cut");
    control.preflight().await.expect("what can be cut passes preflight");
    for survivors in control.survivors(order).await.expect("it tells who serves on") {
        assert!(survivors.left > 0, "{about}: nobody is left in {}", survivors.group);
    }

    let (ours, expected) = (before.cuttable(order), control.cut_state(order, &before));
    let names = |state: &ControlState| state.parts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&ours), "{about}: the parts that a cut changes");
    let says = |now: &ControlState| Reading::of(now, &ours, &expected).says();
    assert_eq!(says(&before), Says::NotCut, "{about}: before the cut");

    control.restore(&before).await.expect("restoring what was never cut changes nothing");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored before the cut");

    control.cut(order, &before).await.expect("the cut succeeds");
    let cut = inspect(control, &about).await;
    assert!(cut.is_cut(order), "{about}: {cut:?}");
    for name in cut.differences(&before) {
        let datacenter = cut.parts[&name].datacenter;
        assert!(order.datacenters.contains(&datacenter), "{about}: {name} is not ours to cut");
    }
    // What is known of the cut before it is made is all that tells it from another hand's doing later.
    assert_eq!(says(&cut), Says::Cut, "{about}: {cut:?}, expected {expected:?}");
    assert_eq!(names(&ours), Reading::of(&cut, &ours, &expected).cut, "{about}");

    control.cut(order, &before).await.expect("cutting what is cut succeeds");
    assert_eq!(inspect(control, &about).await, cut, "{about}: cut twice");

    control.restore(&ours).await.expect("the restore succeeds");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored");

    control.restore(&ours).await.expect("restoring what is restored succeeds");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored twice");
}

/// While cut, `hand` changes `part` in another way than ours: that is seen, and a restore touches no part that it is
/// not given.
pub async fn leaves_another_hand_alone(
    control: &dyn TrafficControl,
    order: &CutOrder,
    part: &str,
    hand: impl Future<Output = ()>,
) {
    let about = format!("{}, {part} changed by another hand", control.spec().name);
    let before = inspect(control, &about).await;
    let (ours, expected) = (before.cuttable(order), control.cut_state(order, &before));
    control.cut(order, &before).await.expect("the cut succeeds");
    hand.await;
    let now = inspect(control, &about).await;
    let reading = Reading::of(&now, &ours, &expected);
    assert_eq!(
        (reading.says(), reading.foreign),
        (Says::Neither, vec![part.to_owned()]),
        "{about}"
    );

    let mut others = ours.clone();
    others.parts.remove(part);
    control.restore(&others).await.expect("the restore of the others succeeds");
    let after = inspect(control, &about).await;
    assert_eq!(after.parts[part], now.parts[part], "{about}: touched");
    assert_eq!(after.differences(&before), [part], "{about}: the others are back");

    control.restore(&ours).await.expect("a restore of all of it succeeds");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored by somebody's decision");
}

/// A control that does not answer says so within `limit`, whatever it is asked.
pub async fn gives_up_within(control: &dyn TrafficControl, order: &CutOrder, limit: Duration) {
    let nothing = ControlState::default();
    failed("preflight", limit, control.preflight()).await;
    failed("inspect", limit, control.inspect()).await;
    let mut some = nothing.clone();
    some.parts.insert("app/dc-a-web1".to_owned(), part(order));
    failed("cut", limit, control.cut(order, &some)).await;
    failed("restore", limit, control.restore(&some)).await;
}

/// An open part, as any control could have it.
fn part(order: &CutOrder) -> firedrill::model::PartState {
    firedrill::model::PartState {
        datacenter: order.datacenters[0],
        passage: firedrill::model::Passage::Open,
        settings: [("state".to_owned(), "ready".to_owned())].into(),
    }
}

async fn failed<T>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, ControlError>>,
) {
    let ended = tokio::time::timeout(limit, call).await;
    let result = ended.unwrap_or_else(|_| panic!("{what} did not end within {limit:?}"));
    let error = result.err().unwrap_or_else(|| panic!("{what} succeeded without an answer"));
    assert!(!error.what.is_empty() && !error.hint.is_empty(), "{what}: {error}");
}

async fn inspect(control: &dyn TrafficControl, about: &str) -> ControlState {
    let state = control.inspect().await.expect("the control can be read");
    let again = control.inspect().await.expect("the control can be read again");
    assert_eq!(state, again, "{about}: reading changes nothing");
    state
}
