//! Commands that say or do what they should not.

use std::time::Duration;

use super::*;
use crate::model::{DatacenterId, Mode, ModeKind, Name, Part, PartState, Passage, Provider};

const EAST: DatacenterId = DatacenterId(0);

fn words(words: &[&str]) -> Vec<Text> {
    words.iter().map(|word| Text::from(*word)).collect()
}

fn settings(script: &str) -> ExecSettings {
    let command = words(&["sh", "-c", script]);
    ExecSettings {
        inspect: command.clone(),
        cut: command.clone(),
        restore: command,
        dir: Text::from("."),
        modes: vec![ModeKind::Drain],
        datacenters: vec![Name::from("east"), Name::from("west")],
        timeout: Duration::from_secs(20),
    }
}

fn control(settings: &ExecSettings) -> Exec {
    let provider = Provider::Exec(settings.clone());
    Exec::new(&ControlSpec { name: "mesh".into(), provider }, settings).unwrap()
}

fn says(text: &str) -> Exec {
    control(&settings(&format!("cat > /dev/null; echo '{text}'")))
}

fn open(settings: &[(&str, &str)]) -> PartState {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    PartState { datacenter: EAST, passage: Passage::Open, settings: settings.collect() }
}

#[tokio::test]
async fn what_makes_no_sense_is_no_state() {
    for (said, what) in [
        ("", "EOF while parsing"),
        ("ok", "expected"),
        (r#"{"parts":{"a":{"datacenter":"north","passage":"open"}}}"#, "no datacenter of the plan"),
        (r#"{"parts":{"a":{"datacenter":"east","passage":"ajar"}}}"#, "unknown variant `ajar`"),
        (r#"{"parts":{"a":{"datacenter":"east","passage":"open","setings":{}}}}"#, "setings"),
        (r#"{"parts":{}} {"#, "trailing"),
        (
            r#"{"parts":{"a":{"datacenter":"east","passage":"open","settings":{"passage":"x"}}}}"#,
            "a setting named `passage`",
        ),
    ] {
        let error = says(said).inspect().await.unwrap_err();
        assert!(error.what.contains("the command `sh` said what makes no sense"), "{error}");
        assert!(error.what.contains(what), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_command_that_fails_is_told_in_its_own_words_without_our_secrets() {
    let secret = Part::Secret { name: "TOKEN".into(), value: "hunter2".into() };
    let mut settings = settings("echo \"no way in with $0\" >&2; echo half; exit 3");
    settings.inspect.push(Text::new(vec![secret]));
    let control = control(&settings);
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains("exit status: 3: no way in with [secret]"), "{error}");
    let exchanges = control.exchanges();
    assert_eq!(exchanges.len(), 1);
    assert!(!format!("{exchanges:?} {control:?}").contains("hunter2"), "{exchanges:?}");
    assert!(exchanges[0].asked.starts_with("sh {\"firedrill\":1,\"act\":\"inspect\"}"));
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let mut settings = settings("");
    settings.inspect = words(&["./no-such-tool"]);
    let error = control(&settings).inspect().await.unwrap_err();
    assert!(error.what.contains("`./no-such-tool` could not be run"), "{error}");
    let mut settings = self::settings("cat");
    settings.dir = Text::from("/no/such/folder");
    assert!(control(&settings).inspect().await.unwrap_err().what.contains("could not be run"));
}

#[tokio::test]
async fn a_command_is_told_what_to_cut_and_what_to_put_back() {
    let order = CutOrder::of(EAST, Mode::Drain);
    let parts = [
        ("a".to_owned(), open(&[("passage", "open"), ("weight", "7")])),
        ("b".to_owned(), PartState { passage: Passage::Closed, ..open(&[]) }),
        ("w".to_owned(), PartState { datacenter: DatacenterId(1), ..open(&[]) }),
    ];
    let snapshot = ControlState { parts: parts.into() };
    let echo = control(&settings("cat >&2; exit 1"));
    let part = r#""parts":{"a":{"datacenter":"east","passage":"open","settings":{"weight":"7"}}}}"#;
    let cut = echo.cut(&order, &snapshot).await.unwrap_err().what;
    assert!(
        cut.ends_with(&format!(
            r#"{{"firedrill":1,"act":"cut","losing":["east"],"mode":"drain",{part}"#
        )),
        "{cut}"
    );
    let restore = echo.restore(&snapshot.cuttable(&order)).await.unwrap_err();
    assert!(
        restore.what.ends_with(&format!(r#"{{"firedrill":1,"act":"restore",{part}"#)),
        "{restore}"
    );
    // What a person would paste is the same.
    let line = TrafficControl::by_hand(&echo, &snapshot.cuttable(&order)).remove(0);
    assert!(line.starts_with("cd . && echo '{\"firedrill\":1,"), "{line}");
    assert!(line.ends_with("| sh -c 'cat >&2; exit 1'"), "{line}");
}

#[tokio::test]
async fn who_is_left_and_what_is_steered_is_the_commands_to_say() {
    let order = CutOrder::of(EAST, Mode::Drain);
    let control = says(r#"{"parts":{},"left":{"app":0,"api":2},"identity":"mesh 7"}"#);
    let left = control.survivors(&order).await.unwrap();
    let left: Vec<(&str, usize)> = left.iter().map(|it| (&*it.group, it.left)).collect();
    assert_eq!(left, [("api", 2), ("app", 0)]);
    assert_eq!(control.identity().await.unwrap().unwrap(), "exec mesh 7");
    assert!(says(r#"{"parts":{}}"#).survivors(&order).await.unwrap().is_empty());
}
