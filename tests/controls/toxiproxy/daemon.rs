//! A real `firedrill proxy` with traffic.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use firedrill::model::Passage;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::world::{web_server, within_bounds};

/// Longer than an answer on loopback takes, and shorter than the second until a SYN is sent again.
const SOON: Duration = Duration::from_millis(300);
/// For what has to come.
const PATIENT: Duration = Duration::from_secs(30);

/// A daemon with a proxy before each of these servers; stopped on drop.
struct Daemon {
    _home: TempDir,
    process: Child,
    api: String,
    /// Where each proxy listens.
    at: Vec<SocketAddr>,
}

impl Daemon {
    async fn start(servers: &[(&str, SocketAddr)]) -> Daemon {
        let home = tempfile::tempdir().unwrap();
        let (api, at): (String, Vec<SocketAddr>) = {
            let own = || own_address().parse().unwrap();
            (own_address(), servers.iter().map(|_| own()).collect())
        };
        let proxies = servers
            .iter()
            .zip(&at)
            .map(|((name, to), listen)| json!({ "name": name, "listen": listen, "upstream": to }));
        let file = home.path().join("proxies.json");
        std::fs::write(&file, json!(proxies.collect::<Vec<_>>()).to_string()).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args(["proxy", "--listen", &api, "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Daemon { _home: home, process, api, at };
        daemon.listens().await;
        daemon
    }

    async fn listens(&self) {
        let api = self.api.parse().unwrap();
        for at in self.at.iter().chain([&api]) {
            within_bounds("the daemon listens", async || TcpStream::connect(at).await.is_ok())
                .await;
        }
    }

    /// Two proxies to datacenter a, one to b.
    async fn before_web_servers() -> Daemon {
        let [a1, a2, b] = [web_server("a").await, web_server("a").await, web_server("b").await];
        Daemon::start(&[("a-1", a1), ("a-2", a2), ("b-1", b)]).await
    }

    fn control(&self) -> Toxiproxy {
        super::control(&self.api, PATTERNS)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address of loopback that no other test's process has.
fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = 25_190 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{middle}.{low}:{port}", 64 + high % 64)
}

/// One request; `None` when no answer comes within the time.
async fn ask(at: SocketAddr, within: Duration) -> Option<io::Result<String>> {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(within, asked).await.ok()
}

async fn is_served(at: SocketAddr) -> bool {
    matches!(ask(at, PATIENT).await, Some(Ok(answer)) if answer.contains("x-datacenter"))
}

/// A download under way.
async fn download(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.0\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 200]).await.unwrap();
    stream
}

/// Whether a byte that was not sent before `fresh` bytes ago still comes.
async fn goes_on(stream: &mut TcpStream) -> Option<bool> {
    // What the kernel holds already is less than this.
    let mut bytes = vec![0; 4000];
    timeout(PATIENT, stream.read_exact(&mut bytes)).await.ok().map(|it| it.is_ok())
}

#[tokio::test]
async fn a_daemon_keeps_the_contract_in_every_mode() {
    for mode in [Mode::Blackhole, Mode::Reset, Mode::Drain, degrade(0.1)] {
        let daemon = Daemon::before_web_servers().await;
        contract::holds(&daemon.control(), &CutOrder::of(A, mode)).await;
    }
}

#[tokio::test]
async fn each_mode_looks_to_clients_as_it_is_called_and_the_other_datacenter_serves_on() {
    for mode in [Mode::Blackhole, Mode::Reset, Mode::Drain] {
        let daemon = Daemon::before_web_servers().await;
        let control = daemon.control();
        let mut open = download(daemon.at[0]).await;
        let order = CutOrder::of(A, mode);
        let snapshot = control.inspect().await.unwrap();
        control.cut(&order, &snapshot).await.unwrap();
        for at in &daemon.at[..2] {
            let within = if mode == Mode::Blackhole { SOON } else { PATIENT };
            match (mode, ask(*at, within).await) {
                (Mode::Blackhole, None) => {}
                (Mode::Reset | Mode::Drain, Some(Err(error))) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                }
                (mode, other) => panic!("{}: {other:?}", mode.kind()),
            }
        }
        assert!(is_served(daemon.at[2]).await);
        match mode {
            Mode::Drain => assert_eq!(goes_on(&mut open).await, Some(true)),
            Mode::Reset => assert_eq!(goes_on(&mut open).await, Some(false)),
            _ => assert_eq!(
                timeout(SOON, open.read_exact(&mut [0; 400_000])).await.ok().map(drop),
                None
            ),
        }
        control.restore(&snapshot.cuttable(&order)).await.unwrap();
        for at in &daemon.at {
            assert!(is_served(*at).await, "{}", mode.kind());
        }
        if mode == Mode::Blackhole {
            assert_eq!(goes_on(&mut open).await, Some(true), "it goes on where it stopped");
        }
    }
}

#[tokio::test]
async fn a_cut_outlives_who_made_it_and_another_process_restores_from_the_settings_alone() {
    let daemon = Daemon::before_web_servers().await;
    let order = CutOrder::of(A, Mode::Reset);
    let (spec, ours) = {
        let control = daemon.control();
        let snapshot = control.inspect().await.unwrap();
        control.cut(&order, &snapshot).await.unwrap();
        (control.spec().clone(), snapshot.cuttable(&order))
    };
    assert!(!is_served(daemon.at[0]).await);
    let another = firedrill::traffic::reach(&spec).unwrap().unwrap();
    assert!(another.inspect().await.unwrap().is_cut(&order));
    another.restore(&ours).await.unwrap();
    assert!(is_served(daemon.at[0]).await && is_served(daemon.at[1]).await);
}

#[tokio::test]
async fn a_proxy_that_another_hand_cut_otherwise_is_left_alone() {
    let daemon = Daemon::before_web_servers().await;
    let hand = async {
        let mut stream = TcpStream::connect(&daemon.api).await.unwrap();
        let body = r#"{"mode":"drain"}"#;
        let head =
            format!("PUT /proxies/a-1/cut HTTP/1.0\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("200"), "{answer}");
    };
    let order = CutOrder::of(A, Mode::Blackhole);
    contract::leaves_another_hand_alone(&daemon.control(), &order, "a-1", hand).await;
}

#[tokio::test]
async fn a_datacenter_that_is_dead_or_hangs_can_be_cut_and_put_back() {
    let dead = crate::ports::free_address();
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let b = web_server("b").await;
    let servers = [("a-1", dead), ("a-2", hangs.local_addr().unwrap()), ("b-1", b)];
    let daemon = Daemon::start(&servers).await;
    for mode in [Mode::Blackhole, Mode::Reset] {
        contract::holds(&daemon.control(), &CutOrder::of(A, mode)).await;
    }
    assert!(is_served(daemon.at[2]).await);
}

#[tokio::test]
async fn a_daemon_that_was_started_anew_has_nothing_cut_and_says_so() {
    let mut daemon = Daemon::before_web_servers().await;
    let order = CutOrder::of(A, Mode::Reset);
    let control = daemon.control();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&order, &snapshot).await.unwrap();
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    control.inspect().await.unwrap_err();
    let home = daemon._home.path().join("proxies.json");
    daemon.process = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["proxy", "--listen", &daemon.api, "--config"])
        .arg(home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    daemon.listens().await;
    let now = control.inspect().await.unwrap();
    assert_eq!(now, snapshot);
    assert!(now.parts.values().all(|part| part.passage == Passage::Open));
}
