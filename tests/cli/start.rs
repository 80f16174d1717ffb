//! Getting started: `init`, `schema`, `completions` and `man`.

use std::process::Command;

use crate::home::Home;

#[test]
fn a_plan_for_each_system_is_one_that_check_accepts() {
    for system in ["lab", "haproxy", "proxy", "aws"] {
        let modes: &[&str] = match system {
            "haproxy" => &["reset", "drain"],
            "aws" => &["drain"],
            _ => &["blackhole", "reset", "drain"],
        };
        for mode in modes {
            for within in ["200ms", "3s", "2h"] {
                let home = Home::new();
                let args =
                    ["init", "--for", system, "--mode", mode, "--recover-within", within, "p.yaml"];
                home.run(&args).is(0, "", "p.yaml is written; next: firedrill preview p.yaml\n");
                home.run(&["check", "p.yaml"]).is(0, "", "");
                let text = std::fs::read_to_string(home.path("p.yaml")).unwrap();
                assert!(text.starts_with("# yaml-language-server: $schema="), "{text}");
                let comments = text.lines().filter(|line| line.contains('#')).count();
                assert!(comments > 20, "{text}");
            }
        }
    }
}

#[test]
fn what_is_there_is_overwritten_only_by_force() {
    let home = Home::new();
    home.file("drill.yaml", "mine");
    let said =
        "error: drill.yaml is there already; name another file, or overwrite it with --force\n";
    home.run(&["init"]).is(2, "", said);
    assert_eq!(std::fs::read_to_string(home.path("drill.yaml")).unwrap(), "mine");
    home.run(&["init", "--force"]).has(0, &["drill.yaml is written"]);
    home.run(&["check", "drill.yaml"]).is(0, "", "");
    let ended = home.run(&["init", "-"]);
    assert_eq!(ended.stdout, std::fs::read_to_string(home.path("drill.yaml")).unwrap());
    home.run(&["init", "missing/drill.yaml"]).has(2, &["missing/drill.yaml could not be written"]);
}

#[test]
fn answers_that_make_no_plan_write_nothing_and_say_why() {
    let home = Home::new();
    for (args, wanted) in [
        (&["--lose", "north"][..], "there is no datacenter `north`"),
        (&["--recover-within", "soon"], "wanted a duration"),
        (&["--recover-within", "1ms"], "cannot decide `recover_within`"),
        (&["--for", "haproxy", "--mode", "blackhole"], "cannot cut in the mode `blackhole`"),
        (&["--for", "haproxy", "--url", "ftp://x\n  y: z"], "a URL"),
        (&["--for", "aws", "--mode", "reset"], "cannot cut in the mode `reset`"),
        (&["--for", "aws", "--zones", "euw1-az1"], ""),
        (&["--for", "aws", "--resource", "my-balancer"], "ARN"),
        (&["--datacenters", "east"], "nothing can take over"),
        (&["--datacenters", ""], ""),
        (&["--name", "<script>"], "cannot be a name"),
        (
            &["--socket", "/run/x.sock"],
            "no plan for the lab has an answer to \"HAProxy's stats socket",
        ),
    ] {
        let args: Vec<&str> = ["init"].iter().chain(args).copied().collect();
        home.run(&args).has(2, &["error: ", wanted]);
        assert!(!home.path("drill.yaml").exists(), "{args:?}");
    }
}

#[test]
fn the_schema_is_the_one_of_the_documentation() {
    let schema = include_str!("../../docs/plan.schema.json");
    Home::new().run(&["schema"]).is(0, schema, "");
    Home::new().run(&["schema", "plan"]).is(0, schema, "");
}

/// Whether a program is there; those that are not cannot be asked.
fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn scripts_for_shells_are_right_and_know_every_command() {
    for (shell, name) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let home = Home::new();
        let script = home.run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script}");
        for word in ["restore", "preview", "--state-dir", "haproxy"] {
            assert!(script.stdout.contains(word.trim_start_matches('-')), "{shell}: no {word}");
        }
        assert!(!script.stdout.contains("watchdog"), "{shell} offers what people do not call");
        if is_there(name) {
            home.file("script", &script.stdout);
            let read = Command::new(name).arg("-n").arg(home.path("script")).output().unwrap();
            assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
        }
    }
    Home::new().run(&["completions", "cmd"]).has(2, &["possible values"]);
}

#[test]
fn there_is_a_man_page_for_each_command_and_groff_finds_nothing_wrong_with_it() {
    let home = Home::new();
    home.run(&["man", "pages"]).is(0, "", "");
    let mut names: Vec<String> = std::fs::read_dir(home.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wanted = ["firedrill.1", "firedrill-run.1", "firedrill-init.1", "firedrill-restore.1"];
    for page in wanted {
        assert!(names.iter().any(|name| name == page), "no {page} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("watchdog")), "{names:?}");
    let whole = std::fs::read_to_string(home.path("pages/firedrill.1")).unwrap();
    home.run(&["man"]).is(0, &whole, "");
    if is_there("groff") {
        for name in names {
            let page = home.path("pages").join(&name);
            let drawn = Command::new("groff").args(["-man", "-Tascii", "-ww"]).arg(page).output();
            let drawn = drawn.unwrap();
            assert!(drawn.status.success() && drawn.stderr.is_empty(), "{name}: {drawn:?}");
            assert!(!drawn.stdout.is_empty());
        }
    }
    home.file("file", "");
    home.run(&["man", "file"]).has(2, &["could not be written"]);
}
