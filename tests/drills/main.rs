//! Whole drills over real sockets: on the lab, well and sick, and on a real HAProxy with real nginx.
//!
//! They measure, so they need the machine to themselves: one at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod dns;
mod lab;
mod ledgers;
mod product;
mod servers;
mod world;
