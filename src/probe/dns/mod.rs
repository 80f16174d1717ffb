//! The `dns` probe: one question to a DNS server, and the records of the answer judged. Nothing is remembered.

mod client;
mod records;

use std::sync::Arc;

use hickory_resolver::proto::rr::{Name, RecordType};

pub(super) use client::Client;

use super::PrepareError;
use super::connector::Connector;
use super::sample::Progress;
use crate::model::{Connection, DnsProbe, DnsType, Outcome, ProbeSpec, ServedBySource};
use records::{Wanted, Whose};

/// A `dns` probe made ready.
pub(super) struct DnsAsker {
    client: Client,
    name: Name,
    record: RecordType,
    wanted: Wanted,
    whose: Option<Whose>,
}

impl DnsAsker {
    /// Checks everything that can be checked before the first question.
    pub(super) fn prepare(
        dns: &DnsProbe,
        spec: &ProbeSpec,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        if spec.connection == Connection::KeepAlive {
            return Err(PrepareError::new(
                "a dns probe asks anew each time",
                "leave `connection` out",
            ));
        }
        let whose = match &spec.served_by {
            None => None,
            Some(ServedBySource::Answer { places, lost }) => Some(Whose::prepare(places, lost)),
            Some(_) => {
                return Err(PrepareError::new(
                    "the answer to a dns probe has neither header fields nor JSON",
                    "read `served_by` from the records of the `answer`",
                ));
            }
        };
        let name = Client::name(&dns.name.reveal_plain()).ok_or_else(|| {
            PrepareError::new(format!("`{}` is not a name", dns.name), "write app.example.org")
        })?;
        let how = (dns.tcp, dns.authority);
        Ok(DnsAsker {
            client: Client::prepare(&dns.servers, how, spec.timeout, connector)?,
            name,
            record: record_type(dns.record),
            wanted: Wanted::prepare(&dns.expect),
            whose,
        })
    }

    /// Asks, and judges the answer.
    pub(super) async fn ask(&self, progress: &mut Progress) -> Result<(), Outcome> {
        let answer = self.client.ask(&self.name, self.record, progress).await?;
        if let Some(whose) = &self.whose {
            progress.served_by = whose.served_by(&answer);
        }
        self.wanted.judge(&answer)
    }
}

fn record_type(record: DnsType) -> RecordType {
    match record {
        DnsType::A => RecordType::A,
        DnsType::Aaaa => RecordType::AAAA,
        DnsType::Cname => RecordType::CNAME,
        DnsType::Mx => RecordType::MX,
        DnsType::Ns => RecordType::NS,
        DnsType::Ptr => RecordType::PTR,
        DnsType::Srv => RecordType::SRV,
        DnsType::Txt => RecordType::TXT,
    }
}
