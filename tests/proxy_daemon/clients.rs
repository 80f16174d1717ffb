//! Toxiproxy's clients from npm and PyPI, unchanged.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::{Daemon, Server};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all is well", "{said}");
}

#[test]
fn the_client_from_npm_drives_it() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let mut node = Command::new("node");
    node.arg(root().join("tests/proxy_daemon/client.js"));
    node.args([daemon.address.to_string(), server.address.to_string()]);
    node.env("NODE_PATH", root().join("target/needs/node/node_modules"));
    succeeds(&mut node);
}

#[test]
fn the_client_from_pypi_drives_it() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let own = root().join("target/needs/bin/python");
    let mut python = Command::new(if own.exists() { own } else { PathBuf::from("python3") });
    python.arg(root().join("tests/proxy_daemon/client.py"));
    python.args([daemon.address.to_string(), server.address.to_string()]);
    succeeds(&mut python);
}
