//! Drills of a site.

use crate::home::{Home, Running};
use crate::site::Site;

/// A drill that stays cut until something happens to it, for at most `at_most`.
pub fn endless(site: &Site, at_most: &str) -> String {
    plan(site, "50s", at_most)
}

/// A drill that is over within seconds.
pub fn short(site: &Site) -> String {
    plan(site, "300ms", "20s")
}

fn plan(site: &Site, stable_for: &str, at_most: &str) -> String {
    format!(
        r#"version: 1
name: crash
datacenters: [east, west]
traffic:
  edge: {provider}
services:
  web:
    probes:
      get:
        http: {{ url: "http://{front}/" }}
        every: 20ms
        timeout: 500ms
        served_by: {{ header: x-datacenter }}
    promises: {{ recover_within: 5s, failback_within: 5s }}
cut: {{ datacenter: east, mode: reset, through: [edge] }}
timing: {{ baseline: 300ms, stable_for: {stable_for}, hold: 100ms, at_most: {at_most} }}
"#,
        provider = site.provider(),
        front = site.front(),
    )
}

/// A home with a site in it, and a drill of it that is cut now.
pub fn cut(at_most: &str) -> (Home, Site, Running) {
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", endless(&site, at_most));
    let mut drill = Running::start(&home, &["run", "plan.yaml", "--yes"]);
    drill.until(" observe: ");
    assert!(!site.is_whole());
    (home, site, drill)
}
