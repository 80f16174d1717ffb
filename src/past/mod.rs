//! Looking back: what past runs say together. Values in, values out; `now` is an argument.

mod change;
mod compare;
mod contradiction;
mod distinct;
mod gate;
mod history;
mod own;
mod slower;
mod summary;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use distinct::distinct;
pub use gate::{Known, Rules, decide};
pub use history::{FEWEST, history, order};
pub use own::{Chosen, Other, Wanted};
pub use summary::{Indexed, Stamp, Unreadable, Whole, summary, whole};
