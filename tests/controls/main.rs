//! Traffic controls against what they steer: real HAProxies, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod azure;
mod caddy;
mod contract;
mod exec;
mod gates;
mod gcp;
mod haproxy;
mod kubernetes;
mod rest;
mod world;
