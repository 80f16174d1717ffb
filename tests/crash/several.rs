//! `firedrill provider-test` of a plan that cuts in steps: one control after another, and never a second one beside a cut.

use std::time::Duration;

use firedrill::journal::{Hand, Last, Run};

use crate::contract::{WHOLE, install};
use crate::home::{Ended, Home, Running, kill};
use crate::site::until;
use crate::texts;

const NAMES: [&str; 3] = ["wan", "lan", "dns"];

/// Every tool writes down what it is asked for.
const TELLS: (&str, &str) =
    ("request=$(cat)\n", "request=$(cat)\necho \"$request\" | jq -r .act >>acts\n");

/// A home with three tools, each in a directory of its own, of which `lan` is `changed`; and a plan that cuts through `wan`, and then
/// through the others side by side.
fn three(changed: &[(&str, &str)]) -> Home {
    let home = Home::new().with_env("PATH", &std::env::var("PATH").unwrap());
    for name in NAMES {
        let changed = if name == "lan" { changed } else { &[] };
        install(&home.path(name), &[&[TELLS], changed].concat());
    }
    let control = |name: &str| {
        let act = "[./tool.sh]";
        format!(
            "{{ exec: {{ inspect: {act}, cut: {act}, restore: {act}, modes: [reset], timeout: 20s, dir: {name} }} }}"
        )
    };
    let (lan, dns) = (control("lan"), control("dns"));
    let others = format!("  lan: {lan}\n  dns: {dns}\nservices:\n  web:\n");
    let changes = [
        ("services:\n  web:\n", others.as_str()),
        ("through: [wan]", "through: [wan], then: [[lan, dns]]"),
        ("at_most: 5s", "at_most: 20s"),
    ];
    let front = "127.0.0.1:9".parse().unwrap();
    home.file("plan.yaml", texts::own(front, &control("wan"), &changes));
    home
}

fn test(home: &Home, more: &[&str]) -> Ended {
    home.run(&[&["provider-test", "plan.yaml", "--yes"], more].concat())
}

/// What the tool `name` was asked for, but to be read.
fn acts(home: &Home, name: &str) -> Vec<String> {
    let acts = std::fs::read_to_string(home.path(name).join("acts")).unwrap_or_default();
    acts.lines().filter(|act| *act != "inspect").map(str::to_owned).collect()
}

fn parts(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path(name).join("parts")).unwrap()
}

fn whole(home: &Home) -> [bool; 3] {
    NAMES.map(|name| parts(home, name) == WHOLE)
}

fn run(home: &Home) -> Run {
    Run::read(home.journal().as_bytes()).unwrap()
}

#[test]
fn all_of_them_are_tested_one_after_another() {
    let home = three(&[]);
    let ended = test(&home, &[]);
    ended.has(0, &["PASS  own: 3 controls kept every rule, in reset of east.\n"]);
    let line = |text: &str| ended.stderr.find(text).unwrap_or_else(|| panic!("no {text}: {ended}"));
    for [first, then] in [["wan", "lan"], ["lan", "dns"]] {
        let back = line(&format!("{first}: kept: a second restore changes nothing"));
        assert!(back < line(&format!("{then}: kept: a restore of what was never cut")), "{ended}");
    }
    assert_eq!(whole(&home), [true; 3]);
    home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
}

#[test]
fn only_those_that_are_named_are_touched() {
    let home = three(&[]);
    test(&home, &["--control", "lan"])
        .has(0, &["PASS  own: 1 control kept every rule", "lan: kept: a second cut"]);
    for name in ["wan", "dns"] {
        assert!(!home.path(name).join("acts").exists(), "{name} was asked");
    }
    let both = ["--control", "dns", "--control", "wan", "--control", "dns"];
    test(&home, &both).has(0, &["PASS  own: 2 controls kept every rule"]);
    let ended = test(&home, &["--control", "lan", "--control", "edge"]);
    let known = "error: the plan does not cut through edge; it does through wan, lan, dns\n";
    ended.is(2, "", known);
}

#[test]
fn one_that_breaks_a_rule_is_back_and_the_next_is_not_cut() {
    let home = three(&[("  cut) for", "  cut) grep -q closed parts && exit 3; for")]);
    let ended = test(&home, &[]);
    ended.has(
        1,
        &[
            "lan: BROKEN: a second cut changes nothing: the command `./tool.sh` ended with exit status: 3",
            "FAIL  own: a rule was broken in reset of east; traffic is back.\n",
            "  not tried  a cut is accepted and comes into effect\n",
        ],
    );
    assert!(!ended.stderr.contains("dns: cutting"), "{ended}");
    assert_eq!((whole(&home), acts(&home, "dns")), ([true; 3], vec![]));
}

#[test]
fn one_that_is_restored_wrong_is_named_alone_until_a_person_has_put_it_right() {
    let wrong = "open $(grep -q closed parts && echo 1 || was $part)";
    let home = three(&[("open $(was $part)", wrong)]);
    let ended = test(&home, &[]);
    let run = home.only_run();
    ended.has(
        6,
        &[
            "wan: kept: a second restore changes nothing",
            "lan: BROKEN: a restore is accepted and comes into effect: lan: east-1 was open with weight 10, the cut \
             makes it closed, and it is open with weight 1; ",
            "NOT RESTORED  own: reset of east may still be in force.\n",
            "TRAFFIC MAY STILL BE CUT. Do this now:",
            &format!("firedrill restore {run}"),
            "lan && echo ",
        ],
    );
    assert!(!ended.stdout.contains("wan && echo ") && !ended.stdout.contains("dns && echo "));
    assert_eq!((whole(&home), acts(&home, "dns")), ([true, false, true], vec![]));
    let lan = "lan: a restore was begun; now 2 changed by another hand\n";
    home.run(&["status"]).has(6, &["wan: restored\n", lan, "dns: not touched\n"]);
    // The next one is not begun.
    test(&home, &["--control", "dns"]).has(3, &["an earlier run left traffic cut"]);
    let asked = ["wan: it was restored before", "lan: NOT RESTORED", "dns: no cut was intended"];
    home.run(&["restore"]).has(6, &asked);
    home.file("lan/parts", WHOLE);
    home.run(&["restore", &run, "--settled"]).has(0, &["settled by you"]);
    home.run(&["status"]).has(0, &["nothing is cut by the "]);
}

/// The `act` of a tool, which says by a file that it is under way, and waits for another one.
fn waits(act: &str) -> [(String, String); 1] {
    let waits = ": >here; while test -e tool.sh && ! test -e go; do sleep 0.02; done";
    [(format!("  {act}) for"), format!("  {act}) {waits}; for"))]
}

/// A test that has put `wan` back and waits within the first such `act` of `lan`.
fn within(act: &str) -> (Home, Running) {
    let changed = waits(act);
    let changed = changed.each_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    let home = three(&changed);
    let mut test = Running::start(&home, &["provider-test", "plan.yaml", "--yes"]);
    test.until("wan: kept: a second restore changes nothing");
    until("lan is at work", Duration::from_secs(30), || home.path("lan/here").exists());
    (home, test)
}

#[test]
fn a_signal_between_two_of_them_ends_the_test_with_nothing_cut() {
    let (home, mut test) = within("restore");
    test.signal("TERM");
    test.until("STOPPING: SIGTERM was received; traffic is being restored");
    home.file("lan/go", "");
    let ended = test.end();
    ended.has(
        5,
        &[
            "STOPPED  own: stopped in reset of east; traffic is back.\n",
            "SIGTERM was received",
            "wan: kept: a second restore changes nothing",
        ],
    );
    let cut = |name| acts(&home, name).iter().filter(|act| *act == "cut").count();
    assert_eq!((whole(&home), NAMES.map(cut)), ([true; 3], [2, 0, 0]));
    home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
}

#[test]
fn killed_while_the_second_is_cut_that_one_alone_is_put_back() {
    let (home, test) = within("cut");
    let before = acts(&home, "wan");
    test.signal("KILL");
    home.file("lan/go", "");
    let said = test.rest();
    for text in [
        "the drill died",
        "wan: it was restored before; nothing was touched",
        "lan: restored",
        "dns: no cut was intended; nothing was touched",
    ] {
        assert!(said.contains(text), "{said}");
    }
    assert_eq!(whole(&home), [true; 3]);
    assert_eq!((acts(&home, "wan"), acts(&home, "dns")), (before, vec![]));
    let ends = run(&home).controls.iter().map(|it| (it.last, it.by)).collect::<Vec<_>>();
    let by = |hand| (Last::RestoreConfirmed, Some(hand));
    assert_eq!(ends, [by(Hand::Drill), by(Hand::Watchdog), (Last::None, None)]);
}

#[test]
fn killed_with_its_watchdog_and_its_last_line_damaged_the_cut_is_found_all_the_same() {
    let (home, test) = within("cut");
    let watchdog = test.watchdog_among_others();
    kill("STOP", &watchdog);
    test.signal("KILL");
    kill("KILL", &watchdog);
    home.file("lan/go", "");
    until("lan is cut", Duration::from_secs(30), || parts(&home, "lan") != WHOLE);
    // A dying process holds its journal to the very end.
    until("both are gone", Duration::from_secs(30), || {
        home.run(&["status"]).stdout.contains("LEFT TRAFFIC CUT")
    });
    let path = home.path("firedrill/runs").join(home.only_run()).join("journal");
    let mut journal = home.journal();
    assert!(journal.lines().last().unwrap().contains("cut-intended"), "{journal}");
    journal.truncate(journal.len() - 4);
    std::fs::write(&path, journal + "~~~\n").unwrap();
    home.run(&["status"]).has(
        6,
        &["LEFT TRAFFIC CUT", "wan: perhaps cut; now 2 as before\n", "lan: perhaps cut; now 2 cut"],
    );
    home.run(&["restore"]).has(0, &["damaged lines in the journal: ", "lan: restored"]);
    assert_eq!(whole(&home), [true; 3]);
    home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
}

#[test]
fn a_watchdog_that_dies_while_the_second_is_cut_stops_the_test_which_restores() {
    let (home, test) = within("cut");
    kill("KILL", &test.watchdog_among_others());
    let ended = test.end();
    ended.has(5, &["STOPPED", "the watchdog died", "traffic is back"]);
    assert_eq!((whole(&home), acts(&home, "dns")), ([true; 3], vec![]));
}

#[test]
fn killed_at_whatever_rule_nothing_stays_cut() {
    for text in [
        "dns: kept: others serve on",
        "lan: kept: a restore of what was never cut",
        "lan: cutting",
        "lan: kept: a second cut",
        "lan: kept: all of it reads as before",
    ] {
        let home = three(&[]);
        let mut test = Running::start(&home, &["provider-test", "plan.yaml", "--yes"]);
        test.until(text);
        test.signal("KILL");
        let said = test.rest();
        assert_eq!(whole(&home), [true; 3], "{text}: {said}");
        home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
        home.run(&["restore"]).has(0, &["no run left traffic cut; nothing to restore"]);
    }
}
