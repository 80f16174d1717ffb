//! Drills of a site.

#![allow(dead_code, reason = "a benchmark shares it and uses a part")]

use crate::home::{Home, Running};
use crate::site::Site;
use crate::texts;

/// A drill that stays cut until something happens to it, for at most `at_most`.
pub fn endless(site: &Site, at_most: &str) -> String {
    plan(site, "50s", at_most)
}

/// A drill that is over within seconds.
pub fn short(site: &Site) -> String {
    plan(site, "300ms", "20s")
}

/// A drill that is cut for half of its time.
pub fn half(site: &Site) -> String {
    plan(site, "1s", "20s")
}

fn plan(site: &Site, stable_for: &str, at_most: &str) -> String {
    let stable_for = format!("stable_for: {stable_for}");
    let at_most = format!("at_most: {at_most}");
    let changes = [
        ("baseline: 1s", "baseline: 300ms"),
        ("stable_for: 500ms", stable_for.as_str()),
        ("at_most: 5s", at_most.as_str()),
    ];
    texts::own(site.front(), &site.provider(), &changes)
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
