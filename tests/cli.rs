//! The command as its users meet it: whole outputs, exit codes, signals and what is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/ahead.rs"]
mod ahead;
#[path = "cli/balancer.rs"]
mod balancer;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/gate.rs"]
mod gate;
#[path = "cli/guards.rs"]
mod guards;
#[path = "cli/guide.rs"]
mod guide;
#[path = "cli/home.rs"]
mod home;
#[path = "cli/inbox.rs"]
mod inbox;
#[path = "cli/metrics.rs"]
mod metrics;
#[path = "cli/page.rs"]
mod page;
#[path = "cli/past.rs"]
mod past;
#[path = "cli/placement.rs"]
mod placement;
#[path = "cli/plans.rs"]
mod plans;
#[path = "controls/ports.rs"]
mod ports;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/start.rs"]
mod start;
#[path = "cli/streams.rs"]
mod streams;
#[path = "cli/telling.rs"]
mod telling;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/verdicts.rs"]
mod verdicts;
