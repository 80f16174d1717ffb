//! What every traffic control must keep, whatever its provider.

use firedrill::model::{ControlState, CutOrder};
use firedrill::traffic::TrafficControl;

/// Inspect, cut, read back, cut again, restore, compare, restore again.
pub async fn holds(control: &dyn TrafficControl, order: &CutOrder) {
    let about = format!("{} in mode {}", control.spec().name, order.mode.kind());
    let before = inspect(control, &about).await;
    assert!(before.has_open(order.datacenter), "{about}: nothing to cut in {before:?}");
    assert!(!before.is_cut(order), "{about}: cut before the cut");

    control.restore(&before).await.expect("restoring what was never cut changes nothing");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored before the cut");

    control.cut(order, &before).await.expect("the cut succeeds");
    let cut = inspect(control, &about).await;
    assert!(cut.is_cut(order), "{about}: {cut:?}");
    for name in cut.differences(&before) {
        let datacenter = cut.parts[&name].datacenter;
        assert_eq!(datacenter, order.datacenter, "{about}: {name} is not ours to cut");
    }

    control.cut(order, &before).await.expect("cutting what is cut succeeds");
    assert_eq!(inspect(control, &about).await, cut, "{about}: cut twice");

    control.restore(&before).await.expect("the restore succeeds");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored");

    control.restore(&before).await.expect("restoring what is restored succeeds");
    assert_eq!(inspect(control, &about).await, before, "{about}: restored twice");
}

async fn inspect(control: &dyn TrafficControl, about: &str) -> ControlState {
    let state = control.inspect().await.expect("the control can be read");
    let again = control.inspect().await.expect("the control can be read again");
    assert_eq!(state, again, "{about}: reading changes nothing");
    state
}
