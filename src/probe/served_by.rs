//! Who gave an answer: from a header field, a JSON field or the peer's address.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use serde_json::Value;
use wildmatch::WildMatch;

use super::PrepareError;
use crate::model::{DatacenterId, ServedBy, ServedBySource, ServedByValues};

/// A [`ServedBySource`] made ready.
pub(super) enum Source {
    /// The probe does not ask who it was.
    None,
    /// A header field.
    Header(HeaderName, Patterns),
    /// A string in a JSON body.
    Json(String, Patterns),
    /// The address at the other end.
    Peer(Vec<(DatacenterId, Vec<IpNet>)>),
}

/// Patterns by datacenter; the first that fits wins.
pub(super) struct Patterns(Vec<(DatacenterId, WildMatch)>);

impl Source {
    /// Makes `source` ready.
    pub(super) fn prepare(source: Option<&ServedBySource>) -> Result<Self, PrepareError> {
        Ok(match source {
            None => Source::None,
            Some(ServedBySource::Header { name, values }) => {
                let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                    PrepareError::new(
                        format!("`{name}` is not the name of a header field"),
                        "use letters, digits and dashes",
                    )
                })?;
                Source::Header(field, Patterns::new(values))
            }
            Some(ServedBySource::Json { pointer, values }) => {
                Source::Json(pointer.clone(), Patterns::new(values))
            }
            Some(ServedBySource::Peer(networks)) => Source::Peer(networks.clone()),
            Some(ServedBySource::Answer { .. }) => {
                return Err(PrepareError::new(
                    "only a dns probe has an `answer` with records",
                    "read `served_by` from a header, JSON or the peer's address",
                ));
            }
        })
    }

    /// Who answered, as far as the head of the answer tells.
    pub(super) fn by_head(&self, headers: &HeaderMap, peer: IpAddr) -> ServedBy {
        match self {
            Source::Header(name, patterns) => {
                let values = headers.get_all(name).into_iter();
                patterns.first_known(values.map(|value| String::from_utf8_lossy(value.as_bytes())))
            }
            Source::Peer(_) => self.by_peer(peer),
            Source::None | Source::Json(..) => ServedBy::Unnamed,
        }
    }

    /// Who answered, as far as the peer's address tells.
    pub(super) fn by_peer(&self, peer: IpAddr) -> ServedBy {
        let Source::Peer(networks) = self else { return ServedBy::Unnamed };
        let peer = peer.to_canonical();
        networks
            .iter()
            .find(|(_, nets)| nets.iter().any(|net| net.contains(&peer)))
            .map_or(ServedBy::Foreign, |&(datacenter, _)| ServedBy::Datacenter(datacenter))
    }

    /// Who answered, as far as the body tells; `None` when it is not asked.
    pub(super) fn by_json(&self, body: Option<&Value>) -> Option<ServedBy> {
        let Source::Json(pointer, patterns) = self else { return None };
        Some(match body.and_then(|body| body.pointer(pointer)) {
            Some(Value::String(value)) => patterns.first_known([value.as_str()]),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                patterns.first_known([value.to_string()])
            }
            _ => ServedBy::Unnamed,
        })
    }

    /// Whether only the body can tell.
    pub(super) fn needs_body(&self) -> bool {
        matches!(self, Source::Json(..))
    }
}

impl Patterns {
    fn new(values: &ServedByValues) -> Self {
        let pairs = values.0.iter().flat_map(|(datacenter, patterns)| {
            patterns.iter().map(|pattern| (*datacenter, WildMatch::new_case_insensitive(pattern)))
        });
        Patterns(pairs.collect())
    }

    /// The first value that a pattern fits decides; values without a pattern are foreign.
    fn first_known<S: AsRef<str>>(&self, values: impl IntoIterator<Item = S>) -> ServedBy {
        let mut served_by = ServedBy::Unnamed;
        for value in values {
            let value = value.as_ref().trim();
            if let Some((datacenter, _)) = self.0.iter().find(|(_, p)| p.matches(value)) {
                return ServedBy::Datacenter(*datacenter);
            }
            if !value.is_empty() {
                served_by = ServedBy::Foreign;
            }
        }
        served_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAST: DatacenterId = DatacenterId(0);
    const WEST: DatacenterId = DatacenterId(1);

    fn patterns() -> ServedByValues {
        ServedByValues(vec![
            (EAST, vec!["east".into(), "pg-*".into()]),
            (WEST, vec!["west-?".into()]),
        ])
    }

    #[test]
    fn values_match_patterns_whatever_their_case() {
        let patterns = Patterns::new(&patterns());
        let named = |value: &str| patterns.first_known([value]);
        assert_eq!(named("east"), ServedBy::Datacenter(EAST));
        assert_eq!(named(" PG-17 "), ServedBy::Datacenter(EAST));
        assert_eq!(named("West-1"), ServedBy::Datacenter(WEST));
        assert_eq!(named("west-10"), ServedBy::Foreign);
        assert_eq!(named(""), ServedBy::Unnamed);
        assert_eq!(patterns.first_known(["edge", "east"]), ServedBy::Datacenter(EAST));
    }

    #[test]
    fn a_header_names_the_datacenter_and_its_absence_nobody() {
        let source = ServedBySource::Header { name: "x-dc".into(), values: patterns() };
        let source = Source::prepare(Some(&source)).unwrap();
        let peer = IpAddr::from([127, 0, 0, 1]);
        let mut headers = HeaderMap::new();
        assert_eq!(source.by_head(&headers, peer), ServedBy::Unnamed);
        headers.insert("x-dc", "west-2".parse().unwrap());
        assert_eq!(source.by_head(&headers, peer), ServedBy::Datacenter(WEST));
        assert_eq!(source.by_json(None), None);
    }

    #[test]
    fn a_json_field_names_the_datacenter() {
        let source = ServedBySource::Json { pointer: "/at/dc".into(), values: patterns() };
        let source = Source::prepare(Some(&source)).unwrap();
        let body = serde_json::json!({"at": {"dc": "east"}});
        assert_eq!(source.by_json(Some(&body)), Some(ServedBy::Datacenter(EAST)));
        assert_eq!(source.by_json(Some(&serde_json::json!({}))), Some(ServedBy::Unnamed));
        assert_eq!(source.by_json(None), Some(ServedBy::Unnamed));
    }

    #[test]
    fn the_peer_address_names_the_datacenter_also_when_mapped_into_ipv6() {
        let nets = vec![(EAST, vec!["10.1.0.0/16".parse().unwrap()])];
        let source = Source::prepare(Some(&ServedBySource::Peer(nets))).unwrap();
        let peer = |text: &str| source.by_peer(text.parse().unwrap());
        assert_eq!(peer("10.1.2.3"), ServedBy::Datacenter(EAST));
        assert_eq!(peer("::ffff:10.1.2.3"), ServedBy::Datacenter(EAST));
        assert_eq!(peer("10.2.0.1"), ServedBy::Foreign);
    }
}
