//! Stops: from a person again and again, and from a reader that went away.

use std::time::Duration;

use crate::home::{Home, code, stalled};
use crate::plans::{cut, endless};
use crate::site::{Site, until};

#[test]
fn the_third_time_tells_how_to_restore_by_hand_and_the_restore_goes_on() {
    let (_home, site, drill) = cut("10m");
    // The restore hangs for as long as HAProxy stands still.
    site.pause();
    drill.signal("INT");
    let mut drill = drill;
    drill.until(" restore: ");
    drill.signal("TERM");
    drill.until("SIGTERM again: traffic is being put back");
    drill.signal("INT");
    drill.until("to put wan back by hand:");
    drill.until("echo 'set server app/east-1 state ready' | socat - UNIX-CONNECT:");
    site.resume();
    drill.end().has(5, &["STOPPED", "SIGINT was received", "wan (haproxy)  restored"]);
    assert!(site.is_whole());
}

#[test]
fn a_reader_that_goes_away_stops_the_drill() {
    let (_home, site, mut drill) = cut("10m");
    drill.close_stdout();
    let ended = drill.end();
    ended.has(5, &["stdout was closed"]);
    assert!(site.is_whole());
}

#[test]
fn a_terminal_that_stands_still_keeps_no_drill_from_its_end_and_its_reports() {
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", endless(&site, "10m"));
    let (reader, writer) = stalled();
    let mut command = home.command(&["run", "plan.yaml", "--yes", "--report", "json=drill.json"]);
    let mut drill = command.stderr(writer).spawn().unwrap();
    let cut = || home.journals().iter().any(|journal| journal.contains("cut-confirmed"));
    until("it is cut", Duration::from_secs(30), cut);
    crate::home::kill("TERM", &drill.id().to_string());
    assert_eq!(code(&mut drill), 5);
    assert!(site.is_whole());
    for report in [
        home.path("drill.json"),
        home.path("firedrill/runs").join(home.only_run()).join("record.json"),
    ] {
        assert!(std::fs::read_to_string(report).unwrap().contains("\"verdict\": \"STOPPED\""));
    }
    drop(reader);
}
