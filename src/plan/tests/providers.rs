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
