//! Every verdict, reached by a drill, with its exit code and the state of the traffic.

use crate::balancer::{Balancer, Restores};
use crate::home::Home;
use crate::plans::{lab, own};
use crate::ports::free_address;

const HAPROXY: &str =
    "{ haproxy: { socket: admin.sock, servers: { east: [app/east-1], west: [app/west-1] } } }";

/// The records of the journal, by their kind.
fn kinds(journal: &str) -> Vec<String> {
    journal.lines().map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

const WHOLE: [&str; 7] = [
    "opened",
    "snapshot",
    "cut-intended",
    "cut-confirmed",
    "restore-intended",
    "restore-confirmed",
    "closed",
];

fn json(home: &Home, name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(home.path(name)).unwrap()).unwrap()
}

#[test]
fn a_drill_that_keeps_its_promises_ends_with_0() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "--report", "table", "--report", "json=drill.json"]);
    ended.has(0, &["wan (lab)  restored", "Proof of the cut: holds"]);
    assert!(ended.stdout.starts_with("PASS  short: talk was back"), "{ended}");
    let stages =
        ["preflight", "baseline", "cut", "observe", "hold", "restore", "failback", "ended"];
    let mut said = ended.stderr.lines();
    for stage in stages {
        assert!(said.any(|line| line.contains(&format!(" {stage}: "))), "no {stage} in {ended}");
    }
    assert_eq!(kinds(&home.journal()), WHOLE);
    assert_eq!(json(&home, "drill.json")["verdict"], "PASS");
}

#[test]
fn quiet_leaves_only_the_report_and_json_can_be_that() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "--quiet", "--report", "json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended}");
    let record: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&record["format"], &record["verdict"]), (&1.into(), &"PASS".into()));
}

#[test]
fn a_broken_promise_ends_with_1() {
    let home = Home::new();
    let slow = ("check_every: 100ms, check_timeout: 1s, fall: 2", "check_every: 400ms, fall: 3");
    let plan = lab(&[slow, ("recover_within: 5s", "recover_within: 100ms")]);
    let ended = home.run(&["run", home.file("plan.yaml", plan)]);
    ended.has(1, &["BROKEN", "budget 100 ms", "wan (lab)  restored"]);
    assert!(ended.stdout.starts_with("FAIL  short: "), "{ended}");
    assert_eq!(kinds(&home.journal()), WHOLE);
}

#[test]
fn a_cut_that_nobody_feels_proves_nothing_and_ends_with_4() {
    let home = Home::new();
    // The web server is not behind the proxy: east goes on answering.
    let free = free_address();
    let balancer = Balancer::new(Restores::Done);
    let web = balancer.web(None);
    let proxy = format!(
        "{{ proxy: {{ routes: [{{ datacenter: east, listen: \"{free}\", to: \"{web}\" }}] }} }}"
    );
    let ended = home.run(&["run", home.file("plan.yaml", own(web, &proxy, &[])), "--yes"]);
    ended.has(4, &["LEAK: ", "east still served web while cut"]);
    assert!(ended.stdout.starts_with("INCONCLUSIVE  own"), "{ended}");
    assert_eq!(kinds(&home.journal()), WHOLE);
}

#[test]
fn a_balancer_that_does_as_it_is_told_passes_with_yes() {
    let home = Home::new();
    let balancer = Balancer::new(Restores::Done);
    balancer.socket(&home.path("admin.sock"));
    let plan = home.file("plan.yaml", own(balancer.web(None), HAPROXY, &[]));
    home.run(&["run", plan, "--yes"]).has(0, &["PASS", "wan (haproxy)  restored"]);
    assert!(!balancer.is_cut());
    assert_eq!(kinds(&home.journal()), WHOLE);
}

#[track_caller]
fn not_restored(restores: Restores, wanted: &[&str]) {
    let home = Home::new();
    let balancer = Balancer::new(restores);
    balancer.socket(&home.path("admin.sock"));
    let plan = home.file("plan.yaml", own(balancer.web(None), HAPROXY, &[]));
    let begun = std::time::Instant::now();
    let ended =
        home.run(&["run", plan, "--yes", "--report", "json=drill.json", "--report", "table"]);
    ended.has(6, wanted);
    assert!(ended.stdout.starts_with("NOT RESTORED  own"), "{ended}");
    assert!(balancer.is_cut());
    assert_eq!(kinds(&home.journal())[4..], ["restore-intended", "closed"]);
    assert_eq!(json(&home, "drill.json")["controls"][0]["restored"], "no");
    // The plan lets traffic stay cut for 5 s, so that is how long it is tried.
    let tried = balancer.heard().iter().filter(|it| it.ends_with("state ready")).count();
    assert!(tried > 5 || restores == Restores::Lost, "only {tried} times");
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn a_restore_that_is_refused_to_the_end_ends_with_6() {
    not_restored(Restores::Refused, &["Permission denied", "app/east-1"]);
}

#[test]
fn a_restore_without_effect_ends_with_6() {
    not_restored(Restores::Ignored, &["app/east-1"]);
}

#[test]
fn a_control_that_is_gone_at_the_restore_ends_with_6() {
    not_restored(Restores::Lost, &["admin.sock", "app/east-1"]);
}
