//! Pieces of text, without a server.

use std::time::Duration;

use super::File;
use super::edits::{Stands, changed, doubt, stands};
use crate::model::{
    ControlSpec, DatacenterId, FileEdit, FileRead, FileReload, FileServedBy, FileSettings, Part,
    Provider, Text,
};
use crate::traffic::TrafficControl;

fn edit(find: &str, with: &str) -> FileEdit {
    FileEdit { datacenter: DatacenterId(0), find: find.to_owned(), with: with.to_owned() }
}

#[test]
fn a_piece_stands_where_it_is_found_once_and_not_in_a_comment() {
    let down = edit("server a:80", "server a:80 down");
    for (text, wanted) in [
        ("server a:80;\n", Stands::Open),
        ("server a:80 down;\n", Stands::Cut),
        ("server b:80;\n", Stands::Nowhere),
        ("# server a:80;\n", Stands::Nowhere),
        ("#server a:80 down;\nserver a:80;", Stands::Open),
        ("server a:80; server a:80;", Stands::Repeatedly),
        ("server a:80; server a:80 down;", Stands::Repeatedly),
        ("server a:80 down; server a:80 down;", Stands::Repeatedly),
        ("server b:80; # server a:80;\n", Stands::Nowhere),
        ("", Stands::Nowhere),
        ("s", Stands::Nowhere),
    ] {
        assert_eq!(stands(text.as_bytes(), &down), wanted, "{text}");
    }
    let shorter = edit("weight: 10", "weight: 1");
    assert_eq!(stands(b"weight: 10", &shorter), Stands::Open);
    assert_eq!(stands(b"weight: 1", &shorter), Stands::Cut);
    let comment = edit("server a;", "# server a;");
    assert_eq!(stands(b"  server a;\n", &comment), Stands::Open);
    assert_eq!(stands(b"  # server a;\n", &comment), Stands::Cut);
    assert_eq!(stands(b"  ## server a;\n", &comment), Stands::Nowhere);
}

#[test]
fn what_another_hand_wrote_meanwhile_and_bytes_that_are_no_text_stay() {
    let (a, b) = (edit("a 1\n", "a 0 # cut\n"), edit("b: x", "b: longer than before"));
    let before = b"head \xff\xfe\na 1\nb: x\ntail";
    let (cut, strange) = changed(before, [&a, &b], Stands::Cut);
    assert_eq!(cut, b"head \xff\xfe\na 0 # cut\nb: longer than before\ntail");
    assert!(strange.is_empty());
    assert_eq!(changed(&cut, [&a, &b], Stands::Cut).0, cut, "cut twice");
    let (back, _) = changed(&cut, [&a, &b], Stands::Open);
    assert_eq!(back, before);
    let others = [&b"new\n"[..], &cut, b" and more"].concat();
    let (back, _) = changed(&others, [&a, &b], Stands::Open);
    assert_eq!(back, [&b"new\n"[..], before, b" and more"].concat());
    let theirs = b"a 7\nb: longer than before";
    let (back, strange) = changed(theirs, [&a, &b], Stands::Open);
    assert_eq!((&*back, strange), (&b"a 7\nb: x"[..], vec![(&a, Stands::Nowhere)]));
}

#[test]
fn pieces_that_could_be_taken_for_each_other_are_doubted() {
    let fine = [edit("one", "1"), edit("two", "2")];
    assert_eq!(doubt(b"one two", &fine, &[&fine[0], &fine[1]]), None);
    // Cut, the first looks like the second on an ordinary day.
    let alike = [edit("one", "xtwo"), edit("two", "2")];
    assert!(doubt(b"one two", &alike, &[&alike[0]]).is_some());
    // Its neighbour's text completes what is looked for.
    let joined = [edit("a", "b"), edit("bc", "d")];
    assert!(doubt(b"ac bc", &joined, &[&joined[0]]).is_some());
    // What is written brings a second one to be found.
    let behind = [edit("x", "#"), edit("y", "z")];
    assert!(doubt(b"x y", &behind, &[&behind[0]]).is_some());
}

/// A control whose every text holds a secret, with `home` as its directory.
fn secretive(home: &std::path::Path) -> File {
    let text = |before: &str, value: &str, behind: &str| {
        let secret = Part::Secret { name: "HIDDEN".into(), value: value.to_owned() };
        Text::new(vec![Part::Plain(before.into()), secret, Part::Plain(behind.into())])
    };
    let home = home.to_str().unwrap();
    let settings = FileSettings {
        path: text(&format!("{home}/"), "hunter2", ".conf"),
        replace: vec![edit("open", "cut")],
        test: vec!["sh".into(), "-c".into(), "echo in $0 >&2; exit 1".into(), "{file}".into()],
        reload: FileReload::Command(vec!["false".into(), text("", "hunter2", "")]),
        read: FileRead {
            urls: vec![text("http://hunter-", "hunter2", ".invalid/")],
            times: 1,
            timeout: Duration::from_secs(5),
            by: FileServedBy::Header("x-datacenter".into()),
            values: Vec::new(),
        },
        modes: Vec::new(),
        dir: text(&format!("{home}/"), "", ""),
        datacenters: vec!["east".into()],
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::File(settings.clone());
    File::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

#[tokio::test]
async fn secrets_are_in_no_error_and_in_nothing_that_is_noted() {
    let home = tempfile::tempdir().unwrap();
    let control = secretive(home.path());
    let mut said = format!("{control:?}");
    said += &control.preflight().await.unwrap_err().to_string();
    let file = home.path().join("hunter2.conf");
    std::fs::write(&file, "open\n").unwrap();
    said += &control.preflight().await.unwrap_err().to_string();
    let snapshot = control.inspect().await.unwrap();
    let order = crate::model::CutOrder::of(DatacenterId(0), crate::model::Mode::Drain);
    said += &control.cut(&order, &snapshot).await.unwrap_err().to_string();
    said += &control.restore(&snapshot).await.unwrap_err().to_string();
    // Cut by hand, so that who serves is asked for.
    std::fs::write(&file, "cut\n").unwrap();
    control.inspect().await.unwrap();
    said += &format!("{:?}", control.exchanges());
    said += &format!("{:?} {:?}", control.calls(&order, &snapshot), control.by_hand(&snapshot));
    assert!(!said.contains("hunter2"), "{said}");
    for part in ["${env:HIDDEN}", "would not take the new file", "no answer 1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn what_another_hand_wrote_while_the_file_was_tested_is_not_said_to_be_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("edge.conf");
    let path = file.to_str().unwrap();
    // Fails, and somebody else writes meanwhile.
    let refuse =
        format!("grep -q cut {path} || exit 0; sed -i s/cut/theirs/ {path}; echo no >&2; exit 1");
    let settings = FileSettings {
        path: path.into(),
        replace: vec![edit("open", "cut"), edit("first", "second")],
        test: vec!["sh".into(), "-c".into(), refuse.as_str().into()],
        ..secretive(home.path()).settings.clone()
    };
    let provider = Provider::File(settings.clone());
    let control = File::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap();
    std::fs::write(&file, "open first\n").unwrap();
    let snapshot = control.inspect().await.unwrap();
    let order = crate::model::CutOrder::of(DatacenterId(0), crate::model::Mode::Drain);
    let error = control.cut(&order, &snapshot).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs first\n");
    assert!(error.what.contains("would not take the new file"), "{error}");
    assert!(error.what.contains("stands neither `open` nor `cut`"), "{error}");
    assert!(!error.hint.contains("the file is as it was"), "{error}");
}
