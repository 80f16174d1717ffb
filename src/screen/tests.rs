//! What is shown of a drill, line by line.

mod glass;
mod pictures;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::tell::Teller;
use super::*;
use crate::model::*;

fn at(millis: u64) -> Offset {
    Offset::from_millis(millis)
}

fn started(services: usize) -> DrillEvent {
    DrillEvent::Started {
        run: "7f3a".into(),
        plan: "quickstart".into(),
        lost: "east".to_owned(),
        datacenters: vec!["east".into(), "west".into()],
        services: (0..services).map(|number| Name::from(&*format!("talk-{number}"))).collect(),
        at_most: Duration::from_secs(60),
    }
}

fn entered(stage: Stage, millis: u64, seconds: Option<u64>) -> DrillEvent {
    DrillEvent::Entered { stage, at: at(millis), at_most: seconds.map(Duration::from_secs) }
}

fn called(act: Act, issued: u64, done: u64, error: Option<&str>) -> DrillEvent {
    DrillEvent::Called(ControlCall {
        control: "wan".into(),
        act,
        issued: at(issued),
        done: at(done),
        error: error.map(str::to_owned),
        exchanges: Vec::new(),
    })
}

fn now(number: usize, good: u64, whole: u64, served: [u64; 2], state: &str) -> ServiceNow {
    ServiceNow {
        service: Name::from(&*format!("talk-{number}")),
        good: Share { part: good, whole },
        served: served.into(),
        state: state.into(),
        down_since: None,
        budget: None,
        promises: 0,
        kept: 0,
        broken: 0,
    }
}

fn look(millis: u64, services: Vec<ServiceNow>) -> DrillEvent {
    let (guardrails, loads) = (vec![], vec![]);
    DrillEvent::Watched { at: at(millis), services, guardrails, loads }
}

fn watched(millis: u64, service: ServiceNow) -> DrillEvent {
    look(millis, vec![service])
}

fn drill() -> Vec<DrillEvent> {
    vec![
        started(1),
        entered(Stage::Preflight, 0, None),
        called(Act::Inspect, 1, 2, None),
        entered(Stage::Baseline, 4, Some(3)),
        watched(500, now(0, 20, 20, [10, 10], "")),
        watched(1000, now(0, 20, 20, [11, 9], "")),
        entered(Stage::Cut, 3000, None),
        called(Act::Cut, 3000, 3003, None),
        entered(Stage::Observe, 3003, Some(60)),
        watched(3250, now(0, 15, 20, [8, 7], "away for 0.2 s")),
        watched(3500, now(0, 11, 20, [5, 6], "away for 0.5 s")),
        watched(4400, now(0, 0, 20, [0, 0], "away for 1.4 s")),
        watched(4600, now(0, 1, 20, [0, 1], "back after at most 1.5 s")),
        watched(5600, now(0, 20, 20, [0, 20], "back after at most 1.5 s")),
        DrillEvent::Decided {
            at: at(6000),
            service: "talk-0".into(),
            text: "recovered within [1.4 s, 1.5 s], as promised".into(),
        },
        entered(Stage::Hold, 6000, Some(3)),
        entered(Stage::Restore, 9000, None),
        called(Act::Restore, 9000, 9012, None),
        entered(Stage::Failback, 9012, Some(30)),
        watched(9500, now(0, 20, 20, [4, 16], "")),
        DrillEvent::Ended { at: at(11_000), verdict: Verdict::Pass },
    ]
}

/// What a screen wrote.
#[derive(Clone, Debug, Default)]
struct Sink(Arc<Mutex<String>>);

impl Sink {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_drill_in_plain_lines_tells_changes_only() {
    let sink = Sink::default();
    let mut screen = Screen::plain(Box::new(sink.clone()), Style::default());
    drill().iter().for_each(|event| screen.show(event));
    insta::assert_snapshot!(sink.text());
}

#[test]
fn failures_are_told_with_what_and_how_long() {
    let line = |event| plain_line(&event).unwrap();
    assert_eq!(
        line(called(Act::Restore, 9000, 11_000, Some("no answer"))),
        (Tone::Bad, "  11.000 s  restoring through wan failed after 2 s: no answer".to_owned())
    );
    let why = Why::new("signal", "told by SIGINT\x1b[2J");
    let stopping = line(DrillEvent::Stopping { at: at(4200), why });
    assert!(stopping.1.starts_with("   4.200 s  STOPPING: told by SIGINT\u{fffd}[2J; "));
}

#[test]
fn a_service_that_flaps_gets_one_line_a_second() {
    let mut teller = Teller::default();
    teller.tell(&started(1));
    let flaps = (0..100).map(|n| watched(n * 100, now(0, n % 2, 1, [n % 2, 0], "")));
    let lines: usize = flaps.map(|event| teller.tell(&event).len()).sum();
    assert!((1..=10).contains(&lines), "{lines}");
}

#[test]
fn many_changes_at_once_are_counted() {
    let mut teller = Teller::default();
    teller.tell(&started(50));
    let services = (0..50).map(|number| now(number, 0, 5, [0, 0], "")).collect();
    let lines = teller.tell(&look(500, services));
    assert_eq!(lines.len(), 6);
    assert!(lines[5].1.ends_with("and 45 more changed"), "{lines:?}");
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    assert_eq!(Tone::Bad.paint("x", true), "\x1b[31mx\x1b[0m");
    assert_eq!(Tone::Bad.paint("x", false), "x");
}

#[test]
fn a_quiet_screen_takes_everything_and_says_nothing() {
    let mut screen = Screen::new(ScreenKind::Quiet, Style { color: true, ascii: false });
    drill().iter().for_each(|event| screen.show(event));
    screen.finish();
}
