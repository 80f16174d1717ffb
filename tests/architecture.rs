//! The house rules, held to the code: the table of rooms, the dependencies, sizes and left-overs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tests.rs"]
mod tests;

use rules::{DEPENDENCIES, FILE_LINES, FUNCTION_LINES, MACROS, ONLY, Only, ROOMS};
use source::{Source, functions, read_all};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rooms() -> Vec<Source> {
    read_all(root(), "src")
}

/// The code of the rooms and all that tests it.
fn everything() -> Vec<Source> {
    ["src", "tests", "benches"].iter().flat_map(|folder| read_all(root(), folder)).collect()
}

#[track_caller]
fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_every_one_of_the_table_is_there() {
    let there: BTreeSet<String> =
        rooms().iter().filter_map(|s| s.room().map(str::to_owned)).collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(there, listed);
}

#[test]
fn a_room_imports_only_what_the_table_allows() {
    none(rooms().iter().flat_map(imports).collect());
}

fn imports(source: &Source) -> Vec<String> {
    let Some(room) = ROOMS.iter().find(|room| source.room() == Some(room.name)) else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    for named in source.paths() {
        let other = match named.path.first().map(String::as_str) {
            Some("crate" | "firedrill") => named.path.get(1).map_or("", String::as_str),
            _ => continue,
        };
        let is_room = ROOMS.iter().any(|room| room.name == other);
        let allowed = other == room.name || room.imports.contains(&other);
        // A whole-crate glob could hide anything.
        if (is_room || other == "*") && !allowed {
            broken.push(at(source, named.line, &format!("{} must not import {other}", room.name)));
        }
    }
    broken
}

#[test]
fn a_room_never_does_what_the_table_forbids() {
    none(rooms().iter().flat_map(forbidden).collect());
}

fn forbidden(source: &Source) -> Vec<String> {
    let room = ROOMS.iter().find(|room| source.room() == Some(room.name));
    let never = room.map_or(&[][..], |room| room.never);
    let mut broken = Vec::new();
    for named in source.paths() {
        for part in never.iter().filter(|part| named.has(part) && !is_noun(&named.path)) {
            let room = source.room().unwrap_or_default();
            broken.push(at(source, named.line, &format!("{room} must not use {part}")));
        }
    }
    broken
}

/// Types of addresses open nothing.
fn is_noun(path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    ["SocketAddr", "IpAddr", "Ipv4Addr", "Ipv6Addr"]
        .iter()
        .any(|noun| path.iter().any(|part| part == noun) || last == *noun)
}

#[test]
fn clocks_exits_and_output_stand_only_where_they_belong() {
    none(rooms().iter().flat_map(|source| misplaced(source, ONLY)).collect());
}

fn misplaced(source: &Source, only: &[Only]) -> Vec<String> {
    let mut broken = Vec::new();
    for named in source.paths() {
        for rule in only.iter().filter(|rule| named.has(rule.what) && !allows(rule, source)) {
            broken.push(at(source, named.line, &format!("{}: {}", rule.what, rule.why)));
        }
    }
    broken
}

fn allows(rule: &Only, source: &Source) -> bool {
    rule.places.iter().any(|place| match place.ends_with('/') {
        true => source.path.starts_with(place),
        false => source.path == *place,
    })
}

#[test]
fn macros_that_print_or_panic_stand_only_where_they_belong() {
    none(rooms().iter().flat_map(|source| macros(source, &source.production, MACROS)).collect());
}

fn macros(source: &Source, code: &str, rules: &[Only]) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for rule in rules.iter().filter(|rule| !allows(rule, source)) {
            let called = format!("{}!", rule.what);
            let alone = |place: usize| {
                let before = line[..place].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            };
            if line.match_indices(&called).any(|(place, _)| alone(place)) {
                broken.push(at(source, number + 1, &format!("{called}: {}", rule.why)));
            }
        }
    }
    broken
}

#[test]
fn nothing_is_left_over() {
    let left: Vec<Only> = ["dbg", "todo", "unimplemented"]
        .into_iter()
        .map(|what| Only { what, places: &[], why: "left over" })
        .collect();
    let mut broken = Vec::new();
    for source in everything() {
        broken.extend(macros(&source, &source.code, &left));
        for (number, line) in source.text.lines().enumerate() {
            // Split, so that this file may hold the words.
            for word in [concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[ign", "ore]")] {
                if line.contains(word) {
                    broken.push(at(&source, number + 1, word));
                }
            }
        }
    }
    none(broken);
}

#[test]
fn files_and_functions_stay_short() {
    let mut broken = Vec::new();
    for source in everything() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            broken.push(at(&source, FILE_LINES, &format!("{lines} lines, of {FILE_LINES}")));
        }
        for (name, line, length) in functions(&source.code) {
            if length > FUNCTION_LINES {
                let what = format!("fn {name} has {length} lines, of {FUNCTION_LINES}");
                broken.push(at(&source, line, &what));
            }
        }
    }
    none(broken);
}

#[test]
fn every_file_says_in_its_first_lines_what_it_is_for() {
    let silent = everything()
        .into_iter()
        .filter(|source| !source.text.trim().is_empty() && !source.text.starts_with("//! "));
    none(silent.map(|source| at(&source, 1, "begin with `//!` and its one purpose")).collect());
}

#[test]
fn each_dependency_is_used_and_only_in_its_rooms() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut used: BTreeMap<String, bool> =
        dependencies(&manifest).into_iter().map(|name| (name, false)).collect();
    let listed: BTreeSet<String> =
        DEPENDENCIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = used.keys().cloned().collect();
    assert_eq!(there, listed, "Cargo.toml and the table in rules.rs");
    let mut broken = Vec::new();
    for source in rooms() {
        let room = source.room().unwrap_or_default();
        for named in source.paths() {
            let Some((name, allowed)) =
                DEPENDENCIES.iter().find(|(name, _)| named.path[0] == *name)
            else {
                continue;
            };
            used.insert((*name).to_owned(), true);
            if !allowed.contains(&room) {
                broken.push(at(&source, named.line, &format!("{name} is not for {room}")));
            }
        }
    }
    let idle = used
        .into_iter()
        .filter(|(_, used)| !used)
        .map(|(name, _)| format!("{name} is used nowhere"));
    none(broken.into_iter().chain(idle).collect());
}

/// The names under `[dependencies]`, as code writes them.
fn dependencies(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect()
}

#[test]
fn every_drill_that_is_shipped_checks_without_a_finding() {
    use firedrill::plan::{Inputs, parse};
    let mut checked = 0;
    for entry in std::fs::read_dir(root().join("drills")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "yaml") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
        let outcome = parse(&path.display().to_string(), &text, &inputs);
        assert!(outcome.plan.is_some(), "{}: {:?}", path.display(), outcome.findings);
        assert!(outcome.findings.is_empty(), "{}: {:?}", path.display(), outcome.findings);
        checked += 1;
    }
    assert!(checked >= 2, "only {checked} drills were found");
}

fn at(source: &Source, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", source.path)
}
