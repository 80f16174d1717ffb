//! Drill and watchdog are both gone: what is left is a journal, and a person with it.

use std::time::Duration;

use firedrill::journal::{Opened, Record, line};

use crate::home::{Home, kill};
use crate::plans::{cut, endless};
use crate::site::{Site, until};

/// A home with a journal of a cut that nobody restored.
pub fn left() -> (Home, Site) {
    let (home, site, drill) = cut("10m");
    let watchdog = drill.watchdog();
    // First it stands still, so that it cannot notice the death of its drill.
    kill("STOP", &watchdog);
    drill.signal("KILL");
    kill("KILL", &watchdog);
    // A dying process holds its journal to the very end.
    until("both are gone", Duration::from_secs(30), || {
        home.run(&["status"]).stdout.contains("LEFT TRAFFIC CUT")
    });
    assert!(!site.is_whole());
    (home, site)
}

#[test]
fn status_names_it_the_next_drill_is_refused_and_restore_puts_it_back() {
    let (home, site) = left();
    let id = home.only_run();
    let restore = format!("put it back: firedrill restore {id}");
    home.run(&["status"])
        .has(6, &["LEFT TRAFFIC CUT: east (reset)", "wan: cut; now 2 cut", &restore]);
    home.run(&["run", "plan.yaml", "--yes"])
        .has(3, &["an earlier run left traffic cut", &id, "`firedrill restore`"]);
    assert_eq!(home.journals().len(), 1, "the refused drill left nothing");

    home.run(&["restore", &id, "--settled"])
        .has(6, &["our cut is still in force (2 of its parts), so nothing was settled"]);
    home.run(&["restore", "--settled"]).has(2, &["<RUN>"]);
    home.run(&["restore", &id, "--settled", "--dry-run"]).has(2, &["cannot be used with"]);
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT"]);
    let dry = home.run(&["restore", "--dry-run"]);
    dry.has(
        6,
        &["wan: now 2 cut: put back:", "echo 'set server app/east-1 state ready' | socat - "],
    );
    assert!(!site.is_whole(), "a dry run touches nothing");

    home.run(&["restore"]).has(0, &["wan: restored: read back as it was before the drill"]);
    assert!(site.is_whole());
    home.run(&["restore", &id]).has(0, &["wan: it was restored before; nothing was touched"]);
    home.run(&["status"]).has(0, &["nothing is cut by the "]);
    home.run(&["restore", "--dry-run", &id]).has(0, &["nothing: it was restored before"]);
}

#[test]
fn what_the_report_tells_people_to_type_puts_it_back() {
    let (home, site) = left();
    let dry = home.run(&["restore", "--dry-run"]);
    let commands = dry.stderr.lines().filter(|line| line.contains("echo '"));
    for command in commands {
        let command = command.trim().split_once("echo '").unwrap().1.split_once('\'').unwrap().0;
        assert_eq!(site.by_hand(command).trim(), "", "{command}");
    }
    assert!(site.is_whole());
    home.run(&["restore"]).has(0, &["wan: it was as before the drill already"]);
}

#[test]
fn what_another_hand_changed_meanwhile_is_not_touched_and_the_rest_is_restored() {
    let (home, site) = left();
    site.by_hand("set server app/east-1 weight 3");
    let ended = home.run(&["restore"]);
    ended.has(
        6,
        &[
            "NOT RESTORED: another hand changed it",
            "app/east-1: before the drill state ready, weight 10; our cut state maint, weight 10; now \
             state maint, weight 3",
        ],
    );
    let state =
        |name: &str| site.servers().into_iter().find(|(server, ..)| server == name).unwrap();
    assert_eq!(state("east-1"), ("east-1".to_owned(), 1, 3));
    assert_eq!(state("east-2"), ("east-2".to_owned(), 0, 10));
    // The person decides that the new weight is right.
    site.by_hand("set server app/east-1 state ready");
    home.run(&["restore"]).has(6, &["NOT RESTORED", "--settled"]);
    let id = home.only_run();
    home.run(&["restore", &id, "--settled"]).has(0, &["settled by you"]);
    home.run(&["status"]).has(0, &["nothing is cut by the 1 run in "]);
}

#[test]
fn a_directory_that_is_not_there_is_not_taken_for_one_where_nothing_is_cut() {
    let home = Home::new();
    home.run(&["status", "--state-dir", "typo"]).has(6, &["there is no state directory", "typo"]);
    home.run(&["restore", "--state-dir", "typo"]).has(2, &["there is no state directory"]);
}

#[test]
fn a_control_that_is_gone_is_not_restored_and_people_are_told_how() {
    let (home, mut site) = left();
    site.stop();
    let ended = home.run(&["restore", "--try-for", "1s"]);
    ended.has(6, &["wan: NOT RESTORED", "by hand:", "echo 'set server app/east-2 state ready'"]);
    ended.has(6, &["warning: whether another drill has it is not known"]);
    home.run(&["status"]).has(6, &["a restore was begun; unreachable"]);
    let id = home.only_run();
    home.run(&["restore", &id, "--even-unread"]).has(2, &["--settled"]);
    home.run(&["restore", &id, "--settled"])
        .has(6, &["so nothing was settled: wan: unreachable: cannot connect", "add --even-unread"]);
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT"]);
    home.run(&["restore", &id, "--settled", "--even-unread"]).has(0, &["settled by you"]);
    home.run(&["status"]).has(0, &["nothing is cut"]);
}

#[test]
fn a_journal_restores_from_wherever_it_was_copied_to_and_another_machines_addresses_are_not_ours() {
    let (home, site) = left();
    let journal = home.journal();
    std::fs::create_dir(home.path("copy")).unwrap();
    let (first, rest) = journal.split_once('\n').unwrap();
    let Record::Opened(opened) = parsed(first) else { panic!("{first}") };
    let elsewhere = Record::Opened(Opened { host: "elsewhere".into(), ..opened });
    home.file("copy/journal", line(&elsewhere).unwrap() + rest);
    home.run(&["restore", "copy"])
        .has(6, &["means something only on elsewhere", "--any-host", "NOT RESTORED"]);
    assert!(!site.is_whole());
    home.run(&["restore", "copy/journal", "--any-host"]).has(0, &["wan: restored"]);
    assert!(site.is_whole());
}

fn parsed(line: &str) -> Record {
    serde_json::from_str(line.split_once(' ').unwrap().1).unwrap()
}

#[test]
fn journals_that_cannot_be_used_say_why() {
    let home = Home::new();
    home.run(&["restore", "20221015T063319Z-0001"])
        .has(2, &["there is no run 20221015T063319Z-0001", "`firedrill status`"]);
    home.file("text", "hello\n");
    home.run(&["restore", "./text"]).has(6, &["does not begin as a journal of firedrill does"]);
    home.file("newer", "b5d8ec41 {\"opened\":{\"format\":10}}\n");
    let json = r#"{"opened":{"format":10}}"#;
    home.file("newer", format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())));
    home.run(&["restore", "./newer"]).has(6, &["it has the format 10, and this firedrill reads 3"]);
    home.file("empty", "");
    home.run(&["restore", "./empty"]).has(0, &["ended before it touched anything"]);
}

#[test]
fn a_damaged_journal_restores_what_it_can() {
    let (home, site) = left();
    let path = home.path("firedrill/runs").join(home.only_run()).join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let place = home.journal().find("cut-intended").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    home.run(&["restore"])
        .has(0, &["warning: ", "damaged lines in the journal: 3", "wan: restored"]);
    assert!(site.is_whole());
}

#[test]
fn a_journal_without_its_snapshot_cannot_restore_and_says_so() {
    let (home, site) = left();
    let path = home.path("firedrill/runs").join(home.only_run()).join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let place = home.journal().find("snapshot").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    home.run(&["restore"]).has(6, &["the state of wan is damaged"]);
    assert!(!site.is_whole());
    home.run(&["status"]).has(6, &["wan: its line in the journal is damaged"]);
    home.file("plan.yaml", endless(&site, "10m"));
    home.run(&["run", "plan.yaml", "--yes"]).has(3, &["an earlier run left traffic cut"]);
}
