//! The state directory: a directory a run, with its journal and its record.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::StateArgs;

/// Where the runs are kept.
pub(super) fn runs(args: &StateArgs) -> Result<PathBuf, String> {
    if let Some(directory) = &args.state_dir {
        return Ok(directory.join("runs"));
    }
    let base = etcetera::choose_base_strategy().map_err(|error| {
        format!("no home directory for the journal ({error}); give one with --state-dir")
    })?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("firedrill").join("runs"))
}

/// A new run's id: sorts by time, and two at the same moment differ.
pub(super) fn run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("{now}-{:04x}", fastrand::u16(..))
}
