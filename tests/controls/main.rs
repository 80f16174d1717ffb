//! Traffic controls against what they steer: real HAProxies, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[cfg(any(feature = "aws-fis", feature = "aws-routing-control"))]
mod aws_double;
#[cfg(feature = "aws-elb")]
mod aws_elb;
#[cfg(feature = "aws-fis")]
mod aws_fis;
#[cfg(feature = "aws")]
mod aws_route53;
#[cfg(feature = "aws-routing-control")]
mod aws_routing_control;
#[cfg(feature = "aws")]
mod aws_zonal_shift;
mod azure;
mod caddy;
mod cloudflare;
mod contract;
mod datagrams;
mod degrade;
mod dns;
mod dns_update;
mod exec;
mod file;
mod gates;
mod gcp;
mod haproxy;
mod http;
mod journal_alone;
mod kubernetes;
mod machine;
#[cfg(feature = "aws")]
mod moto;
mod netns;
mod nftables;
mod nftables_ssh;
mod ports;
mod powerdns;
mod published;
mod rest;
mod strangers;
mod toxiproxy;
mod world;
