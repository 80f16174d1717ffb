//! Commands that a plan names, with all that they start.

mod group;
mod run;
mod words;

pub use group::Group;
pub use run::{Ran, run};
pub use words::{Words, quoted};
