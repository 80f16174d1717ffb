//! `load`: requests that rise beside what the probes ask.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{Connection, LoadFrom, LoadSpec, Name, Ramp};

use super::finding::quote;
use super::probe;
use super::read::{At, Label, Reader, Value};
use super::tree::Entry;

/// More requests a second than one machine can offer evenly.
const FASTEST: f64 = 10_000.0;

/// Reads all loads.
pub(super) fn loads(reader: &mut Reader, value: Value) -> Vec<At<LoadSpec>> {
    let entries = reader.map(value, "loads by name").unwrap_or_default();
    let mut taken = HashSet::new();
    let mut loads = Vec::new();
    for entry in entries {
        let read = load(reader, entry, &mut taken);
        loads.extend(read.map(|value| At { value, span: entry.at }));
    }
    loads
}

fn load(reader: &mut Reader, entry: &Entry, taken: &mut HashSet<Name>) -> Option<LoadSpec> {
    const KEYS: &[&str] =
        &["http", "tcp", "rate", "from", "after", "rise", "for", "timeout", "connection"];
    let name = reader.new_name(entry, taken);
    let fields = reader.fields(Value::of(entry), Label("load", &entry.key), KEYS)?;
    let kind = probe::kind(reader, &fields, &["http", "tcp"]);
    let rate = fields.need(reader, "rate", "200/s").and_then(|value| rate(reader, value));
    let starts = [("baseline", LoadFrom::Baseline), ("cut", LoadFrom::Cut)];
    let from = fields.get("from").and_then(|value| reader.choice(value, &starts));
    let connection = probe::connection(reader, &fields);
    let mut duration = |key, zero| fields.get(key).and_then(|value| reader.duration(value, zero));
    let (after, rise) = (duration("after", true), duration("rise", true));
    let (lasting, timeout) = (duration("for", false), duration("timeout", false));
    let or_zero = |at: Option<At<Duration>>| at.map(|at| at.value).unwrap_or_default();
    Some(LoadSpec {
        name: name?.value,
        kind: kind?,
        timeout: timeout.map_or(Duration::from_secs(1), |at| at.value),
        connection: connection.unwrap_or(Connection::KeepAlive),
        from: from.unwrap_or(LoadFrom::Baseline),
        ramp: Ramp {
            after: or_zero(after),
            rise: or_zero(rise),
            rate: rate?,
            lasting: lasting.map(|at| at.value),
        },
    })
}

/// Requests a second: `200/s`.
fn rate(reader: &mut Reader, value: Value) -> Option<f64> {
    let text = reader.shown(value, "a rate such as `200/s`")?;
    let number = text.trim().strip_suffix("/s").map(str::trim_end);
    let rate = number.and_then(|number| number.replace('_', "").parse::<f64>().ok());
    match rate.filter(|rate| (0.1..=FASTEST).contains(rate)) {
        Some(rate) => Some(rate),
        None => {
            let what = format!("{} is no rate", quote(&text));
            let hint = "write requests a second, from 0.1 to 10000: `200/s`";
            reader.findings.error("bad-value", value.span(), what, hint);
            None
        }
    }
}
