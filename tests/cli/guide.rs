//! The guides: their commands are run, and their files are whole and right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home::Home;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap()
}

/// The code blocks of a page, each with what stands behind its first fence.
fn blocks(text: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = text.split("\n```").collect();
    let blocks = parts.iter().skip(1).step_by(2);
    blocks
        .map(|block| {
            let (kind, body) = block.split_once('\n').unwrap();
            (kind.to_owned(), format!("{body}\n"))
        })
        .collect()
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let home = Home::new();
    let mut seen = 0;
    for (_, body) in blocks(&page("your-own-system.md")).iter().filter(|(kind, _)| kind == "sh") {
        for line in body.lines() {
            let (command, comment) = line.split_once(" # ").unwrap_or((line, "exit 0"));
            let words: Vec<&str> = command.split_whitespace().collect();
            assert_eq!(words[0], "firedrill", "{line}");
            let code: i32 = comment.trim_start_matches("exit ").parse().unwrap();
            let ended = home.run(&words[1..]);
            assert_eq!(ended.code, code, "{line}\n{ended}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} commands");
}

#[test]
fn every_file_of_the_guides_is_the_one_beside_them() {
    let mut shown = BTreeSet::new();
    for guide in ["ci.md", "scheduling.md"] {
        for (kind, body) in blocks(&page(guide)) {
            let Some((_, file)) = kind.split_once(' ') else { continue };
            assert_eq!(body, page(file), "{guide}: {file}");
            shown.insert(file.to_owned());
        }
    }
    let there = std::fs::read_dir(docs().join("ci")).unwrap();
    let there: BTreeSet<String> = there
        .map(|entry| format!("ci/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    assert_eq!(shown, there);
}

#[test]
fn every_yaml_file_of_the_guides_is_one() {
    for file in ["ci/github.yml", "ci/gitlab.yml", "ci/cronjob.yml"] {
        let text = page(file);
        let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert!(read.is_object(), "{file}");
    }
}

/// The commands of a text, each up to what ends it in a shell.
fn commands(text: &str) -> Vec<Vec<String>> {
    let starts = text.match_indices("firedrill ").map(|(at, _)| &text[at..]);
    let commands = starts.map(|rest| {
        let line = rest.lines().next().unwrap_or_default();
        let end = line.find(['|', '\'', '`', '#', ';', '&']).unwrap_or(line.len());
        line[..end].split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    let known =
        ["run", "check", "preview", "restore", "status", "init", "schema", "completions", "man"];
    commands.filter(|words| words.first().is_some_and(|it| known.contains(&it.as_str()))).collect()
}

#[test]
fn every_command_of_the_files_is_one_that_is_there() {
    let home = Home::new();
    let mut seen = 0;
    for file in ["ci.md", "scheduling.md", "exit-codes.md"] {
        for (_, body) in blocks(&page(file)) {
            for words in commands(&body) {
                // At the end it is only reached if all before it is known.
                let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
                args.push("--help");
                home.run(&args).has(0, &[&format!("Usage: firedrill {}", words[0])]);
                seen += 1;
            }
        }
    }
    assert!(seen >= 12, "only {seen} commands");
}

#[test]
fn the_units_are_right_where_systemd_can_be_asked() {
    if !Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok_and(|it| it.status.success())
    {
        return;
    }
    let home = Home::new();
    for unit in ["drill-talk.service", "drill-talk.timer"] {
        // What it starts must be there.
        let text = page(&format!("ci/{unit}")).replace("/usr/local/bin/firedrill", "/bin/true");
        home.file(unit, text);
    }
    let analyze = |args: &[&str]| {
        Command::new("systemd-analyze").args(args).current_dir(home.root()).output().unwrap()
    };
    let said = analyze(&["verify", "./drill-talk.service", "./drill-talk.timer"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let about_it: Vec<&str> = text.lines().filter(|line| line.contains("drill-talk")).collect();
    assert!(about_it.is_empty(), "{text}");
    // What is right is told apart from what is not.
    let broken = page("ci/drill-talk.service").replace("KillMode=process", "KillMode=never");
    home.file("drill-talk.service", broken);
    let said = analyze(&["verify", "./drill-talk.service"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("drill-talk.service"), "{said:?}");
}

/// The words in backquotes that are codes.
fn codes_of(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_code = |it: &&str| it.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    quoted.filter(is_code).map(str::to_owned).collect()
}

/// The codes that stand in the code: `Why::new("CODE", …` and where the code is chosen first.
fn codes_in_the_code(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Why a gate is closed is no reason of a verdict: docs/history.md has those. Reports decide nothing.
        if path.file_stem().is_some_and(|it| it == "tests" || it == "past" || it == "report") {
            continue;
        }
        if path.is_dir() {
            codes_in_the_code(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for start in ["Why::new(", "self.code(", "Judgement::Broken, ", "Judgement::Undecided, "] {
            for rest in text.split(start).skip(1) {
                let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
                let code = rest.split('"').next().unwrap();
                if !code.contains([' ', '{']) {
                    found.insert(code.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_reason_of_a_verdict_is_in_the_page_on_inconclusive() {
    let mut known = BTreeSet::from(["kill-switch".to_owned()]);
    codes_in_the_code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut known);
    assert!(known.len() > 30 && known.contains("promise-undecided"), "{known:?}");
    let text = page("inconclusive.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut told: BTreeSet<String> =
        rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    let (_, others) = text.split_once("## Codes that mean something else").unwrap();
    let others = codes_of(others);
    let both: Vec<&String> = told.intersection(&others).collect();
    assert!(both.is_empty(), "told twice: {both:?}");
    told.extend(others);
    let missing: Vec<&String> = known.difference(&told).collect();
    let gone: Vec<&String> = told.difference(&known).collect();
    assert!(missing.is_empty() && gone.is_empty(), "missing {missing:?}, gone {gone:?}");
}
