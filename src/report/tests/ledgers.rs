//! What every format says of lost writes.

use super::*;
use crate::report::{html, junit, markdown, openmetrics};

/// The table's text without its line breaks.
fn told(record: &RunRecord) -> String {
    plain(record, 160).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ledger(record: &mut RunRecord) -> &mut LedgerRecord {
    let probe = record.services[0].probes.last_mut().unwrap();
    probe.ledger.as_mut().unwrap()
}

#[test]
fn a_fail_by_loss_says_so_in_its_first_sentence() {
    let first = |record: &RunRecord| plain(record, 200).lines().next().unwrap().to_owned();
    let lost = first(&build::lost_writes());
    let says = "talk/orders (47,430,000 users) lost 2 acknowledged writes (budget none)";
    assert!(lost.contains(says), "{lost}");
    let window = first(&build::split_brain());
    let says = "lost 40 to 43 acknowledged writes, a window of at least 5.949 s (budget 1 s)";
    assert!(window.contains(says), "{window}");
    // Who was away as well is told first, and the loss beside it.
    let mut both = build::split_brain();
    both.services[0].promises[0].judgement = Judgement::Broken;
    let both = first(&both);
    assert!(
        both.contains("was away for at least 612 ms (budget 3 s), and lost 40 to 43"),
        "{both}"
    );
}

#[test]
fn the_budget_in_the_first_sentence_is_that_of_who_is_named() {
    let mut record = build::unread();
    let service = &mut record.services[0];
    let recovery = service.promises.remove(0);
    service.promises.push(PromiseResult { feature: Some("send".into()), ..recovery });
    service.probes[1].recovery = Some(build::recovery(4_000, 5_000));
    service.recovery = service.probes[1].recovery;
    let first = plain(&record, 200).lines().next().unwrap().to_owned();
    assert!(
        first.contains("talk/orders (47,430,000 users) was back after at most 5 s;"),
        "{first}"
    );
}

#[test]
fn a_loss_within_its_budget_is_told_first_as_well() {
    let mut record = build::split_brain();
    record.verdict = Verdict::Pass;
    record.services[0].promises[2].judgement = Judgement::Kept;
    let first = plain(&record, 250).lines().next().unwrap().to_owned();
    let says = "back after at most 812 ms (budget 3 s), and lost 40 to 43 acknowledged writes, a window of at least 5.949 s (budget 1 s);";
    assert!(first.contains(says), "{first}");
    let page = html(&record).replace('\u{a0}', " ");
    let (banner, _) = page.split_once("What was promised").unwrap();
    assert!(banner.contains("lost 40 to 43 of 226 acknowledged writes"), "{banner}");
}

#[test]
fn the_lab_s_truth_stands_beside_what_the_ledger_found() {
    assert!(told(&build::lost_writes()).contains("talk/orders found the same"));
    let mut record = build::lost_writes();
    ledger(&mut record).lost = CountBounds { low: 1, high: Some(4) };
    assert!(told(&record).contains("found 1 to 4, which holds its 2"), "{}", told(&record));
    ledger(&mut record).lost = CountBounds { low: 3, high: Some(4) };
    assert!(told(&record).contains("found 3 to 4, and it is 2"), "{}", told(&record));
    // What came back with traffic the store has in the end.
    ledger(&mut record).returned = 1;
    assert!(told(&record).contains("which holds its 2"), "{}", told(&record));
    ledger(&mut record).lost = CountBounds { low: 0, high: None };
    assert!(told(&record).contains("talk/orders was not read to the end"), "{}", told(&record));
    // Another store, and records of others in it, are none of its business.
    let mut record = build::lost_writes();
    record.services[0].probes[1].asks = "write to PUT ${lab:chats2}/".into();
    assert!(!told(&record).contains("found"), "{}", told(&record));
    let mut record = build::lost_writes();
    let lab = record.lab.as_mut().unwrap();
    for store in lab.stores.values_mut() {
        store.lost.push("firedrill:other:talk:orders:60".to_owned());
    }
    assert!(told(&record).contains("found the same"), "{}", told(&record));
}

/// Two writers, each acknowledged by one datacenter alone while the other was cut off.
fn two_writers(asks: [&str; 2]) -> RunRecord {
    let mut record = build::split_brain();
    let service = &mut record.services[0];
    let second = ProbeRecord { name: "orders-west".into(), ..service.probes[1].clone() };
    service.probes.push(second);
    for ((probe, asks), other) in service.probes[1..].iter_mut().zip(asks).zip(["west", "east"]) {
        probe.asks = asks.to_owned();
        probe.ledger.as_mut().unwrap().datacenters.remove(other);
    }
    record
}

#[test]
fn a_split_brain_shows_across_writers_of_one_place_and_nowhere_else() {
    let says = "split brain: while cut, writes were acknowledged side by side: east 40, west 56";
    let one = told(&build::split_brain());
    assert!(one.contains(says), "{one}");
    let shared = two_writers([
        "write to PUT http://east.example/orders/{{key}}",
        "write to PUT http://west.example:8080/orders/{{key}}",
    ]);
    let shared = told(&shared);
    assert!(shared.contains(&format!("{says} of orders and orders-west")), "{shared}");
    for others in [
        ["write to PUT http://a.example/orders", "write to PUT http://b.example/sessions"],
        ["write to PUT ${lab:chats}/", "write to PUT ${lab:sessions}/"],
    ] {
        let apart = told(&two_writers(others));
        assert!(!apart.contains("split brain"), "{apart}");
    }
    // One after the other is a failover.
    let mut after = build::split_brain();
    let east = ledger(&mut after).datacenters.get_mut("east").unwrap();
    east.last_while_cut = Some(build::at(3_500));
    assert!(!told(&after).contains("split brain"), "{}", told(&after));
}

#[test]
fn where_data_died_at_failback_it_says_so() {
    let text = told(&build::split_brain());
    assert!(text.contains("failback is where the data died"), "{text}");
    assert!(text.contains("40 of them were acknowledged after the cut"), "{text}");
    assert!(text.contains("7 records of others beside them"), "{text}");
    assert!(
        text.contains("are left in the store: a removal was answered with status 403"),
        "{text}"
    );
    assert!(!told(&build::lost_writes()).contains("failback is where"), "lost at failover");
}

#[test]
fn what_was_not_read_is_never_none() {
    let record = build::unread();
    let texts = [
        plain(&record, 100),
        html(&record),
        markdown(&record),
        String::from_utf8(junit(&record).unwrap()).unwrap(),
    ];
    for text in texts {
        assert!(text.contains("not known how many"), "{text}");
        assert!(text.contains("not known"), "{text}");
        assert!(!text.contains("lost none") && !text.contains(">0 lost"), "{text}");
        assert!(!text.contains("measured 0 lost"), "{text}");
    }
    let metrics = openmetrics(&record);
    assert!(
        metrics.contains(
            "firedrill_ledger_lost_high{plan=\"quickstart\",service=\"talk\",probe=\"orders\"} +Inf"
        ),
        "{metrics}"
    );
}

#[test]
fn every_format_has_the_counts() {
    let record = build::lost_writes();
    let says = "lost 2 of 226 acknowledged writes; 11 unknown, 3 refused, 0 not sent";
    let text = |text: String| text.replace('\u{a0}', " ");
    let xml = text(String::from_utf8(junit(&record).unwrap()).unwrap());
    assert!(xml.contains("measured 2 lost, budget none"), "{xml}");
    assert!(xml.contains(&format!("ledger orders: {says}")), "{xml}");
    let page = text(html(&record));
    assert!(page.contains("lost 2 of 226 acknowledged writes"), "{page}");
    assert!(page.contains("data loss window"), "{page}");
    let markdown = text(markdown(&record));
    assert!(markdown.contains(&format!("- talk/orders: {says}")), "{markdown}");
    let metrics = openmetrics(&record);
    let of = "{plan=\"quickstart\",service=\"talk\",probe=\"orders\"";
    for sample in [
        format!("firedrill_ledger_writes{of},state=\"acknowledged\"}} 226"),
        format!("firedrill_ledger_writes{of},state=\"not-sent\"}} 0"),
        format!("firedrill_ledger_records{of},state=\"recovered\"}} 4"),
        format!("firedrill_ledger_lost_low{of}}} 2"),
        format!("firedrill_ledger_lost_high{of}}} 2"),
        format!("firedrill_ledger_window_high_seconds{of}}} 0.104"),
    ] {
        assert!(metrics.contains(&sample), "{sample} in\n{metrics}");
    }
}
