//! Traffic controls against what they steer: real HAProxies, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod contract;
mod gates;
mod haproxy;
mod kubernetes;
mod world;
