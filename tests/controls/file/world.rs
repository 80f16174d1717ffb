//! A server of one's own in front of small web servers in two datacenters, and what its users see.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use firedrill::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, FileEdit, FileRead, FileReload,
    FileServedBy, FileServing, FileSettings, FileSignal, ModeKind, Provider, Text,
};
use firedrill::traffic::file::File;
use firedrill::traffic::{ControlError, Survivors, TrafficControl};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::time::Instant;

use crate::world::{A, B, Front, web_server, within_bounds};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Server {
    Nginx,
    NginxStream,
    Envoy,
    /// It sends to everybody when fewer than half are well.
    EnvoyInPanic,
    Traefik,
}

/// The server before three others; stopped on drop.
pub struct World {
    server: Server,
    directory: TempDir,
    process: Child,
    /// Where clients ask it.
    pub at: String,
    pub front: Front,
    behind: Vec<(DatacenterId, SocketAddr)>,
}

impl World {
    /// Servers in the datacenters a, b and a.
    pub async fn start(server: Server) -> World {
        let [a1, b, a2] = [web_server("a").await, web_server("b").await, web_server("a").await];
        World::before(server, &[(A, a1), (B, b), (A, a2)]).await
    }

    pub async fn before(server: Server, behind: &[(DatacenterId, SocketAddr)]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let at = own_address();
        std::fs::create_dir(directory.path().join("dynamic")).unwrap();
        std::fs::write(steered(server, directory.path()), text(server, behind)).unwrap();
        let process = match server {
            Server::Nginx | Server::NginxStream => {
                super::nginx::start(server, directory.path(), &at)
            }
            Server::Envoy | Server::EnvoyInPanic => {
                super::envoy::start(server, directory.path(), &at)
            }
            Server::Traefik => super::traefik::start(directory.path(), &at),
        };
        let front = directory.path().join("front.sock");
        bridge(&front, at.clone());
        let world = World {
            server,
            process,
            at,
            front: Front::new(front),
            behind: behind.to_vec(),
            directory,
        };
        within_bounds("the server serves b", async || {
            ask(&world.at, Duration::from_millis(300)).await == Ok("b".to_owned())
        })
        .await;
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file that steers it.
    pub fn file(&self) -> PathBuf {
        steered(self.server, self.directory.path())
    }

    /// Changes the file as another hand would.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = change(std::fs::read_to_string(self.file()).unwrap());
        let new = self.path("theirs");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    /// Files of ours that lie beside it.
    pub fn left_behind(&self) -> Vec<String> {
        let beside = std::fs::read_dir(self.file().parent().unwrap()).unwrap();
        let names = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("firedrill")).collect()
    }

    pub fn settings(&self) -> FileSettings {
        let replace = self.behind.iter().enumerate().map(|(place, (datacenter, at))| {
            let (find, with) = pieces(self.server, *at, place);
            FileEdit { datacenter: *datacenter, find, with }
        });
        let is_nginx = matches!(self.server, Server::Nginx | Server::NginxStream);
        let home = self.directory.path().to_str().unwrap();
        let serving =
            |datacenter, name: &str| FileServing { datacenter, patterns: vec![name.into()] };
        FileSettings {
            path: Text::from(self.file().to_str().unwrap()),
            replace: replace.collect(),
            test: match is_nginx {
                true => {
                    words(&[&super::nginx::program(), "-t", "-c", &format!("{home}/nginx.conf")])
                }
                false => Vec::new(),
            },
            reload: match is_nginx {
                true => FileReload::Signal {
                    pid_file: Text::from(format!("{home}/nginx.pid").as_str()),
                    signal: FileSignal::Hup,
                },
                false => FileReload::Watched,
            },
            read: FileRead {
                urls: vec![Text::from(format!("http://{}/", self.at).as_str())],
                times: 20,
                timeout: Duration::from_secs(1),
                by: FileServedBy::Header("x-datacenter".to_owned()),
                values: vec![serving(A, "a"), serving(B, "b")],
            },
            modes: vec![ModeKind::Drain],
            dir: Text::from("."),
            datacenters: vec!["a".into(), "b".into()],
            timeout: Duration::from_secs(5),
        }
    }

    pub fn control(&self) -> File {
        control(self.settings())
    }

    /// Asks all the time, as users do.
    pub fn watch(&self) -> Watch {
        let (seen, began, at) = (Arc::default(), Instant::now(), self.at.clone());
        let kept: Arc<Mutex<Vec<Seen>>> = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(4));
            // After a pause of ours they do not all come at once.
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let (at, seen) = (at.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let sent = began.elapsed();
                    let served = ask(&at, Duration::from_secs(5)).await;
                    seen.lock().unwrap().push(Seen { sent, done: began.elapsed(), served });
                });
            }
        });
        Watch { seen: kept, began, task }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // nginx's master takes its workers with it only when it is asked.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.process.wait();
    }
}

pub fn control(settings: FileSettings) -> File {
    let provider = Provider::File(settings.clone());
    File::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

pub fn words(words: &[&str]) -> Vec<Text> {
    words.iter().map(|word| Text::from(*word)).collect()
}

/// Starts `program` without a sound.
pub fn spawn(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the server is installed: .ci/needs")
}

/// A program that `.ci/needs` put there, else whatever the machine has.
pub fn needed(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/needs/bin").join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

fn steered(server: Server, home: &Path) -> PathBuf {
    home.join("dynamic").join(match server {
        Server::Nginx | Server::NginxStream => "app.upstream",
        Server::Envoy | Server::EnvoyInPanic | Server::Traefik => "app.yaml",
    })
}

fn text(server: Server, behind: &[(DatacenterId, SocketAddr)]) -> String {
    let lines = behind.iter().enumerate().map(|(place, (_, at))| pieces(server, *at, place).0);
    let lines: Vec<String> = lines.collect();
    match server {
        Server::Nginx | Server::NginxStream => lines.join("\n") + "\n",
        Server::Envoy | Server::EnvoyInPanic => super::envoy::text(&lines),
        Server::Traefik => super::traefik::text(&lines, behind),
    }
}

/// What stands in the file for the server at `at`, and what while it is cut.
fn pieces(server: Server, at: SocketAddr, place: usize) -> (String, String) {
    let both = |open: &str, cut: &str, line: &dyn Fn(&str) -> String| (line(open), line(cut));
    match server {
        // What tells two lines with one address apart, and means nothing to nginx.
        Server::Nginx | Server::NginxStream => both("", " down", &|word| {
            format!("server {at} weight={} max_fails=0{word};", place + 1)
        }),
        Server::Envoy | Server::EnvoyInPanic => both("HEALTHY", envoys_word(server), &|word| {
            let endpoint = format!(
                "endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
                at.ip(),
                at.port()
            );
            format!(
                "- {{ {endpoint}, load_balancing_weight: {}, health_status: {word} }}",
                place + 1
            )
        }),
        Server::Traefik => {
            both("1", "0", &|word| format!("- {{ name: server{place}, weight: {word} }}"))
        }
    }
}

/// Whoever drains is left alone even in panic.
fn envoys_word(server: Server) -> &'static str {
    if server == Server::EnvoyInPanic { "UNHEALTHY" } else { "DRAINING" }
}

/// An address of loopback that no other test's process has.
fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = 24_190 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{middle}.{low}:{port}", 64 + high % 64)
}

/// A socket at `path` that leads to `at`.
fn bridge(path: &Path, at: String) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let at = at.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(at).await.ok()?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await.ok()
            });
        }
    });
}

/// Who answers one request, or why nobody did.
pub async fn ask(at: &str, limit: Duration) -> Result<String, String> {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(limit, asked).await.map_err(|_| "no answer".to_owned())?;
    let answer = answer.map_err(|error| error.to_string())?;
    let named = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-datacenter").then(|| value.trim().to_owned())
    });
    named.ok_or(answer)
}

/// A request of a user.
#[derive(Debug, Clone)]
pub struct Seen {
    pub sent: Duration,
    pub done: Duration,
    pub served: Result<String, String>,
}

/// Users who ask all the time.
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    began: Instant,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits for an answer of `datacenter` to what is asked from now on.
    pub async fn has_seen(&self, datacenter: &str) {
        let from = self.now();
        within_bounds("users see the datacenter", async || {
            let seen = self.seen.lock().unwrap();
            seen.iter().any(|it| it.sent >= from && it.served.as_deref() == Ok(datacenter))
        })
        .await;
    }

    pub fn end(self) -> Vec<Seen> {
        self.task.abort();
        self.seen.lock().unwrap().clone()
    }
}

/// A control whose cut returns when it is in force: that of a file returns when it was accepted.
pub struct Settled(pub File);

#[async_trait]
impl TrafficControl for Settled {
    fn spec(&self) -> &ControlSpec {
        self.0.spec()
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        self.0.preflight().await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        self.0.inspect().await
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        self.0.survivors(order).await
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.0.cut(order, snapshot).await?;
        for _ in 0..1000 {
            if self.0.inspect().await?.is_cut(order) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("gave up waiting until the cut is in force");
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        self.0.cut_state(order, snapshot)
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.0.restore(snapshot).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        self.0.by_hand(snapshot)
    }
}
