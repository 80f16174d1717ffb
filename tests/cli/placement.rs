//! The placement check: in `check`, in `preview`, and beside what a drill measured.

use crate::home::Home;
use crate::plans::lab;

/// Talk, which the lab has in both datacenters, and what stands behind it.
fn placed(behind: &str, control_plane: &str) -> String {
    let from = "services:\n  talk:\n    probes:";
    let to = format!(
        "{control_plane}services:\n{behind}  talk:\n    in: [east, west]\n    depends_on: [login]\n    probes:"
    );
    lab(&[(from, &to)])
}

const STANDBY: &str = "  login: { in: { active: [east], standby: [west] } }\n";
const IN_EAST: &str = "control_plane: { switch-over: { in: [east] } }\n";
const IN_BOTH: &str = "control_plane: { switch-over: { in: [east, west] } }\n";

const LOST: &str = "\
plan.yaml

With east, which this plan cuts, goes: 1 control plane, 2 services down
  control plane  switch-over: only in east
  down           login -> switch-over: only in east
  down           talk -> login -> switch-over: only in east

";

const DENIED: &str = "\
error: `switch-over` is down without east: only in east
  --> plan.yaml:10:18
   |
10 | control_plane: { switch-over: { in: [east] } }
   |                  ^^^^^^^^^^^
   |
   = help: let `switch-over` stand in another datacenter too

error: `login` is down without east: login -> switch-over: only in east
  --> plan.yaml:12:3
   |
12 |   login: { in: { active: [east], standby: [west] } }
   |   ^^^^^
   |
   = help: let `switch-over` stand in another datacenter too

error: `talk` is down without east: talk -> login -> switch-over: only in east
  --> plan.yaml:13:3
   |
13 |   talk:
   |   ^^^^
   |
   = help: let `switch-over` stand in another datacenter too

";

#[test]
fn what_is_lost_is_said_with_its_chain_and_control_planes_come_first() {
    let home = Home::new();
    let plan = home.file("plan.yaml", placed(STANDBY, IN_EAST));
    home.run(&["check", plan]).is(0, LOST, "");
    home.run(&["check", plan, "--placement=deny"]).is(2, LOST, DENIED);
    home.run(&["check", plan, "--placement=off"]).is(0, "", "");
    home.untouched();
}

#[test]
fn a_plan_that_loses_nothing_is_passed_in_silence() {
    let home = Home::new();
    let plan = home.file("plan.yaml", placed(STANDBY, IN_BOTH));
    let waits = "plan.yaml\n\nWithout east, which this plan cuts, nothing is down\n  \
                 needs failover  login, talk\n\n";
    home.run(&["check", plan, "--placement=deny"]).is(0, waits, "");
    let both = "  login: { in: [east, west] }\n";
    let plan = home.file("plan.yaml", placed(both, IN_BOTH));
    home.run(&["check", plan, "--placement=deny"]).is(0, "", "");
}

#[test]
fn what_goes_with_a_datacenter_that_is_not_cut_is_told_and_not_denied() {
    let home = Home::new();
    let plan = home.file("plan.yaml", placed("  login: { in: [west] }\n", IN_BOTH));
    let told = "plan.yaml\n\nWith west goes: 2 services down\n  down  login: only in west\n  \
                down  talk -> login: only in west\n\n";
    home.run(&["check", plan, "--placement=deny"]).is(0, told, "");
}

#[test]
fn a_cut_of_some_services_is_told_from_the_loss_of_all_there_is() {
    let home = Home::new();
    let plan = lab(&[
        ("talk: { east", "db: { east: 1 }\n    talk: { calls: [db], replicas: { east"),
        ("west: 1 }", "west: 1 } }"),
        ("datacenter: east", "datacenter: east, services: [db]"),
    ]);
    let plan = home.file("plan.yaml", plan);
    let lost = "  down  talk -> db: only in east\n";
    let told = format!(
        "plan.yaml\n\nWith db in east, which this plan cuts, goes: 1 service down\n{lost}\n\
         With all of east goes: 1 service down\n{lost}\n"
    );
    home.run(&["check", plan]).is(0, &told, "");
}

#[test]
fn json_holds_the_findings_and_the_placement_of_every_plan() {
    let home = Home::new();
    let good = home.file("plan.yaml", placed(STANDBY, IN_EAST));
    let bad = home.file("bad.yaml", lab(&[("datacenter: east", "datacenter: eats")]));
    let ended = home.run(&["check", "--format", "json", good, bad, "missing.yaml"]);
    assert_eq!(ended.code, 2, "{ended}");
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let plans = json["plans"].as_array().unwrap();
    let files: Vec<&str> = plans.iter().map(|plan| plan["file"].as_str().unwrap()).collect();
    assert_eq!(files, [good, bad, "missing.yaml"]);
    let lost = &plans[0]["placement"][0];
    assert_eq!((&lost["is_cut"], &lost["datacenters"][0]), (&true.into(), &"east".into()));
    assert_eq!(lost["services"][1]["predicted"], "down");
    assert_eq!(lost["services"][1]["chain"].as_array().unwrap().len(), 3);
    assert_eq!(lost["services"][1]["because"], "only in east");
    assert_eq!(lost["services"][1]["also"].as_array().unwrap().len(), 0);
    assert_eq!(plans[0]["findings"].as_array().unwrap().len(), 0);
    let denied = home.run(&["check", "--format", "json", "--placement=deny", good]);
    let json: serde_json::Value = serde_json::from_str(&denied.stdout).unwrap();
    let finding = &json["plans"][0]["findings"][2];
    assert_eq!((&finding["severity"], &finding["code"]), (&"error".into(), &"placement".into()));
    assert_eq!((&finding["line"], &finding["column"]), (&13.into(), &3.into()));
    let finding = &plans[1]["findings"][0];
    assert_eq!((&finding["code"], &finding["line"]), (&"reference".into(), &19.into()));
    assert_eq!(plans[2]["findings"][0]["code"], "file");
}

#[test]
fn addresses_that_lie_in_what_is_cut_are_said() {
    let home = Home::new();
    let networks = "networks: { east: [127.0.0.0/8, \"::1\"], west: [10.0.0.0/8] }\n";
    let parts = "control_plane:\n  registry: { address: \"127.0.0.1:443\" }\n  \
                 dns: { address: \"10.1.2.3:53\" }\n  store: { in: [west], address: \"127.0.0.9:1\" }\n  \
                 lost: { address: \"lost.invalid:443\" }\n  far: { address: \"192.0.2.1:443\" }\n";
    let plan = home.file("plan.yaml", placed(STANDBY, &format!("{networks}{parts}")));
    home.run(&["check", plan]).says(
        0,
        &[
            "control plane registry: only in east",
            "down talk -> login -> registry: only in east",
            "control plane store is at 127.0.0.9:1, which lies in east, and its `in` does not say so",
            "this machine lies in east (127.0.0.0/8): firedrill itself would be lost with it",
            "control plane lost is at lost.invalid:443, which could not be resolved, so nobody knows where it lies",
            "control plane far is at 192.0.2.1:443, which lies in none of the `networks`, so nobody knows",
        ],
    );
    // What could not be looked up from here is no error; what lies wrong is one, at its place.
    let denied = home.run(&["check", plan, "--placement=deny"]);
    assert_eq!(denied.code, 2, "{denied}");
    let error = "error: control plane store is at 127.0.0.9:1, which lies in east";
    assert!(
        denied.stderr.contains(error) && denied.stderr.contains("--> plan.yaml:14:3"),
        "{denied}"
    );
    assert!(!denied.stderr.contains("lost.invalid:443, which"), "{denied}");
}

#[test]
fn a_control_whose_way_back_is_cut_is_said_and_the_drill_does_not_start() {
    let home = Home::new();
    let servers = "servers: { east: app/e, west: app/w }";
    let plan = lab(&[
        (
            "wan: { lab: {} }",
            &format!("wan: {{ haproxy: {{ address: \"127.0.0.1:1\", {servers} }} }}"),
        ),
        (
            "services:\n  talk:\n    probes:",
            "networks: { east: [127.0.0.0/8] }\nservices:\n  talk:\n    probes:",
        ),
    ]);
    let plan = home.file("plan.yaml", plan);
    let said = "traffic control wan is steered at 127.0.0.1:1, which lies in east (127.0.0.0/8)";
    home.run(&["check", plan]).says(0, &[said]);
    home.run(&["preview", plan]).says(0, &[said, "could not be read"]);
    home.run(&["run", plan, "--yes"]).says(3, &["the way back would be cut"]);
}

#[test]
fn a_preview_names_the_stages_the_calls_and_the_losses_and_starts_nothing() {
    let home = Home::new();
    let plan = home.file("plan.yaml", placed(STANDBY, IN_EAST));
    home.run(&["preview", plan]).says(
        0,
        &[
            "short: would cut east (reset), for at most 20 s",
            "baseline 1 s, with 1 probe",
            "wan (the lab's own gateways)",
            "down talk -> login -> switch-over: only in east",
        ],
    );
    home.untouched();
    home.run(&["preview", "missing.yaml"]).has(2, &["missing.yaml"]);
}

#[test]
fn a_prediction_that_does_not_come_true_leads_the_report_and_is_in_the_record() {
    let home = Home::new();
    let plan = home.file("plan.yaml", placed(STANDBY, IN_EAST));
    let ended = home.run(&["run", plan, "-q", "--report", "table", "--report", "json=run.json"]);
    // The lab knows nothing of the login that the plan speaks of, so talk fails over all the same.
    ended.says(
        0,
        &[
            "Placement: 1 service was not as expected talk expected down, and it was failed over",
            "because talk -> login -> switch-over: only in east",
            "switch-over down: control plane, only in east",
            "login down, not measured: login -> switch-over: only in east",
        ],
    );
    let record = std::fs::read(home.path("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let services = record["placement"]["services"].as_array().unwrap();
    assert_eq!(
        (&services[0]["name"], &services[0]["measured"]),
        (&"login".into(), &"not-measured".into())
    );
    assert_eq!(
        (&services[1]["predicted"], &services[1]["agrees"]),
        (&"down".into(), &false.into())
    );
    assert_eq!(
        record["services"].as_array().unwrap().len(),
        1,
        "what has no probes is not measured"
    );
}
