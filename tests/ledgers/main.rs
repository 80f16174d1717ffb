//! Ledgers against real stores, and real failovers of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod nats;
mod drilled;
mod redis;
mod redis_failover;
