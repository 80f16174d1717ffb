//! The journal: from it alone traffic can be restored.
//!
//! One record a line, each with a checksum in front, synced to disk before the act that it stands for.
//! A line that a crash tore off at the end is left out when reading; a damaged one before it is named.

mod aside;
mod file;
mod read;
mod record;
mod table;
#[cfg(test)]
mod tests;

pub use aside::Aside;
pub use file::{Append, Disk, FILE, Journal, Unwritten};
pub use read::{Entry, Run, Tail, Unusable};
pub use record::{FORMAT, Hand, Opened, Record, line};
pub use table::{Action, Last, Says, action};
