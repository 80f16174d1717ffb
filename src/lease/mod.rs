//! Leases: two drills never run on the same control.
//!
//! Today they are lock files in the state directory, which holds for one machine and one state directory. A lease
//! beyond that, for several machines that steer the same controls, is another [`Leases`].

mod files;

use std::io;

use serde::{Deserialize, Serialize};

pub use files::LockFiles;

/// Who has a lease, for those who find it taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: u32,
}

/// Where leases come from.
pub trait Leases {
    /// Takes the lease of `place`, one of [`crate::model::Settings::places`], for as long as the result lives
    /// and as the processes that share it do.
    ///
    /// # Errors
    /// When another has it, or that cannot be told.
    fn take(&self, place: &str, holder: &Holder) -> Result<Box<dyn Lease>, NotTaken>;
}

/// A lease that is held.
pub trait Lease: Send {
    /// Whether processes that are started from now on hold it too, until they end.
    ///
    /// # Errors
    /// When the system refuses.
    fn share(&self, with_children: bool) -> io::Result<()>;
}

/// Why a lease was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Another has it.
    #[error("{}", words(.0.as_ref()))]
    Held(Option<Holder>),
    /// It cannot be told.
    #[error("it cannot be told whether another drill has it: {0}")]
    Failed(#[from] io::Error),
}

fn words(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!(
            "the run {} of `{}` has it (process {} on {})",
            holder.run, holder.plan, holder.pid, holder.host
        ),
        None => "another drill has it".to_owned(),
    }
}
