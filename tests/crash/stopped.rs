//! Stops: from a person again and again, and from a reader that went away.

use crate::plans::cut;

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
