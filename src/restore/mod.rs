//! Putting traffic back: one function with three callers, the drill itself, the watchdog and
//! `firedrill restore`. It needs a journal's records and the controls, nothing else.

mod call;
mod put_back;
mod reading;
mod run;
#[cfg(test)]
mod tests;

pub use call::{Called, call_within};
pub use put_back::{Done, End, First, Limits, SETTLE, Task, put_all_back};
pub use reading::Reading;
pub use run::{Outcome, Reached, Restored, restore_run};
