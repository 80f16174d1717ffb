//! The file as such: what it is, whose it is, who else writes it.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use firedrill::model::{FileReload, FileSignal, Text};
use firedrill::traffic::TrafficControl;

use super::world::{Server, Settled, World, control, words};
use super::{comes_into_force, drain};
use crate::contract;

#[tokio::test]
async fn mode_owner_and_links_stay() {
    let world = World::start(Server::Nginx).await;
    let (link, real) = (world.path("link"), world.path("elsewhere"));
    std::fs::copy(world.file(), &real).unwrap();
    std::fs::remove_file(world.file()).unwrap();
    symlink("elsewhere", &link).unwrap();
    symlink("../link", world.file()).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&real, Some(33), Some(7)).unwrap();
    }
    let about = || {
        let it = std::fs::metadata(&real).unwrap();
        (it.mode(), it.uid(), it.gid())
    };
    let before = (about(), std::fs::read(&real).unwrap());
    let control = Settled(world.control());
    control.preflight().await.unwrap();
    let wanted = format!("file {}", std::fs::canonicalize(&real).unwrap().display());
    assert_eq!(world.control().identity().await.unwrap(), Some(wanted));
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(about(), before.0);
    assert_ne!(std::fs::read(&real).unwrap(), before.1);
    control.restore(&snapshot).await.unwrap();
    assert_eq!((about(), std::fs::read(&real).unwrap()), before);
    assert!(world.file().is_symlink() && link.is_symlink());
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_plan_says_of_the_file_must_be_so_before_anything_is_cut() {
    let world = World::start(Server::Nginx).await;
    let before = std::fs::read(world.file()).unwrap();
    let refused = async |what: &str, change: &dyn Fn(&mut firedrill::model::FileSettings)| {
        let mut settings = world.settings();
        change(&mut settings);
        let error = control(settings).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{what}: {error}");
        assert!(!error.hint.is_empty());
    };
    let at = |name: &str| Text::from(world.path(name).to_str().unwrap());
    refused("neither", &|it| it.replace[0].find = "server nowhere;".to_owned()).await;
    refused("more than once", &|it| it.replace[0].find = "server ".to_owned()).await;
    refused("cannot be found", &|it| it.path = at("none")).await;
    refused("no ordinary file", &|it| it.path = at("dynamic")).await;
    refused("no ordinary file", &|it| it.path = Text::from("/dev/null")).await;
    let made = std::process::Command::new("mkfifo").arg(world.path("pipe")).status().unwrap();
    assert!(made.success());
    refused("no ordinary file", &|it| it.path = at("pipe")).await;
    std::fs::write(world.path("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    refused("larger than 1 MiB", &|it| it.path = at("large")).await;
    refused("nonsense", &|it| it.test = words(&["sh", "-c", "echo nonsense >&2; exit 1"])).await;
    refused("could not be run", &|it| it.test = words(&["/nowhere/nginx", "-t"])).await;
    let signal = |pid_file| FileReload::Signal { pid_file, signal: FileSignal::Hup };
    refused("cannot be read", &|it| it.reload = signal(at("none.pid"))).await;
    for (text, what) in
        [("x", "no number"), ("-1", "no number"), ("1", "no number"), ("0", "no number")]
    {
        std::fs::write(world.path("wrong.pid"), text).unwrap();
        refused(what, &|it| it.reload = signal(at("wrong.pid"))).await;
    }
    // Nobody has this number: it is above the kernel's highest.
    std::fs::write(world.path("wrong.pid"), "2000000000").unwrap();
    refused("takes no signal", &|it| it.reload = signal(at("wrong.pid"))).await;
    refused("says which datacenter", &|it| {
        it.read.urls = vec![Text::from("http://127.0.0.1:1/")];
        it.read.timeout = Duration::from_millis(200);
    })
    .await;
    refused("says which datacenter", &|it| it.read.values.clear()).await;
    std::fs::hard_link(world.file(), world.path("second-name")).unwrap();
    refused("hard links", &|_| {}).await;
    assert_eq!(std::fs::read(world.file()).unwrap(), before, "nothing was changed");
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_control_that_cannot_be_read_or_told_gives_up() {
    let world = World::start(Server::Nginx).await;
    let mut settings = world.settings();
    std::fs::remove_file(world.file()).unwrap();
    settings.timeout = Duration::from_millis(200);
    contract::gives_up_within(&control(settings), &drain(), Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_test_that_is_told_where_the_new_file_is_runs_before_it_stands_in_its_place() {
    let world = World::start(Server::Nginx).await;
    let seen = world.path("seen");
    let script = format!(
        "cat {{file}} {} > {}; ! grep -q ' down' {{file}}",
        world.file().display(),
        seen.display()
    );
    let mut settings = world.settings();
    settings.test = words(&["sh", "-c", &script]);
    let control = control(settings);
    control.preflight().await.unwrap();
    let before = std::fs::read_to_string(world.file()).unwrap();
    let snapshot = control.inspect().await.unwrap();
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("would not take the new file"), "{error}");
    let both = std::fs::read_to_string(seen).unwrap();
    assert!(
        both.contains(" down;") && both.ends_with(&before),
        "the old one was still there: {both}"
    );
    assert_eq!(std::fs::read_to_string(world.file()).unwrap(), before);
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_piece_that_was_cut_before_the_drill_stays_cut() {
    let world = World::start(Server::Nginx).await;
    let first = world.settings().replace[0].clone();
    world.edit(|text| text.replace(&first.find, &first.with));
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.cuttable(&drain()).parts.len(), 1);
    control.cut(&drain(), &snapshot).await.unwrap();
    comes_into_force(&control).await;
    control.restore(&snapshot).await.unwrap();
    assert!(std::fs::read_to_string(world.file()).unwrap().contains(&first.with));
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn everything_that_was_asked_is_noted() {
    let world = World::start(Server::Nginx).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let calls = control.calls(&drain(), &snapshot);
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls.iter().all(|call| call.undone_by.is_some()));
    control.exchanges();
    control.cut(&drain(), &snapshot).await.unwrap();
    comes_into_force(&control).await;
    let noted = control.exchanges();
    let asked: Vec<&str> = noted.iter().map(|it| &*it.asked).collect();
    assert!(asked[0].starts_with("write ") && asked[0].contains(" down;`"), "{asked:?}");
    assert!(asked[1].contains("nginx -t") && asked[2].starts_with("kill -HUP"), "{asked:?}");
    assert!(noted.last().unwrap().answered == "b 20", "{noted:?}");
    control.restore(&snapshot).await.unwrap();
}
