//! What is shown of a drill, line by line.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressDrawTarget, TermLike};

use super::live::{LINES, View};
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
    })
}

fn now(number: usize, good: u64, whole: u64, served: [u64; 2], state: &str) -> ServiceNow {
    ServiceNow {
        service: Name::from(&*format!("talk-{number}")),
        good: Share { part: good, whole },
        served: served.into(),
        state: state.into(),
    }
}

fn watched(millis: u64, service: ServiceNow) -> DrillEvent {
    DrillEvent::Watched { at: at(millis), services: vec![service] }
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

/// A terminal that writes down what it is told.
impl TermLike for Sink {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("<up {n}>"))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("<down {n}>"))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("<right {n}>"))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.write_str(&format!("<left {n}>"))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("<clear>")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_drill_in_plain_lines_tells_changes_only() {
    let sink = Sink::default();
    let mut screen = Screen::plain(Box::new(sink.clone()), false);
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
    let lines = teller.tell(&DrillEvent::Watched { at: at(500), services });
    assert_eq!(lines.len(), 6);
    assert!(lines[5].1.ends_with("and 45 more changed"), "{lines:?}");
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    assert_eq!(Tone::Bad.paint("x", true), "\x1b[31mx\x1b[0m");
    assert_eq!(Tone::Bad.paint("x", false), "x");
}

fn view(events: &[DrillEvent]) -> View {
    let mut view = View::default();
    events.iter().for_each(|event| view.take(event));
    view
}

#[test]
fn the_live_view_says_where_the_drill_is_and_who_serves() {
    let view = view(&drill()[..11]);
    assert_eq!(view.stage_line(), "quickstart: observe, at most 1 min left");
    let longer = self::view(&drill()[..13]);
    assert_eq!(longer.stage_line(), "quickstart: observe, cut for 1 s, at most 59 s left");
    let lines = view.service_lines(LINES, false);
    assert_eq!(lines, ["talk-0  █████░░░░░  55 %  east 45 %, west 55 %  away for 0.5 s"]);
}

#[test]
fn among_many_services_the_worst_are_shown() {
    let services: Vec<ServiceNow> =
        (0..50).map(|n| now(n, if n == 40 { 0 } else { 5 }, 5, [0, 5], "")).collect();
    let view = view(&[started(50), DrillEvent::Watched { at: at(500), services }]);
    let lines = view.service_lines(LINES, false);
    assert_eq!(lines.len(), LINES);
    assert!(lines[LINES - 2].starts_with("talk-40  ░░░░░░░░░░   0 %"), "{lines:?}");
    assert_eq!(lines[LINES - 1], "and 31 more, none of them worse");
    let small = view.service_lines(2, false);
    assert!(small[0].starts_with("talk-40") && small[1].starts_with("and 49 more"), "{small:?}");
}

#[test]
fn a_live_screen_clears_its_view_and_leaves_what_happened() {
    let sink = Sink::default();
    let target = ProgressDrawTarget::term_like(Box::new(sink.clone()));
    let mut screen = Screen::live(target, false);
    drill().iter().for_each(|event| screen.show(event));
    let before = sink.text();
    assert!(before.contains("   3.003 s  cut confirmed through wan after 3.0 ms"), "{before}");
    assert!(before.contains("talk-0  █████░░░░░  55 %"), "{before}");
    screen.finish();
    let last = sink.text()[before.len()..].to_owned();
    assert!(last.contains("<clear>") && !last.contains("talk-0  █"), "{last}");
    let after = sink.text().len();
    drop(screen);
    assert_eq!(sink.text().len(), after);
}

#[test]
fn a_quiet_screen_takes_everything_and_says_nothing() {
    let mut screen = Screen::new(ScreenKind::Quiet, true);
    drill().iter().for_each(|event| screen.show(event));
    screen.finish();
}
