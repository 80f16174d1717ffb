//! Input that was made to break the reader.

use std::fmt::Write;

use proptest::prelude::*;

use super::{GOOD, SECRET, drawn, parsed, render};

/// Whether the output could make a terminal do something.
fn is_harmless(drawn: &str) -> bool {
    drawn.chars().all(|c| c == '\n' || !super::super::finding::is_hostile(c))
}

#[test]
fn aliases_count_as_often_as_they_are_used() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        writeln!(bomb, "a{level}: &a{level} [{alias}]").unwrap();
    }
    assert!(drawn(bomb.as_bytes()).contains("more than 2000000 keys and values"));
}

#[test]
fn nesting_has_an_end_whichever_way_it_is_built() {
    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..100 {
        writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    let deep = |open: &str| open.repeat(100_000);
    let stairs: String = (0..1_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    for text in [chain, deep("["), deep("{a: "), deep("- "), deep("? "), stairs] {
        let outcome = parsed(text.as_bytes());
        assert_eq!(outcome.findings.len(), 1);
        assert!(matches!(outcome.findings[0].code, "size" | "syntax"));
    }
}

#[test]
fn a_file_larger_than_the_limit_is_refused_unread() {
    let text = vec![b'#'; super::super::SIZE_LIMIT + 1];
    let outcome = parsed(&text);
    assert_eq!((outcome.findings.len(), outcome.findings[0].code), (1, "size"));
}

#[test]
fn a_line_as_long_as_the_file_is_shown_in_part() {
    let text = format!("{{{}", "k: 1, ".repeat(100_000));
    assert!(drawn(text.as_bytes()).len() < 2_000);
    let text =
        format!("{{ {} }}", (0..500).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join(", "));
    let drawn = drawn(text.as_bytes());
    assert!(drawn.len() < 200 * 1_000 && drawn.contains("more findings"), "{}", drawn.len());
}

#[test]
fn escape_sequences_in_a_plan_do_not_reach_the_terminal() {
    for name in ["\"\\e[31mred\"", "\"\\u202Ereversed\"", "\u{202e}reversed", "\"\\x9b31m\""] {
        let text = GOOD.replace("[wan]", &format!("[{name}]")).replace("evry", name);
        let drawn = drawn(text.as_bytes());
        assert!(!drawn.is_empty() && is_harmless(&drawn), "{drawn:?}");
    }
    let keys = GOOD.replace("about", "").replace("hold: 3s", "\"\\e[2J\": 3s");
    assert!(is_harmless(&drawn(keys.as_bytes())));
}

#[test]
fn a_file_name_is_shown_harmlessly() {
    let outcome = parsed(b"");
    assert!(is_harmless(&render("a\u{1b}[31m.yaml", b"", &outcome.findings, false)));
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let outcome = parsed(b"version: 2");
    let shown = |color| render("x.yaml", b"version: 2", &outcome.findings, color);
    assert!(shown(true).contains('\u{1b}') && !shown(false).contains('\u{1b}'));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(is_harmless(&drawn(&text)));
    }

    #[test]
    fn arbitrary_yaml_like_text_never_panics(text in "[-\\[\\]{}:,&*!|>'\"#%@ \n\ta-z0-9$.~<\u{e9}]{0,300}") {
        prop_assert!(is_harmless(&drawn(text.as_bytes())));
    }

    #[test]
    fn a_good_plan_with_some_bytes_changed_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut text = GOOD.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        prop_assert!(is_harmless(&drawn(&text)));
    }

    #[test]
    fn a_good_plan_with_words_moved_about_never_panics(
        moves in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut words: Vec<&str> = GOOD.split_inclusive(' ').collect();
        for (from, to) in moves {
            let (from, to) = (from.index(words.len()), to.index(words.len()));
            words.swap(from, to);
        }
        drawn(words.concat().as_bytes());
    }

    #[test]
    fn a_secret_in_any_scalar_is_never_shown(line in 0..GOOD.lines().count(), tail in "[a-z/ ]{0,6}") {
        let text: String = GOOD
            .lines()
            .enumerate()
            .map(|(number, text)| match text.split_once(": ") {
                Some((key, _)) if number == line => format!("{key}: \"${{env:TOKEN}}{tail}\"\n"),
                _ => format!("{text}\n"),
            })
            .collect();
        // `drawn` looks for the secret.
        prop_assert!(!drawn(text.as_bytes()).contains(SECRET));
        let debugged = format!("{:?}", parsed(text.as_bytes()));
        prop_assert!(!debugged.contains(SECRET));
    }
}
