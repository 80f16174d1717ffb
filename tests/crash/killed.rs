//! The drill dies or hangs, and its watchdog puts the traffic back.

use std::time::Duration;

use firedrill::journal::{Hand, Last, Run};

use crate::home::{Home, Running, kill, stalled};
use crate::plans::{cut, short};
use crate::site::{Site, until};

fn run(home: &Home) -> Run {
    Run::read(home.journal().as_bytes()).unwrap()
}

/// The watchdog has closed the journal.
fn closed(home: &Home) -> bool {
    Run::read(home.journal().as_bytes()).is_ok_and(|run| run.closed.is_some())
}

#[test]
fn a_drill_killed_at_any_record_of_its_journal_leaves_nothing_cut() {
    for record in [
        "opened",
        "snapshot",
        "cut-intended",
        "cut-confirmed",
        "restore-intended",
        "restore-confirmed",
        "closed",
    ] {
        let home = Home::new();
        let site = Site::start(&home.root());
        home.file("plan.yaml", short(&site));
        let drill = Running::start(&home, &["run", "plan.yaml", "--yes", "--quiet"]);
        let written = || home.journals().iter().any(|journal| journal.contains(record));
        until(record, Duration::from_secs(30), written);
        drill.signal("KILL");
        site.becomes_whole();
        // Whoever holds the journal, the dying drill or its watchdog, lets go of it at the very end.
        until("the journal is let go of", Duration::from_secs(30), || {
            home.run(&["status"]).stdout.starts_with("nothing is cut by the ")
        });
        assert!(run(&home).open().next().is_none(), "{record}: {}", home.journal());
        home.run(&["restore"]).is(0, "", "no run left traffic cut; nothing to restore\n");
        assert!(site.is_whole());
    }
}

#[test]
fn a_drill_killed_while_cut_is_restored_by_its_watchdog_which_says_so() {
    let (home, site, drill) = cut("10m");
    drill.signal("KILL");
    site.becomes_whole();
    // Its stderr is the drill's, and ends with it.
    let said = drill.rest();
    for text in ["the drill died", "puts the traffic to east back", "wan: restored"] {
        assert!(said.contains(text), "{said}");
    }
    let wan = &run(&home).controls[0];
    assert_eq!((wan.last, wan.by), (Last::RestoreConfirmed, Some(Hand::Watchdog)));
}

#[test]
fn a_drill_that_hangs_is_killed_and_restored() {
    let (home, site, drill) = cut("10m");
    drill.signal("STOP");
    site.becomes_whole();
    let said = drill.rest();
    assert!(said.contains("gave no sign of life"), "{said}");
    assert_eq!(run(&home).controls[0].by, Some(Hand::Watchdog));
}

#[test]
fn the_end_of_the_terminals_whole_session_does_not_end_the_watchdog() {
    let (home, site, drill) = cut("10m");
    drill.signal_group("KILL");
    site.becomes_whole();
    until("the watchdog closes the journal", Duration::from_secs(30), || closed(&home));
}

#[test]
fn a_watchdog_that_dies_stops_the_drill_which_restores() {
    for signal in ["KILL", "STOP"] {
        let (_home, site, drill) = cut("10m");
        kill(signal, &drill.watchdog());
        let ended = drill.end();
        ended.has(5, &["STOPPED", "the watchdog d"]);
        assert!(site.is_whole());
    }
}

#[test]
fn a_terminal_that_stands_still_does_not_keep_traffic_cut() {
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", crate::plans::endless(&site, "10m"));
    let (reader, writer) = stalled();
    let mut command = home.command(&["run", "plan.yaml", "--yes", "--quiet"]);
    let mut drill = command.stderr(writer).spawn().unwrap();
    until("it is cut", Duration::from_secs(30), || !site.is_whole());
    drill.kill().unwrap();
    drill.wait().unwrap();
    site.becomes_whole();
    until("the watchdog closes the journal", Duration::from_secs(30), || closed(&home));
    drop(reader);
}
