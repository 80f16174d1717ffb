//! The plans that people copy are right: those in the documentation and in `drills/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firedrill::plan::{Finding, Inputs, Severity, parse, render};

/// What is said about a plan; empty when it is right. A warning whose code stands in the plan's own comments is known.
fn findings(file: &str, text: &str) -> String {
    let vars = BTreeMap::from([("REGION".to_owned(), "east".to_owned())]);
    let vars = if text.contains("${var:REGION}") { vars } else { BTreeMap::new() };
    let env = |name: &str| {
        let value = if name.ends_with("_URL") { "https://hooks.example/x" } else { "/tmp/value" };
        Some(value.to_owned())
    };
    let outcome = parse(file, text.as_bytes(), &Inputs { vars: &vars, env: &env });
    let is_known = |it: &Finding| {
        it.severity == Severity::Warning && text.contains(&format!("(`{}`)", it.code))
    };
    let unknown: Vec<Finding> =
        outcome.findings.into_iter().filter(|finding| !is_known(finding)).collect();
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
