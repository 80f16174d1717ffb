//! What the providers that steer records of a DNS zone have in common.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::DatacenterId;

/// The records of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsRecords {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// The records.
    pub records: Vec<DnsRecord>,
}

/// A record that names an address: of type A, or AAAA where the address is of version 6.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct DnsRecord {
    /// `app.example.org`, lower case, without the dot at its end.
    pub name: String,
    /// What it says.
    #[schemars(with = "String")]
    pub address: IpAddr,
}

impl DnsRecord {
    /// Its type.
    pub fn kind(&self) -> &'static str {
        if self.address.is_ipv4() { "A" } else { "AAAA" }
    }

    /// Its name and type: all records that have both alike stand in for each other.
    pub fn set(&self) -> String {
        format!("{} {}", self.name, self.kind())
    }
}

/// As a plan has it.
impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.name, self.kind(), self.address)
    }
}

/// All of `records`, with where they lead.
pub fn all_records(records: &[DnsRecords]) -> impl Iterator<Item = (DatacenterId, &DnsRecord)> {
    records.iter().flat_map(|it| it.records.iter().map(|record| (it.datacenter, record)))
}

/// Where there are any.
pub(super) fn datacenters(records: &[DnsRecords]) -> BTreeSet<DatacenterId> {
    records.iter().map(|it| it.datacenter).collect()
}

/// What of the zone `whose` is steered: records of the same name and type are one place together.
pub(super) fn places(whose: &str, records: &[DnsRecords]) -> Vec<String> {
    let sets: BTreeSet<String> = all_records(records).map(|(_, it)| it.set()).collect();
    sets.into_iter().map(|set| format!("{whose} {set}")).collect()
}
