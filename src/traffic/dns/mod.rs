//! What the controls that steer records of a DNS zone have in common: messages, connections, and what resolvers say.

mod line;
mod resolvers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::ControlError;
use crate::model::{CutCall, DnsRecord, DnsRecords, all_records};

pub(super) use line::{Line, Lost, answers};
pub(super) use resolvers::{Resolvers, cut_at_resolvers};

/// The TTL of each set of records, in seconds, as it was read last: for words, since who steers records steers no TTL.
#[derive(Debug, Default)]
pub(super) struct Ttls(Mutex<BTreeMap<String, u32>>);

impl Ttls {
    pub(super) fn note(&self, set: String, ttl: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(set, ttl);
    }

    pub(super) fn of(&self, record: &DnsRecord) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&record.set()).copied()
    }

    /// What a call that cuts `record` means to clients.
    pub(super) fn call(&self, record: &DnsRecord, cut: &str, back: &str) -> CutCall {
        let kept = self.of(record).map_or_else(String::new, |ttl| {
            format!(" (TTL {ttl} s: who knows it may keep it for as long)")
        });
        CutCall { call: format!("{cut}{kept}"), undone_by: Some(back.to_owned()) }
    }
}

/// The records of `settings` by the names of their parts.
pub(super) fn by_part(settings: &[DnsRecords]) -> BTreeMap<String, &DnsRecord> {
    all_records(settings).map(|(_, record)| (record.to_string(), record)).collect()
}

/// The name that `text` spells, as it stands in messages.
pub(super) fn name(text: &str) -> Result<Name, ControlError> {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).map_err(|error| ControlError {
        what: format!("`{text}` is no name in DNS: {error}"),
        hint: "see the names of this control in the plan".to_owned(),
    })
}

/// The type of `record`, as it stands in messages.
pub(super) fn kind(record: &DnsRecord) -> RecordType {
    if record.address.is_ipv4() { RecordType::A } else { RecordType::AAAA }
}

/// An address as records say it.
pub(super) fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// The address that a record says.
pub(super) fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(A(address)) => Some(IpAddr::V4(*address)),
        RData::AAAA(AAAA(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// A question.
pub(super) fn question(name: &Name, kind: RecordType, recursive: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = recursive;
    message.add_query(Query::query(name.clone(), kind));
    message
}

/// Addresses in words.
pub(super) fn listed<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let words: Vec<String> = addresses.into_iter().map(IpAddr::to_string).collect();
    if words.is_empty() { "no address".to_owned() } else { words.join(", ") }
}

/// That a cut would leave nobody in a set.
pub(super) fn last(record: &DnsRecord) -> ControlError {
    ControlError {
        what: format!("without {} nobody would be left in {}", record.address, record.set()),
        hint: "see that the other datacenters have a record there that is in force".to_owned(),
    }
}
