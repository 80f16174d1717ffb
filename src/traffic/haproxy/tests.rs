//! The control against a runtime API that misbehaves. Real HAProxies are in `tests/controls/`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::Haproxy;
use crate::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, HaproxyServers, HaproxySettings,
    HaproxySocket, Mode, PartState, Passage, Provider, Text,
};
use crate::traffic::{ControlError, TrafficControl};

const TABLE: &str = "1\n# be_name srv_name srv_op_state srv_admin_state srv_uweight srv_agent_state\n\
                     app a1 2 0 1 0\napp a2 2 0 1 22\napp b1 2 0 1 0\n\n";

/// What the false HAProxy does with a command: answers, or says nothing for ever.
type Script = fn(&str) -> Option<String>;

/// A false runtime API that writes down the commands it gets.
struct False {
    directory: TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl False {
    fn start(script: Script) -> False {
        let fake = False { directory: tempfile::tempdir().unwrap(), heard: Arc::default() };
        let listener = UnixListener::bind(fake.path()).unwrap();
        let heard = fake.heard.clone();
        tokio::spawn(async move {
            let mut hung = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let commands: Vec<String> = line.trim().split("; ").map(str::to_owned).collect();
                heard.lock().unwrap().extend(commands.clone());
                let answers: Option<String> =
                    commands.iter().map(|command| script(command)).collect();
                match answers {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => hung.push(stream),
                }
            }
        });
        fake
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    fn control(&self) -> Haproxy {
        control(HaproxySocket::Unix(Text::from(self.path().to_str().unwrap())))
    }

    fn orders(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|command| !command.starts_with("show")).cloned().collect()
    }
}

fn spec(provider: Provider) -> ControlSpec {
    ControlSpec { name: "edge".into(), provider }
}

fn settings(socket: HaproxySocket, servers: &[(u16, &str)]) -> HaproxySettings {
    let servers = servers.iter().map(|(datacenter, pattern)| HaproxyServers {
        datacenter: DatacenterId(*datacenter),
        patterns: vec![(*pattern).to_owned()],
    });
    HaproxySettings { socket, servers: servers.collect(), timeout: Duration::from_secs(5) }
}

fn control(socket: HaproxySocket) -> Haproxy {
    let settings = settings(socket, &[(0, "app/a*"), (1, "app/b*")]);
    Haproxy::new(&spec(Provider::Haproxy(settings))).unwrap()
}

fn order(mode: Mode) -> CutOrder {
    CutOrder::of(DatacenterId(0), mode)
}

/// A HAProxy that works: the table, and silence for all else.
fn works(command: &str) -> Option<String> {
    Some(match command {
        "show cli level" => "admin\n\n".into(),
        "show servers state" => TABLE.into(),
        _ => "\n".into(),
    })
}

async fn snapshot() -> ControlState {
    False::start(works).control().inspect().await.unwrap()
}

async fn inspect_error(script: Script) -> ControlError {
    False::start(script).control().inspect().await.unwrap_err()
}

#[tokio::test]
async fn a_cut_takes_every_server_out_before_it_ends_the_first_session() {
    let fake = False::start(works);
    let snapshot = snapshot().await;
    fake.control().cut(&order(Mode::Reset), &snapshot).await.unwrap();
    assert_eq!(
        fake.orders(),
        [
            "disable agent app/a2",
            "set server app/a1 state maint",
            "set server app/a2 state maint",
            "shutdown sessions server app/a1",
            "shutdown sessions server app/a2",
        ]
    );
}

#[tokio::test]
async fn the_calls_that_are_foretold_are_those_of_the_cut_each_with_what_undoes_it() {
    let snapshot = snapshot().await;
    for mode in [Mode::Drain, Mode::Reset] {
        let fake = False::start(works);
        let control = fake.control();
        let foretold = control.calls(&order(mode), &snapshot);
        control.cut(&order(mode), &snapshot).await.unwrap();
        let calls: Vec<&str> = foretold.iter().map(|it| it.call.as_str()).collect();
        assert_eq!(calls, fake.orders(), "{mode:?}");
        let undone = foretold.iter().find(|it| it.call == "set server app/a1 state maint");
        assert_eq!(undone.unwrap().undone_by.as_deref(), Some("set server app/a1 state ready"));
    }
}

#[tokio::test]
async fn a_haproxy_that_accepts_and_does_nothing_is_never_cut() {
    for mode in [Mode::Drain, Mode::Reset] {
        let fake = False::start(works);
        let control = fake.control();
        let before = control.inspect().await.unwrap();
        control.cut(&order(mode), &before).await.unwrap();
        assert!(fake.orders().contains(&"set server app/a1 state maint".to_owned()));
        let now = control.inspect().await.unwrap();
        assert!(!now.is_cut(&order(mode)), "{now:?}");
        assert_eq!(now, before);
    }
}

#[tokio::test]
async fn a_haproxy_that_obeys_for_one_server_alone_is_not_cut() {
    let half = |command: &str| match command {
        "show servers state" => Some(TABLE.replace("a1 2 0", "a1 0 1")),
        command => works(command),
    };
    let before = snapshot().await;
    let fake = False::start(half);
    let control = fake.control();
    control.cut(&order(Mode::Drain), &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&order(Mode::Drain)), "{now:?}");
    assert_eq!(now.differences(&before), ["app/a1"]);
}

#[tokio::test]
async fn a_drain_leaves_sessions_alone_and_closed_servers_too() {
    let fake = False::start(works);
    let mut snapshot = snapshot().await;
    snapshot.parts.get_mut("app/a2").unwrap().passage = Passage::Closed;
    fake.control().cut(&order(Mode::Drain), &snapshot).await.unwrap();
    assert_eq!(fake.orders(), ["set server app/a1 state maint"]);
}

#[tokio::test]
async fn a_mode_that_haproxy_cannot_do_touches_nothing() {
    let fake = False::start(works);
    let error = fake.control().cut(&order(Mode::Blackhole), &snapshot().await).await.unwrap_err();
    assert!(error.what.contains("`blackhole`"), "{error}");
    assert_eq!(fake.orders(), [""; 0]);
}

#[tokio::test]
async fn a_restore_puts_back_state_weight_and_agent_as_they_were() {
    let fake = False::start(works);
    fake.control().restore(&snapshot().await).await.unwrap();
    assert_eq!(
        fake.orders(),
        [
            "set server app/a1 state ready",
            "set server app/a1 weight 1",
            "set server app/a2 state ready",
            "enable agent app/a2",
            "set server app/b1 state ready",
            "set server app/b1 weight 1",
        ]
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_named_while_the_others_are_put_back() {
    let fake = False::start(|command| match command {
        command if command.contains("app/a1") => Some("No such server.\n\n".into()),
        command => works(command),
    });
    let error = fake.control().restore(&snapshot().await).await.unwrap_err();
    assert!(error.what.contains("app/a1") && !error.what.contains("app/a2"), "{error}");
    assert!(error.hint.contains("reloaded"), "{error}");
    assert!(fake.orders().contains(&"set server app/b1 state ready".to_owned()));
}

#[tokio::test]
async fn a_name_from_a_journal_cannot_smuggle_a_second_command() {
    let fake = False::start(works);
    let mut snapshot = snapshot().await;
    let part = PartState {
        datacenter: DatacenterId(0),
        passage: Passage::Open,
        settings: [("state".to_owned(), "ready".to_owned())].into(),
    };
    snapshot.parts.insert("app/a1; shutdown sessions server app/b1".into(), part);
    let error = fake.control().restore(&snapshot).await.unwrap_err();
    assert!(error.hint.contains("journal"), "{error}");
    let orders = fake.orders();
    assert!(!orders.iter().any(|order| order.contains("shutdown")), "{orders:?}");
    assert!(
        orders.contains(&"set server app/b1 state ready".to_owned()),
        "the others are put back"
    );
}

#[tokio::test]
async fn a_socket_that_closes_at_once_is_no_success() {
    let fake = False::start(|command| match command {
        command if command.starts_with("set") => Some(String::new()),
        command => works(command),
    });
    let error = fake.control().cut(&order(Mode::Drain), &snapshot().await).await.unwrap_err();
    assert!(
        error.what.contains("gave no answer to `set server app/a1 state maint`: it closed"),
        "{error}"
    );
    assert!(error.hint.contains("may have been carried out"), "{error}");
}

#[tokio::test]
async fn a_missing_answer_among_several_is_no_success() {
    let fake = False::start(|command| match command {
        "set server app/a2 state maint" => Some(String::new()),
        command => works(command),
    });
    let error = fake.control().cut(&order(Mode::Reset), &snapshot().await).await.unwrap_err();
    assert!(error.what.contains("no answer to `set server app/a2 state maint`"), "{error}");
    assert!(!fake.orders().iter().any(|order| order.starts_with("shutdown")), "sessions ended");
}

#[tokio::test]
async fn half_an_answer_is_refused_wherever_it_breaks_off() {
    for half in [
        |_: &str| Some("1\n# be".into()),
        |_: &str| Some(TABLE[..TABLE.len() - 1].into()),
        |command: &str| Some(if command == "show cli level" { "adm" } else { TABLE }.into()),
    ] as [Script; 3]
    {
        let error = False::start(half).control().preflight().await.unwrap_err();
        assert!(error.what.contains("gave only a part of its answer"), "{error}");
    }
}

#[tokio::test]
async fn a_socket_without_admin_level_is_refused_before_the_drill_and_at_the_cut() {
    let fake = False::start(|_| Some("operator\n\n".into()));
    let error = fake.control().preflight().await.unwrap_err();
    assert!(error.what.contains("only `level operator`"), "{error}");
    assert!(error.hint.contains("level admin"), "{error}");

    let fake = False::start(|_| Some("Permission denied\n\n".into()));
    let error = fake.control().cut(&order(Mode::Drain), &snapshot().await).await.unwrap_err();
    assert!(error.what.contains("Permission denied"), "{error}");
    assert!(error.hint.contains("level admin"), "{error}");
}

#[tokio::test]
async fn a_refusal_of_the_cut_is_told_in_haproxys_words() {
    let fake = False::start(|_| Some("Unknown command, but maybe one of\n  get acl\n\n".into()));
    let error = fake.control().cut(&order(Mode::Drain), &snapshot().await).await.unwrap_err();
    assert!(error.what.contains("Unknown command, but maybe one of"), "{error}");
    assert!(!error.what.contains("get acl"), "{error}");
}

#[tokio::test]
async fn garbage_is_refused_with_its_first_line() {
    let error = inspect_error(|_| Some("220 mail ready\r\n\n\n".into())).await;
    assert!(error.what.contains("220 mail ready"), "{error}");
    let error = inspect_error(|command| match command {
        "show servers state" => Some("7\nrubbish\n\n".into()),
        command => works(command),
    })
    .await;
    assert!(error.what.contains("version `7`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_ends_at_the_deadline() {
    let fake = False::start(|_| None);
    let error = fake.control().inspect().await.unwrap_err();
    assert!(error.what.contains("gave no answer to `show servers state` within 5s"), "{error}");
    assert!(error.hint.contains("`timeout`"), "{error}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_short() {
    // A stranger's port that only sends: the deadline ends it, not our memory.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let sender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    });
    let error = control(HaproxySocket::Tcp(Text::from(at.as_str()))).inspect().await.unwrap_err();
    assert!(error.what.contains("gave only a part of its answer"), "{error}");
    sender.await.unwrap();
}

#[tokio::test]
async fn sockets_that_cannot_be_reached_say_which_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.sock");
    let unix = |path: &std::path::Path| HaproxySocket::Unix(Text::from(path.to_str().unwrap()));
    let error = control(unix(&missing)).inspect().await.unwrap_err();
    assert!(error.what.contains("missing.sock: there is no such file"), "{error}");

    let left_behind = directory.path().join("old.sock");
    drop(UnixListener::bind(&left_behind).unwrap());
    let error = control(unix(&left_behind)).inspect().await.unwrap_err();
    assert!(error.what.contains("nothing listens there"), "{error}");

    // Bound and not listening: it refuses, and nobody else can have the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = closed.local_addr().unwrap().to_string();
    let error = control(HaproxySocket::Tcp(Text::from(free.as_str()))).inspect().await.unwrap_err();
    assert!(error.what.contains(&free) && error.what.contains("nothing listens"), "{error}");
}

#[test]
fn settings_that_name_no_servers_or_another_provider_are_refused() {
    let socket = HaproxySocket::Unix(Text::from("/run/haproxy.sock"));
    let empty = spec(Provider::Haproxy(settings(socket, &[])));
    assert!(Haproxy::new(&empty).unwrap_err().what.contains("names no servers"));
    assert!(Haproxy::new(&spec(Provider::Lab)).unwrap_err().what.contains("`lab`"));
}
