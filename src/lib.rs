//! firedrill: disaster-recovery drills with a verdict that can be trusted, and traffic that always
//! comes back.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Tests that also stand in `tests/` name the crate from outside.
#[cfg(test)]
extern crate self as firedrill;

pub mod archive;
pub mod cli;
pub mod clock;
pub mod command;
pub mod daemon;
pub mod drill;
pub mod guard;
pub mod init;
pub mod journal;
pub mod lab;
pub mod lease;
pub mod measure;
pub mod model;
pub mod notify;
pub mod past;
pub mod placement;
pub mod plan;
pub mod probe;
pub mod proxy;
pub mod report;
pub mod restore;
pub mod screen;
pub mod traffic;
pub mod watchdog;
pub mod wire;
