//! The record's schema is that of the records that are written, and what is read back is drawn as it was.

use boon::{Compiler, SchemaIndex, Schemas};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CASES, build, plain};
use crate::model::*;
use crate::report;

fn compiled() -> (Schemas, SchemaIndex) {
    let schema: Value = serde_json::from_str(&report::record_schema()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("record.json", schema).unwrap();
    let index = compiler.compile("record.json", &mut schemas).unwrap();
    (schemas, index)
}

fn records() -> Vec<RunRecord> {
    let mut records: Vec<RunRecord> = CASES.map(|(_, build)| build()).into();
    records.extend(build::every_provider());
    records.extend([build::hostile(), build::many_services(), build::cohorts()]);
    records
}

fn value(record: &RunRecord) -> Value {
    serde_json::from_slice(&report::json(record).unwrap()).unwrap()
}

#[test]
fn the_schema_in_the_docs_is_that_of_the_types() {
    assert!(
        include_str!("../../../docs/record.schema.json") == report::record_schema(),
        "write it anew: firedrill schema record > docs/record.schema.json"
    );
}

#[test]
fn records_are_as_the_schema_says() {
    let (schemas, index) = compiled();
    for record in records() {
        let value = value(&record);
        schemas.validate(&value, index).unwrap_or_else(|error| panic!("{error:#}"));
    }
}

#[test]
fn records_of_older_versions_are_too() {
    let (schemas, index) = compiled();
    let mut old = value(&build::passed());
    for newer in ["guardrails", "placement", "loads", "environment", "samples", "notifications"] {
        old.as_object_mut().unwrap().remove(newer);
    }
    schemas.validate(&old, index).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(RunRecord::read(old.to_string().as_bytes()).is_ok());
}

#[test]
fn what_no_record_is_the_schema_refuses() {
    let (schemas, index) = compiled();
    let broken: [(&str, Value); 9] = [
        ("/format", json!("1")),
        ("/verdict", json!("MAYBE")),
        ("/marks/started_ms", json!("soon")),
        ("/services/0/recovery/low_ms", Value::Null),
        ("/services/0/promises/0/judgement", json!("perhaps")),
        ("/services/0/probes/0/counts/due", json!(-1)),
        ("/controls/0/restored", json!(true)),
        ("/plan/cut/mode", json!("explode")),
        ("/reasons", json!({})),
    ];
    for (place, wrong) in broken {
        let mut record = value(&build::passed());
        *record.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = wrong;
        assert!(schemas.validate(&record, index).is_err(), "{place}");
    }
}

/// The objects of a schema that describe fields, with the names that have no description.
fn undescribed(schema: &Value, at: &str, into: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(fields)) = object.get("properties") {
                let bare = fields.iter().filter(|(_, it)| it.get("description").is_none());
                into.extend(bare.map(|(name, _)| format!("{at}.{name}")));
            }
            object.iter().for_each(|(name, it)| undescribed(it, &format!("{at}/{name}"), into));
        }
        Value::Array(all) => all.iter().for_each(|it| undescribed(it, at, into)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_schema_is_described() {
    let schema: Value = serde_json::from_str(&report::record_schema()).unwrap();
    let mut bare = Vec::new();
    undescribed(&schema, "", &mut bare);
    // Where a variant has settings, their type describes them.
    bare.retain(|place| !place.contains("/oneOf."));
    assert!(bare.is_empty(), "{bare:#?}");
}

#[test]
fn what_was_read_back_is_drawn_byte_for_byte() {
    for record in records() {
        let bytes = report::json(&record).unwrap();
        let again = RunRecord::read(&bytes).unwrap();
        assert!(report::json(&again).unwrap() == bytes);
        assert_eq!(plain(&again, 100), plain(&record, 100));
    }
}

proptest! {
    #[test]
    fn numbers_are_read_back_to_the_last_digit(
        number in any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()),
        nanos in 0..8_589_000_000_000_000_u64,
    ) {
        let mut record = build::guarded();
        record.guardrails[0].worst = Some(number);
        record.marks.ended = Some(Offset::from_nanos(nanos));
        let bytes = report::json(&record).unwrap();
        prop_assert!(report::json(&RunRecord::read(&bytes).unwrap()).unwrap() == bytes);
    }
}

#[test]
fn a_record_of_another_format_or_damaged_is_refused_in_a_sentence() {
    let said = |bytes: &[u8]| RunRecord::read(bytes).unwrap_err().to_string();
    let mut newer = value(&build::passed());
    newer["verdict"] = json!("PERHAPS");
    for format in [0_u64, 2, 1 << 40] {
        newer["format"] = json!(format);
        let text = format!(
            "it has the format {format}, and this firedrill reads 1; use the firedrill that wrote it"
        );
        assert_eq!(said(newer.to_string().as_bytes()), text);
    }
    newer.as_object_mut().unwrap().remove("format");
    assert!(said(newer.to_string().as_bytes()).contains("missing field `format`"));
    let bytes = report::json(&build::passed()).unwrap();
    let torn = said(&bytes[..bytes.len() / 2]);
    assert!(torn.starts_with("it is no run record, or a damaged one: EOF while parsing"), "{torn}");
    assert!(!said(b"\"\x1b[2J\"").contains('\x1b'));
    assert!(said(b"").starts_with("it is no run record"));
}
