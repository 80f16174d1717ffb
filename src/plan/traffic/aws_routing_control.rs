//! `aws-routing-control`: the cluster's addresses, and which routing control is whose.

use super::aws::{arn, by_datacenter, is_region, once, reach};
use crate::model::{RoutingControlEndpoint, RoutingControlSettings, RoutingControls};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

const SERVICE: &str = "route53-recovery-control";
const CONTROL: &str =
    "arn:aws:route53-recovery-control::123456789012:controlpanel/0123abcd/routingcontrol/4567ef";
const RULE: &str =
    "arn:aws:route53-recovery-control::123456789012:controlpanel/0123abcd/safetyrule/89ab01";
/// A cluster has so many addresses.
const ALL: usize = 5;

/// Reads the settings of an `aws-routing-control`.
pub(super) fn routing_control(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<RoutingControlSettings> {
    const KEYS: &[&str] =
        &["endpoints", "controls", "override_safety_rules", "profile", "credentials", "timeout"];
    let fields = reader.fields(value, Label("", "aws-routing-control"), KEYS)?;
    let example =
        "{ us-east-1: \"https://0123abcd.route53-recovery-cluster.us-east-1.amazonaws.com/v1\" }";
    let endpoints = fields.need(reader, "endpoints", example);
    let endpoints = endpoints.map(|value| endpoints_of(reader, value, example));
    let controls = fields.need(reader, "controls", &format!("{{ east: \"{CONTROL}\" }}"));
    let controls = controls.map(|value| controls_of(reader, value, datacenters));
    let rules = fields.get("override_safety_rules");
    let rules = rules.map(|value| rules_of(reader, value)).unwrap_or_default();
    Some(RoutingControlSettings {
        endpoints: endpoints.unwrap_or_default(),
        controls: controls.unwrap_or_default(),
        override_safety_rules: rules,
        reach: reach(reader, fields),
    })
}

fn endpoints_of(reader: &mut Reader, value: Value, example: &str) -> Vec<RoutingControlEndpoint> {
    let Some(entries) = reader.map(value, "`REGION: URL`") else { return Vec::new() };
    let mut found: Vec<RoutingControlEndpoint> = Vec::new();
    for entry in entries {
        if !is_region(&entry.key) {
            let what = format!("{} is no region of AWS", quote(&entry.key));
            reader.findings.error("bad-value", entry.at, what, "write it as `us-east-1`");
        }
        let Some(at) = reader.text(Value::of(entry), false) else { continue };
        if url(reader, &at) {
            found.push(RoutingControlEndpoint { region: entry.key.to_string(), url: at.value });
        }
    }
    if entries.is_empty() {
        let what = "`endpoints` names none";
        reader.findings.error("missing-key", value.at, what, format!("write {example}"));
    } else if entries.len() < ALL {
        let what = format!("a cluster has {ALL} endpoints, and this names {}", entries.len());
        let hint = "name all of them: AWS takes one or two away for maintenance now and then; `aws route53-recovery-control-config describe-cluster` shows them";
        reader.findings.warning("few-endpoints", value.at, what, hint);
    }
    found
}

fn controls_of(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Vec<RoutingControls> {
    let controls = by_datacenter(reader, value, datacenters, |reader, value| {
        arn(reader, value, (SERVICE, "/routingcontrol/"), CONTROL)
    });
    if controls.len() == 1 {
        let what = "only one datacenter has routing controls: nobody is known to take over";
        let hint =
            "name those of the other datacenters too, so that the last one on is never turned off";
        reader.findings.error("impossible", value.at, what, hint);
    }
    controls.into_iter().map(|(datacenter, arns)| RoutingControls { datacenter, arns }).collect()
}

fn rules_of(reader: &mut Reader, value: Value) -> Vec<String> {
    let mut rules = Vec::new();
    for item in reader.one_or_more(value) {
        let Some(rule) = arn(reader, item, (SERVICE, "/safetyrule/"), RULE) else { continue };
        once(reader, item, &rules, &rule);
        rules.push(rule);
    }
    rules
}
