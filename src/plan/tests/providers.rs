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
fn toxiproxy() {
    refused(
        "toxiproxy",
        &[
            "{}",
            "{ url: 127.0.0.1:8474, proxies: { east: [] } }",
            "{ proxies: { east: a/b, west: \"\" }, timeout: 0s }",
            "{ proxies: { north: a }, tokn: x }",
        ],
    );
}

#[test]
fn file() {
    let read = "read: { url: \"http://a.example/\", served_by: { header: x-dc } }";
    let with = |rest: &str| format!("{{ path: a, {read}, {rest} }}");
    let edit = "{ datacenter: east, find: a, with: b }";
    let settings = [
        "{}".to_owned(),
        "{ path: [a], replace: [], read: { url: [], served_by: {} } }".to_owned(),
        "{ path: a, replace: east, read: { url: a.example, times: 0, served_by: { peer: { east: 10.0.0.0/8 } } } }".to_owned(),
        with("replace: [{ datacenter: north, find: a }, { datacenter: east, find: \" \", with: a, sed: s/a/b/ }]"),
        with("replace: [{ datacenter: east, find: a b, with: \"a  b\" }]"),
        with(&format!("replace: [{edit}], reload: nginx, signal: {{ pid_file: a }}")),
        with(&format!("replace: [{edit}], signal: {{ signal: KILL }}, test: [], modes: [blackhole]")),
        with(&format!("replace: [{edit}], modes: [], timeout: 1m, find: a")),
        // Two commands of so long are more than a call at a control has.
        with(&format!("replace: [{edit}], timeout: 8s")),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    refused("file", &settings);
}

#[test]
fn http() {
    let with = |key: &str, value: &str| {
        let keys = [
            ("url", "\"https://a.example\""),
            ("parts", "{ east: a, west: b }"),
            ("modes", "[drain]"),
            ("inspect", "{ path: \"/{{part}}\", closed: false }"),
            ("cut", "{ method: DELETE, path: \"/{{part}}\" }"),
            ("restore", "{ method: PUT, path: \"/{{part}}\" }"),
        ];
        let keys = keys
            .map(|(known, good)| format!("{known}: {}", if known == key { value } else { good }));
        format!("{{ {} }}", keys.join(", "))
    };
    refused(
        "http",
        &[
            "{}",
            &with("url", "a.example"),
            &with("parts", "{ east: [a, \"\"], west: [a] }"),
            &with("modes", "[degrade]"),
            &with(
                "inspect",
                "{ path: \"/{{part}}/{{before}}\", read: weight, closed: 0, keep: \"/{{pool}}\" }",
            ),
            &with("inspect", "{ method: G ET, path: \"/\", expect: { status: ok } }"),
            &with("cut", "{ path: pools, body: \"{{mode\", content_type: text/html }"),
            &with("cut", "{ method: PATCH, path: \"/a#b\", retries: 3, repeatable: maybe }"),
            &with(
                "restore",
                "{ method: PUT, path: \"/{{part}}\", body: \"{{mode}} {{before:weight}}\" }",
            ),
        ],
    );
}

#[test]
fn powerdns() {
    refused(
        "powerdns",
        &[
            "{}",
            "{ url: 127.0.0.1:8081, api_key: hunter2hunter2, zone: \"a b\", records: { east: app/CNAME/b } }",
            "{ url: \"http://a.example\", api_key: \"${env:TOKEN}\", api_key_file: k, zone: a.example, records: { east: [] } }",
            "{ url: \"http://a.example\", api_key_file: \"\", zone: a.example, records: { east: app.b.example/A/192.0.2.1, west: app.a.example/LUA/x } }",
            "{ url: \"http://a.example\", api_key_file: k, zone: a.example, server: a/b, records: { east: A.example./a/192.0.2.1, west: a.example/A/192.0.2.1 } }",
            "{ url: \"http://a.example\", api_key_file: k, zone: a.example, records: { east: a.example/A/2001:db8::1 }, follow_within: 1m }",
            "{ url: \"http://a.example\", api_key_file: k, zone: a.example, records: { east: a.example/A/192.0.2 }, resolvers: [10.0.0.1], timeout: 0s }",
        ],
    );
}

#[test]
fn dns_update() {
    refused(
        "dns-update",
        &[
            "{}",
            "{ server: ns.example, key: { name: a, secret: hunter2hunter2 }, zone: a.example, records: { north: a.example/A/192.0.2.1 } }",
            "{ server: \"ns.example:53\", key: { name: a/b, algorithm: hmac-md5, secret: \"x${env:TOKEN}\" }, zone: a.example, records: a.example/A/192.0.2.1 }",
            "{ server: \"ns.example:53\", key: {}, key_file: k, zone: a.example, records: {} }",
        ],
    );
}

#[test]
fn cloudflare() {
    refused(
        "cloudflare",
        &[
            "{}",
            "{ zone: shop.example, records: { east: www.shop.example } }",
            "{ zone: 023e105f4ecef8ad9ca31a8372d0c353, records: { east: [a.b/A/1.2.3.4, A.b./a/1.2.3.4, \"a.b/A/::1\", a.b/CNAME/c.d], west: [] } }",
            "{ zone: 023e105f4ecef8ad9ca31a8372d0c353, pools: { east: a } }",
            "{ account: 023e105f4ecef8ad9ca31a8372d0c353, pools: { east: [a b, \"/o\", p/], north: x }, token: v1.0123456789abcdef }",
            "{ account: \"${env:TOKEN}\", records: { east: a.b/A/1.2.3.4 }, endpoint: x, timeout: 0s }",
            "{ zone: 1, records: {}, pools: {} }",
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

#[test]
fn nftables() {
    refused(
        "nftables",
        &[
            "{}",
            "{ networks: {}, ports: [], hosts: [] }",
            "{ networks: { east: [], west: [0.0.0.0/0, \"::/0\"] } }",
            "{ networks: { east: [127.0.0.1, 0.0.0.0/1, \"fe80::/64\", ten], west: [224.0.0.1, \"::ffff:10.0.0.1\"] } }",
            "{ networks: { east: [10.1.0.0/16, 10.1.2.0/24], west: [10.0.0.0/8], north: 10.9.0.1 } }",
            "{ networks: { east: 10.1.0.0/16 }, ports: [0, 70000, 9-8, http, 80, 8-80] }",
            "{ networks: { east: 10.1.0.0/16 }, hosts: [{ ssh: \"-oProxyCommand=x\" }, { ssh: \"a b\", netns: ../x }, { ssh: a, sudo: maybe }, {}, {}] }",
            "{ networks: { east: 10.1.0.0/16 }, hosts: local, expires_in: 9s, timeout: 0s }",
            "{ networks: { east: 10.1.0.0/16 }, hosts: { ssh: \"ssh://-x\", user: a }, expires_in: 10500ms }",
            "{ networks: { east: 10.1.0.0/16 }, timeout: 11s, hosts: [{ netns: a, devices: [] }, { netns: b, devices: [eth0, eth0, \"-x\", \"a/b\", \"eth0@if3\", longer-than-fifteen] }] }",
        ],
    );
}

/// What netem cannot keep of a degraded path is said where its mode stands.
#[test]
fn nftables_degrade() {
    let mut album = String::new();
    for (devices, numbers) in [
        ("", "{ latency: 100ms }"),
        (", devices: eth0", "{ latency: 100ms, bandwidth: 1MB/s }"),
        (", devices: eth0", "{ latency: 61s }"),
        (", devices: eth0", "{ latency: 3s, jitter: 2001ms }"),
        (", devices: eth0", "{ latency: 0.0001ms }"),
        (", devices: eth0", "{ loss: 0.00001% }"),
    ] {
        let door = format!(
            "    nftables: {{ networks: {{ east: 10.1.0.0/16 }}, hosts: [{{ ssh: ops@gw1{devices} }}] }}\n"
        );
        let plan = GOOD.replace(DOOR, &door);
        let through = format!("mode: degrade\n  degrade: {numbers}\n  through: [door]");
        let plan = plan.replace("mode: blackhole\n  through: [wan]", &through);
        let drawn = drawn(plan.as_bytes());
        assert!(drawn.contains("cannot degrade"), "{numbers}: {drawn}");
        album.push_str(&format!("=== {devices} {numbers}\n{drawn}"));
    }
    snapshot("provider-nftables-degrade", &album);
}
