//! `firedrill check`: every finding, nothing touched.

use crate::home::Home;
use crate::plans::lab;

const TWO_FINDINGS: &str = "\
error: there is no datacenter `eats`
  --> bad.yaml:19:20
   |
19 | cut: { datacenter: eats, mode: reset, through: [wan] }
   |                    ^^^^
   |
   = help: did you mean `east`? (datacenters: east, west)

error: `at_most` is `20`, wanted a duration
  --> bad.yaml:20:66
   |
20 | timing: { baseline: 1s, stable_for: 500ms, hold: 100ms, at_most: 20 }
   |                                                                  ^^
   |
   = help: add a unit: `20s` or `20ms`

";

fn bad(home: &Home) -> &'static str {
    let text = lab(&[("datacenter: east", "datacenter: eats"), ("at_most: 20s", "at_most: 20")]);
    home.file("bad.yaml", text)
}

#[test]
fn a_good_plan_is_passed_in_silence() {
    let home = Home::new();
    let plan = home.file("good.yaml", lab(&[]));
    home.run(&["check", plan]).is(0, "", "");
    home.untouched();
}

#[test]
fn every_finding_is_shown_with_its_place_and_what_to_write() {
    let home = Home::new();
    let plan = bad(&home);
    home.run(&["check", plan]).is(2, "", TWO_FINDINGS);
    home.run(&["run", plan]).is(2, "", TWO_FINDINGS);
    home.untouched();
}

#[test]
fn all_files_are_checked_whatever_is_wrong_with_the_first() {
    let home = Home::new();
    let good = home.file("good.yaml", lab(&[]));
    let empty = home.file("empty.yaml", "");
    let ended = home.run(&["check", "missing.yaml", empty, good, bad(&home)]);
    ended.has(2, &["missing.yaml", "empty.yaml", "bad.yaml:19:20", "bad.yaml:20:66"]);
    assert!(!ended.stderr.contains("good.yaml"), "{ended}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn what_is_no_plan_is_refused_in_words_by_check_and_by_run() {
    let home = Home::new();
    std::fs::create_dir(home.path("plans")).unwrap();
    home.file("empty.yaml", "");
    home.file("binary.yaml", b"\x00\xff\x7fELF\x01\x02");
    home.file("utf16.yaml", b"\xff\xfev\0e\0r\0s\0i\0o\0n\0");
    home.file("large.yaml", vec![b'#'; 33 << 20]);
    home.file("text.yaml", "just words");
    for (path, wanted) in [
        (
            "missing.yaml",
            "error: missing.yaml: No such file or directory (os error 2); give the path of a plan, such \
             as drills/quickstart.yaml\n",
        ),
        (
            "plans",
            "error: plans: Is a directory (os error 21); give the plans in it, such as DIR/*.yaml\n",
        ),
        ("empty.yaml", "`empty.yaml` is empty"),
        ("binary.yaml", "binary.yaml"),
        ("utf16.yaml", "UTF-8"),
        ("large.yaml", "large.yaml"),
        ("/dev/zero", "/dev/zero"),
        ("text.yaml", "text.yaml:1:1"),
    ] {
        for command in ["check", "run"] {
            let ended = home.run(&[command, path]);
            ended.has(2, &["error: ", wanted]);
            assert_eq!(ended.stdout, "", "{command} {path}");
            assert!(ended.stderr.len() < 4000, "{command} {path}: {} bytes", ended.stderr.len());
        }
    }
    home.untouched();
}

#[test]
fn a_file_that_may_not_be_read_is_refused_in_words() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let plan = home.file("locked.yaml", lab(&[]));
    let locked = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(home.path(plan), locked).unwrap();
    let ended = home.run_as_nobody(&["check", plan]);
    ended.is(2, "", "error: locked.yaml: Permission denied (os error 13)\n");
}

#[test]
fn variables_fill_in_a_plan_and_a_missing_one_is_a_finding() {
    let home = Home::new();
    let plan =
        home.file("plan.yaml", lab(&[("recover_within: 5s", "recover_within: \"${var:rto}\"")]));
    home.run(&["check", plan, "--var", "rto=4s"]).is(0, "", "");
    home.run(&["check", plan]).has(2, &["plan.yaml:18:", "rto"]);
    home.run(&["check", plan, "--var", "rto=soon"]).has(2, &["plan.yaml:18:", "duration"]);
}
