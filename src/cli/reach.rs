//! Controls made ready from a journal's settings.

use std::sync::Arc;

use crate::journal::Run;
use crate::model::ControlSpec;
use crate::restore::Reached;
use crate::traffic::{self, ControlError, TrafficControl};

/// The control of `spec`, with what the environment holds of it filled in again.
///
/// # Errors
/// When a variable is missing, or the address means something only on another machine.
pub(super) fn reach(run: &Run, spec: &ControlSpec, any_host: bool) -> Reached {
    let here = super::state::host();
    if !any_host && spec.provider.settings().is_of_one_host() && run.opened.host != here {
        return Err(ControlError {
            what: format!(
                "{} is at an address that means something only on {}, where the drill ran, and this is {here}",
                spec.name, run.opened.host
            ),
            hint: "restore there, or give --any-host if this machine has the same control"
                .to_owned(),
        });
    }
    let env = |name: &str| std::env::var(name).ok();
    let provider = spec.provider.filled(&env).map_err(|name| ControlError {
        what: format!(
            "{} needs the environment variable {name}, which the journal does not keep",
            spec.name
        ),
        hint: format!("set {name} as it was for the drill"),
    })?;
    traffic::reach(&ControlSpec { name: spec.name.clone(), provider })
}

/// The same, to be shown and not called: what the environment holds stays a placeholder.
///
/// # Errors
/// When the settings make no sense.
pub(super) fn shown(spec: &ControlSpec) -> Result<Option<Arc<dyn TrafficControl>>, ControlError> {
    traffic::reach(spec)
}
