//! Traffic comes back whatever happens to firedrill: the real binary and a real HAProxy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "crash/beside.rs"]
mod beside;
#[path = "crash/contract.rs"]
mod contract;
#[path = "cli/home.rs"]
mod home;
#[path = "cli/inbox.rs"]
mod inbox;
#[path = "crash/killed.rs"]
mod killed;
#[path = "crash/left.rs"]
mod left;
#[path = "crash/plans.rs"]
mod plans;
#[path = "controls/ports.rs"]
mod ports;
#[path = "crash/refused.rs"]
mod refused;
#[path = "crash/several.rs"]
mod several;
#[path = "crash/site.rs"]
mod site;
#[path = "crash/stopped.rs"]
mod stopped;
#[path = "cli/plans.rs"]
mod texts;
#[path = "crash/told.rs"]
mod told;
