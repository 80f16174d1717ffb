//! The live view at every size and stage, and with whatever services are called.

use std::fmt::Write;

use super::glass::Glass;
use super::*;
use crate::screen::draw::{Look, draw};
use crate::screen::line::width;
use crate::screen::tell::Tone;
use crate::screen::view::{HELD, View};

const SIZES: [(usize, usize); 4] = [(120, 40), (80, 24), (60, 20), (40, 10)];

fn size((columns, rows): (usize, usize)) -> Look {
    Look { columns, rows, ascii: false, color: false, from: None, keys: false, tick: 0 }
}

fn view(events: &[DrillEvent]) -> View {
    let mut view = View::default();
    events.iter().for_each(|event| view.take(event));
    view
}

fn running(within: u64) -> Option<BudgetNow> {
    let within = Duration::from_secs(within);
    Some(BudgetNow { promise: Promise::RecoverWithin, from: at(3000), within })
}

/// Five services, each in another state, 5.2 s into a drill that cut after 3 s.
fn services() -> Vec<ServiceNow> {
    let promised = |now: ServiceNow| ServiceNow { promises: 2, ..now };
    let since = Some(at(3100));
    vec![
        promised(ServiceNow { down_since: since, budget: running(3), ..now(0, 0, 20, [0, 0], "") }),
        promised(ServiceNow { down_since: since, budget: running(1), ..now(1, 0, 20, [0, 0], "") }),
        ServiceNow { down_since: since, ..now(2, 7, 20, [2, 5], "recovery > 1.2 s") },
        promised(ServiceNow { kept: 1, ..now(3, 20, 20, [0, 20], "recovery [0.9 s, 1.1 s]") }),
        promised(ServiceNow { broken: 1, ..now(4, 19, 20, [0, 20], "recovery [1.9 s, 2.1 s]") }),
        now(5, 0, 0, [0, 0], ""),
    ]
}

fn guardrails() -> Vec<GuardrailNow> {
    let lasting = Duration::from_secs(30);
    let of = |name: &str, kind, standing, value| GuardrailNow {
        name: name.into(),
        kind,
        standing,
        value,
    };
    vec![
        of("orders", GuardrailKind::GoodShare, Standing::Within, Some(0.9912)),
        of(
            "p95",
            GuardrailKind::Latency,
            Standing::Beyond { since: at(2000), lasting },
            Some(731.0),
        ),
        of(
            "prom",
            GuardrailKind::Prometheus,
            Standing::Unreadable { since: at(900), lasting },
            None,
        ),
        of("stop", GuardrailKind::KillSwitch, Standing::Within, Some(0.0)),
    ]
}

fn loads() -> Vec<LoadNow> {
    let good = Share { part: 176, whole: 180 };
    vec![LoadNow { name: "peak".into(), wanted: 200.0, offered: 180.4, good }]
}

/// A drill up to its look 5.2 s after its clock began.
fn under_way() -> Vec<DrillEvent> {
    let mut events =
        vec![started(6), entered(Stage::Preflight, 0, None), entered(Stage::Baseline, 4, Some(3))];
    let good = |number| now(number, 20, 20, [10, 10], "");
    events.extend((1..12).map(|look| super::look(look * 250, (0..6).map(good).collect())));
    events.push(entered(Stage::Cut, 3000, Some(10)));
    events.push(entered(Stage::Observe, 3003, Some(60)));
    let less =
        |number, look: u64| now(number, 20 - (number as u64 * 4 * look).min(20), 20, [1, 1], "");
    events.extend((1..9).map(|look| {
        super::look(3000 + look * 250, (0..6).map(|number| less(number, look)).collect())
    }));
    events.push(DrillEvent::Watched {
        at: at(5200),
        services: services(),
        guardrails: guardrails(),
        loads: loads(),
    });
    events
}

#[test]
fn it_fits_every_size() {
    let (view, mut pictures) = (view(&under_way()), String::new());
    for (columns, rows) in SIZES {
        let lines = draw(&view, &size((columns, rows)));
        writeln!(pictures, "{columns}x{rows}\n{}\n", lines.join("\n")).unwrap();
    }
    insta::assert_snapshot!("pictures", pictures);
}

#[test]
fn each_stage_has_its_line() {
    let stages = [
        (Stage::Preflight, 0, None),
        (Stage::Baseline, 100, Some(3)),
        (Stage::Cut, 3100, Some(10)),
        (Stage::Observe, 3200, Some(60)),
        (Stage::Hold, 15_000, Some(12)),
        (Stage::Restore, 27_000, Some(60)),
        (Stage::Failback, 27_100, Some(30)),
    ];
    let (mut view, mut pictures) = (view(&[started(1)]), String::new());
    let mut picture = |view: &View| {
        let lines = [(100, 24), (60, 24)].map(|at| draw(view, &size(at)).join("\n"));
        writeln!(pictures, "{}\n", lines.join("\n")).unwrap();
    };
    picture(&view);
    for (stage, millis, seconds) in stages {
        view.take(&entered(stage, millis, seconds));
        picture(&view);
    }
    let why = Why::new("signal", "SIGINT");
    view.take(&DrillEvent::Stopping { at: at(28_000), why });
    picture(&view);
    insta::assert_snapshot!("stages", pictures);
}

#[test]
fn in_ascii_it_is_ascii_and_as_wide() {
    let view = view(&under_way());
    for at in SIZES {
        let lines = draw(&view, &size(at));
        let ascii = draw(&view, &Look { ascii: true, ..size(at) });
        assert!(ascii.iter().all(|line| line.is_ascii()), "{ascii:#?}");
        assert_eq!(
            ascii.iter().map(|line| width(line)).collect::<Vec<_>>(),
            lines.iter().map(|line| width(line)).collect::<Vec<_>>()
        );
    }
    insta::assert_snapshot!(
        "ascii",
        draw(&view, &Look { ascii: true, ..size((120, 40)) }).join("\n")
    );
}

#[test]
fn colour_changes_no_sign() {
    let view = view(&under_way());
    let painted = draw(&view, &Look { color: true, ..size((120, 40)) }).join("\n");
    let bare = super::super::terminal::without_tones(&painted);
    assert_eq!(bare, draw(&view, &size((120, 40))).join("\n"));
    assert!(painted.contains(&Tone::Bad.paint("down for 2.1 s", true)), "{painted}");
}

#[test]
fn no_name_makes_it_wider_or_steers_the_terminal() {
    let long = "x".repeat(1 << 20);
    let wide = "판교데이터센터".repeat(9);
    for nasty in [
        &*long,
        &*wide,
        "a\x1b[2J\x1b]0;t\x07b",
        "\u{202e}evil\u{2066}",
        "e\u{301}".repeat(60).as_str(),
        "a\nb\tc\r",
        "",
    ] {
        let name = Name::from(nasty);
        let mut events = under_way();
        let mut services = services();
        services.iter_mut().for_each(|now| {
            now.service = name.clone();
            now.state = format!("recovery [{nasty}");
        });
        let mut guardrails = guardrails();
        guardrails.iter_mut().for_each(|now| now.name = name.clone());
        let mut loads = loads();
        loads[0].name = name.clone();
        events[0] = DrillEvent::Started {
            run: nasty.into(),
            plan: name.clone(),
            lost: nasty.into(),
            datacenters: vec![name.clone(), name.clone()],
            services: vec![name.clone(); 6],
            at_most: Duration::MAX,
        };
        events.push(DrillEvent::Watched { at: at(5200), services, guardrails, loads });
        let view = view(&events);
        for at in SIZES.into_iter().chain([(1, 1), (0, 0), (3, 6), (7, 2), (5000, 300)]) {
            let lines = draw(&view, &size(at));
            assert!(!lines.is_empty() && lines.len() <= at.1.max(1), "{at:?}");
            for line in &lines {
                assert!(width(line) < at.0.max(2), "{at:?} {line:?}");
                assert!(!line.chars().any(is_steering), "{line:?}");
            }
        }
    }
}

/// Two thousand services: one is down, one fails, one broke its promise.
fn many() -> View {
    let mut services: Vec<ServiceNow> = (0..2000).map(|n| now(n, 20, 20, [0, 20], "")).collect();
    services[700] = ServiceNow { down_since: Some(at(3100)), ..now(700, 0, 20, [0, 0], "") };
    services[1500] = ServiceNow { promises: 1, broken: 1, ..services[1500].clone() };
    services[40] = ServiceNow { down_since: Some(at(3100)), ..now(40, 9, 20, [0, 9], "") };
    view(&[started(2000), entered(Stage::Observe, 3000, Some(60)), look(5200, services)])
}

#[test]
fn a_probe_that_is_asked_seldom_is_shown_as_it_was_until_it_is_forgotten() {
    let unseen = || look(0, vec![now(0, 0, 0, [0, 0], "")]);
    let mut view = view(&[started(1), look(0, vec![now(0, 20, 20, [0, 20], "")])]);
    let line = |view: &View| draw(view, &size((120, 24)))[2].clone();
    let first = line(&view);
    for _ in 0..HELD {
        view.take(&unseen());
    }
    let held = line(&view);
    assert!(first.contains("100 %  west 100 %") && held.contains("100 %  west 100 %"), "{held}");
    view.take(&unseen());
    assert!(line(&view).contains("not observed"), "{}", line(&view));
}

#[test]
fn a_stage_that_was_broken_off_is_not_shown_as_passed() {
    let stop = DrillEvent::Stopping { at: at(3500), why: Why::new("signal", "SIGINT") };
    let view = view(&[
        started(1),
        entered(Stage::Baseline, 0, None),
        entered(Stage::Observe, 3000, Some(60)),
        stop.clone(),
        entered(Stage::Restore, 3600, Some(60)),
        stop,
        entered(Stage::Failback, 3700, Some(60)),
    ]);
    let lines = draw(&view, &size((160, 24))).join("\n");
    for said in ["baseline ✓", "observe ✗", "restore ✓", "failback ▸"] {
        assert!(lines.contains(said), "{said}: {lines}");
    }
}

#[test]
fn of_many_services_the_worst_are_shown_in_the_plans_order() {
    let lines = draw(&many(), &size((80, 13)));
    assert_eq!(lines.len(), 9);
    let named: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(named[2..8], ["talk-0", "talk-1", "talk-2", "talk-40", "talk-700", "talk-1500"]);
    assert_eq!(lines[8], "  and 1994 more, none of them worse");
}

#[test]
fn scrolled_it_shows_the_services_in_the_plans_order() {
    let look = Look { from: Some(1994), keys: true, ..size((80, 13)) };
    let lines = draw(&many(), &look);
    assert!(
        lines[2].starts_with("  talk-1994") && lines[7].starts_with("  talk-1999"),
        "{lines:#?}"
    );
    assert_eq!(lines[8], "  services 1995 to 2000 of 2000 (w: the worst)");
    let beyond = draw(&many(), &Look { from: Some(usize::MAX), ..look });
    assert_eq!(beyond[2], lines[2]);
}

#[test]
fn many_guardrails_leave_room_for_the_services() {
    let of = |number: usize, standing| GuardrailNow {
        name: Name::from(&*format!("rail-{number}")),
        kind: GuardrailKind::Http,
        standing,
        value: None,
    };
    let mut guardrails: Vec<_> = (0..50).map(|number| of(number, Standing::Within)).collect();
    guardrails[33].standing = Standing::Broken;
    let loads = (0..50).flat_map(|_| loads()).collect();
    let services = services();
    let view =
        view(&[started(6), DrillEvent::Watched { at: at(5200), services, guardrails, loads }]);
    let lines = draw(&view, &size((80, 24)));
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(lines.len() <= 18 && has("talk-5"), "{lines:#?}");
    assert!(has("rail-33  BROKEN") && has("49 more guardrails, none of them worse"), "{lines:#?}");
    assert!(!has("rail-32"), "{lines:#?}");
}

#[test]
fn a_live_screen_clears_its_view_and_leaves_what_happened() {
    let glass = Glass::new(80);
    let mut screen = Screen::live(glass.clone(), Style::default(), None);
    drill().iter().for_each(|event| screen.show(event));
    screen.tick();
    let before = glass.lines();
    assert!(before.iter().any(|line| line.contains("failback ▸")), "{before:#?}");
    screen.finish();
    drop(screen);
    let told: Vec<String> = drill()
        .iter()
        .filter(|event| !matches!(event, DrillEvent::Entered { .. }))
        .filter_map(plain_line)
        .map(|(_, line)| line)
        .collect();
    let left: Vec<String> = glass.lines().into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(left, told);
}

#[test]
fn a_terminal_that_becomes_narrower_shows_one_view_and_every_event() {
    let glass = Glass::new(120);
    let mut screen = Screen::live(glass.clone(), Style::default(), None);
    let why = Why::new("signal", "SIGINT was received");
    let stopping = DrillEvent::Stopping { at: at(5000), why };
    for columns in [120, 60, 40, 200, 30] {
        under_way().iter().for_each(|event| screen.show(event));
        glass.resize(columns);
        // What is told is always drawn, however soon after the last picture it comes.
        screen.show(&stopping);
        let lines = glass.lines();
        let views = lines.iter().filter(|line| line.contains("talk-0 ")).count();
        assert_eq!(views, 1, "{columns}: {lines:#?}");
        let last =
            lines.len() - lines.iter().rev().position(|line| line.contains("STOPPING: ")).unwrap();
        assert!(lines[last].starts_with('⠋'), "{columns}: {lines:#?}");
    }
    let told = glass.lines().iter().filter(|line| line.contains("STOPPING: ")).count();
    assert_eq!(told, 5);
}
