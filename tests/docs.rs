//! The plans that people copy are right: those in the documentation and in `drills/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firedrill::model::Provider;
use firedrill::plan::{Finding, Inputs, Outcome, Severity, parse, render};

fn outcome(file: &str, text: &str) -> Outcome {
    let vars = BTreeMap::from([("REGION".to_owned(), "east".to_owned())]);
    let vars = if text.contains("${var:REGION}") { vars } else { BTreeMap::new() };
    let env = |name: &str| {
        let value = if name.ends_with("_URL") { "https://hooks.example/x" } else { "/tmp/value" };
        Some(value.to_owned())
    };
    parse(file, text.as_bytes(), &Inputs { vars: &vars, env: &env })
}

/// What is said about a plan; empty when it is right. A warning whose code stands in the plan's own comments is known.
fn findings(file: &str, text: &str) -> String {
    let is_known = |it: &Finding| {
        it.severity == Severity::Warning && text.contains(&format!("(`{}`)", it.code))
    };
    let unknown: Vec<Finding> =
        outcome(file, text).findings.into_iter().filter(|it| !is_known(it)).collect();
    render(file, text.as_bytes(), &unknown, false)
}

/// The files below `folder` whose names end in `extension`, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_drill_of_the_repository_is_right() {
    let drills = files(&root().join("drills"), "yaml");
    assert!(drills.len() >= 2, "{drills:?}");
    for drill in drills {
        let text = std::fs::read_to_string(&drill).unwrap();
        assert_eq!(findings(&drill.display().to_string(), &text), "");
        assert!(text.starts_with("# "), "{} says on top what it is for", drill.display());
    }
}

#[test]
fn every_whole_plan_in_the_documentation_is_right() {
    let mut seen = 0;
    for page in files(&root().join("docs"), "md") {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if block.starts_with("version:") {
                seen += 1;
                assert_eq!(findings(&page.display().to_string(), block), "");
            }
        }
    }
    assert!(seen > 0, "docs/plan.md holds a whole plan");
}

#[test]
fn the_documentation_of_plans_shows_what_firedrill_says() {
    let page = std::fs::read_to_string(root().join("docs/plan.md")).unwrap();
    let broken =
        page.split("```yaml broken.yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let said = page.split("```text broken.yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(findings("broken.yaml", broken.unwrap()).trim_end(), said.unwrap().trim_end());
}

/// The key of every provider: all that a journal may name.
fn providers() -> BTreeSet<String> {
    let schema = schemars::schema_for!(Provider).to_value();
    let variants = schema["oneOf"].as_array().unwrap().iter();
    let key = |it: &serde_json::Value| {
        let key = it["const"].as_str().or(it["required"][0].as_str());
        key.unwrap_or_else(|| panic!("no key in {it}")).to_owned()
    };
    variants.map(key).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the first cells of a page's tables name in backticks, a row each, all between the headings `from` and `to`.
fn rows(page: &str, from: &str, to: &str) -> Vec<String> {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    let (part, _) = rest.split_once(to).unwrap_or((rest, ""));
    let cells = part.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    // `lab: {}` is one, too.
    cells.filter_map(|cell| Some(cell.split('`').nth(1)?.split(':').next()?.to_owned())).collect()
}

#[test]
fn every_provider_has_a_page_with_all_that_is_promised_and_a_plan_to_try() {
    let providers = providers();
    assert!(providers.contains("lab") && providers.contains("haproxy"), "{providers:?}");
    let pages: BTreeSet<String> = files(&root().join("docs/providers"), "md")
        .iter()
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(pages, providers);
    for key in &providers {
        let page = read(&format!("docs/providers/{key}.md"));
        assert!(page.starts_with(&format!("# Provider `{key}`\n")), "{key}");
        for due in ["**By hand**", "**Tested against**"] {
            assert!(page.contains(due), "docs/providers/{key}.md has no {due}");
        }
        // The lab is what most plans of the repository are about.
        let plan = match &**key {
            "lab" => "drills/quickstart.yaml".to_owned(),
            key => format!("drills/providers/{key}.yaml"),
        };
        let plan = outcome(&plan, &read(&plan)).plan.unwrap();
        let named = plan.traffic.iter().map(|control| control.provider.key());
        assert_eq!(named.collect::<BTreeSet<_>>(), BTreeSet::from([&**key]));
    }
}

#[test]
fn every_provider_has_a_row_wherever_all_are_listed() {
    let due: Vec<String> = providers().into_iter().collect();
    for (page, from, to) in [
        ("docs/providers.md", "| provider | what is cut |", "*Modes*"),
        ("docs/plan.md", "Each control names one provider.", "| key | type |"),
        ("docs/safety.md", "## By hand", "\n## "),
    ] {
        let mut rows = rows(&read(page), from, to);
        rows.sort();
        assert_eq!(rows, due, "{page}: one row each");
    }
}

#[test]
fn how_much_longer_a_provider_may_take_is_as_the_page_has_it() {
    let page = read("docs/providers.md");
    let (_, rest) = page.split_once("| provider | longer by |\n|---|---|\n").unwrap();
    let rows = rest.lines().map_while(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows: Vec<(&str, &str)> = rows.collect();
    let mut seen = BTreeSet::new();
    for path in files(&root().join("drills/providers"), "yaml") {
        let plan = outcome("plan", &std::fs::read_to_string(&path).unwrap()).plan.unwrap();
        for control in &plan.traffic {
            let key = format!("`{}`", control.provider.key());
            let told = rows.iter().filter(|(names, _)| names.contains(&key)).map(|(_, it)| *it);
            let told: Vec<&str> = told.collect();
            let lag = control.provider.settings().lag();
            let of_the_plan = told.iter().any(|it| it.starts_with("`follow_within`"));
            let due = match lag.is_zero() {
                true => told.is_empty(),
                false => told.contains(&&*format!("{} s |", lag.as_secs())),
            };
            assert!(due || of_the_plan, "{key} is given {lag:?}, and the page says {told:?}");
            seen.insert(key);
        }
    }
    let left = rows.iter().filter(|(names, _)| !seen.iter().any(|key| names.contains(key)));
    assert_eq!(left.count(), 0, "{rows:?}");
}
