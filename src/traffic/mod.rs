//! Traffic controls: one trait, one file a provider.

pub mod gates;
pub mod haproxy;

use std::fmt;

use futures_util::future::BoxFuture;

use crate::model::{ControlSpec, ControlState, CutOrder, PathCounters};

/// A place where traffic to a datacenter can be cut.
///
/// Calls are idempotent: cutting what is cut and restoring what is restored succeed and change
/// nothing. A call that fails may have taken effect all the same; only [`TrafficControl::inspect`] tells.
pub trait TrafficControl: Send + Sync {
    /// What the plan says of it.
    fn spec(&self) -> &ControlSpec;

    /// Reads the present state, changing nothing.
    ///
    /// # Errors
    /// When the control cannot be reached or gives no sense.
    fn inspect(&self) -> BoxFuture<'_, Result<ControlState, ControlError>>;

    /// Cuts traffic as `order` says, and returns when the control says that it is in force.
    ///
    /// Parts that are closed in `snapshot` are left alone: they were not ours to close.
    ///
    /// # Errors
    /// When the control cannot be reached or refuses. Some parts may be cut by then.
    fn cut<'a>(
        &'a self,
        order: &'a CutOrder,
        snapshot: &'a ControlState,
    ) -> BoxFuture<'a, Result<(), ControlError>>;

    /// Puts every part that `snapshot` names back as it has it, and touches no other. What was not
    /// open then is not opened.
    ///
    /// # Errors
    /// When the control cannot be reached or refuses. Some parts may be restored by then.
    fn restore<'a>(&'a self, snapshot: &'a ControlState)
    -> BoxFuture<'a, Result<(), ControlError>>;

    /// What passed towards the cut datacenter since the cut, if the control itself counts it.
    fn path(&self) -> Option<PathCounters> {
        None
    }
}

/// Why a call at a control failed: what, where, and what to do next. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// What went wrong, and where.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for ControlError {}
