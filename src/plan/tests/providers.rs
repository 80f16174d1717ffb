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
