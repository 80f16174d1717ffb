//! `aws-zonal-shift`: which resources are shifted, and which zone is whose.

use std::time::Duration;

use super::aws::{plain, reach};
use crate::model::{ZonalShiftSettings, ZonalShiftZone};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// When a shift ends by itself if the plan does not say.
const EXPIRES_IN: Duration = Duration::from_secs(30 * 60);
/// AWS's own bounds.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Reads the settings of an `aws-zonal-shift`.
pub(super) fn zonal_shift(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ZonalShiftSettings> {
    const KEYS: &[&str] =
        &["resources", "zones", "expires_in", "profile", "credentials", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "aws-zonal-shift"), KEYS)?;
    let example = "[arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/0123456789abcdef]";
    let resources = fields.need(reader, "resources", example);
    let resources = resources.map(|value| resources_of(reader, value)).unwrap_or_default();
    let zones = fields.need(reader, "zones", "{ east: euw1-az1, west: euw1-az2 }");
    let zones = zones.map(|value| zones_of(reader, value, datacenters)).unwrap_or_default();
    let expires_in = fields.get("expires_in").and_then(|value| expires_in(reader, value));
    Some(ZonalShiftSettings {
        resources,
        zones,
        expires_in: expires_in.unwrap_or(EXPIRES_IN),
        reach: reach(reader, fields),
    })
}

fn resources_of(reader: &mut Reader, value: Value) -> Vec<String> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = "`resources` names nothing to shift";
        reader.findings.error("missing-key", value.at, what, "name the ARN of a load balancer");
    }
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Some(arn) = reader.shown(item, "the ARN of a resource") else { continue };
        let Some(region) = region(&arn) else {
            let what = format!("{} is no ARN of a resource in a region", quote(&arn));
            let hint = "write it whole, as `aws arc-zonal-shift list-managed-resources` shows it";
            reader.findings.error("bad-value", item.span(), what, hint);
            continue;
        };
        if found.iter().any(|other| *other == *arn) {
            let what = "this resource stands here twice";
            reader.findings.error("impossible", item.span(), what, "keep one of the two");
        }
        if found.first().is_some_and(|first| self::region(first) != Some(region)) {
            let what = "the resources of one control are all in one region";
            let hint = "give each region a control of its own, and name both in the cut";
            reader.findings.error("impossible", item.span(), what, hint);
        }
        found.push(arn.clone().into_owned());
    }
    found
}

/// The region in an ARN.
fn region(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let whole = parts.len() == 6 && parts[0] == "arn" && !parts[5].is_empty() && arn.len() <= 1024;
    (whole && !parts[3].is_empty() && arn.bytes().all(|b| b.is_ascii_graphic())).then(|| parts[3])
}

fn zones_of(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<ZonalShiftZone> {
    let mut zones: Vec<ZonalShiftZone> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, "`DATACENTER: ZONE-ID`") {
        let Some(id) = plain(reader, value, "the id of a zone", "euw1-az1") else { continue };
        if zones.iter().any(|zone| zone.id == id) {
            let what = format!("the zone {} is another datacenter's already", quote(&id));
            reader.findings.error("impossible", value.span(), what, "a zone is one datacenter");
        }
        zones.push(ZonalShiftZone { datacenter, id });
    }
    zones
}

fn expires_in(reader: &mut Reader, value: Value) -> Option<Duration> {
    let given = reader.duration(value, false)?;
    let whole = given.value.as_secs() % 60 == 0 && given.value.subsec_nanos() == 0;
    if (SHORTEST..=LONGEST).contains(&given.value) && whole {
        return Some(given.value);
    }
    let what = "AWS lets no shift end then";
    let hint = "write whole minutes, from `1m` to `72h`: it is moved on while the drill lives";
    reader.findings.error("bad-value", given.span, what, hint);
    None
}
