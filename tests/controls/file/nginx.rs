//! nginx: an included file, tested by `nginx -t`, and SIGHUP; for HTTP and for streams.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use firedrill::model::{CutOrder, FileReload, Mode, ModeKind};
use firedrill::traffic::TrafficControl;

use super::world::{Server, Settled, World, ask, control, spawn, words};
use super::{comes_into_force, drain, keeps_the_contract};
use crate::world::{A, Download, within_bounds};

/// Where Debian has it; not every user's path leads there.
pub fn program() -> String {
    let own = "/usr/sbin/nginx";
    if Path::new(own).exists() { own.to_owned() } else { "nginx".to_owned() }
}

pub fn start(server: Server, home: &Path, at: &str) -> Child {
    let at_home = home.display();
    let upstream = format!("upstream app {{ include {at_home}/dynamic/app.upstream; }}");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {at_home}/{name};\n"));
    let http = format!(
        "http {{\naccess_log off;\n{}{upstream}\nserver {{\nlisten {at};\nlocation / {{ proxy_pass http://app; \
         proxy_connect_timeout 1s; proxy_next_upstream error; }}\n}}\n}}\n",
        temporary.concat()
    );
    let stream = format!(
        "stream {{\n{upstream}\nserver {{ listen {at}; proxy_pass app; proxy_connect_timeout 1s; }}\n}}\n"
    );
    let (module, block) = match server {
        Server::NginxStream => {
            ("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n", stream)
        }
        _ => ("", http),
    };
    // As root, its workers would be somebody who may not look into the directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let config = format!(
        "{module}{user}daemon off;\nworker_processes 2;\npid {at_home}/nginx.pid;\n\
         error_log {at_home}/error.log notice;\nworker_shutdown_timeout 60s;\nevents {{}}\n{block}"
    );
    let path = home.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let log = home.join("error.log");
    spawn(program(), &["-c", path.to_str().unwrap(), "-e", log.to_str().unwrap()])
}

#[tokio::test]
async fn nginx_keeps_the_contract() {
    keeps_the_contract(Server::Nginx).await;
}

#[tokio::test]
async fn nginx_with_streams_keeps_the_contract() {
    keeps_the_contract(Server::NginxStream).await;
}

#[tokio::test]
async fn nginx_sends_new_requests_elsewhere() {
    super::moves_new_requests_alone(Server::Nginx).await;
}

#[tokio::test]
async fn nginx_sends_new_streams_elsewhere() {
    super::moves_new_requests_alone(Server::NginxStream).await;
}

#[tokio::test]
async fn a_datacenter_behind_nginx_may_be_dead_or_hang() {
    super::cuts_what_is_dead_or_hangs(Server::Nginx).await;
}

#[tokio::test]
async fn what_another_hand_writes_for_nginx_stays() {
    super::leaves_another_hand_alone(Server::Nginx).await;
}

#[tokio::test]
async fn a_new_file_that_nginx_would_not_take_is_put_back_and_nothing_is_reloaded() {
    let world = World::start(Server::Nginx).await;
    let mut settings = world.settings();
    for edit in settings.replace.iter_mut().filter(|edit| edit.datacenter == A) {
        edit.with = edit.find.replace(';', " dwon;");
    }
    let reloaded = world.path("reloaded");
    settings.reload = FileReload::Command(words(&["touch", reloaded.to_str().unwrap()]));
    let control = control(settings);
    control.preflight().await.unwrap();
    let before = std::fs::read(world.file()).unwrap();
    let snapshot = control.inspect().await.unwrap();
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(
        error.what.contains("would not take the new file") && error.what.contains("dwon"),
        "{error}"
    );
    assert!(error.hint.contains("nothing was reloaded"), "{error}");
    assert_eq!(std::fs::read(world.file()).unwrap(), before);
    assert!(!reloaded.exists());
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_reload_that_nginx_ignores_is_found_by_who_serves() {
    let world = World::start(Server::Nginx).await;
    let mut settings = world.settings();
    // Nobody tests, and something else in the configuration is broken: nginx logs that, and goes on under the old one.
    settings.test = Vec::new();
    let control = control(settings);
    let snapshot = control.inspect().await.unwrap();
    let conf = world.path("nginx.conf");
    let whole = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{whole}nonsense;\n")).unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    within_bounds("nginx has seen it", async || {
        std::fs::read_to_string(world.path("error.log")).unwrap().contains("nonsense")
    })
    .await;
    let watch = world.watch();
    for _ in 0..5 {
        watch.has_seen("a").await;
        assert!(
            !control.inspect().await.unwrap().is_cut(&drain()),
            "the file says cut, and a serves"
        );
    }
    std::fs::write(&conf, whole).unwrap();
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_restore_that_nginx_does_not_take_is_not_said_to_be_one() {
    let world = World::start(Server::Nginx).await;
    let conf = world.path("nginx.conf");
    let whole = std::fs::read_to_string(&conf).unwrap();
    let control = Settled(world.control());
    let before = control.inspect().await.unwrap();
    let ours = before.cuttable(&drain());
    control.cut(&drain(), &before).await.unwrap();
    std::fs::write(&conf, format!("{whole}nonsense;\n")).unwrap();

    let error = control.restore(&ours).await.unwrap_err();
    assert!(
        error.what.contains("the file is put back") && error.what.contains("nonsense"),
        "{error}"
    );
    let now = control.inspect().await.unwrap();
    let expected = control.cut_state(&drain(), &before);
    let reading = firedrill::restore::Reading::of(&now, &ours, &expected);
    assert_eq!(reading.says(), firedrill::journal::Says::Cut, "{now:?}");
    assert_eq!(world.front.served(6).await, ["b"; 6], "users are still elsewhere");

    std::fs::write(&conf, whole).unwrap();
    control.restore(&ours).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    within_bounds("a serves", async || world.front.served_by("").await == "a").await;
}

#[tokio::test]
async fn who_dies_between_writing_and_reloading_leaves_a_restore_that_reloads() {
    let world = World::start(Server::Nginx).await;
    let first = Settled(world.control());
    let before = first.inspect().await.unwrap();
    first.cut(&drain(), &before).await.unwrap();
    // The file is put back, and the server not told.
    let edits = world.settings().replace;
    world.edit(|text| edits.iter().fold(text, |text, edit| text.replace(&edit.with, &edit.find)));
    drop(first);
    assert_eq!(world.front.served(6).await, ["b"; 6]);
    world.control().restore(&before.cuttable(&drain())).await.unwrap();
    within_bounds("a serves", async || world.front.served_by("").await == "a").await;
}

#[tokio::test]
async fn where_a_reload_ends_connections_the_plan_may_cut_by_reset() {
    let world = World::start(Server::Nginx).await;
    // Workers of before end their connections at once.
    let conf = world.path("nginx.conf");
    let whole = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, whole.replace("shutdown_timeout 60s", "shutdown_timeout 1ms")).unwrap();
    let mut settings = world.settings();
    settings.modes = vec![ModeKind::Reset];
    let control = Settled(control(settings));
    let reset = CutOrder::of(A, Mode::Reset);
    // The two workers there are have the old setting yet, and take connections until they are told.
    control.restore(&control.inspect().await.unwrap()).await.unwrap();
    within_bounds("both are on their way out", async || {
        let log = std::fs::read_to_string(world.path("error.log")).unwrap();
        log.matches("gracefully shutting down").count() == 2
    })
    .await;
    let mut downloads: Vec<Download> = Vec::new();
    while !downloads.iter().any(|it| it.datacenter == "a") {
        downloads.push(world.front.download().await);
    }
    let snapshot = control.inspect().await.unwrap();
    control.cut(&reset, &snapshot).await.unwrap();
    downloads.last_mut().unwrap().ended().await;
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn the_last_that_the_file_has_is_never_cut() {
    let world = World::start(Server::Nginx).await;
    let b = world.settings().replace[1].clone();
    world.edit(|text| text.replace(&b.find, &b.with));
    let control = world.control();
    let survivors = control.survivors(&drain()).await.unwrap();
    assert!(survivors.iter().any(|it| it.left == 0), "{survivors:?}");
    // nginx itself was not told yet.
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("b is cut, and it serves all the same"), "{error}");
}

#[tokio::test]
async fn a_cut_that_leaves_nobody_is_in_force_after_a_while() {
    let world = World::start(Server::Nginx).await;
    let control = world.control();
    let both = CutOrder { datacenters: vec![A, crate::world::B], ..drain() };
    let snapshot = control.inspect().await.unwrap();
    control.cut(&both, &snapshot).await.unwrap();
    within_bounds("nobody serves", async || {
        ask(&world.at, Duration::from_secs(1)).await.is_err_and(|answer| answer.contains("502"))
    })
    .await;
    assert!(!control.inspect().await.unwrap().is_cut(&both), "others may be on their way");
    within_bounds("it lasted", async || control.inspect().await.unwrap().is_cut(&both)).await;
    control.restore(&snapshot).await.unwrap();
    within_bounds("a serves", async || {
        ask(&world.at, Duration::from_secs(1)).await == Ok("a".into())
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_to_do_by_hand_puts_it_back() {
    let world = World::start(Server::Nginx).await;
    let control = Settled(world.control());
    let before = std::fs::read(world.file()).unwrap();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    for line in control.by_hand(&snapshot.cuttable(&drain())) {
        let done = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
    }
    assert_eq!(std::fs::read(world.file()).unwrap(), before);
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    within_bounds("a serves", async || world.front.served_by("").await == "a").await;
}

#[tokio::test]
async fn a_command_may_reload_and_one_that_fails_is_told() {
    let world = World::start(Server::Nginx).await;
    let mut settings = world.settings();
    let conf = world.path("nginx.conf");
    let reload = [&super::nginx::program(), "-c", conf.to_str().unwrap(), "-s", "reload"];
    settings.reload = FileReload::Command(words(&reload));
    let by_command = control(settings.clone());
    let snapshot = by_command.inspect().await.unwrap();
    by_command.cut(&drain(), &snapshot).await.unwrap();
    comes_into_force(&by_command).await;
    by_command.restore(&snapshot).await.unwrap();
    within_bounds("a serves", async || world.front.served_by("").await == "a").await;

    settings.reload = FileReload::Command(words(&["sh", "-c", "echo no such unit >&2; exit 5"]));
    let failing = control(settings.clone());
    let error = failing.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("no such unit"), "{error}");
    settings.reload = FileReload::Command(words(&["sleep", "1000"]));
    settings.timeout = Duration::from_millis(200);
    settings.test = Vec::new();
    let error = control(settings.clone()).restore(&snapshot).await.unwrap_err();
    assert!(error.what.contains("did not end within 200 ms"), "{error}");
    assert_eq!(by_command.inspect().await.unwrap(), snapshot, "it is put back in the file");
}
