//! Samples as rows.

use super::build;
use crate::model::*;
use crate::report::Csv;

fn sampled(service: u32, probe: u32, outcome: Outcome, served_by: ServedBy) -> Sampled {
    let sample = Sample {
        seq: 7,
        due: build::at(3_100),
        sent: Offset::from_nanos(3_100_000_001),
        done: Offset::from_nanos(4_100_250_000),
        outcome,
        acknowledged: outcome.is_answered(),
        served_by,
    };
    Sampled { vantage: VantageId(0), probe: ProbeId { service, probe }, sample }
}

fn names(name: &str) -> SampleNames {
    SampleNames {
        run: "run".into(),
        datacenters: vec!["east".into(), name.into()],
        services: vec![(name.into(), vec!["send".into()])],
        loads: vec!["crowd".into()],
    }
}

#[test]
fn a_row_says_all_of_a_sample() {
    let mut record = build::passed();
    record.marks.started = build::at(100);
    let names = names("talk");
    let mut csv = Csv::new(&record, &names);
    let east = ServedBy::Datacenter(DatacenterId(0));
    let times = "3000.000000,2026-07-14T10:22:06.500Z";
    let sent = "0,3100.000000,3100.000001,4100.250000";
    assert_eq!(
        csv.row(&sampled(0, 0, Outcome::Good, east)),
        format!("{times},talk,send,{sent},good,,east,observe\r\n")
    );
    let hung = Outcome::Bad(Reason::TimeOut(Phase::Connect));
    assert_eq!(
        csv.row(&sampled(0, 0, hung, ServedBy::Unnamed)),
        format!("{times},talk,send,{sent},bad,time-out (connect),,observe\r\n")
    );
    let blind = Outcome::Unknown(Blindness::NoLocalPort);
    let load = ProbeId::of_load(0);
    assert_eq!(
        csv.row(&sampled(load.service, load.probe, blind, ServedBy::Foreign)),
        format!("{times},,crowd,{sent},unknown,no local port,other,observe\r\n")
    );
    // Whose names were damaged.
    let nobody = ServedBy::Datacenter(DatacenterId(9));
    assert_eq!(
        csv.row(&sampled(4, 2, Outcome::Good, nobody)),
        format!("{times},#4,#2,{sent},good,,#9,observe\r\n")
    );
}

#[test]
fn every_row_has_the_columns_of_the_first() {
    let record = build::passed();
    let names = names("talk");
    let mut csv = Csv::new(&record, &names);
    let row = csv.row(&sampled(0, 0, Outcome::Good, ServedBy::Unnamed)).to_owned();
    assert_eq!(row.split(',').count(), Csv::HEAD.split(',').count());
}

#[test]
fn hostile_names_stay_in_their_cells_and_are_no_formulas() {
    let record = build::passed();
    let cell = |name: &str| {
        let names = names(name);
        let mut csv = Csv::new(&record, &names);
        let row = csv.row(&sampled(0, 0, Outcome::Good, ServedBy::Unnamed)).to_owned();
        let (_, rest) = row.split_once("Z,").unwrap();
        rest.split_once(",send,").unwrap().0.to_owned()
    };
    assert_eq!(cell("=1+1"), "'=1+1");
    assert_eq!(cell("@SUM(A1)"), "'@SUM(A1)");
    assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    assert_eq!(cell("a\r\nb\x1b[2J\u{202e}"), "a  b\u{fffd}[2J\u{fffd}");
    assert!(cell(&"x".repeat(1_000_000)).chars().count() < 1_100);
}
