//! `docs/plan.schema.json` and `firedrill check` agree on what a plan looks like.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use firedrill::plan::{Inputs, Outcome, Severity, parse};
use serde_json::{Value, json};

struct Schema {
    schemas: Schemas,
    plan: SchemaIndex,
}

impl Schema {
    fn of_plans() -> Schema {
        let text = std::fs::read_to_string(root().join("docs/plan.schema.json")).unwrap();
        let mut compiler = Compiler::new();
        let at = "https://example.com/plan.json";
        compiler.add_resource(at, serde_json::from_str(&text).unwrap()).unwrap();
        let mut schemas = Schemas::new();
        let plan = compiler.compile(at, &mut schemas).unwrap();
        Schema { schemas, plan }
    }

    /// What it says against a plan.
    fn against(&self, plan: &Value) -> Option<String> {
        self.schemas.validate(plan, self.plan).err().map(|error| format!("{error:#}"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn checked(text: &str) -> Outcome {
    let vars = BTreeMap::from([("REGION".to_owned(), "east".to_owned())]);
    let vars = if text.contains("${var:REGION}") { vars } else { BTreeMap::new() };
    parse("plan", text.as_bytes(), &Inputs { vars: &vars, env: &|_| Some("/tmp/value".to_owned()) })
}

/// As an editor's language server reads it.
fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

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
    found
}

/// Every whole plan of the repository, with where it stands.
fn plans() -> Vec<(String, String)> {
    let mut plans = Vec::new();
    for folder in ["drills", "tests/fixtures/plans"] {
        for path in files(&root().join(folder), "yaml") {
            plans.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    for page in files(&root().join("docs"), "md").into_iter().chain([root().join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|it| it.split("```").next().unwrap());
        let whole =
            blocks.filter(|block| block.contains("\nversion: 1") || block.starts_with("version:"));
        plans.extend(whole.map(|block| (page.display().to_string(), block.to_owned())));
    }
    plans
}

#[test]
fn every_plan_of_the_repository_is_right_by_the_schema() {
    let schema = Schema::of_plans();
    let plans = plans();
    assert!(plans.len() > 20, "{}", plans.len());
    for (place, text) in plans {
        assert_eq!(schema.against(&value(&text)), None, "{place}");
    }
}

/// Everything in a plan that another value can be put in the place of, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, it)| places(it, &format!("{at}/{}", escaped(key)), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, it)| places(it, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

/// The plan with one place below `within` changed in every way that a slip of the hand could.
fn mutants(plan: &Value, within: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    places(plan.pointer(within).unwrap(), within, &mut found);
    let others = || {
        let words = ["", "soon", "3s", "20%", "east", "-1"].map(Value::from);
        let rest = [json!(null), json!([]), json!({}), json!(3), json!(-1), json!(true)];
        let deeper = [json!([[]]), json!([null]), json!({ "x": 1 }), json!({ "east": {} })];
        words.into_iter().chain(rest).chain(deeper)
    };
    let mut mutants = Vec::new();
    for at in found {
        for other in others() {
            let mut changed = plan.clone();
            *changed.pointer_mut(&at).unwrap() = other.clone();
            mutants.push((format!("{at} = {other}"), changed));
        }
        let mut changed = plan.clone();
        if let Value::Object(map) = changed.pointer_mut(&at).unwrap() {
            map.insert("no-such-key".to_owned(), json!(1));
            mutants.push((format!("{at} with another key"), changed));
        }
        let (parent, key) = at.rsplit_once('/').unwrap_or_default();
        let mut changed = plan.clone();
        if let Value::Object(map) = changed.pointer_mut(parent).unwrap() {
            map.remove(&key.replace("~1", "/").replace("~0", "~"));
            mutants.push((format!("without {at}"), changed));
        }
    }
    mutants
}

/// The mutants of a plan, and of each control that nothing in the plan refers to: in a small plan of its own, for there is one
/// of every provider, and all in one plan would be read again for each slip in any of them.
fn all_mutants(mut plan: Value) -> Vec<(String, Value)> {
    let cut = plan["cut"].to_string();
    let controls = plan["traffic"].as_object_mut().unwrap();
    let is_used = |name: &String| cut.contains(&format!("\"{name}\""));
    let names: Vec<String> = controls.keys().filter(|name| !is_used(name)).cloned().collect();
    let alone: Vec<_> = names
        .into_iter()
        .filter_map(|name| controls.remove(&name).map(|control| (name, control)))
        .collect();
    let mut all = mutants(&plan, "");
    let mut small = plan;
    for part in
        ["notify", "guardrails", "control_plane", "load", "allowed", "blocked", "kill_switch"]
    {
        small.as_object_mut().unwrap().remove(part);
    }
    for (name, control) in alone {
        let mut plan = small.clone();
        plan["traffic"][&name] = control;
        all.extend(mutants(&plan, &format!("/traffic/{name}")));
    }
    all
}

/// What is wrong with the form of a plan, and not with how its parts fit together.
fn is_of_form(code: &str) -> bool {
    matches!(code, "unknown-key" | "missing-key" | "wrong-type")
}

#[test]
fn the_schema_refuses_what_check_refuses_for_its_form_and_nothing_that_check_accepts() {
    let schema = Schema::of_plans();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for path in files(&root().join("tests/fixtures/plans"), "yaml") {
        let plan = value(&std::fs::read_to_string(&path).unwrap());
        for (what, mutant) in all_mutants(plan) {
            let outcome = checked(&mutant.to_string());
            let errors = || outcome.findings.iter().filter(|it| it.severity == Severity::Error);
            let said = schema.against(&mutant);
            if outcome.plan.is_some() {
                accepted += 1;
                wrong.extend(said.map(|said| format!("{what}: check accepts it: {said}")));
            } else if let Some(finding) = errors().find(|finding| is_of_form(finding.code)) {
                refused += 1;
                if said.is_none() {
                    wrong.push(format!("{what}: the schema accepts it: {}", finding.what));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted > 300 && refused > 2000, "{accepted} accepted, {refused} refused");
}
