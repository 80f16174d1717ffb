//! Annotations of GitHub Actions.

use super::build;
use crate::model::*;
use crate::report::annotations;

#[test]
fn a_pass_annotates_nothing() {
    assert_eq!(annotations(&build::passed()), [""; 0]);
}

#[test]
fn broken_promises_are_errors_and_undecided_ones_warnings() {
    let lines = annotations(&build::failed());
    assert_eq!(
        lines,
        [
            "::error file=drills/quickstart.yaml,title=FAIL%3A quickstart::talk (47,430,000 users) was away for at \
             least 612 ms (budget 500 ms); east was cut by blackhole through wan for 6.102 s: talk did not recover \
             within 500 ms: it was away for at least 612 ms",
            "::error file=drills/quickstart.yaml,title=talk recover_within is broken::it was away for at least 612 ms \
             (measured [612 ms, 812 ms], budget 500 ms)",
        ]
    );
    let kinds = |record: &RunRecord| -> Vec<String> {
        let lines = annotations(record);
        lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&build::leaking()), ["::warning", "::warning"]);
    assert_eq!(kinds(&build::not_started()), ["::warning"]);
    assert_eq!(kinds(&build::stopped()), ["::warning", "::warning", "::warning"]);
    assert_eq!(kinds(&build::not_restored()), ["::error", "::error", "::warning"]);
}

#[test]
fn hostile_strings_are_one_command_each() {
    for nasty in
        ["a\n::error::b\r\n::add-mask::c", "100%0A::error::x", "x,title=y:z::w", "##[error]"]
    {
        let lines = annotations(&build::hostile_as(nasty));
        assert_eq!(lines.len(), 3);
        for line in lines {
            let (head, text) = line[2..].split_once("::").unwrap();
            assert!(head.starts_with("error file=") || head.starts_with("warning file="), "{line}");
            assert_eq!(head.matches([',', ':']).count(), 1, "only ours: {line}");
            let percents = text.match_indices('%').map(|(at, _)| &text[at..at + 3]);
            assert!(percents.into_iter().all(|it| ["%25", "%0A", "%0D"].contains(&it)), "{line}");
            assert!(!line.contains(['\n', '\r']) && !line.contains("##["), "{line}");
        }
    }
}

#[test]
fn github_shows_ten_of_each_and_so_do_we() {
    let mut record = build::many_services();
    record.verdict = Verdict::Fail;
    for service in &mut record.services {
        service.promises[0].judgement = Judgement::Broken;
        service.promises[1].judgement = Judgement::Undecided;
    }
    let lines = annotations(&record);
    let count = |kind: &str| lines.iter().filter(|line| line.starts_with(kind)).count();
    assert_eq!((count("::error "), count("::warning ")), (10, 10));
    assert!(lines[0].contains("title=FAIL%3A quickstart::"), "{}", lines[0]);
}
