//! A zone as PowerDNS's API tells it, and what of it is sent back: whole sets of records, with everything that is not ours.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::DnsRecord;
use crate::traffic::ControlError;
use crate::traffic::dns::last;

/// A zone, or what of it was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Zone {
    /// `Native`, `Master`, `Slave`.
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub rrsets: Vec<Rrset>,
}

/// All records of one name and type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Rrset {
    /// With a dot at its end.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub ttl: u32,
    /// As PowerDNS has them, with what we know nothing of.
    pub records: Vec<Map<String, Value>>,
}

impl Zone {
    /// The set that `record` is in.
    pub(super) fn set(&self, record: &DnsRecord) -> Option<&Rrset> {
        self.rrsets.iter().find(|it| it.is_named(&record.name) && it.kind == record.kind())
    }

    /// Whether PowerDNS answers for the name of `record` by a script of its own.
    pub(super) fn has_script(&self, record: &DnsRecord) -> bool {
        self.rrsets.iter().any(|it| it.is_named(&record.name) && it.kind == "LUA")
    }

    /// Whether `record` is in force; `None` if it is not there.
    pub(super) fn is_enabled(&self, record: &DnsRecord) -> Option<bool> {
        let records = &self.set(record)?.records;
        records.iter().find(|it| says(it, record.address)).map(is_enabled)
    }

    /// The sets to send so that each record of `wanted` is in force or not, as it says; and what of that cannot be.
    pub(super) fn changed(&self, wanted: &[(&DnsRecord, bool)]) -> (Vec<Rrset>, Vec<ControlError>) {
        let mut changed: BTreeMap<String, Rrset> = BTreeMap::new();
        let mut failures = Vec::new();
        for &(record, enabled) in wanted {
            let Some(is) = self.is_enabled(record) else {
                failures.push(self.gone(record));
                continue;
            };
            if is == enabled {
                continue;
            }
            let Some(set) = self.set(record) else { continue };
            let set = changed.entry(record.set()).or_insert_with(|| set.clone());
            for it in set.records.iter_mut().filter(|it| says(it, record.address)) {
                it.insert("disabled".to_owned(), Value::Bool(!enabled));
            }
            if !set.records.iter().any(is_enabled) {
                failures.push(last(record));
            }
        }
        (changed.into_values().collect(), failures)
    }

    /// That `record` is not there.
    pub(super) fn gone(&self, record: &DnsRecord) -> ControlError {
        let has: Vec<&str> = self.set(record).map(Rrset::contents).unwrap_or_default();
        let hint = match (self.has_script(record), has.is_empty()) {
            (true, _) => {
                "it has a LUA record there, which decides by itself: steer what that asks, or put plain records in its place"
                    .to_owned()
            }
            (_, true) => "see its records: `pdnsutil list-zone`".to_owned(),
            _ => format!("name those that it has: {}", has.join(", ")),
        };
        ControlError { what: format!("the zone has no record {record}"), hint }
    }
}

impl Rrset {
    fn is_named(&self, name: &str) -> bool {
        self.name.trim_end_matches('.').eq_ignore_ascii_case(name)
    }

    fn contents(&self) -> Vec<&str> {
        self.records.iter().filter_map(|it| it.get("content")?.as_str()).collect()
    }

    /// How many of its records are in force that say none of `lost`.
    pub(super) fn left_without(&self, lost: &[IpAddr]) -> usize {
        let is_lost = |it: &Map<String, Value>| lost.iter().any(|address| says(it, *address));
        self.records.iter().filter(|it| is_enabled(it) && !is_lost(it)).count()
    }

    /// As it is sent. Comments are left out: then PowerDNS keeps those that are there.
    pub(super) fn replacing(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "ttl": self.ttl, "changetype": "REPLACE",
            "records": self.records,
        })
    }
}

fn says(record: &Map<String, Value>, address: IpAddr) -> bool {
    let content = record.get("content").and_then(Value::as_str);
    content.is_some_and(|content| content.trim().parse() == Ok(address))
}

fn is_enabled(record: &Map<String, Value>) -> bool {
    record.get("disabled").and_then(Value::as_bool) != Some(true)
}
