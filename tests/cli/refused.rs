//! What is refused before anything is touched.

use std::net::TcpListener;
use std::process::Stdio;

use crate::balancer::{Balancer, Restores};
use crate::home::{Home, end};
use crate::plans::{lab, own};

const HAPROXY: &str =
    "{ haproxy: { socket: admin.sock, servers: { east: [app/east-1], west: [app/west-1] } } }";

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_touched() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.file("file", "");
    std::fs::create_dir(home.path("directory")).unwrap();
    for (path, why) in [
        ("nowhere/drill.json", "No such file or directory (os error 2)"),
        ("file/drill.json", "Not a directory (os error 20)"),
        ("directory", "it is a directory"),
    ] {
        let wanted =
            format!("error: the report {path} could not be opened: {why}; nothing was touched\n");
        home.run(&["run", plan, "--report", &format!("json={path}")]).is(2, "", &wanted);
    }
    home.untouched();
}

#[test]
fn one_report_that_cannot_be_opened_leaves_nothing_of_the_others() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "--report", "json=a.json", "--report", "json=no/b.json"]);
    ended.has(2, &["no/b.json"]);
    let left: Vec<_> =
        std::fs::read_dir(home.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["plan.yaml"]);
}

#[test]
fn without_a_terminal_only_the_lab_is_cut_unasked() {
    let home = Home::new();
    let balancer = Balancer::new(Restores::Done);
    balancer.socket(&home.path("admin.sock"));
    let plan = home.file("plan.yaml", own(balancer.web(None), HAPROXY, &[]));
    home.run(&["run", plan]).is(
        2,
        "",
        "error: this plan cuts traffic to east outside of the lab, and there is no terminal to ask at; \
         give --yes\n",
    );
    home.untouched();
    assert_eq!(balancer.heard(), [""; 0]);
}

#[test]
fn at_a_terminal_a_wrong_answer_touches_nothing() {
    let home = Home::new();
    let balancer = Balancer::new(Restores::Done);
    balancer.socket(&home.path("admin.sock"));
    let plan = home.file("plan.yaml", own(balancer.web(None), HAPROXY, &[]));
    for answer in ["west\n", "yes\n", "\n"] {
        let mut command = crate::streams::in_terminal(&home, &["run", plan]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
        let ended = end(child);
        ended.has(2, &["Type east to go on", "not confirmed; nothing was touched"]);
    }
    home.untouched();
    assert_eq!(balancer.heard(), [""; 0]);
}

#[test]
fn a_state_directory_that_cannot_be_made_starts_nothing() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.file("file", "");
    let ended =
        home.run(&["run", plan, "--state-dir", "file/state", "--report", "json=drill.json"]);
    ended.has(3, &["file/state/runs cannot be read: Not a directory", "--state-dir"]);
    assert!(ended.stdout.starts_with("NOT STARTED"), "{ended}");
    let record = std::fs::read_to_string(home.path("drill.json")).unwrap();
    assert!(record.contains("\"verdict\": \"NOT STARTED\""), "{record}");
}

#[test]
fn the_state_directory_can_be_named_by_the_environment_and_by_an_option() {
    let home = Home::new().with_env("FIREDRILL_STATE_DIR", "named");
    let plan = home.file("plan.yaml", lab(&[("${lab:talk}/", "http://127.0.0.1:1/")]));
    home.run(&["run", plan]).has(3, &[]);
    assert!(home.path("named/runs").exists());
    home.run(&["run", plan, "--state-dir", "option"]).has(3, &[]);
    assert!(home.path("option/runs").exists());
    home.untouched();
}

#[test]
fn a_port_that_is_taken_starts_nothing() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let proxy = format!(
        "{{ proxy: {{ routes: [{{ datacenter: east, listen: \"{port}\", to: \"127.0.0.1:1\" }}] }} }}"
    );
    let web = Balancer::new(Restores::Done).web(None);
    let plan = home.file("plan.yaml", own(web, &proxy, &[]));
    let ended = home.run(&["run", plan, "--yes"]);
    ended.has(3, &["NOT STARTED", &port.to_string()]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_service_that_is_down_starts_nothing() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[("${lab:talk}/", "http://127.0.0.1:1/")]));
    let ended = home.run(&["run", plan]);
    ended.has(3, &["NOT STARTED", "talk"]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_datacenter_that_serves_nothing_is_not_cut() {
    let home = Home::new();
    let first = ("rise: 2 }", "rise: 2, spread: first }");
    let plan = lab(&[first, ("datacenter: east", "datacenter: west")]);
    let ended = home.run(&["run", home.file("plan.yaml", plan)]);
    ended.has(3, &["NOT STARTED", "west"]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_control_that_cannot_be_reached_starts_nothing() {
    let home = Home::new();
    let plan = own(Balancer::new(Restores::Done).web(None), HAPROXY, &[]);
    let ended = home.run(&["run", home.file("plan.yaml", plan), "--yes"]);
    ended.has(3, &["NOT STARTED", "cannot connect to HAProxy at ", "admin.sock"]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_control_that_does_not_say_who_it_is_starts_nothing() {
    let home = Home::new();
    let balancer = Balancer::new(Restores::Done).nameless();
    balancer.socket(&home.path("admin.sock"));
    let plan = own(balancer.web(None), HAPROXY, &[]);
    // Another drill may steer it by another name.
    let ended = home.run(&["run", home.file("plan.yaml", plan), "--yes"]);
    ended.has(3, &["NOT STARTED", "gave no answer to `show info`"]);
    assert!(!home.journal().contains("cut-intended"));
}
