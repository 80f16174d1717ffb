//! The proxy as a daemon of its own, so that a cut outlives the process that made it.
//!
//! It speaks the HTTP API of Toxiproxy 2, and beside it an own one by which a drill cuts: `docs/proxy.md` has both. The
//! command line reads its files and passes them in.

mod answer;
mod config;
mod cut;
mod entry;
mod form;
mod lobby;
mod metrics;
mod patient;
mod place;
mod proxies;
mod reload;
mod routes;
mod server;
mod token;
mod toxic;

pub use config::{CONFIG_LIMIT, Config, Finding};
pub use proxies::Proxies;
pub use reload::Reloaded;
pub use server::Server;
pub use token::Token;
