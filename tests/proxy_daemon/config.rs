//! The config file, its reload, and how the daemon begins and ends.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{Client, Daemon, Server, command, is_refused, listen};

/// A config file that can be changed.
struct File {
    directory: TempDir,
}

impl File {
    fn new(config: &Value) -> File {
        let file = File { directory: tempfile::tempdir().unwrap() };
        file.write(&config.to_string());
        file
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("proxies.json")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    fn daemon(&self) -> Daemon {
        Daemon::with(&["--config", self.path().to_str().unwrap()])
    }
}

fn proxy(name: &str, server: &Server) -> Value {
    json!({ "name": name, "listen": "127.0.0.1:0", "upstream": server.address.to_string() })
}

#[test]
fn a_reload_changes_what_the_file_changed_and_nothing_else() {
    let (server, other) = (Server::start(), Server::start());
    let mut toxic = proxy("toxic", &server);
    toxic["toxics"] = json!([{ "type": "latency", "attributes": { "latency": 3_600_000 } }]);
    let file = File::new(&json!([
        proxy("same", &server),
        proxy("moved", &server),
        proxy("gone", &server),
        toxic,
    ]));
    let daemon = file.daemon();
    daemon.hears("with 4 proxies");
    let at = |name: &str| listen(&daemon.done("GET", &format!("/proxies/{name}"), ""));
    let by_hand = daemon.proxy("by-hand", &server);
    daemon.done("POST", "/proxies/same/toxics", json!({ "type": "slow_close" }));
    let mut clients: Vec<Client> = Vec::new();
    for address in [at("same"), at("moved"), at("gone"), by_hand] {
        let mut client = Client::connect(address);
        client.round_trip(b"before");
        clients.push(client);
    }
    let mut held = Client::connect(at("toxic"));
    std::io::Write::write_all(&mut held.0, b"held").unwrap();
    held.is_silent();
    let gone = at("gone");
    daemon.done("PUT", "/proxies/moved/cut", json!({ "mode": "drain" }));

    let mut cured = proxy("toxic", &server);
    cured["toxics"] = json!([]);
    file.write(
        &json!([proxy("same", &server), proxy("moved", &other), cured, proxy("new", &server)])
            .to_string(),
    );
    daemon.signal(Signal::HUP);
    daemon.hears("reloaded: 1 added, 2 changed, 1 removed");
    let [same, moved, removed, hand] = clients.as_mut_slice() else { panic!() };
    same.round_trip(b"it stays");
    hand.round_trip(b"it stays");
    moved.ends();
    removed.ends();
    is_refused(gone);
    held.receives(b"held");
    Client::connect(at("new")).round_trip(b"hello");
    let all = daemon.done("GET", "/proxies", "");
    assert_eq!(all["same"]["toxics"].as_array().unwrap().len(), 1, "what the API did is kept");
    assert_eq!((&all["moved"]["cut"], &all["gone"]), (&json!("drain"), &Value::Null));
}

#[test]
fn a_bad_file_changes_nothing_and_everything_wrong_is_said() {
    let server = Server::start();
    let file = File::new(&json!([proxy("db", &server)]));
    let daemon = file.daemon();
    let before = daemon.done("GET", "/proxies", "");
    let mut client = Client::connect(listen(&before["db"]));
    client.round_trip(b"before");
    file.write("[\n {\"name\": \"db\"},\n {\"name\": \"x\", \"upstream\": \"y\", \"speed\": 1}\n]");
    daemon.signal(Signal::HUP);
    daemon.hears("proxies.json:2:2: missing required field: upstream");
    daemon.hears("proxies.json:3:16: upstream \"y\" is not HOST:PORT");
    daemon.hears("proxies.json:3:33: unknown key \"speed\"");
    daemon.hears("SIGHUP: nothing was changed");
    assert_eq!(daemon.done("GET", "/proxies", ""), before);
    client.round_trip(b"after");
}

#[test]
fn a_proxy_may_take_the_address_of_one_that_goes() {
    let server = Server::start();
    let file = File::new(&json!([proxy("old", &server)]));
    let daemon = file.daemon();
    let at = listen(&daemon.done("GET", "/proxies/old", ""));
    let mut new = proxy("new", &server);
    new["listen"] = json!(at.to_string());
    file.write(&json!([new]).to_string());
    daemon.signal(Signal::HUP);
    daemon.hears("reloaded: 1 added, 0 changed, 1 removed");
    Client::connect(at).round_trip(b"hello");
}

#[test]
fn a_bad_start_is_told_all_at_once_and_leaves_nothing() {
    let file = File::new(&json!([{ "name": "a" }, { "upstream": "x:1" }]));
    let output = command(&["--config", file.path().to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.matches("missing required field").count(), 2, "{said}");
    let output = command(&["--config", "/nowhere.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the config /nowhere.json could not be read"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let daemon = Daemon::start();
    let taken = daemon.address.to_string();
    let output = command(&["--listen", &taken]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains(&format!("the API cannot listen at {taken}")), "{said}");
    assert!(said.contains("help: another process has it"), "{said}");
    let server = Server::start();
    let at = daemon.proxy("db", &server);
    let file = File::new(&json!([{ "name": "x", "listen": at.to_string(), "upstream": "x:1" }]));
    let path = file.path();
    let arguments = ["--listen", "127.0.0.1:0", "--config", path.to_str().unwrap()];
    let output = command(&arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("error: x: listen tcp {at}: ")), "{said}");
}

#[test]
fn a_signal_ends_it_and_all_connections() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut daemon, server) = (Daemon::start(), Server::start());
        let at = daemon.proxy("db", &server);
        let mut client = Client::connect(at);
        client.round_trip(b"hello");
        daemon.signal(Signal::HUP);
        daemon.hears("there is no --config to read again");
        daemon.signal(signal);
        client.ends();
        assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
        daemon.hears("ended, and with it 1 proxy, 0 of them cut");
        is_refused(at);
    }
}
