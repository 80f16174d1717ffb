//! The samples of a run, kept compactly beside its record.
//!
//! ```text
//! file   = "fdrillS" version frame*
//! frame  = marker kind count before length checksum payload
//! ```
//!
//! The first frame names everything, each other one holds the samples of at most [`BLOCK_LASTS`] or
//! [`BLOCK_HOLDS`], and the last is empty. A frame can be read without any other, so that
//! damage costs the samples that it hit and no more; a file without its last frame was torn.

mod aside;
mod block;
mod file;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use aside::{Feed, Keeper, keep};
pub use file::{Damage, Disk, NotSamples, Reader, Writer};

/// The name of the file in a run's directory.
pub const FILE: &str = "samples";

/// The version of the format that this code writes and reads.
pub const FORMAT: u8 = 1;

/// No frame holds more samples: it is what a damaged one costs.
pub const BLOCK_HOLDS: u32 = 32_768;

/// No frame holds the samples of a longer time: it is what a crash costs.
pub const BLOCK_LASTS: Duration = Duration::from_secs(10);
