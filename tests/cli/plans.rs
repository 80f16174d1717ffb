//! Plans that are over within seconds.

#![allow(dead_code, reason = "several binaries share it, and each uses a part")]

/// A drill on the lab that passes. `change` edits its text; every pattern must be there.
pub fn lab(change: &[(&str, &str)]) -> String {
    edited(LAB, change)
}

/// A drill of `http://{web}/` through the control `wan`, whose provider is `provider`.
pub fn own(web: std::net::SocketAddr, provider: &str, change: &[(&str, &str)]) -> String {
    let text = OWN.replace("WEB", &web.to_string()).replace("PROVIDER", provider);
    edited(&text, change)
}

fn edited(text: &str, change: &[(&str, &str)]) -> String {
    change.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text.replace(from, to)
    })
}

const LAB: &str = r#"version: 1
name: short
datacenters: [east, west]
lab:
  balancer: { check_every: 100ms, check_timeout: 1s, fall: 2, rise: 2 }
  services:
    talk: { east: 1, west: 1 }
traffic:
  wan: { lab: {} }
services:
  talk:
    probes:
      get:
        http: { url: "${lab:talk}/" }
        every: 20ms
        timeout: 2s
        served_by: { header: x-datacenter }
    promises: { recover_within: 5s, failback_within: 5s }
cut: { datacenter: east, mode: reset, through: [wan] }
timing: { baseline: 1s, stable_for: 500ms, hold: 100ms, at_most: 20s }
"#;

const OWN: &str = r#"version: 1
name: own
datacenters: [east, west]
traffic:
  wan: PROVIDER
services:
  web:
    probes:
      get:
        http: { url: "http://WEB/", headers: { accept: "*/*" } }
        every: 20ms
        timeout: 500ms
        served_by: { header: x-datacenter }
    promises: { recover_within: 1s, failback_within: 1s }
cut: { datacenter: east, mode: reset, through: [wan] }
timing: { baseline: 1s, stable_for: 500ms, hold: 100ms, at_most: 5s }
"#;
