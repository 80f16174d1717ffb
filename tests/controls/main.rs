//! Traffic controls against what they steer: real HAProxies, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[cfg(feature = "aws")]
mod aws_route53;
#[cfg(feature = "aws")]
mod aws_zonal_shift;
mod azure;
mod caddy;
mod contract;
mod exec;
mod gates;
mod gcp;
mod haproxy;
mod kubernetes;
#[cfg(feature = "aws")]
mod moto;
mod netns;
mod nftables;
mod nftables_ssh;
mod rest;
mod world;
