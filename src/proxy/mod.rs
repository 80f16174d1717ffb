//! A userspace TCP proxy: the place where traffic to a datacenter is cut.
//!
//! A [`Gate`] stands for the way to one datacenter and any number of [`Proxy`] listeners share it.
//! While it is open they forward; [`Gate::cut`] puts a [`Fault`] in force on new and on open
//! connections, in both directions, and returns only when that is true. `docs/proxy.md` says what
//! each fault looks like to a client.

mod delay;
mod diag;
mod flow;
mod gate;
mod link;
mod listener;
mod pipe;
mod registry;
mod socket;
#[cfg(test)]
mod tests;
mod toxic;
mod traffic;

pub use gate::{Counters, Degradation, Fault, Gate};
pub use listener::Proxy;
pub use toxic::{Kind, Stream, Toxic};
pub use traffic::{Passed, Traffic};
