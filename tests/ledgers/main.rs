//! Ledgers against real stores, and real failovers of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod balancer;
mod nats;
mod nats_failover;
mod outage;
mod patroni;
#[path = "../controls/ports.rs"]
mod ports;
mod postgres;
mod postgres_failover;
mod postgres_fake;
mod postgres_faults;
mod postgres_server;
mod postgres_tls;
mod proxied;
mod redis;
mod redis_failover;
mod tls;
