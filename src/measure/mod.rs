//! Samples and marks to outages, recovery and failback times; then promises, proof and verdict.
//!
//! Pure: values in, values out, and `now` is an argument. Can be run again on what was kept.

mod calendar;
mod course;
mod gauge;
mod guard;
mod held;
mod impact;
mod ledger;
mod now;
mod observation;
mod outage;
mod promise;
mod proof;
mod recovery;
mod run;
mod timeline;
mod verdict;
mod while_cut;

#[cfg(test)]
mod tests;

pub use calendar::closed;
pub use gauge::Gauge;
pub use guard::Guard;
pub use ledger::{Book, Ledger};
pub use observation::{Observation, Series};
pub use outage::{Episode, Stable, episodes};
pub use proof::prove;
pub use timeline::{BLIND, STALL, Timeline};
pub use verdict::{Ending, Judged, judge};
