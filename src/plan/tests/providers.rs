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
