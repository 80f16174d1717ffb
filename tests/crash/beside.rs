//! Somebody else is at work on what a dead drill left.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use firedrill::journal::{Record, line};
use serde_json::json;

use crate::home::{Home, code, kill};
use crate::plans::{cut, endless};
use crate::site::{Site, until};

#[test]
fn a_watchdog_that_stands_still_in_its_restore_keeps_nobody_from_restoring() {
    let (home, site, drill) = cut("10m");
    let second = home.path("second");
    std::fs::create_dir(&second).unwrap();
    let second = Site::start(&second);
    home.file("second.yaml", endless(&second, "10m"));
    let watchdog = drill.watchdog();
    site.pause();
    // Nobody waits for the drill, which stays a zombie.
    drill.signal("KILL");
    let begun = || home.journal().contains("restore-intended");
    until("its watchdog restores", Duration::from_secs(30), begun);
    home.run(&["status"]).has(6, &["IS BEING PUT BACK"]);
    home.run(&["run", "second.yaml", "--yes"])
        .has(3, &["an earlier run's traffic is still being put back"]);
    assert!(second.is_whole());

    kill("STOP", &watchdog);
    site.resume();
    assert!(!site.is_whole());
    home.run(&["restore"]).has(
        0,
        &["it is being put back now", "whoever has it does not let go of it", "wan: restored"],
    );
    assert!(site.is_whole());
    kill("KILL", &watchdog);
    drill.rest();
    home.run(&["restore"]).has(0, &["wan: restored"]);
    home.run(&["status"]).has(0, &["nothing is cut"]);
    assert!(site.is_whole());
}

/// A journal of a cut of so many servers that nobody restored.
fn large(home: &Home, servers: usize) {
    let state = |state: &str, passage: &str| {
        let settings = json!({ "state": state, "weight": "10" });
        let part = json!({ "datacenter": 0, "passage": passage, "settings": settings });
        let parts = (0..servers).map(|server| (format!("app/east-{server}"), part.clone()));
        json!({ "parts": parts.collect::<serde_json::Map<_, _>>() })
    };
    let patterns = json!([
        { "datacenter": 0, "patterns": ["app/east-*"] },
        { "datacenter": 1, "patterns": ["app/west-*"] }
    ]);
    let socket = json!({ "unix": home.path("admin.sock") });
    let haproxy = json!({ "socket": socket, "servers": patterns, "timeout_ms": 2000.0 });
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let order = json!({ "datacenters": [0], "mode": "reset" });
    let records = [
        json!({ "opened": {
            "format": firedrill::journal::FORMAT, "firedrill": "0.1.0", "run": "large", "host": host,
            "pid": 0, "at": "2022-10-15T06:33:19Z", "plan": "large", "datacenters": ["east", "west"],
            "order": order, "through": ["wan"], "at_most_ms": 60000.0
        } }),
        json!({ "snapshot": {
            "control": { "name": "wan", "provider": { "haproxy": haproxy } },
            "before": state("ready", "open"), "cut": state("maint", "closed")
        } }),
        json!({ "cut-intended": { "control": "wan" } }),
    ];
    let records = records.map(|record| serde_json::from_value::<Record>(record).unwrap());
    let text: String = records.iter().map(|record| line(record).unwrap()).collect();
    std::fs::create_dir_all(home.path("firedrill/runs/large")).unwrap();
    home.file("firedrill/runs/large/journal", text);
}

#[test]
fn no_line_is_lost_on_a_reader_who_takes_a_break() {
    const SERVERS: usize = 6000;
    let home = Home::new();
    large(&home, SERVERS);
    let mut command = home.command(&["restore", "--dry-run"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    // It reads only when nothing more goes into the pipe.
    let full = || rustix::io::ioctl_fionread(&stderr).unwrap() > 60_000;
    until("the pipe is full", Duration::from_secs(30), full);
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("echo '")).count(), 2 * SERVERS);
    assert_eq!(code(&mut child), 6);
}
