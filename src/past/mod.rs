//! Looking back: what past runs say together. Values in, values out; `now` is an argument.

mod change;
mod compare;
mod gate;
mod history;
mod summary;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use gate::{Rules, Wanted, decide};
pub use history::{FEWEST, history, latest};
pub use summary::{Indexed, Stamp, Unreadable, Whole, summary, whole};
