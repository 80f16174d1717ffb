//! What the records of an answer are worth: whether they are those that are expected, and whose they are.

use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RData};
use wildmatch::WildMatch;

use super::client::Answer;
use crate::model::{DatacenterId, DnsExpect, Outcome, Reason, RecordPattern, ServedBy};
use ipnet::IpNet;

/// A [`RecordPattern`] made ready.
enum Pattern {
    Network(IpNet),
    Words(WildMatch),
}

impl Pattern {
    fn all(patterns: &[RecordPattern]) -> Vec<Pattern> {
        let ready = |pattern: &RecordPattern| match pattern {
            RecordPattern::Network(network) => Pattern::Network(*network),
            RecordPattern::Words(words) => {
                Pattern::Words(WildMatch::new_case_insensitive(plain(words)))
            }
        };
        patterns.iter().map(ready).collect()
    }

    fn fits(&self, said: &Said) -> bool {
        match (self, said) {
            (Pattern::Network(network), Said::Address(address)) => network.contains(address),
            (Pattern::Words(pattern), Said::Words(words)) => {
                words.iter().any(|words| pattern.matches(words))
            }
            _ => false,
        }
    }
}

/// What a record says.
enum Said {
    Address(IpAddr),
    /// All of it, and the name in it alone.
    Words(Vec<String>),
}

impl Said {
    fn of(data: &RData) -> Said {
        match data {
            RData::A(address) => Said::Address(address.0.into()),
            RData::AAAA(address) => Said::Address(IpAddr::from(address.0).to_canonical()),
            RData::CNAME(name) => Said::name(&name.0),
            RData::NS(name) => Said::name(&name.0),
            RData::PTR(name) => Said::name(&name.0),
            RData::MX(mail) => Said::named(&mail.preference.to_string(), &mail.exchange),
            RData::SRV(server) => {
                let (priority, weight, port) = (server.priority, server.weight, server.port);
                Said::named(&format!("{priority} {weight} {port}"), &server.target)
            }
            RData::TXT(text) => {
                let whole: Vec<u8> = text.txt_data.concat();
                Said::Words(vec![String::from_utf8_lossy(&whole).into_owned()])
            }
            other => Said::Words(vec![other.to_string()]),
        }
    }

    fn name(name: &Name) -> Said {
        Said::Words(vec![plain(&name.to_ascii()).to_owned()])
    }

    fn named(before: &str, name: &Name) -> Said {
        let name = plain(&name.to_ascii()).to_owned();
        Said::Words(vec![format!("{before} {name}"), name])
    }
}

/// Names are compared without their last dot.
fn plain(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// A [`DnsExpect`] made ready.
pub(super) struct Wanted {
    all_of: Vec<Pattern>,
    any_of: Vec<Pattern>,
    only: Vec<Pattern>,
}

impl Wanted {
    /// Makes `expect` ready.
    pub(super) fn prepare(expect: &DnsExpect) -> Wanted {
        Wanted {
            all_of: Pattern::all(&expect.all_of),
            any_of: Pattern::all(&expect.any_of),
            only: Pattern::all(&expect.only),
        }
    }

    /// Whether `answer` is one that a user would call right.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), Outcome> {
        let said: Vec<Said> = answer.records.iter().map(Said::of).collect();
        if said.is_empty() {
            return Err(Outcome::Bad(Reason::Empty));
        }
        let is_there = |pattern: &Pattern| said.iter().any(|said| pattern.fits(said));
        let is_one = |said: &Said| self.only.iter().any(|pattern| pattern.fits(said));
        let right = self.all_of.iter().all(is_there)
            && (self.any_of.is_empty() || self.any_of.iter().any(is_there))
            && (self.only.is_empty() || said.iter().all(is_one));
        if right { Ok(()) } else { Err(Outcome::Bad(Reason::Records)) }
    }
}

/// Whose the records of an answer are.
pub(super) struct Whose {
    places: Vec<(DatacenterId, Vec<Pattern>)>,
    lost: Vec<DatacenterId>,
}

impl Whose {
    /// Makes what the plan says of records ready.
    pub(super) fn prepare(
        places: &[(DatacenterId, Vec<RecordPattern>)],
        lost: &[DatacenterId],
    ) -> Whose {
        let ready =
            |(id, patterns): &(DatacenterId, Vec<RecordPattern>)| (*id, Pattern::all(patterns));
        Whose { places: places.iter().map(ready).collect(), lost: lost.to_vec() }
    }

    /// Where `answer` sends users. If that is to several datacenters, one that is cut counts: while its address is in the answer,
    /// users are still sent there. Otherwise the first that is known.
    pub(super) fn served_by(&self, answer: &Answer) -> ServedBy {
        let said = answer.records.iter().map(Said::of);
        let said = said.chain(answer.behind.iter().map(Said::name));
        let mut known = said.filter_map(|said| self.of(&said)).peekable();
        match known.peek().copied() {
            Some(first) => {
                let lost = known.find(|id| self.lost.contains(id));
                ServedBy::Datacenter(lost.unwrap_or(first))
            }
            None if answer.records.is_empty() => ServedBy::Unnamed,
            None => ServedBy::Foreign,
        }
    }

    fn of(&self, said: &Said) -> Option<DatacenterId> {
        let mut places = self.places.iter();
        let place = places.find(|(_, patterns)| patterns.iter().any(|it| it.fits(said)));
        place.map(|(id, _)| *id)
    }
}
