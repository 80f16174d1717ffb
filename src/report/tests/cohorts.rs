//! What is said of the cohorts of clients.

use serde_json::{Value, json};

use super::build;
use crate::model::RunRecord;
use crate::report;
use crate::report::page::GLUE;
use crate::report::probes::told;

#[test]
fn each_cohort_says_which_clients_it_is_of_and_when_it_recovered() {
    let record = build::cohorts();
    let told: Vec<String> = record.services[0]
        .probes
        .iter()
        .map(|it| told(it, &record.marks).replace(GLUE, " "))
        .collect();
    let begins = [
        "never failed, to within 124 ms; bad: ",
        "cohort ttl; DNS answers kept for their TTL; DNS of 10.0.0.53:53; recovered after 1.98 s to 2.08 s; \
         last led to what was cut 1.98 s after the cut; bad: ",
        "cohort stale; DNS answers kept for 5 min, whatever their TTL; DNS of 10.0.0.53:53; not recovered after \
         8.997 s; last led to what was cut 9 s after the cut; bad: ",
        "every name looked up anew; every address asked; DNS of 10.0.0.53:53; bad: ",
    ];
    for (told, begins) in told.iter().zip(begins) {
        assert!(told.starts_with(begins), "{told}");
    }
}

#[test]
fn a_record_has_them_where_there_are_any_and_nothing_more_elsewhere() {
    let value = |record: &RunRecord| -> Value {
        serde_json::from_slice(&report::json(record).unwrap()).unwrap()
    };
    let record = value(&build::cohorts());
    let stale = &record["services"][0]["probes"][2]["cohort"];
    let wanted = json!({
        "name": "stale", "cache": { "for_ms": 300_000.0 }, "servers": ["10.0.0.53:53"],
        "every_address": false, "last_led_there_ms": 12_000.0,
    });
    assert_eq!(*stale, wanted);
    assert_eq!(value(&build::passed())["services"][0]["probes"][0].get("cohort"), None);
}
