//! The README shows what the command does.

use crate::home::Home;
use crate::home::end;
use crate::streams::in_terminal;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The contents of the code blocks of `kind`.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// What of a report is the same in every run: its headings, with the numbers taken out.
fn shape(report: &str) -> Vec<String> {
    report
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split([':', ',', '(']).next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn the_table_of_the_readme_is_what_the_quickstart_prints_on_80_columns() {
    let shown =
        blocks(&readme(), "text").into_iter().find(|block| block.starts_with("PASS")).unwrap();
    assert!(shown.lines().all(|line| line.chars().count() <= 80));
    let plan = concat!(env!("CARGO_MANIFEST_DIR"), "/drills/quickstart.yaml");
    let home = Home::new().with_env("NO_COLOR", "1").with_env("LC_ALL", "C.UTF-8");
    let ended = end(in_terminal(&home, &["run", plan, "--quiet"]).spawn().unwrap());
    assert_eq!(ended.code, 0, "{ended}");
    let printed = ended.stdout.replace('\r', "");
    assert_eq!(shape(&shown), shape(&printed), "{printed}");
    // The last lines name the run and the machine, which may be long.
    let lines = |report: &str| report.lines().take_while(|line| !line.starts_with("run ")).count();
    assert_eq!(lines(&shown), lines(&printed), "{printed}");
}

#[test]
fn every_plan_of_the_readme_checks_without_a_finding() {
    let plans: Vec<String> =
        blocks(&readme(), "yaml").into_iter().filter(|plan| plan.starts_with("version:")).collect();
    assert!(!plans.is_empty());
    for plan in plans {
        let home = Home::new().with_env("TOKEN", "x");
        home.run(&["check", home.file("plan.yaml", plan)]).is(0, "", "");
    }
}

#[test]
fn every_command_of_the_readme_is_one_that_is_there() {
    let home = Home::new();
    let mut seen = 0;
    for line in blocks(&readme(), "sh").join("\n").lines() {
        let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
        let Some(after) = words.iter().position(|word| *word == "firedrill" || *word == "--")
        else {
            continue;
        };
        let command = words[after + 1];
        // What follows is parsed too: `--help` at the end is only reached if the rest is known.
        let mut args: Vec<&str> = words[after + 1..].to_vec();
        args.push("--help");
        home.run(&args).has(0, &[&format!("Usage: firedrill {command}")]);
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} commands");
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let text = readme();
    let links = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
    for link in links.filter(|link| !link.starts_with("http") && !link.is_empty()) {
        let path = format!("{}/{link}", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&path).exists(), "{link}");
    }
}
