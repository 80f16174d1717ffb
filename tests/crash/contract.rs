//! `firedrill provider-test`: a real HAProxy, and tools that break a rule each. Whatever happens, its traffic comes back or is named.

use std::fs::{OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firedrill::journal::{Hand, Last, Run};

use crate::home::{Ended, Home, Running, kill};
use crate::site::{Site, until};
use crate::texts;

/// A home with a plan of a site, whose provider is HAProxy's.
fn site() -> (Home, Site) {
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", plan(&site.provider(), site.front(), "20s"));
    (home, site)
}

fn plan(provider: &str, front: std::net::SocketAddr, at_most: &str) -> String {
    texts::own(front, provider, &[("at_most: 5s", &format!("at_most: {at_most}"))])
}

/// A tool that keeps its parts in a file: `east-1`, `east-2` and `west-1`, each `open` with a weight, or `closed`. `changed` are the
/// lines that make it another.
fn tool(changed: &[(&str, &str)]) -> String {
    let text = r#"#!/bin/sh
request=$(cat)
parts() { echo "$request" | jq -r '.parts | keys[]'; }
was() { echo "$request" | jq -r ".parts[\"$1\"].settings.weight"; }
set_to() { sed -i "s/^$1 .*/$1 $2/" parts; }
case $(echo "$request" | jq -r .act) in
  inspect) jq -Rn '[inputs | split(" ") | { (.[0]): { datacenter: (.[0] | sub("-.*"; "")), passage: .[1],
      settings: (if .[1] == "open" then { weight: .[2] } else {} end) } }] | { parts: add }' <parts ;;
  cut) for part in $(parts); do set_to $part closed; done ;;
  restore) for part in $(parts); do set_to $part "open $(was $part)"; done ;;
esac
"#;
    changed.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Puts the tool and its parts into `directory`.
pub fn install(directory: &Path, changed: &[(&str, &str)]) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("parts"), WHOLE).unwrap();
    let path = directory.join("tool.sh");
    std::fs::write(&path, tool(changed)).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A home with the tool, and a plan of it.
fn with_tool(changed: &[(&str, &str)], at_most: &str, timeout: &str) -> Home {
    let home = Home::new().with_env("PATH", &std::env::var("PATH").unwrap());
    install(&home.root(), changed);
    let act = "[./tool.sh]";
    let provider = format!(
        "{{ exec: {{ inspect: {act}, cut: {act}, restore: {act}, modes: [reset], timeout: {timeout} }} }}"
    );
    home.file("plan.yaml", plan(&provider, "127.0.0.1:9".parse().unwrap(), at_most));
    home
}

fn parts(home: &Home) -> String {
    std::fs::read_to_string(home.path("parts")).unwrap()
}

/// What comes of a test of the tool, and its parts afterwards.
fn test(changed: &[(&str, &str)], at_most: &str) -> (Ended, String) {
    let home = with_tool(changed, at_most, "2s");
    let ended = home.run(&["provider-test", "plan.yaml", "--yes"]);
    (ended, parts(&home))
}

pub const WHOLE: &str = "east-1 open 10\neast-2 open 10\nwest-1 open 7\n";

#[test]
fn haproxy_keeps_every_rule_and_is_left_as_it_was() {
    let (home, site) = site();
    let ended = home.run(&["provider-test", "plan.yaml", "--yes"]);
    ended.has(
        0,
        &[
            "wan: kept: read twice, it says the same: 3 parts, of which 2 lead to east\n",
            "wan: kept: others serve on: backend app: 1 left\n",
            "wan: cutting, for at most 20 s\n",
            "wan: kept: cut, it reads as foretold, and nothing else has changed: 2 parts cut, 1 part as before\n",
            "wan: kept: all of it reads as before the cut: 3 parts\n",
            "PASS  own: 1 control kept every rule, in reset of east.\n",
            "  kept       a second restore changes nothing: reads as before\n",
        ],
    );
    assert!(site.is_whole());
    home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
    let record = home.path("firedrill/runs").join(home.only_run()).join("provider-test.json");
    assert!(std::fs::read_to_string(record).unwrap().contains("\"verdict\": \"PASS\""));
    // It is no drill, neither passed nor lost.
    home.run(&["history"]).has(0, &["no run"]);
    let gate = home.run(&["gate", "plan.yaml"]);
    assert!(!gate.stdout.contains("left no record"), "{gate}");
}

#[test]
fn a_program_gets_every_rule_with_its_calls_in_json() {
    let (home, site) = site();
    let args = ["provider-test", "plan.yaml", "--yes", "--quiet", "--format", "json"];
    let ended = home.run(&args);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended}");
    let record: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(record["verdict"], "PASS");
    let rules = record["controls"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10);
    assert_eq!((&rules[4]["rule"], &rules[4]["kept"]), (&"cut".into(), &"yes".into()));
    let asked = rules[4]["calls"].to_string();
    assert!(asked.contains("set server app/east-1 state maint"), "{asked}");
    assert!(site.is_whole());
}

#[test]
fn nobody_is_cut_off_without_being_asked_nor_without_a_provider() {
    let (home, site) = site();
    home.run(&["provider-test", "plan.yaml"])
        .has(2, &["there is no terminal to ask at; give --yes"]);
    let ended = home.run(&["provider-test", "plan.yaml", "--yes", "--control", "lan"]);
    ended.is(2, "", "error: the plan does not cut through lan; it does through wan\n");
    home.file("lab.yaml", texts::lab(&[]));
    let ended = home.run(&["provider-test", "lab.yaml", "--yes"]);
    ended.has(2, &["there is no provider to test; nothing was touched"]);
    home.untouched();
    assert!(site.is_whole());
}

/// A runtime API in front of the site's own that takes every restore and loses it, once something was cut and for as long as `forgets`.
fn forgetful(home: &Home, forgets: &Arc<AtomicBool>) {
    let listener = UnixListener::bind(home.path("front.sock")).unwrap();
    let (real, forgets) = (home.path("admin.sock"), forgets.clone());
    std::thread::spawn(move || {
        let mut has_cut = false;
        for mut client in listener.incoming().flatten() {
            let mut line = String::new();
            BufReader::new(&client).read_line(&mut line).unwrap();
            has_cut |= line.contains("state maint");
            let mut answer = b"\n".to_vec();
            if !(has_cut && forgets.load(Ordering::SeqCst) && line.contains("state ready")) {
                let mut stream = UnixStream::connect(&real).unwrap();
                stream.write_all(line.as_bytes()).unwrap();
                answer.clear();
                stream.read_to_end(&mut answer).unwrap();
            }
            let _ = client.write_all(&answer);
        }
    });
}

#[test]
fn what_is_never_restored_is_said_and_put_back_when_that_works_again() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let forgets = Arc::new(AtomicBool::new(true));
    forgetful(&home, &forgets);
    let provider = site.provider().replace("admin.sock", "front.sock");
    home.file("plan.yaml", plan(&provider, site.front(), "5s"));
    home.run(&["provider-test", "plan.yaml", "--yes"]).has(
        6,
        &[
            "wan: kept: a restore of what was never cut changes nothing: reads as before\n",
            "wan: BROKEN: a restore is accepted and comes into effect: wan: after 5 s of trying it is not as it \
             was: app/east-1, app/east-2 differ; see who else steers it\n",
            "asked set server app/east-1 state ready",
            "NOT RESTORED  own: reset of east may still be in force.\n",
            "firedrill restore 2",
            "socat - UNIX-CONNECT:",
        ],
    );
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT"]);
    assert!(!site.is_whole());
    forgets.store(false, Ordering::SeqCst);
    home.run(&["restore"]).has(0, &["wan: restored: read back as it was before the drill"]);
    assert!(site.is_whole());
}

/// A tool whose second cut waits for a file that nobody writes, for as long as it has its home.
const WAITS: (&str, &str) = (
    "  cut) for",
    "  cut) test -e once && while test -e tool.sh && ! test -e go; do sleep 0.02; done; : >once; for",
);

/// A test that has cut both parts of east, and stays at that.
fn cut() -> (Home, Running) {
    let home = with_tool(&[WAITS], "60s", "1m");
    let mut test = Running::start(&home, &["provider-test", "plan.yaml", "--yes"]);
    test.until("wan: kept: cut, it reads as foretold");
    assert_eq!(parts(&home), "east-1 closed\neast-2 closed\nwest-1 open 7\n");
    (home, test)
}

#[test]
fn killed_in_mid_cut_its_traffic_is_put_back_by_its_watchdog() {
    for (signal, why) in [("KILL", "the drill died"), ("STOP", "gave no sign of life")] {
        let (home, test) = cut();
        test.signal(signal);
        let said = test.rest();
        for text in [why, "puts the traffic to east back", "wan: restored"] {
            assert!(said.contains(text), "{said}");
        }
        assert_eq!(parts(&home), WHOLE);
        let wan = &Run::read(home.journal().as_bytes()).unwrap().controls[0];
        assert_eq!((wan.last, wan.by), (Last::RestoreConfirmed, Some(Hand::Watchdog)));
        home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
    }
}

#[test]
fn killed_in_mid_cut_with_its_snapshot_damaged_its_watchdog_says_that_nobody_can_put_it_back() {
    let (home, test) = cut();
    let path = home.path("firedrill/runs").join(home.only_run()).join("journal");
    let snapshot = home.journal().find('\n').unwrap() + 20;
    let journal = OpenOptions::new().write(true).open(path).unwrap();
    journal.write_all_at(b"~", snapshot as u64).unwrap();
    test.signal("KILL");
    let said = test.rest();
    let lost = "the journal's line with the state of wan is damaged, so it cannot be put back from here; look at it";
    for text in ["damaged lines in the journal: 2", lost] {
        assert!(said.contains(text), "{said}");
    }
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT", "wan: its line in the journal is damaged"]);
}

#[test]
fn killed_with_its_watchdog_it_is_found_by_status_and_put_back_by_restore() {
    let (home, test) = cut();
    let watchdog = test.watchdog_among_others();
    kill("STOP", &watchdog);
    test.signal("KILL");
    kill("KILL", &watchdog);
    // A dying process holds its journal to the very end.
    until("both are gone", Duration::from_secs(30), || {
        home.run(&["status"]).stdout.contains("LEFT TRAFFIC CUT")
    });
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT", "-provider-test", "plan own", "wan: cut; "]);
    home.run(&["provider-test", "plan.yaml", "--yes"]).has(3, &["an earlier run left traffic cut"]);
    assert_ne!(parts(&home), WHOLE);
    home.run(&["restore"]).has(0, &["wan: restored: read back as it was before the drill"]);
    assert_eq!(parts(&home), WHOLE);
    home.run(&["status"]).has(0, &["nothing is cut by the "]);
}

#[test]
fn a_signal_in_mid_cut_puts_traffic_back_at_once() {
    for name in ["INT", "TERM", "HUP"] {
        let (home, test) = cut();
        test.signal(name);
        let ended = test.end();
        let why = format!("SIG{name} was received");
        ended.has(5, &["STOPPED  own: stopped in reset of east; traffic is back.", &why]);
        assert_eq!(parts(&home), WHOLE);
        home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
    }
}

#[test]
fn a_tool_that_keeps_every_rule_is_told_so() {
    let (ended, parts) = test(&[], "20s");
    ended
        .has(0, &["wan: kept: a second restore changes nothing: reads as before\n", "PASS  own: "]);
    assert_eq!(parts, WHOLE);
}

#[test]
fn a_tool_that_accepts_and_does_nothing() {
    let (ended, parts) = test(&[("do set_to $part closed; done", "do :; done")], "2s");
    ended.has(
        1,
        &[
            "wan: BROKEN: a cut is accepted and comes into effect: wan accepted the cut but does not say \
             that it is cut\n",
            "    cut: asked ",
            "FAIL  own: a rule was broken in reset of east; traffic is back.\n",
        ],
    );
    assert_eq!(parts, WHOLE);
}

#[test]
fn a_tool_that_changes_another_part() {
    let changed = [("  cut) for", "  cut) set_to west-1 closed; for")];
    let (ended, parts) = test(&changed, "20s");
    ended.has(
        6,
        &[
            "wan: BROKEN: cut, it reads as foretold, and nothing else has changed: it was not to touch that: \
             west-1 was open with weight 7 and is closed\n",
            "wan: kept: a restore is accepted and comes into effect: ",
            "wan: BROKEN: all of it reads as before the cut: west-1 was open with weight 7 and is closed\n",
            "NOT RESTORED  own: reset of east may still be in force.\n",
            "TRAFFIC MAY STILL BE CUT. Do this now:",
            "set by hand what is said above: `firedrill restore` does not know it",
        ],
    );
    let names_a_run =
        |text: &str| text.contains("firedrill restore t") || text.contains(" restore 2");
    assert!(!names_a_run(&ended.stdout) && !names_a_run(&ended.stderr), "{ended}");
    assert_eq!(parts, WHOLE.replace("west-1 open 7", "west-1 closed"));
}

#[test]
fn a_tool_that_restores_wrong() {
    let changed = [("open $(was $part)", "open 1")];
    // What was never cut is told from what was: it is caught before anything is cut.
    let (ended, parts) = test(&changed, "20s");
    ended.has(6, &["wan: BROKEN: a restore of what was never cut changes nothing: wan: east-1 was open with weight 10, the cut makes it "]);
    assert!(!ended.stderr.contains("cutting"), "{ended}");
    assert_eq!(parts, WHOLE.replace("open 10", "open 1"));
    let changed = [
        ("set_to $part closed", "set_to $part closed; : >cut"),
        ("open $(was $part)", "open $(test -e cut && echo 1 || was $part)"),
    ];
    let (ended, parts) = test(&changed, "20s");
    ended.has(
        6,
        &[
            "wan: kept: a second cut changes nothing",
            "wan: BROKEN: a restore is accepted and comes into effect: wan: east-1 was open with weight 10, the cut makes it ",
            "and it is open with weight 1; ",
            "by hand",
        ],
    );
    assert_eq!(parts, WHOLE.replace("open 10", "open 1"));
}

#[test]
fn a_tool_that_hangs() {
    let changed = [("  cut) for", "  cut) test -e once && sleep 100; : >once; for")];
    let (ended, parts) = test(&changed, "20s");
    ended.has(1, &["wan: BROKEN: a second cut changes nothing: ", "did not end within 2 s"]);
    assert_eq!(parts, WHOLE);
    let (ended, parts) = test(&[("  inspect) jq", "  inspect) sleep 100; jq")], "20s");
    ended.has(
        3,
        &["the command `./tool.sh` did not end within 2 s", "NOT STARTED  own: nothing was cut.\n"],
    );
    assert_eq!(parts, WHOLE);
}

#[test]
fn a_tool_that_toggles() {
    let toggle = "if grep -q \"^$part open\" parts; then set_to $part closed; else set_to $part \"open 10\"; fi";
    let changed = [("set_to $part \"open $(was $part)\"", toggle)];
    let (ended, parts) = test(&changed, "20s");
    ended.has(1, &["wan: BROKEN: a restore of what was never cut changes nothing: after the first one it did not read as before; it did after 2\n"]);
    assert!(!ended.stderr.contains("cutting"), "{ended}");
    assert_eq!(parts, WHOLE);
}
