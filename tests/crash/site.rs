//! A site to drill: a real HAProxy in front of web servers in two datacenters, all of one test's own.

#![allow(dead_code, reason = "a benchmark shares it and uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ports::free_address;

/// HAProxy with servers `app/east-1`, `app/east-2` and `app/west-1`; stopped on drop.
pub struct Site {
    home: PathBuf,
    front: SocketAddr,
    process: Child,
}

impl Site {
    /// Starts one whose files are in `home`.
    pub fn start(home: &Path) -> Site {
        let mut servers = String::new();
        for (name, datacenter) in [("east-1", "east"), ("east-2", "east"), ("west-1", "west")] {
            let at = web_server(datacenter);
            servers += &format!("  server {name} {at} check weight 10\n");
        }
        let front = free_address();
        let config = format!(
            "global\n  stats socket {home}/admin.sock mode 600 level admin\n\
             defaults\n  mode http\n  retries 2\n  option redispatch\n  timeout connect 1s\n  \
             timeout client 30s\n  timeout server 30s\n  default-server inter 100ms fall 2 rise 2\n\
             frontend front\n  bind {front}\n  default_backend app\n\
             backend app\n  balance roundrobin\n{servers}",
            home = home.display(),
        );
        std::fs::write(home.join("haproxy.cfg"), config).unwrap();
        let process = haproxy(home);
        let site = Site { home: home.to_owned(), front, process };
        site.listens();
        site
    }

    /// Where its users connect.
    pub fn front(&self) -> SocketAddr {
        self.front
    }

    /// The plan's words for the control.
    pub fn provider(&self) -> String {
        let socket = self.home.join("admin.sock");
        let servers = "{ east: ['app/east-*'], west: ['app/west-*'] }";
        format!("{{ haproxy: {{ socket: {}, servers: {servers} }} }}", socket.display())
    }

    /// Gives a command to the runtime API by another way than firedrill's.
    pub fn by_hand(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.home.join("admin.sock")).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Name, administrative state and weight of every server.
    pub fn servers(&self) -> Vec<(String, u32, u32)> {
        let table = self.by_hand("show servers state");
        let rows = table.lines().skip(2).filter(|line| !line.trim().is_empty());
        rows.map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            (cells[3].to_owned(), cells[6].parse().unwrap(), cells[7].parse().unwrap())
        })
        .collect()
    }

    /// Whether every server is as it was at the start.
    pub fn is_whole(&self) -> bool {
        self.servers().iter().all(|(_, state, weight)| (*state, *weight) == (0, 10))
    }

    /// Waits until it is whole, for as long as a watchdog may take with a margin.
    #[track_caller]
    pub fn becomes_whole(&self) {
        until("the traffic is back", Duration::from_secs(30), || self.is_whole());
    }

    /// Lets HAProxy stand still.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Ends HAProxy as a crash does.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn listens(&self) {
        let socket = self.home.join("admin.sock");
        until("HAProxy listens", Duration::from_secs(10), || {
            UnixStream::connect(&socket).is_ok() && TcpStream::connect(self.front).is_ok()
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks every few milliseconds, since other processes send no notice; gives up after `limit`.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < limit, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn haproxy(home: &Path) -> Child {
    Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(home.join("haproxy.cfg"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("haproxy is installed: apt-get install haproxy")
}

/// A web server that names its datacenter, for as long as the process lives.
fn web_server(datacenter: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, datacenter);
        }
    });
    address
}

fn answer(stream: TcpStream, datacenter: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // A health check may close without a word.
    while stream.read_line(&mut line)? > 0 && !line.trim().is_empty() {
        line.clear();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\nx-datacenter: {datacenter}\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes())
}
