//! The drill dies or hangs, and its watchdog tells people: with secrets that were in no file, argument or environment.

use crate::home::{Home, Running, kill};
use crate::inbox::Inbox;
use crate::plans::endless;
use crate::site::Site;

const SECRET: &str = "s3cr3t-path";

/// A drill that is cut now, and where it tells of it.
fn cut() -> (Home, Site, Inbox, Running) {
    under_way(" observe: ", "300ms")
}

/// The same in the stage that says `text`, with such a baseline.
fn under_way(text: &str, baseline: &str) -> (Home, Site, Inbox, Running) {
    let inbox = Inbox::new();
    let home = Home::new().with_env("HOOK", &inbox.url(&format!("/{SECRET}")));
    let site = Site::start(&home.root());
    let notify = "notify: { oncall: { webhook: { url: \"${env:HOOK}\" }, on: [] } }\n";
    let baseline = format!("baseline: {baseline}");
    let plan = endless(&site, "10m").replace("baseline: 300ms", &baseline) + notify;
    assert!(plan.contains(&baseline));
    home.file("plan.yaml", plan);
    let mut drill = Running::start(&home, &["run", "plan.yaml", "--yes"]);
    drill.until(text);
    (home, site, inbox, drill)
}

/// What everybody may see of a process.
fn seen(pid: &str) -> String {
    let read = |file: &str| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned()
    };
    read("cmdline") + &read("status")
}

#[test]
fn a_drill_that_is_killed_while_cut_is_told_by_its_watchdog() {
    let (home, site, inbox, drill) = cut();
    assert!(inbox.heard().is_empty(), "it wants alarms only");
    assert!(!seen(&drill.watchdog()).contains(SECRET));
    drill.signal("KILL");
    let heard = inbox.until(|heard| !heard.is_empty());
    assert!(site.is_whole(), "traffic first");
    assert_eq!(heard[0].path, format!("/{SECRET}"));
    let told = heard[0].json();
    assert_eq!(told["event"], "taken-over");
    let title = told["title"].as_str().unwrap();
    assert!(title.contains("the drill died; its watchdog put the traffic to east back"), "{title}");
    assert_eq!(told["run"], home.only_run());
    let said = drill.rest();
    assert!(said.contains("told oncall: taken-over") && !said.contains(SECRET), "{said}");
    assert!(!home.everything().contains(SECRET));
}

#[test]
fn a_drill_that_hangs_is_told_too() {
    let (_home, site, inbox, drill) = cut();
    drill.signal("STOP");
    let heard = inbox.until(|heard| !heard.is_empty());
    assert!(site.is_whole());
    let title = heard[0].json()["title"].to_string();
    assert!(title.contains("no sign of life"), "{title}");
    drill.rest();
}

#[test]
fn people_hear_while_the_watchdog_still_tries_and_again_when_it_has_done_it() {
    let (home, site, inbox, drill) = cut();
    site.pause();
    drill.signal("KILL");
    let heard = inbox.until(|heard| !heard.is_empty());
    let told = heard[0].json();
    assert_eq!(
        (&told["event"], &told["verdict"]),
        (&"not-restored".into(), &"NOT RESTORED".into())
    );
    let restore = told["restore"].as_str().unwrap().to_owned();
    site.resume();
    let heard = inbox.until(|heard| heard.len() > 1);
    assert_eq!(heard[1].json()["event"], "taken-over");
    site.becomes_whole();
    drill.rest();
    // What people are told to type is right, wherever they stand.
    let args: Vec<&str> = restore.split(' ').skip(1).collect();
    home.run(&args).has(0, &["nothing was touched"]);
}

#[test]
fn a_watchdog_that_dies_leaves_the_telling_to_its_drill() {
    let (_home, site, inbox, drill) = cut();
    kill("KILL", &drill.watchdog());
    assert_eq!(drill.end().code, 5);
    assert!(site.is_whole());
    assert!(inbox.heard().is_empty(), "a stop is no alarm");
}

#[test]
fn a_drill_that_dies_before_its_cut_is_told_with_the_good_news() {
    let (_home, site, inbox, drill) = under_way(" baseline: ", "60s");
    drill.signal("STOP");
    drill.signal("KILL");
    let heard = inbox.until(|heard| !heard.is_empty());
    let title = heard[0].json()["title"].to_string();
    assert!(title.contains("the drill died; nothing is cut by it"), "{title}");
    drill.rest();
    assert!(site.is_whole());
    assert_eq!(inbox.heard().len(), 1);
}
