//! Names in front of datacenters: a real resolver, clients that go by it, and web servers at addresses of their own.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firedrill::model::{CutOrder, DatacenterId, DnsRecord, DnsRecords};
use firedrill::traffic::TrafficControl;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::world::{A, B, within_bounds};

/// The zone of the tests, and the name in it that clients go by.
pub const ZONE: &str = "drill.test";
pub const APP: &str = "app.drill.test";

/// Addresses of loopback that no other test's process has: `of` tells those of one process apart.
pub fn own_host(of: u8) -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{}.{middle}.{low}", 64 * of.clamp(1, 3) + high % 63).parse().unwrap()
}

/// A place to listen that no other test has.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    (own_host(1), 23_100 + NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A server in the foreground, which ends with the test.
pub struct Server(pub Child);

impl Server {
    pub fn start(program: &str, arguments: &[&str]) -> Server {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        Server(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; see .ci/needs")))
    }

    /// Stops it, so that it takes connections and never answers, or lets it go on.
    pub async fn signal(&self, signal: &str) {
        let id = self.0.id();
        let sent = Command::new("kill").args([signal, &id.to_string()]).status();
        assert!(sent.unwrap().success());
        // What it was about to answer may still come until it has stopped.
        within_bounds("the signal is there", async || {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            (state == Some('T')) == (signal == "-STOP")
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A resolver that asks `authority` for the zone, as many would.
pub struct Resolver {
    pub at: SocketAddr,
    pub server: Server,
}

impl Resolver {
    pub async fn start(directory: &Path, authority: SocketAddr) -> Resolver {
        let at = own_address();
        let config = format!(
            "server:\n  directory: \"{home}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  \
             use-syslog: no\n  logfile: \"{home}/unbound.log\"\n  interface: {ip}@{port}\n  do-ip6: no\n  \
             access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  num-threads: 1\n  \
             module-config: \"iterator\"\n  local-zone: \"test.\" nodefault\n\
             stub-zone:\n  name: \"{ZONE}.\"\n  stub-addr: {authority_ip}@{authority_port}\n\
             remote-control:\n  control-enable: no\n",
            home = directory.display(),
            ip = at.ip(),
            port = at.port(),
            authority_ip = authority.ip(),
            authority_port = authority.port(),
        );
        let file = directory.join("unbound.conf");
        std::fs::write(&file, config).unwrap();
        let server = Server::start("unbound", &["-d", "-c", file.to_str().unwrap()]);
        within_bounds("the resolver answers", async || ask(at, APP, RecordType::A).await.is_some())
            .await;
        Resolver { at, server }
    }
}

/// What `server` gives for a name, asked as clients ask; `None` where it does not answer.
pub async fn ask(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> Option<(BTreeSet<IpAddr>, u32)> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    let socket = UdpSocket::bind((own_host(1), 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&question.to_vec().unwrap()).await.ok()?;
    let mut answer = [0; 4096];
    let length =
        tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut answer)).await.ok()?.ok()?;
    let answer = Message::from_vec(&answer[..length]).ok()?;
    if u16::from(answer.response_code) != 0 && u16::from(answer.response_code) != 3 {
        return None;
    }
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    let ttl = answer.answers.first().map_or(0, |it| it.ttl);
    Some((answer.answers.iter().filter_map(|it| address(&it.data)).collect(), ttl))
}

/// Which addresses `server` gives for the app.
pub async fn gives(server: SocketAddr) -> BTreeSet<IpAddr> {
    ask(server, APP, RecordType::A).await.expect("it answers").0
}

/// The addresses of both datacenters.
pub fn east() -> IpAddr {
    own_host(2)
}

pub fn west() -> IpAddr {
    own_host(3)
}

/// `NAME` of both datacenters at these addresses.
pub fn records(named: &[(DatacenterId, &str, IpAddr)]) -> Vec<DnsRecords> {
    [A, B]
        .into_iter()
        .map(|datacenter| DnsRecords {
            datacenter,
            records: named
                .iter()
                .filter(|(at, ..)| *at == datacenter)
                .map(|(_, name, address)| DnsRecord { name: (*name).to_owned(), address: *address })
                .collect(),
        })
        .collect()
}

/// The app in both.
pub fn app() -> Vec<DnsRecords> {
    records(&[(A, APP, east()), (B, APP, west())])
}

/// The part of the cut datacenter.
pub fn part() -> String {
    format!("{APP}/A/{}", east())
}

/// How the servers of a datacenter are.
#[derive(Clone, Copy, PartialEq)]
pub enum Health {
    Well,
    Dead,
    Hangs,
}

/// Who was connected to by its name, and when.
#[derive(Clone, Default)]
pub struct Visits(Arc<Mutex<Vec<(Instant, IpAddr)>>>);

impl Visits {
    /// Clients that look the app up at `resolver` anew each time, and connect to the first address that they are given.
    /// Both datacenters listen; the cut one as `health` says.
    pub async fn of(resolver: SocketAddr, health: Health) -> Visits {
        let port = own_address().port();
        let listen = async |host: IpAddr| TcpListener::bind((host, port)).await.unwrap();
        serve(listen(west()).await, "west");
        match health {
            Health::Well => serve(listen(east()).await, "east"),
            Health::Dead => {}
            // It takes connections, and nobody ever reads from them.
            Health::Hangs => {
                Box::leak(Box::new(listen(east()).await)).local_addr().map(drop).unwrap()
            }
        }
        let visits = Visits::default();
        let made = visits.clone();
        tokio::spawn(async move {
            loop {
                let at = Instant::now();
                if let Some(host) = first_of(resolver).await {
                    let visit = visit((host, port).into());
                    // A client that is kept waiting keeps no other waiting.
                    tokio::spawn(tokio::time::timeout(Duration::from_secs(1), visit));
                    made.0.lock().unwrap().push((at, host));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        visits
    }

    /// Waits until somebody came to `host` since `since`.
    pub async fn to(&self, host: IpAddr, since: Instant) {
        within_bounds("somebody comes", async || {
            self.0.lock().unwrap().iter().any(|(at, to)| *at >= since && *to == host)
        })
        .await;
    }

    pub fn first(&self, host: IpAddr, since: Instant) -> Option<Instant> {
        let visits = self.0.lock().unwrap();
        visits.iter().find(|(at, to)| *at >= since && *to == host).map(|(at, _)| *at)
    }

    pub fn last(&self, host: IpAddr) -> Option<Instant> {
        self.0.lock().unwrap().iter().rev().find(|(_, to)| *to == host).map(|(at, _)| *at)
    }
}

/// The first address, as clients without a liking take it: resolvers hand them out in turns.
async fn first_of(resolver: SocketAddr) -> Option<IpAddr> {
    let (addresses, _) = ask(resolver, APP, RecordType::A).await?;
    let count = addresses.len();
    addresses.into_iter().nth(fastrand::usize(..count.max(1)))
}

async fn visit(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    stream.write_all(b"who\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

fn serve(listener: TcpListener, datacenter: &'static str) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.write_all(datacenter.as_bytes()).await });
        }
    });
}

/// When, since a change was asked for, each of those who follow had it.
#[derive(Debug, Clone, Copy)]
pub struct Followed {
    pub authority: Duration,
    pub resolver: Duration,
    /// The last connection by name to what was cut, or the first to what is back.
    pub clients: Duration,
    /// When the control said that it is in force.
    pub control: Duration,
    /// When the call of the control had returned.
    pub accepted: Duration,
}

/// Cuts and restores while clients go by the name, and says when it was so for whom.
pub async fn follow(
    control: &dyn TrafficControl,
    order: &CutOrder,
    (authority, resolver): (SocketAddr, SocketAddr),
    visits: &Visits,
) -> (Followed, Followed) {
    visits.to(east(), Instant::now()).await;
    let snapshot = control.inspect().await.unwrap();
    let since = Instant::now();
    let in_force = async |cut| {
        within_bounds("the control says so", async || {
            let now = control.inspect().await.unwrap();
            if cut { now.is_cut(order) } else { now == snapshot }
        })
        .await;
        since.elapsed()
    };
    control.cut(order, &snapshot).await.unwrap();
    let accepted = since.elapsed();
    let (at_authority, at_resolver, at_control) = tokio::join!(
        follows(authority, false, since),
        follows(resolver, false, since),
        in_force(true)
    );
    // Whoever asked a moment before is on the way.
    visits.to(west(), Instant::now()).await;
    let last = visits.last(east()).unwrap().saturating_duration_since(since);
    let cut = Followed {
        authority: at_authority,
        resolver: at_resolver,
        clients: last,
        control: at_control,
        accepted,
    };
    let since = Instant::now();
    control.restore(&snapshot).await.unwrap();
    let accepted = since.elapsed();
    let back = async || {
        within_bounds("the control says so", async || control.inspect().await.unwrap() == snapshot)
            .await;
        since.elapsed()
    };
    let (at_authority, at_resolver, at_control) =
        tokio::join!(follows(authority, true, since), follows(resolver, true, since), back());
    visits.to(east(), since).await;
    let first = visits.first(east(), since).unwrap().saturating_duration_since(since);
    (
        cut,
        Followed {
            authority: at_authority,
            resolver: at_resolver,
            clients: first,
            control: at_control,
            accepted,
        },
    )
}

/// When `server` gives the cut datacenter, or gives it no more, counted from `since`. One that does not answer says neither.
async fn follows(server: SocketAddr, given: bool, since: Instant) -> Duration {
    within_bounds("it follows", async || {
        let answer = ask(server, APP, RecordType::A).await;
        answer.is_some_and(|(addresses, _)| addresses.contains(&east()) == given)
    })
    .await;
    since.elapsed()
}

/// Holds that the authority came first, and everybody else within the TTL and what a resolver rounds.
pub fn in_order(followed: Followed, ttl: Duration) {
    let Followed { authority, resolver, clients, control, accepted } = followed;
    let limit = accepted + ttl + Duration::from_secs(2);
    assert!(authority < accepted + Duration::from_secs(1), "{followed:?}");
    // Both are looked at every few milliseconds.
    assert!(authority <= resolver + Duration::from_millis(50), "{followed:?}");
    assert!(
        resolver < limit && clients < limit && control < limit + Duration::from_secs(1),
        "{followed:?}"
    );
}
