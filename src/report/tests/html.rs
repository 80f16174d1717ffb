//! What the HTML report holds, whatever stands in the record.

use super::{CASES, build, plain};
use crate::model::*;
use crate::report::html;

/// Everything between tags, as a browser shows it.
fn text(page: &str) -> String {
    let body = page.split_once("</style>").unwrap().1;
    let pieces = body.split('<').map(|piece| piece.split_once('>').map_or("", |(_, text)| text));
    let text: String = pieces.collect();
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Panics unless every tag is closed, in its order.
fn assert_well_formed(page: &str, name: &str) {
    const VOID: [&str; 1] = ["meta"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1).map(|piece| piece.split_once('>').unwrap().0) {
        let element = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap();
        if element == "!DOCTYPE" || VOID.contains(&element) {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{name}"),
            None => open.push(element),
        }
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

/// Nothing that runs, loads or leads elsewhere.
fn assert_tame(page: &str, name: &str) {
    for tag in page.split('<').skip(1).map(|piece| piece.split_once('>').unwrap().0) {
        let element = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap_or_default();
        assert!(!["script", "iframe", "img", "link", "object"].contains(&element), "{name}: {tag}");
        // Without the values, which stand in quotes.
        let attributes: String = tag.split('"').step_by(2).collect();
        assert!(!attributes.contains(" src") && !attributes.contains(" on"), "{name}: {tag}");
        if let Some((_, to)) = tag.split_once("href=") {
            assert!(to.starts_with("\"#"), "{name}: {tag}");
        }
    }
    for c in page.chars().filter(|c| *c != '\n') {
        assert_eq!(printable(&c.to_string()), c.to_string(), "{name}: {c:?}");
    }
}

#[test]
fn every_case_is_whole_and_leads_nowhere() {
    let more: [super::Case; 2] = [("hostile", build::hostile), ("many", build::many_services)];
    for (name, build) in CASES.into_iter().chain(more) {
        let page = html(&build());
        assert_well_formed(&page, name);
        assert_tame(&page, name);
    }
}

#[test]
fn it_says_what_the_table_says() {
    for (name, build) in CASES {
        let record = build();
        let page = text(&html(&record)).replace('\u{a0}', " ");
        assert!(page.contains(&record.verdict.to_string()), "{name}");
        let table = plain(&record, 400);
        // The verdict's sentence, and every entry of the sections that both have.
        let sentence = table.lines().next().unwrap().split_once("quickstart: ").unwrap().1;
        assert!(page.contains(sentence), "{name}: {sentence}");
        let sections = [
            "Why",
            "Impact",
            "Proof of the cut",
            "Guardrails",
            "Placement",
            "Load",
            "What the lab knows",
        ];
        let mut within = false;
        for line in table.lines() {
            if !line.starts_with(' ') {
                within =
                    sections.iter().any(|it| line == *it || line.starts_with(&format!("{it}:")));
                continue;
            }
            for piece in line.trim().split("  ").map(str::trim).filter(|it| within && *it != "-") {
                let piece = piece.trim_start_matches("- ");
                assert!(page.contains(piece), "{name}: {piece}");
            }
        }
    }
}

#[test]
fn hostile_strings_are_text_and_bounded() {
    let long = "<script>alert(1)</script>\"' onload=x \u{202e}&amp;".repeat(25_000);
    assert!(long.len() > 1_000_000);
    let mut record = build::hostile();
    record.plan.name = long.as_str().into();
    record.plan.about = Some(long.clone());
    record.reasons.push(Why::new("x", long.clone()));
    record.plan.datacenters[0] = long.as_str().into();
    record.controls[0].by_hand.push(long.clone());
    let service = &mut record.services[0];
    service.name = long.as_str().into();
    service.probes[0].name = long.as_str().into();
    service.probes[0].course.served.insert(long, vec![3; 120]);
    let page = html(&record);
    assert_well_formed(&page, "long");
    assert_tame(&page, "long");
    assert!(text(&page).contains("<script>alert(1)</script>"));
    assert!(page.len() < 150_000, "{}", page.len());
}

#[test]
fn what_may_still_be_cut_comes_first_with_what_to_do() {
    let record = build::not_restored();
    let page = text(&html(&record));
    let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(at("TRAFFIC MAY STILL BE CUT") < at("What happened"));
    assert!(at("firedrill restore 20260714") < at("set server app/web1 state ready"));
    let (asked, answered) =
        ("set server app/web1 state ready \u{2192} ", "no answer on /run/haproxy/admin.sock");
    assert!(page.contains(&format!("{asked}{answered}")), "what was asked, and the answer");
    assert!(
        !page.contains("It was never touched") && !page.contains("as it was before the drill.")
    );
}

/// `count` services of two probes each, the last of which broke its promise.
fn crowd(count: usize) -> RunRecord {
    let mut record = build::passed();
    let service = record.services.remove(0);
    for number in 0..count {
        let mut service =
            ServiceRecord { name: format!("s{number}").as_str().into(), ..service.clone() };
        service.probes[0].counts.bad = 0;
        service.probes.push(service.probes[0].clone());
        record.services.push(service);
    }
    record
}

#[test]
fn what_does_not_fit_is_counted_and_what_broke_is_named() {
    let few = crowd(5_000);
    let page = html(&few);
    assert!(
        text(&page).contains("4960\u{a0}more services")
            && text(&page).contains("None had a bad sample")
    );
    assert!(page.len() < 2_000_000, "{}", page.len());
    let mut some = few;
    for service in &mut some.services {
        service.promises[0].judgement = Judgement::Broken;
    }
    let page = text(&html(&some));
    assert!(page.contains("by the worst of each one's promises: 4960 broken, 0 undecided, 0 kept"));
    assert!((0..5_000).all(|number| page.contains(&format!("s{number}"))));
    assert!(page.contains("s4999 recover_within"));
}

#[test]
fn the_worst_judged_is_drawn_first_and_the_kept_are_folded() {
    let mut record = crowd(500);
    record.services[499].promises[0].judgement = Judgement::Broken;
    let page = html(&record);
    let lanes = page.split_once("time from the cut").unwrap().1;
    assert!(lanes.find(">s499<").unwrap() < lanes.find(">s0<").unwrap());
    assert!(text(&page).contains("0 broken, 0 undecided, 460 kept"));
}

#[test]
fn records_that_hold_nothing_or_nonsense_are_drawn_too() {
    let mut empty = build::passed();
    empty.services.clear();
    empty.controls.clear();
    empty.plan.datacenters.clear();
    empty.plan.through.clear();
    empty.proof = Proof::default();
    assert_well_formed(&html(&empty), "empty");
    let mut odd = build::passed();
    let course = &mut odd.services[0].probes[0].course;
    course.cell = std::time::Duration::MAX;
    course.bad.truncate(3);
    course.served.insert("east".to_owned(), vec![u64::MAX; 500]);
    course.p99_us = vec![Some(u64::MAX); 7];
    odd.marks = Marks { cut_issued: Some(Offset::from_nanos(u64::MAX)), ..Marks::default() };
    odd.services[0].promises[0].budget = Some(std::time::Duration::MAX);
    let page = html(&odd);
    assert_well_formed(&page, "odd");
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn a_lane_shows_what_was_seen_and_the_bounds_of_the_outage() {
    let page = html(&build::passed());
    let lane = page.split_once("talk/send: ").unwrap().1.split_once("</svg>").unwrap().0;
    insta::assert_snapshot!(lane.replace("<path", "\n<path"));
}
