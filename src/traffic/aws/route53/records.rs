//! The records of a zone.

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{ResourceRecordSet, RrType};

use crate::model::{PartState, Route53Record};
use crate::traffic::ControlError;
use crate::traffic::aws::failed::failed;

/// Pages of a hundred records: a name and type has at most a hundred weighted ones.
const PAGES_MAX: usize = 20;

/// A record as the zone has it.
#[derive(Debug, Clone)]
pub(super) struct Found(ResourceRecordSet);

impl Found {
    /// Whether it is the one that the plan names.
    pub(super) fn is(&self, record: &Route53Record) -> bool {
        self.is_of(&record.name, &record.kind)
            && self.0.set_identifier.as_deref() == Some(&record.set)
    }

    /// Whether it is of this name and type.
    pub(super) fn is_of(&self, name: &str, kind: &str) -> bool {
        plain(&self.0.name) == name && self.0.r#type.as_str() == kind
    }

    /// The health check that it hangs on.
    pub(super) fn health_check(&self) -> Option<&str> {
        self.0.health_check_id.as_deref()
    }

    /// The same record with this weight, as it is sent.
    pub(super) fn upsert(&self, weight: i64) -> Result<ResourceRecordSet, ControlError> {
        match (0..=255).contains(&weight) {
            true => {
                let mut set = self.0.clone();
                set.weight = Some(weight);
                Ok(set)
            }
            false => Err(ControlError {
                what: format!("{weight} is no weight of Route 53"),
                hint: "see whether the journal was changed by hand".to_owned(),
            }),
        }
    }
}

/// Its weight, if it is a weighted record.
pub(super) fn weight_of(record: &Found) -> Option<i64> {
    record.0.weight
}

/// Whether it is a weighted record.
pub(super) fn has_weight(record: &Found) -> bool {
    record.0.weight.is_some()
}

/// All records of one name and type, which stand one behind the other in the zone.
pub(super) async fn list(
    client: &Client,
    zone: &str,
    name: &str,
    kind: &str,
) -> Result<Vec<Found>, ControlError> {
    let mut found = Vec::new();
    let mut from = (name.to_owned(), kind.to_owned(), None::<String>);
    for _ in 0..PAGES_MAX {
        let call = client.list_resource_record_sets().hosted_zone_id(zone);
        let call = call.start_record_name(&from.0).start_record_type(RrType::from(&*from.1));
        let page = call.set_start_record_identifier(from.2.clone()).send().await;
        let page = page.map_err(|error| failed("route53:ListResourceRecordSets", &error))?;
        let read = page.resource_record_sets.into_iter().map(Found);
        let (ours, others): (Vec<_>, Vec<_>) = read.partition(|it| it.is_of(name, kind));
        found.extend(ours);
        if !page.is_truncated || !others.is_empty() {
            return Ok(found);
        }
        let Some(next) = page.next_record_name else { return Ok(found) };
        let next_kind = page.next_record_type.map_or_else(String::new, |it| it.as_str().to_owned());
        if plain(&next) != name || next_kind != kind {
            return Ok(found);
        }
        from = (next, next_kind, page.next_record_identifier);
    }
    Err(ControlError {
        what: format!("Route 53 goes on and on about the records {name} {kind}"),
        hint: "see that the endpoint is that of Route 53".to_owned(),
    })
}

/// A name as the plan has it: lower case, without the dot at its end, `*` for itself.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').replace("\\052", "*").to_ascii_lowercase()
}

/// An identifier without what kind of thing it is of: `/change/C1` is `C1`.
pub(super) fn bare(id: &str) -> String {
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A setting of a part.
pub(super) fn setting<'p>(part: &'p PartState, key: &str) -> Option<&'p str> {
    part.settings.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_zone_are_those_of_the_plan() {
        assert_eq!(plain("API.example.org."), "api.example.org");
        assert_eq!(plain("\\052.example.org."), "*.example.org");
        assert_eq!(bare("/change/C123"), "C123");
    }
}
