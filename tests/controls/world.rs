//! A HAProxy of one's own in front of small web servers in two datacenters.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill::model::{
    ControlSpec, DatacenterId, HaproxyServers, HaproxySettings, HaproxySocket, Provider, Text,
};
use firedrill::traffic::haproxy::Haproxy;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixStream};

/// The cut datacenter and the other one.
pub const A: DatacenterId = DatacenterId(0);
pub const B: DatacenterId = DatacenterId(1);

/// HAProxy with servers `app/dc-a-web1`, `app/dc-a-web2` and `app/dc-b-web1`; stopped on drop.
pub struct World {
    directory: TempDir,
    process: Child,
    config: String,
}

impl World {
    /// Starts it, with `extra` settings behind the servers named first, and `globals` in `global`.
    pub async fn start(globals: &str, extra: &[(&str, &str)]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut servers = String::new();
        for (name, datacenter) in [("dc-a-web1", "a"), ("dc-a-web2", "a"), ("dc-b-web1", "b")] {
            let at = web_server(datacenter).await;
            let words: Vec<&str> = extra
                .iter()
                .filter(|(server, _)| *server == name)
                .map(|(_, words)| *words)
                .collect();
            servers += &format!("  server {name} {at} check {}\n", words.join(" "));
        }
        let home = directory.path().display();
        let config = format!(
            "global\n  stats socket {home}/admin.sock mode 600 level admin expose-fd listeners\n  {globals}\n\
             defaults\n  mode http\n  retries 2\n  option redispatch\n  timeout connect 1s\n  \
             timeout client 30s\n  timeout server 30s\n  default-server inter 100ms fall 2 rise 2\n\
             frontend front\n  bind unix@{home}/front.sock\n  default_backend app\n\
             backend app\n  balance roundrobin\n  cookie at insert indirect\n{servers}"
        );
        std::fs::write(directory.path().join("haproxy.cfg"), &config).unwrap();
        let process = haproxy(directory.path(), &[]);
        let world = World { directory, process, config };
        world.ready().await;
        world
    }

    /// Replaces the process by a new one that reads its configuration afresh, as a reload does.
    pub async fn reload(&mut self, change: impl Fn(&str) -> String) {
        std::fs::write(self.path("haproxy.cfg"), change(&self.config)).unwrap();
        let socket = self.path("admin.sock");
        let old = self.process.id().to_string();
        let new = haproxy(self.directory.path(), &["-x", socket.to_str().unwrap(), "-sf", &old]);
        let mut old = std::mem::replace(&mut self.process, new);
        within_bounds("the old HAProxy ends", async || old.try_wait().unwrap().is_some()).await;
        self.ready().await;
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The control of this HAProxy over its UNIX socket.
    pub fn control(&self) -> Haproxy {
        let path = self.path("admin.sock");
        control(HaproxySocket::Unix(Text::from(path.to_str().unwrap())))
    }

    /// Gives a command to the runtime API by another way than firedrill's.
    pub async fn by_hand(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.path("admin.sock")).await.unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// What clients ask.
    pub fn front(&self) -> Front {
        Front::new(self.path("front.sock"))
    }

    pub async fn download(&self) -> Download {
        self.front().download().await
    }

    pub async fn served_by(&self, headers: &str) -> String {
        self.front().served_by(headers).await
    }

    pub async fn served(&self, count: usize) -> Vec<String> {
        self.front().served(count).await
    }

    async fn ready(&self) {
        within_bounds("HAProxy listens", async || {
            UnixStream::connect(self.path("admin.sock")).await.is_ok()
                && UnixStream::connect(self.path("front.sock")).await.is_ok()
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The control of a HAProxy at `socket`.
pub fn control(socket: HaproxySocket) -> Haproxy {
    let servers = |datacenter, pattern: &str| HaproxyServers {
        datacenter,
        patterns: vec![pattern.to_owned()],
    };
    let provider = Provider::Haproxy(HaproxySettings {
        socket,
        servers: vec![servers(A, "app/dc-a-*"), servers(B, "app/dc-b-*")],
        timeout: Duration::from_secs(5),
    });
    Haproxy::new(&ControlSpec { name: "edge".into(), provider }).unwrap()
}

/// What clients ask: the socket of a load balancer.
pub struct Front {
    pub path: PathBuf,
}

impl Front {
    pub fn new(path: PathBuf) -> Front {
        Front { path }
    }

    /// Opens a download that does not end by itself, until its first bytes are there.
    pub async fn download(&self) -> Download {
        Download::start(self.request("/endless", "").await).await
    }

    /// Who answers one request that carries `headers`.
    pub async fn served_by(&self, headers: &str) -> String {
        let mut stream = self.request("/", headers).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        datacenter(&answer).unwrap_or_else(|| panic!("no datacenter in {answer}"))
    }

    /// Who answers the next `count` requests.
    pub async fn served(&self, count: usize) -> Vec<String> {
        let mut served = Vec::new();
        for _ in 0..count {
            served.push(self.served_by("").await);
        }
        served
    }

    async fn request(&self, path: &str, headers: &str) -> BufReader<UnixStream> {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }
}

/// The datacenter that a head of an answer names.
fn datacenter(head: &str) -> Option<String> {
    let field = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-datacenter").then(|| value.trim().to_owned())
    };
    head.lines().find_map(field)
}

/// A download under way.
pub struct Download {
    stream: BufReader<UnixStream>,
    /// Which datacenter it comes from.
    pub datacenter: String,
}

impl Download {
    async fn start(mut stream: BufReader<UnixStream>) -> Download {
        let mut datacenter = String::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            match line.trim() {
                "" => break,
                line => datacenter = self::datacenter(line).unwrap_or(datacenter),
            }
        }
        stream.read_u8().await.unwrap();
        Download { stream, datacenter }
    }

    /// Whether `count` more bytes come; `false` when the connection ends before.
    pub async fn goes_on_for(&mut self, count: usize) -> bool {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.is_ok()
    }

    /// Returns when the connection has ended, by whatever way.
    pub async fn ended(&mut self) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), self.stream.read_to_end(&mut rest));
        end.await.expect("the download ends").ok();
    }
}

fn haproxy(home: &Path, more: &[&str]) -> Child {
    Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(home.join("haproxy.cfg"))
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("haproxy is installed: apt-get install haproxy")
}

/// Asks again every few milliseconds, since other processes send no notice; gives up in the end.
pub async fn within_bounds(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("gave up waiting until {what}");
}

/// A web server that names its datacenter; `/endless` is a download without an end.
pub async fn web_server(datacenter: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(BufReader::new(stream), datacenter));
        }
    });
    address
}

async fn answer(mut stream: BufReader<tokio::net::TcpStream>, datacenter: &str) -> Option<()> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let mut line = first.clone();
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
    }
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\nx-datacenter: {datacenter}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    while first.contains("/endless") {
        stream.write_all(b"more").await.ok()?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Some(())
}
