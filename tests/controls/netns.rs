//! Networks of one's own: namespaces of users, of a gateway and of two datacenters with web servers.
//!
//! ```text
//! client ── gateway ── east
//!    ops ──────┘ └──── west
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::within_bounds;

/// Both datacenters' addresses, and those of who asks.
pub const EAST: &str = "192.0.2.18";
pub const WEST: &str = "192.0.2.34";
pub const EAST_6: &str = "[2001:db8:1::2]";
pub const WEST_6: &str = "[2001:db8:2::2]";
pub const EAST_NETS: &[&str] = &["192.0.2.16/28", "2001:db8:1::/64"];
pub const WEST_NETS: &[&str] = &["192.0.2.32/28", "2001:db8:2::/64"];
/// Where the gateway is reached by those who steer it.
pub const GATEWAY: &str = "192.0.2.49";

/// A link of the gateway: to whom, and both addresses at its other end.
const LINKS: [(&str, u8, &str); 4] = [
    ("client", 0, "2001:db8:c"),
    ("east", 16, "2001:db8:1"),
    ("west", 32, "2001:db8:2"),
    ("ops", 48, "2001:db8:d"),
];

/// What a web server says: who it is, and for `/endless` more and more of nothing.
const ANSWER: &str = "read -r _ path _
printf 'HTTP/1.1 200 OK\\r\\nconnection: close\\r\\nx-datacenter: %s\\r\\n\\r\\n' \"$1\"
[ \"$path\" = /endless ] || exit 0
while printf 'more of nothing\\n'; do sleep 0.01; done";

/// The namespaces, with all that runs in them; gone on drop.
pub struct Networks {
    home: TempDir,
    id: String,
    servers: BTreeMap<&'static str, Child>,
}

/// A command as root, whoever we are.
pub fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let can = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    assert!(
        can.is_ok_and(|status| status.success()),
        "network namespaces need root: run the tests as root, or let `sudo -n` work"
    );
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Runs a command that must succeed.
pub fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status} {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

impl Networks {
    /// Makes them, with a web server in each datacenter.
    pub async fn start() -> Networks {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("fd{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut networks =
            Networks { home: tempfile::tempdir().unwrap(), id, servers: BTreeMap::new() };
        networks.ip(&["netns", "add", &networks.netns("gateway")]);
        networks.inside("gateway", "ip", &["link", "set", "lo", "up"]);
        for (name, place, prefix) in LINKS {
            networks.link(name, place, prefix);
        }
        for key in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            networks.inside("gateway", "sysctl", &["-q", "-w", key]);
        }
        for name in ["east", "west"] {
            networks.serve(name);
        }
        for address in [EAST, WEST, EAST_6, WEST_6] {
            within_bounds("web servers answer", async || {
                matches!(networks.ask_briefly(address).await, Asked::Served(_))
            })
            .await;
        }
        networks
    }

    fn link(&self, name: &str, place: u8, prefix: &str) {
        self.ip(&["netns", "add", &self.netns(name)]);
        self.wire(name, place, prefix);
    }

    /// Links a namespace again that lost its link.
    pub fn link_again(&self, name: &str) {
        let link = LINKS.iter().find(|link| link.0 == name).unwrap();
        self.wire(link.0, link.1, link.2);
    }

    fn wire(&self, name: &str, place: u8, prefix: &str) {
        let (gateway, there) = (self.netns("gateway"), self.netns(name));
        let pair = ["type", "veth", "peer", "name", "eth0", "netns", &there];
        self.ip(&[&["-n", &gateway, "link", "add", name], &pair[..]].concat());
        let ends = [(&gateway, name, place + 1, 1), (&there, "eth0", place + 2, 2)];
        for (netns, link, last, last_6) in ends {
            let (four, six) = (format!("192.0.2.{last}/28"), format!("{prefix}::{last_6}/64"));
            self.ip(&["-n", netns, "address", "add", &four, "dev", link]);
            self.ip(&["-n", netns, "address", "add", &six, "dev", link, "nodad"]);
            self.ip(&["-n", netns, "link", "set", link, "up"]);
        }
        self.ip(&["-n", &there, "link", "set", "lo", "up"]);
        let (four, six) = (format!("192.0.2.{}", place + 1), format!("{prefix}::1"));
        self.ip(&["-n", &there, "route", "add", "default", "via", &four]);
        self.ip(&["-n", &there, "-6", "route", "add", "default", "via", &six]);
    }

    /// The name of a namespace, which no other test has.
    pub fn netns(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn ip(&self, words: &[&str]) -> String {
        done(as_root("ip").args(words))
    }

    /// A command in a namespace.
    pub fn command(&self, name: &str, program: &str, words: &[&str]) -> Command {
        let mut command = as_root("ip");
        command.args(["netns", "exec", &self.netns(name), program]).args(words);
        command
    }

    /// Runs a command in a namespace to its end.
    pub fn inside(&self, name: &str, program: &str, words: &[&str]) -> String {
        done(&mut self.command(name, program, words))
    }

    /// Starts a program in a namespace, to be killed at the end.
    pub fn spawn(&mut self, at: &'static str, program: &str, words: &[&str]) {
        let mut command = self.command(at, program, words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.insert(at, command.spawn().unwrap());
    }

    /// Starts the web server of a datacenter.
    pub fn serve(&mut self, name: &'static str) {
        let script = self.home().join("answer.sh");
        std::fs::write(&script, ANSWER).unwrap();
        let answer = format!("EXEC:sh {} {name}", script.display());
        let listen = "TCP6-LISTEN:80,ipv6only=0,reuseaddr,fork,backlog=64";
        self.spawn(name, "socat", &[listen, &answer]);
    }

    /// Sends a signal to all that runs in a namespace.
    pub fn signal(&self, name: &str, signal: &str) {
        let running = as_root("ip").args(["netns", "pids", &self.netns(name)]).output();
        let running = running.map(|it| it.stdout).unwrap_or_default();
        for id in String::from_utf8_lossy(&running).split_whitespace() {
            let _ = as_root("kill").args([signal, id]).stderr(Stdio::null()).status();
        }
    }

    /// What a user is answered at `address`, who waits for long.
    pub async fn ask(&self, address: &str) -> Asked {
        self.ask_for(Duration::from_secs(20), address).await
    }

    /// What a user is answered at `address` who gives up before a SYN is sent again.
    pub async fn ask_briefly(&self, address: &str) -> Asked {
        // Programs start slowly on a processor that is itself one.
        let limit = if crate::machine::is_inside() { 20_000 } else { 900 };
        self.ask_for(Duration::from_millis(limit), address).await
    }

    async fn ask_for(&self, limit: Duration, address: &str) -> Asked {
        let mut get = Get::start(self, address, "/").await;
        let mut answer = String::new();
        let read = get.stdout.read_to_string(&mut answer);
        if tokio::time::timeout(limit, read).await.is_err() {
            return Asked::Hangs;
        }
        let found = answer.lines().find_map(|line| line.strip_prefix("x-datacenter: "));
        if let Some(datacenter) = found {
            return Asked::Served(datacenter.trim().to_owned());
        }
        let mut complaint = String::new();
        get.stderr.read_to_string(&mut complaint).await.unwrap();
        Asked::Refused(complaint)
    }

    /// Opens a download that does not end by itself, until its first bytes are there.
    pub async fn download(&self, address: &str) -> Get {
        let mut get = Get::start(self, address, "/endless").await;
        assert!(get.goes_on_for(200).await, "the download from {address} begins");
        get
    }

    /// All rules in a namespace.
    pub fn ruleset(&self, name: &str) -> String {
        self.inside(name, "nft", &["list", "ruleset"])
    }

    /// Has `nft` carry out `script`, by another hand than firedrill's.
    pub fn nft(&self, name: &str, script: &str) {
        self.inside(name, "nft", &[script]);
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        let links = LINKS.iter().map(|(name, ..)| *name);
        for name in links.chain(["gateway"]) {
            self.signal(name, "-KILL");
            let _ = as_root("ip").args(["netns", "del", &self.netns(name)]).output();
        }
        for child in self.servers.values_mut() {
            let _ = child.wait();
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// By which datacenter it was answered.
    Served(String),
    /// It was told at once that nobody is there, or somebody no longer.
    Refused(String),
    /// Nothing came.
    Hangs,
}

impl Asked {
    pub fn by(datacenter: &str) -> Asked {
        Asked::Served(datacenter.to_owned())
    }

    pub fn is_refused(&self) -> bool {
        matches!(self, Asked::Refused(why) if why.contains("Connection refused"))
    }
}

/// A request under way.
pub struct Get {
    _child: tokio::process::Child,
    _stdin: tokio::process::ChildStdin,
    pub stdout: tokio::process::ChildStdout,
    pub stderr: tokio::process::ChildStderr,
}

impl Get {
    async fn start(networks: &Networks, address: &str, path: &str) -> Get {
        let to = format!("TCP:{address}:80");
        let mut command: tokio::process::Command =
            networks.command("client", "socat", &["-d", "-", &to]).into();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n");
        // One that was refused at once has ended by now, and says so when it is read.
        let _ = stdin.write_all(request.as_bytes()).await;
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Get { _child: child, _stdin: stdin, stdout, stderr }
    }

    /// Whether `count` more bytes come; `false` when the connection ends before.
    pub async fn goes_on_for(&mut self, count: usize) -> bool {
        let mut bytes = vec![0; count];
        let read =
            tokio::time::timeout(Duration::from_secs(30), self.stdout.read_exact(&mut bytes));
        read.await.expect("the download goes on or ends").is_ok()
    }

    /// Returns when nothing has come for half a second, though the connection is open.
    pub async fn stalls(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        for _ in 0..100 {
            let read = self.stdout.read(&mut bytes);
            match tokio::time::timeout(Duration::from_millis(500), read).await {
                Err(_) => return,
                Ok(read) => assert_ne!(read.unwrap(), 0, "the download ended"),
            }
        }
        panic!("the download goes on and on");
    }

    /// Returns what the user is told when the connection has ended.
    pub async fn breaks(&mut self) -> String {
        let mut rest = Vec::new();
        let ended = self.stdout.read_to_end(&mut rest);
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it breaks").unwrap();
        let mut complaint = String::new();
        self.stderr.read_to_string(&mut complaint).await.unwrap();
        complaint
    }
}
