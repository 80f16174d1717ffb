//! Calls at the controls, each written down before it is made and told of after.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};

use super::{CALL_LIMIT, SETTLE};
use crate::clock::Clock;
use crate::model::{
    Act, ControlCall, ControlState, CutOrder, DatacenterId, Name, PathCounters, Shown,
};
use crate::traffic::{ControlError, TrafficControl};

/// A control and what is known of it.
pub(super) struct Held {
    pub control: Arc<dyn TrafficControl>,
    pub before: Option<ControlState>,
    pub cut: Option<ControlState>,
    pub after: Option<ControlState>,
    /// Whether a call that cuts was intended, so that it has to be restored.
    pub touched: bool,
    /// Whether the call that cuts failed, so that it may land later.
    pub unsure: bool,
    pub reads: u64,
    pub reads_cut: u64,
    /// What passed while it had to be cut, as counted just before the restore.
    pub path: Option<PathCounters>,
}

impl Held {
    pub fn new(control: Arc<dyn TrafficControl>) -> Self {
        let (before, cut, after) = (None, None, None);
        let (touched, unsure, path) = (false, false, None);
        Held { control, before, cut, after, touched, unsure, reads: 0, reads_cut: 0, path }
    }

    pub fn name(&self) -> Name {
        self.control.spec().name.clone()
    }

    /// Whether every part that a cut of `datacenter` may have changed was read back as it was before.
    /// What another hand did to the rest meanwhile is not ours to judge or to undo.
    pub fn is_restored(&self, datacenter: DatacenterId) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let before = before.cuttable(datacenter);
                after.only(&before) == before
            }
            _ => false,
        }
    }

    /// Takes a reading made while it had to be cut. One that failed says nothing either way.
    pub fn read_while_cut(&mut self, read: Result<ControlState, ControlError>, order: &CutOrder) {
        if let Ok(state) = read {
            self.reads += 1;
            self.reads_cut += u64::from(state.is_cut(order));
        }
    }
}

/// A call with its time, and what came of it.
pub(super) struct Called<T> {
    pub call: ControlCall,
    pub result: Result<T, ControlError>,
}

/// Makes one call, within [`CALL_LIMIT`].
pub(super) async fn call<T>(
    clock: Clock,
    control: Name,
    act: Act,
    work: impl Future<Output = Result<T, ControlError>>,
) -> Called<T> {
    call_within(CALL_LIMIT, clock, control, act, work).await
}

/// Makes one call, within `limit`. A panic in it is an error like any other: the way back must go on.
pub(super) async fn call_within<T>(
    limit: Duration,
    clock: Clock,
    control: Name,
    act: Act,
    work: impl Future<Output = Result<T, ControlError>>,
) -> Called<T> {
    let issued = clock.now();
    let result = match tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ControlError {
            what: format!("the call at {control} failed by a fault of firedrill's own"),
            hint: "please report it; the call may have taken effect".to_owned(),
        }),
        Err(_) => Err(ControlError {
            what: format!("{control} did not answer within {}", Shown(limit)),
            hint: "see whether it hangs; the call may still take effect".to_owned(),
        }),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    Called { call: ControlCall { control, act, issued, done: clock.now(), error }, result }
}

/// Restores the parts of one control that `before` has and reads them back, again and again until they
/// are as they were or `limit` has passed. Where the cut is `unsure` to have landed, it does
/// so once more a while later. Returns every call, and the last state that was read.
pub(super) fn restore(
    clock: Clock,
    control: Arc<dyn TrafficControl>,
    before: ControlState,
    mut unsure: bool,
    limit: Duration,
) -> BoxFuture<'static, Restored> {
    async move {
        let name = control.spec().name.clone();
        let give_up = clock.now().plus(limit);
        let mut calls = Vec::new();
        let mut pause = Duration::from_millis(20);
        loop {
            let restored = call(clock, name.clone(), Act::Restore, control.restore(&before)).await;
            calls.push(restored.call);
            let mut error = restored.result.err();
            let read = call(clock, name.clone(), Act::Inspect, control.inspect()).await;
            calls.push(read.call);
            let state = match read.result {
                Ok(state) => Some(state),
                Err(problem) => {
                    error.get_or_insert(problem);
                    None
                }
            };
            if state.as_ref().is_some_and(|state| state.only(&before) == before) {
                if std::mem::take(&mut unsure) {
                    tokio::time::sleep(SETTLE).await;
                    continue;
                }
                return Restored { calls, state, error: None };
            }
            if clock.now().plus(pause) >= give_up {
                return Restored { calls, state, error };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
    .boxed()
}

/// What became of a restore.
pub(super) struct Restored {
    pub calls: Vec<ControlCall>,
    pub state: Option<ControlState>,
    /// The last thing that went wrong; `None` also when it simply is not as it was.
    pub error: Option<ControlError>,
}
