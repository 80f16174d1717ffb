//! Settings of providers that cannot be right, a snapshot each.

use super::bad::snapshot;
use super::*;

const DOOR: &str = "    haproxy:
      socket: /run/haproxy.sock
      servers: { east: app/east-*, west: [app/west-1, app/west-2] }
";

/// What is said of a control with each of these settings.
fn refused(provider: &str, settings: &[&str]) {
    let mut album = String::new();
    for wrong in settings {
        let plan = GOOD.replace(DOOR, &format!("    {provider}: {wrong}\n"));
        assert_ne!(plan, GOOD);
        let drawn = drawn(plan.as_bytes());
        assert!(!drawn.is_empty(), "{wrong} has no finding");
        album.push_str(&format!("=== {wrong}\n{drawn}"));
    }
    snapshot(&format!("provider-{provider}"), &album);
}

#[test]
fn caddy() {
    refused(
        "caddy",
        &[
            "{}",
            "{ url: 127.0.0.1:2019, id: a/b, upstreams: [] }",
            "{ url: \"http://a.example/?${env:TOKEN}\", id: a, upstreams: [{ datacenter: north, dial: a:1 }] }",
            "{ url: \"http://u:pw@a.example/\", id: a, upstreams: [{ datacenter: east }] }",
            "{ url: \"http://a.example\", id: a, upstreams: [{ datacenter: east, dial: a:1 }, { datacenter: west, dial: a:1 }] }",
            "{ url: \"http://a.example\", id: a, upstreams: [{ datacenter: east, dial: \"\" }], timeout: 0s }",
        ],
    );
}

#[test]
fn exec() {
    refused(
        "exec",
        &[
            "{}",
            "{ inspect: ./a, cut: [], restore: [a, [b]], modes: [] }",
            "{ inspect: [a], cut: [a], restore: [a], modes: [drian], timeout: 10, shell: true }",
        ],
    );
}

#[test]
fn aws_route53() {
    refused(
        "aws-route53",
        &[
            "{}",
            "{ records: { east: api.example/A } }",
            "{ zone: \"Z/..\", records: { east: api.example/ALIAS/east, west: [] } }",
            "{ zone: Z1, records: { east: api.example/A/one, west: API.example./a/one } }",
            "{ health_checks: { east: \"a b\" }, endpoint: route53.example, profile: \"${env:TOKEN}\" }",
            "{ health_checks: { north: a }, timeout: 0s, region: a }",
        ],
    );
}

#[test]
fn aws_zonal_shift() {
    refused(
        "aws-zonal-shift",
        &[
            "{}",
            "{ resources: [], zones: {} }",
            "{ resources: shop, zones: { east: a/b, west: \"\" } }",
            "{ resources: [\"arn:aws:x:eu-west-1:1:a\", \"arn:aws:x:eu-west-2:1:a\", \"arn:aws:x:eu-west-1:1:a\"], zones: { east: euw1-az1, west: euw1-az1 } }",
            "{ resources: \"arn:aws:x:eu-west-1:1:a\", zones: { east: euw1-az1 }, expires_in: 90s }",
            "{ resources: \"arn:aws:x:eu-west-1:1:a\", zones: { east: euw1-az1 }, expires_in: 4d, endpoint: x }",
        ],
    );
}

#[test]
fn aws_routing_control() {
    const PANEL: &str = "arn:aws:route53-recovery-control::1:controlpanel/a";
    let with = |text: &str| text.replace("PANEL", PANEL);
    let wrong = [
        "{}",
        "{ endpoints: {}, controls: {} }",
        "{ endpoints: { \"us east\": \"https://a.example\", us-east-1: a.example }, controls: { east: shop, west: \"arn:aws:route53:::a\" } }",
        "{ endpoints: { us-east-1: \"https://a.example\" }, controls: { east: [\"PANEL/routingcontrol/1\", \"PANEL/routingcontrol/1\"] } }",
        "{ endpoints: { us-east-1: \"https://${env:TOKEN}.example\" }, controls: { east: \"PANEL/routingcontrol/1\", west: \"PANEL/safetyrule/2\" }, override_safety_rules: [\"PANEL/safetyrule/r\", \"PANEL/safetyrule/r\", all], region: x }",
    ];
    let wrong: Vec<String> = wrong.iter().map(|it| with(it)).collect();
    refused("aws-routing-control", &wrong.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn aws_elb() {
    const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:";
    let wrong = [
        "{}",
        "{ target_groups: [], targets: {} }",
        "{ target_groups: shop, load_balancers: shop }",
        "{ target_groups: \"ARNtargetgroup/a/0\" }",
        "{ target_groups: [\"ARNtargetgroup/a/0\", \"ARNtargetgroup/a/0\", \"arn:aws:elasticloadbalancing:eu-west-2:1:targetgroup/a/0\"], targets: { east: web, west: [\"10.1.0.4:0\", \"2001:db8::4\"] } }",
        "{ target_groups: \"arn:aws:elasticloadbalancing::1:targetgroup/a/0\", zones: { east: euw1-az1, west: eu-west-1a }, targets: { east: i-0 } }",
        "{ load_balancers: \"ARNloadbalancer/app/a/0\" }",
        "{ load_balancers: \"ARNloadbalancer/net/a/0\", zones: { east: eu-west-1a } }",
        "{ load_balancers: \"ARNtargetgroup/a/0\", targets: { east: i-0 }, region: a }",
    ];
    let wrong: Vec<String> = wrong.iter().map(|it| it.replace("ARN", ARN)).collect();
    refused("aws-elb", &wrong.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn aws_fis() {
    refused(
        "aws-fis",
        &[
            "{}",
            "{ region: Ireland, templates: { east: a/b?, west: \"\" }, modes: [] }",
            "{ region: eu-west-1, templates: { east: EXT1, west: EXT1 }, modes: [blackhole, degrade] }",
            "{ region: eu-west-1, templates: { north: EXT1 }, modes: drian, endpoint: x, timeout: 0s, template: a }",
        ],
    );
}

#[test]
fn fis_is_told_how_long_the_drill_may_cut() {
    let fis = "    aws-fis: { region: eu-west-1, templates: { east: EXT1 }, modes: reset }\n";
    let plan = GOOD.replace(DOOR, fis);
    let plan = parsed(plan.as_bytes()).plan.unwrap();
    let fis = plan.traffic.iter().find_map(|it| match &it.provider {
        crate::model::Provider::AwsFis(settings) => Some(settings.clone()),
        _ => None,
    });
    let settings = fis.unwrap();
    assert_eq!(settings.at_most, plan.timing.at_most);
    assert!(!settings.at_most.is_zero());
}
