//! The keys of the schema are those that the parser asks for. What plans it accepts is held to the parser by
//! `tests/schema.rs`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::path::Path;

use serde_json::Value;

use super::parsed;

const SCHEMA: &str = include_str!("../../../docs/plan.schema.json");
const PLANS: [&str; 2] = [
    include_str!("../../../tests/fixtures/plans/lab.yaml"),
    include_str!("../../../tests/fixtures/plans/own.yaml"),
];

type Keys = BTreeSet<String>;
/// A file and a line.
type Place = (&'static str, u32);

thread_local! {
    /// What the parser asked for in this test, by the place in its text.
    static ASKED: RefCell<BTreeMap<Place, Keys>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes the keys that the parser asks a map for.
#[track_caller]
pub(in crate::plan) fn asked(keys: &[&str]) {
    let at = Location::caller();
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    ASKED.with_borrow_mut(|asked| asked.insert((at.file(), at.line()), keys));
}

/// The keys of every map that the schema describes.
fn described(schema: &Value, found: &mut BTreeSet<Keys>) {
    match schema {
        Value::Object(map) => {
            let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
            if let (true, Some(Value::Object(keys))) = (closed, map.get("properties")) {
                found.insert(keys.keys().cloned().collect());
            }
            map.values().for_each(|value| described(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| described(value, found)),
        _ => {}
    }
}

/// How often the parser's text asks for keys.
fn places(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += if path.ends_with("tests") { 0 } else { places(&path) };
        } else {
            count += std::fs::read_to_string(&path).unwrap().matches("reader.fields(").count();
        }
    }
    count
}

#[test]
fn the_schema_knows_every_key_that_the_parser_asks_for_and_no_other() {
    for plan in PLANS {
        let outcome = parsed(plan.as_bytes());
        assert!(outcome.plan.is_some(), "{:#?}", outcome.findings);
    }
    let asked = ASKED.with_borrow(Clone::clone);
    let all = places(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan"));
    assert_eq!(asked.len(), all, "a place that these plans do not reach, of {asked:#?}");
    // The settings of the lab's control have no keys at all.
    let asked: BTreeSet<Keys> = asked.into_values().filter(|keys| !keys.is_empty()).collect();
    let mut known = BTreeSet::new();
    described(&serde_json::from_str(SCHEMA).unwrap(), &mut known);
    let missing: Vec<&Keys> = asked.difference(&known).collect();
    let beyond: Vec<&Keys> = known.difference(&asked).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "missing {missing:#?}, beyond {beyond:#?}");
}
