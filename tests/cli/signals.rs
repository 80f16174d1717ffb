//! Signals in every stage: traffic is back before the process ends.

use crate::balancer::{Balancer, Restores};
use crate::home::{Home, Running};
use crate::plans::{lab, own};

/// A drill that would stay cut for much longer than any test takes.
fn long() -> String {
    lab(&[("stable_for: 500ms", "stable_for: 50s"), ("at_most: 20s", "at_most: 10m")])
}

#[track_caller]
fn stopped_while(stage: &str, signals: &[&str]) -> Home {
    let home = Home::new();
    let mut drill = Running::start(&home, &["run", home.file("plan.yaml", long())]);
    drill.until(&format!(" {stage}: "));
    signals.iter().for_each(|signal| drill.signal(signal));
    let ended = drill.end();
    ended.has(5, &["STOPPED", &format!("SIG{} was received", signals[0])]);
    home
}

#[track_caller]
fn restored(home: &Home) {
    let journal = home.journal();
    let (intended, confirmed) =
        (journal.find("restore-intended"), journal.find("restore-confirmed"));
    assert!(intended.is_some() && intended < confirmed, "{journal}");
}

#[test]
fn an_interrupt_while_cut_restores() {
    restored(&stopped_while("observe", &["INT"]));
}

#[test]
fn a_termination_while_cut_restores() {
    restored(&stopped_while("observe", &["TERM"]));
}

#[test]
fn a_terminal_that_goes_away_while_cut_restores() {
    restored(&stopped_while("observe", &["HUP"]));
}

#[test]
fn impatience_does_not_skip_the_restore() {
    restored(&stopped_while("observe", &["INT", "INT", "TERM", "INT"]));
}

#[test]
fn an_interrupt_at_baseline_cuts_nothing() {
    let home = stopped_while("baseline", &["INT"]);
    assert!(!home.journal().contains("cut-intended"), "{}", home.journal());
}

#[test]
fn an_interrupt_puts_the_servers_of_a_balancer_back() {
    let home = Home::new();
    let balancer = Balancer::new(Restores::Done);
    balancer.socket(&home.path("admin.sock"));
    let haproxy =
        "{ haproxy: { socket: admin.sock, servers: { east: [app/east-1], west: [app/west-1] } } }";
    let long = [("stable_for: 500ms", "stable_for: 50s"), ("at_most: 5s", "at_most: 10m")];
    let plan = home.file("plan.yaml", own(balancer.web(None), haproxy, &long));
    let mut drill = Running::start(&home, &["run", plan, "--yes"]);
    drill.until(" observe: ");
    assert!(balancer.is_cut());
    drill.signal("TERM");
    drill.end().has(5, &["STOPPED", "wan (haproxy)  restored"]);
    assert!(!balancer.is_cut());
    restored(&home);
}
