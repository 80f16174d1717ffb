//! Calls at the controls, each within a limit and told of after.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::FutureExt;

use crate::clock::Clock;
use crate::model::{Act, ControlCall, Shown};
use crate::traffic::{ControlError, TrafficControl};

/// A call with its time, and what came of it.
#[derive(Debug)]
pub struct Called<T> {
    /// What was asked, and when.
    pub call: ControlCall,
    /// The answer.
    pub result: Result<T, ControlError>,
}

/// Makes one call, within `limit`. A panic in it is an error like any other: the way back must go on.
pub async fn call_within<T>(
    limit: Duration,
    clock: Clock,
    control: &dyn TrafficControl,
    act: Act,
    work: impl Future<Output = Result<T, ControlError>>,
) -> Called<T> {
    let name = control.spec().name.clone();
    let issued = clock.now();
    let result = match tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ControlError {
            what: format!("the call at {name} failed by a fault of firedrill's own"),
            hint: "please report it; the call may have taken effect".to_owned(),
        }),
        Err(_) => Err(ControlError {
            what: format!("{name} did not answer within {}", Shown(limit)),
            hint: "see whether it hangs; the call may still take effect".to_owned(),
        }),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    let (done, exchanges) = (clock.now(), control.exchanges());
    Called { call: ControlCall { control: name, act, issued, done, error, exchanges }, result }
}
