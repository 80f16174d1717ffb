//! PostgreSQL servers of one's own: never as root, below a folder that is gone with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::outage::until;
use super::ports::free_port;

/// What `plan` gives for `${env:PG}`.
pub const PASSWORD: &str = "s3cret-PG";

/// A folder that the server's account may use.
pub fn folder() -> Arc<TempDir> {
    let folder = tempfile::Builder::new().prefix("firedrill-pg").tempdir().unwrap();
    own(folder.path());
    Arc::new(folder)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file to the server's account.
pub fn own(path: &Path) {
    if is_root() {
        let status = Command::new("chown").arg("postgres").arg(path).status().unwrap();
        assert!(status.success(), "there is an account `postgres`: apt-get install postgresql-15");
    }
}

/// A program run as the server's account: as root PostgreSQL refuses.
pub fn as_postgres(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    command
}

/// One of PostgreSQL's programs, where Debian has them or else by the path.
pub fn bin(name: &str) -> PathBuf {
    let debian = Path::new("/usr/lib/postgresql/15/bin").join(name);
    if debian.exists() { debian } else { name.into() }
}

pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("apt-get install postgresql-15");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sends a signal to a process and all its children, and returns when it has reached them: what was killed or stopped takes
/// no write any more.
pub fn signal_all(pid: &str, signal: &str) {
    // One may have ended by itself meanwhile.
    let send = |signal: &str, ids: &[&str]| {
        Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status().unwrap()
    };
    if signal != "-CONT" {
        // No more children from here on.
        send("-STOP", &[pid]);
    }
    let children = Command::new("pgrep").args(["-P", pid]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let ids: Vec<&str> = std::iter::once(pid).chain(children.split_whitespace()).collect();
    send(signal, &ids);
    let done = |state: char| match signal {
        "-KILL" => matches!(state, 'Z' | 'X'),
        "-STOP" => matches!(state, 'T' | 'Z' | 'X'),
        _ => true,
    };
    for _ in 0..5000 {
        if ids.iter().filter_map(|id| state(id)).all(done) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{signal} did not reach {ids:?}");
}

/// The state of a process as the kernel names it; `None` where there is none.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have anything in it.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a SQL text gives this, over the socket in `home`.
pub fn sql(home: &Path, port: u16, text: &str) -> Option<String> {
    let output = Command::new(bin("psql"))
        .args(["-X", "-At", "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"])
        .args(["-p", &port.to_string(), "-h"])
        .arg(home)
        .args(["-c", text])
        .env("PGPASSWORD", PASSWORD)
        .env("PGCONNECT_TIMEOUT", "5")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A server, killed on drop.
pub struct Server {
    home: Arc<TempDir>,
    data: PathBuf,
    pub ip: &'static str,
    pub port: u16,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// A new one at `ip`, with `settings`.
    pub async fn start(ip: &'static str, settings: &[&str]) -> Server {
        let home = folder();
        let secret = home.path().join("password");
        std::fs::write(&secret, PASSWORD).unwrap();
        own(&secret);
        let data = home.path().join("data");
        run(as_postgres(bin("initdb"))
            .args([
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "--locale=C",
                "-E",
                "UTF8",
                "-D",
            ])
            .arg(&data)
            .arg("--pwfile")
            .arg(&secret));
        let hba = "local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n\
                   host replication all 127.0.0.0/8 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let server = Server { home, data, ip, port: free_port(ip), process: Mutex::new(None) };
        server.up(settings).await;
        server
    }

    /// A standby of `primary`, which it reaches at `link`.
    pub async fn standby(ip: &'static str, link: u16) -> Server {
        let home = folder();
        let data = home.path().join("data");
        let from = format!(
            "host=127.0.0.1 port={link} user=postgres password={PASSWORD} application_name=b"
        );
        run(as_postgres(bin("pg_basebackup"))
            .args(["-R", "-X", "stream", "-c", "fast", "-d", &from, "-D"])
            .arg(&data));
        let server = Server { home, data, ip, port: free_port(ip), process: Mutex::new(None) };
        server.up(&[]).await;
        server
    }

    /// Starts it, and waits until it answers.
    pub async fn up(&self, settings: &[&str]) {
        let mut command = as_postgres(bin("postgres"));
        command
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(self.home.path());
        let listen = format!("listen_addresses={}", self.ip);
        for setting in
            [&*listen, "fsync=off", "wal_retrieve_retry_interval=200ms", "max_connections=60"]
                .iter()
                .chain(settings)
        {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.home.path().join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        *self.process.lock().unwrap() = Some(child);
        until("the server answers", || self.sql("SELECT 1").is_some()).await;
    }

    /// What it answers over its socket; `None` when it does not.
    pub fn sql(&self, text: &str) -> Option<String> {
        sql(self.home.path(), self.port, text)
    }

    /// The numbers of the records in the ledger's table.
    pub fn rows(&self) -> BTreeSet<u64> {
        let rows = self.sql("SELECT seq FROM firedrill_ledger ORDER BY seq").unwrap();
        rows.split_whitespace().map(|row| row.parse().unwrap()).collect()
    }

    /// A signal to all its processes.
    pub fn signal(&self, signal: &str) {
        if let Some(child) = &*self.process.lock().unwrap() {
            signal_all(&child.id().to_string(), signal);
        }
    }

    /// SIGKILL to all its processes.
    pub fn kill(&self) {
        self.signal("-KILL");
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn promote(&self) {
        run(as_postgres(bin("pg_ctl")).args(["promote", "-w", "-D"]).arg(&self.data));
    }

    pub fn host(&self) -> String {
        format!("\"{}:{}\"", self.ip, self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Settings of a ledger at these hosts, with `more` within `postgres:` and beside it.
pub fn settings(hosts: &[String], more: &str, beside: &str) -> String {
    let hosts = hosts.join(", ");
    format!(
        "{{ postgres: {{ sslmode: disable, hosts: [{hosts}], user: postgres, password: \"${{env:PG}}\", dbname: postgres{more} }}, \
         settle: 200ms{beside} }}"
    )
}

/// A TCP path that can be cut for ever: what standbys follow their primary over.
pub struct Link {
    pub port: u16,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Link {
    pub async fn to(ip: &'static str, to: u16) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            let mut ended = is_cut.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = ended.wait_for(|cut| *cut) => return,
                };
                let Ok((mut near, _)) = accepted else { return };
                let mut ended = is_cut.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect((ip, to)).await else { return };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = ended.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Link { port, cut }
    }

    pub fn cut(&self) {
        self.cut.send_replace(true);
    }
}
