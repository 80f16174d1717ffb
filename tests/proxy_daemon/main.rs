//! `firedrill proxy` as its users have it: the real program, driven by Toxiproxy's own clients and by plain HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod clients;
mod config;
mod cuts;
mod daemon;
mod hostile;
mod many;
mod toxics;
