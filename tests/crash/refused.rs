//! Drills that must not start.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::home::{Home, end};
use crate::left::left;
use crate::plans::{cut, endless, short};
use crate::site::Site;

#[test]
fn a_second_drill_on_the_same_control_is_told_of_the_first() {
    let (home, site, drill) = cut("10m");
    let second = home.run(&["run", "plan.yaml", "--yes"]);
    second.has(3, &["wan cannot be touched now: the run ", "of `own` has it (process "]);
    home.run(&["status"]).has(0, &["is going on: east (reset), plan own"]);
    let id = second.stderr.split_once("the run ").unwrap().1.split_once(' ').unwrap().0.to_owned();
    let stop = format!(
        "{id}: its drill is still going on and has traffic cut; stop it with `kill -TERM {}`, then",
        drill.pid()
    );
    for args in [&["restore", &id][..], &["restore"], &["restore", "--dry-run"]] {
        home.run(args).has(6, &[&stop]);
    }
    drill.signal("TERM");
    drill.end().has(5, &["STOPPED"]);
    assert!(site.is_whole());
}

#[test]
fn a_second_drill_by_another_name_of_the_socket_is_told_of_the_first_too() {
    let (home, site, drill) = cut("10m");
    std::os::unix::fs::symlink(home.path("admin.sock"), home.path("other.sock")).unwrap();
    let plan = endless(&site, "10m").replace("admin.sock", "other.sock");
    home.run(&["run", home.file("other.yaml", plan), "--yes"])
        .has(3, &["wan cannot be touched now: the run ", "of `own` has it (process "]);
    drill.signal("TERM");
    drill.end().has(5, &["STOPPED"]);
    assert!(site.is_whole());
}

#[test]
fn what_the_calendar_forbids_is_not_asked_about() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let blocked = "blocked: { zone: UTC, dates: [\"2000-01-01..2999-12-31\"] }\n";
    // Without `--yes` and a terminal, the question would end it as a usage error.
    home.run(&["run", home.file("plan.yaml", short(&site) + blocked)])
        .has(3, &["NOT STARTED", "the plan blocks"]);
    assert!(home.journals().is_empty());
}

#[test]
fn the_last_datacenter_that_serves_is_not_cut() {
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", short(&site));
    site.by_hand("set server app/west-1 state maint");
    home.run(&["run", "plan.yaml", "--yes"])
        .has(3, &["NOT STARTED", "nothing but east serves backend app now"]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_way_back_that_leads_through_the_cut_is_refused() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let socket = format!("socket: {}", home.path("admin.sock").display());
    let gate = "  gate: { proxy: { routes: [{ datacenter: east, listen: '127.0.0.1:1', to: '127.0.0.1:2' }] } }";
    let mut plan = short(&site);
    for (from, to) in [
        (socket.as_str(), "address: 127.0.0.1:1"),
        ("services:", &format!("{gate}\nservices:")),
        ("through: [wan]", "through: [wan, gate]"),
    ] {
        assert!(plan.contains(from), "{from} in {plan}");
        plan = plan.replacen(from, to, 1);
    }
    home.file("plan.yaml", plan);
    home.run(&["run", "plan.yaml", "--yes"]).has(
        3,
        &["NOT STARTED", "would go to 127.0.0.1:1, which is the route of gate that is cut"],
    );
}

#[test]
fn without_a_watchdog_no_drill() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let plan = home.file("plan.yaml", short(&site));
    // Started through the loader, it is the loader that the drill finds to be itself, and no watchdog comes of that.
    let loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let loader = loaders.into_iter().find(|path| std::fs::exists(path).unwrap()).unwrap();
    let mut command = Command::new(loader);
    home.prepare(command.arg(crate::home::binary()).args(["run", plan, "--yes"]));
    let ended = end(command.spawn().unwrap());
    ended.has(3, &["the watchdog could not be started: it did not get ready"]);
    home.run(&["history"]).has(0, &["NOT STARTED", &home.only_run()]);
    assert!(site.is_whole());
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn with_too_few_file_descriptors_nothing_is_begun() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let plan = home.file("plan.yaml", short(&site));
    let drill = crate::home::binary().display();
    let run = format!("exec prlimit --nofile=20 '{drill}' run {plan} --yes");
    let mut command = Command::new("sh");
    home.prepare(command.args(["-c", &run]));
    end(command.spawn().unwrap()).has(3, &["only 20 file descriptors", "ulimit -n"]);
    assert!(home.journals().is_empty());
    // It is a run all the same.
    home.run(&["history"]).has(0, &["NOT STARTED", &home.only_run()]);
    assert!(site.is_whole());
}

#[test]
fn a_journal_that_somebody_else_put_there_is_not_obeyed_and_ours_beside_it_is() {
    let (home, site) = left();
    let runs = home.path("firedrill/runs");
    std::fs::create_dir(runs.join("theirs")).unwrap();
    let theirs = runs.join("theirs/journal");
    std::fs::copy(runs.join(home.only_run_but("theirs")).join("journal"), &theirs).unwrap();
    // Root may give it away. Whoever is not finds one that is not theirs to read.
    if std::os::unix::fs::chown(&theirs, Some(65534), None).is_err() {
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o0)).unwrap();
    }
    let unknown = "whether an earlier run left traffic cut is not known";
    let restore = format!("`firedrill restore '{}'`", theirs.display());
    home.run(&["run", "plan.yaml", "--yes"]).has(3, &[unknown, &restore]);
    home.run(&["status"]).has(6, &["LEFT TRAFFIC CUT", unknown, &restore]);
    home.run(&["restore"]).has(6, &["wan: restored", unknown, &restore]);
    assert!(site.is_whole());
    home.run(&["status"]).has(6, &[unknown]);
    let again = home.run(&["restore"]);
    again.has(6, &[unknown]);
    assert!(!again.stderr.contains("nothing to restore"), "{again}");
}

#[test]
fn a_user_without_a_home_restores_from_a_path() {
    let (home, site) = left();
    let (everybodys, nobodys) = (std::fs::Permissions::from_mode(0o666), 54321);
    std::fs::set_permissions(home.path("admin.sock"), everybodys.clone()).unwrap();
    home.file("journal", home.journal());
    std::fs::set_permissions(home.path("journal"), everybodys).unwrap();
    // Who is not root has a home in the list of users.
    let Some(mut command) = home.command_as(nobodys, &["restore", "./journal"]) else { return };
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    end(command.spawn().unwrap()).has(0, &["warning: no home directory", "wan: restored"]);
    assert!(site.is_whole());
}

#[test]
fn a_state_directory_of_somebody_else_is_no_place_for_a_journal() {
    let home = Home::new();
    let site = Site::start(&home.root());
    let plan = home.file("plan.yaml", endless(&site, "10m"));
    std::fs::create_dir(home.path("theirs")).unwrap();
    let ended = home.run_as_nobody(&["run", plan, "--yes", "--state-dir", "theirs"]);
    ended.has(3, &["Permission denied", "--state-dir"]);
    let ended = home.run_as_nobody(&["run", plan, "--yes", "--state-dir", "/proc/none"]);
    ended.has(3, &["/proc/none", "--state-dir"]);
    assert!(site.is_whole());
}
