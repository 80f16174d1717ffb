//! `aws-elb`: target groups or load balancers, and which targets or zones are whose.

use super::aws::{arn, by_datacenter, is_region, once, reach};
use crate::model::{ElbSettings, ElbTarget, ElbTargets, ElbZones};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Fields, Label, Reader, Value};

const SERVICE: &str = "elasticloadbalancing";
const GROUP: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/0123456789abcdef";
const BALANCER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/0123456789abcdef";

/// Reads the settings of an `aws-elb`.
pub(super) fn elb(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ElbSettings> {
    const KEYS: &[&str] = &[
        "target_groups",
        "load_balancers",
        "targets",
        "zones",
        "profile",
        "credentials",
        "endpoint",
        "timeout",
    ];
    let fields = reader.fields(value, Label("", "aws-elb"), KEYS)?;
    let what = fields.one_of(reader, &["target_groups", "load_balancers"]);
    let by_groups = what.is_some_and(|what| what.key == "target_groups");
    let arns = what.map(|value| arns_of(reader, value, by_groups)).unwrap_or_default();
    if by_groups {
        fields.one_of(reader, &["targets", "zones"]);
    } else if what.is_some() {
        of_balancers(reader, &fields);
    }
    let targets =
        fields.get("targets").map(|value| by_datacenter(reader, value, datacenters, target));
    let zones = fields.get("zones").map(|value| by_datacenter(reader, value, datacenters, zone));
    let (target_groups, load_balancers) =
        if by_groups { (arns, Vec::new()) } else { (Vec::new(), arns) };
    let targets = targets.unwrap_or_default().into_iter();
    let zones = zones.unwrap_or_default().into_iter();
    Some(ElbSettings {
        target_groups,
        load_balancers,
        targets: targets.map(|(datacenter, targets)| ElbTargets { datacenter, targets }).collect(),
        zones: zones.map(|(datacenter, names)| ElbZones { datacenter, names }).collect(),
        reach: reach(reader, fields),
    })
}

/// A load balancer is steered by zones alone.
fn of_balancers(reader: &mut Reader, fields: &Fields) {
    if let Some(targets) = fields.get("targets") {
        let what = "a load balancer has no targets of its own";
        let hint = "name its `target_groups` instead, or its `zones`";
        reader.findings.error("impossible", targets.at, what, hint);
    } else {
        fields.need(reader, "zones", "{ east: eu-west-1a, west: eu-west-1b }");
    }
}

fn arns_of(reader: &mut Reader, value: Value, groups: bool) -> Vec<String> {
    let (kind, example) =
        if groups { ("targetgroup/", GROUP) } else { ("loadbalancer/", BALANCER) };
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = format!("{} names nothing to steer", quote(value.key));
        reader.findings.error("missing-key", value.at, what, format!("write `{example}`"));
    }
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Some(arn) = arn(reader, item, (SERVICE, kind), example) else { continue };
        let region = |arn: &str| arn.split(':').nth(3).unwrap_or_default().to_owned();
        if !is_region(&region(&arn)) {
            let what = format!("{} names no region", quote(&arn));
            let hint = format!("write it whole, as AWS shows it: `{example}`");
            reader.findings.error("bad-value", item.span(), what, hint);
        } else if found.first().is_some_and(|first| region(first) != region(&arn)) {
            let what = "what one control steers is all in one region";
            let hint = "give each region a control of its own, and name both in the cut";
            reader.findings.error("impossible", item.span(), what, hint);
        }
        once(reader, item, &found, &arn);
        if !groups && !arn.contains(":loadbalancer/app/") {
            let what =
                "only an Application Load Balancer gives up a zone and gets it back as it was";
            let hint =
                "shift the zone away instead, by `aws-zonal-shift`, or name its `target_groups`";
            reader.findings.error("impossible", item.span(), what, hint);
        }
        found.push(arn);
    }
    found
}

/// `ID` or `ID:PORT`.
fn target(reader: &mut Reader, value: Value) -> Option<ElbTarget> {
    let text = reader.shown(value, "the id or the address of a target")?;
    let with_port = || {
        let (id, port) = text.rsplit_once(':')?;
        // An address of IPv6 without brackets has colons of its own.
        let id = match id.contains(':') {
            true => id.strip_prefix('[')?.strip_suffix(']')?,
            false => id,
        };
        Some((id, Some(port.parse().ok().filter(|port: &u16| *port > 0)?)))
    };
    let (id, port) = with_port().unwrap_or((&*text, None));
    let is_id = id.starts_with("i-") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_id || id.parse::<std::net::IpAddr>().is_ok() {
        return Some(ElbTarget { id: id.to_owned(), port });
    }
    let what = format!("{} is no target", quote(&text));
    let hint = "write the id of an instance or an address, with a port or without: `i-0123456789abcdef0`, `10.1.0.4:8080`, `[2001:db8::4]:8080`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

fn zone(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "the name of a zone")?;
    let lettered = text.ends_with(|c: char| c.is_ascii_lowercase());
    if is_region(&text) && lettered && text.contains('-') {
        return Some(text.into_owned());
    }
    let what = format!("{} is not the name of a zone", quote(&text));
    let hint = "write the name, such as `eu-west-1a`, and not the id, `euw1-az1`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
