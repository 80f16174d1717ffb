//! PostgreSQL under Patroni and etcd: two members, of which one leads.
//!
//! A failover takes as long as the leader's lease, 10 s here, and the leader stays where it went.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use firedrill::model::{Fate, RunRecord, Verdict};
use firedrill::traffic::gates::Gates;
use futures_util::FutureExt;
use tempfile::TempDir;

use super::balancer::{Balancer, holds_reads_beside_writes};
use super::outage::{
    Act, Process, Written, codes, drill, drill_through, example, ledger, plan, staying, until,
};
use super::ports::free_port;
use super::postgres_server::{PASSWORD, as_postgres, folder, own, settings, signal_all, sql};

/// Where the proxies of a plan stand before a member: for PostgreSQL, for Patroni, and on its own way to etcd.
#[derive(Clone, Copy)]
struct Before {
    postgres: u16,
    patroni: u16,
    etcd: u16,
}

/// The address of the proxies.
const PROXIES: &str = "127.0.1.10";

/// Where a member listens.
#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    ip: &'static str,
    port: u16,
    api: u16,
}

impl Place {
    fn new(name: &'static str, ip: &'static str) -> Place {
        Place { name, ip, port: free_port(ip), api: free_port(ip) }
    }
}

struct Member {
    name: &'static str,
    ip: &'static str,
    port: u16,
    /// Where others reach its PostgreSQL and its Patroni.
    reached: [String; 2],
    home: Arc<TempDir>,
    process: Mutex<Option<Child>>,
}

struct Cluster {
    a: Member,
    b: Member,
    _etcd: Process,
    _home: TempDir,
}

impl Member {
    fn new(place: Place, etcd: u16, before: Option<Before>, synchronous: bool) -> Member {
        let home = folder();
        let Place { name, ip, port, api } = place;
        let etcd = match before {
            Some(before) => format!("{{ host: '{PROXIES}:{}', use_proxies: true }}", before.etcd),
            None => format!("{{ host: '127.0.0.1:{etcd}' }}"),
        };
        let (to_postgres, to_patroni) = match before {
            Some(it) => (format!("{PROXIES}:{}", it.postgres), format!("{PROXIES}:{}", it.patroni)),
            None => (format!("{ip}:{port}"), format!("{ip}:{api}")),
        };
        let at = home.path().display();
        let user = |name| format!("{{ username: {name}, password: {PASSWORD} }}");
        let text = format!(
            "scope: drill
name: {name}
restapi: {{ listen: '{ip}:{api}', connect_address: '{to_patroni}' }}
etcd3: {etcd}
bootstrap:
  dcs:
    ttl: 10
    loop_wait: 1
    retry_timeout: 3
    synchronous_mode: {synchronous}
    postgresql: {{ parameters: {{ fsync: 'off', wal_retrieve_retry_interval: 200ms }} }}
  initdb: [ {{ encoding: UTF8 }}, {{ locale: C }}, no-sync ]
postgresql:
  listen: '{ip}:{port}'
  connect_address: '{to_postgres}'
  bin_dir: /usr/lib/postgresql/15/bin
  data_dir: {at}/data
  pgpass: {at}/pgpass
  authentication: {{ superuser: {}, replication: {} }}
  parameters: {{ unix_socket_directories: '{at}' }}
  pg_hba: [ 'local all all trust', 'host all reader 127.0.0.0/8 trust', 'host all all 127.0.0.0/8 scram-sha-256', 'host replication all 127.0.0.0/8 scram-sha-256' ]
",
            user("postgres"),
            user("replicator"),
        );
        let file = home.path().join("patroni.yml");
        std::fs::write(&file, text).unwrap();
        own(&file);
        let reached = [to_postgres, to_patroni];
        let member = Member { name, ip, port, reached, home, process: Mutex::new(None) };
        member.start();
        member
    }

    fn start(&self) {
        let log = std::fs::File::create(self.home.path().join("log")).unwrap();
        let mut command = as_postgres("patroni");
        command.arg(self.home.path().join("patroni.yml")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        *self.process.lock().unwrap() = Some(child.expect("apt-get install patroni etcd-server"));
    }

    fn postmaster(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.home.path().join("data/postmaster.pid")).ok()?;
        text.lines().next().map(str::to_owned)
    }

    /// A signal to Patroni and all of PostgreSQL: the whole datacenter.
    fn signal(&self, signal: &str) {
        let postmaster = self.postmaster();
        if let Some(child) = &*self.process.lock().unwrap() {
            signal_all(&child.id().to_string(), signal);
        }
        if let Some(pid) = postmaster {
            signal_all(&pid, signal);
        }
    }

    fn sql(&self, text: &str) -> Option<String> {
        sql(self.home.path(), self.port, text)
    }

    fn leads(&self) -> bool {
        self.sql("SELECT pg_is_in_recovery()").as_deref() == Some("f")
    }

    fn host(&self) -> String {
        format!("\"{}:{}\"", self.ip, self.port)
    }

    fn rows(&self) -> BTreeSet<u64> {
        let rows = self.sql("SELECT seq FROM firedrill_ledger").unwrap();
        rows.split_whitespace().map(|row| row.parse().unwrap()).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.signal("-KILL");
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home.path().join("log"));
            eprintln!("Patroni of {} said:\n{}", self.name, log.unwrap_or_default());
        }
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Cluster {
    async fn start(synchronous: bool) -> Arc<Cluster> {
        let places = [Place::new("a", "127.0.1.1"), Place::new("b", "127.0.2.1")];
        Cluster::start_at(places, free_port("127.0.0.1"), None, synchronous).await
    }

    /// Starts etcd with this port for its clients, and two members, the first of them behind proxies.
    async fn start_at(
        [a, b]: [Place; 2],
        client: u16,
        before: Option<Before>,
        synchronous: bool,
    ) -> Arc<Cluster> {
        let home = tempfile::tempdir().unwrap();
        let peer = free_port("127.0.0.1");
        let url = |port| format!("http://127.0.0.1:{port}");
        let etcd = Command::new("etcd")
            .arg("--data-dir")
            .arg(home.path().join("etcd"))
            .args(["--listen-client-urls", &url(client), "--advertise-client-urls", &url(client)])
            .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
            .args(["--initial-cluster", &format!("default={}", url(peer)), "--unsafe-no-fsync"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("apt-get install etcd-server");
        let etcd = Process::new(etcd);
        until("etcd knows its version", || knows_its_version(client).unwrap_or(false)).await;
        let a = Member::new(a, client, before, synchronous);
        until("a leads", || a.leads()).await;
        let b = Member::new(b, client, None, synchronous);
        // Asked of b itself: on a, the copying that b begins with streams too, and b may have started from it long after.
        until("b follows", || {
            b.sql("SELECT status FROM pg_stat_wal_receiver").as_deref() == Some("streaming")
        })
        .await;
        let state = if synchronous { "sync" } else { "async" };
        until("b follows as it should", || {
            a.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'").as_deref()
                == Some(state)
        })
        .await;
        Arc::new(Cluster { a, b, _etcd: etcd, _home: home })
    }

    /// Reads of whichever member Patroni says can be read.
    async fn reads(&self) -> Balancer {
        self.a.sql("CREATE ROLE reader LOGIN").unwrap();
        let server = |member: &Member| {
            let [postgres, patroni] = &member.reached;
            let (ip, port) = patroni.split_once(':').unwrap();
            format!("{postgres} addr {ip} port {port}")
        };
        let servers = [&self.a, &self.b].map(server);
        let reads = Balancer::start(&servers, "option httpchk GET /read-only").await;
        let port = reads.port.to_string();
        until("the balancer answers", || {
            let mut psql = Command::new("psql");
            psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "reader", "-c", "", "postgres"]);
            psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            psql.status().unwrap().success()
        })
        .await;
        reads
    }

    fn plan(&self) -> String {
        let ledger = settings(&[self.a.host(), self.b.host()], "", ", create: true, keep: true")
            .replace("settle: 200ms", "settle: 2s");
        staying(&ledger)
            .replace("every: 10ms", "every: 20ms")
            .replace("recover_within: 8s", "recover_within: 25s")
            .replace("at_most: 12s", "at_most: 40s")
    }
}

/// Whether the etcd at this port has decided on the version of its cluster. Until then Patroni ends with an exception.
fn knows_its_version(client: u16) -> Option<bool> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", client)).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).ok()?;
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.contains("\"etcdcluster\":\"3."))
}

/// The startup message of `reader`, who needs no password, and a query right behind it.
const READ: &str = "\\0\\0\\0\\x27\\0\\x03\\0\\0user\\0reader\\0database\\0postgres\\0\\0\
                    Q\\0\\0\\0\\x1aSELECT 'cana' || 'ry'\\0";

/// Signals the leader's datacenter.
fn signalling(cluster: &Arc<Cluster>, signal: &'static str) -> Act {
    let cluster = cluster.clone();
    Box::new(move || {
        let cluster = cluster.clone();
        async move { cluster.a.signal(signal) }.boxed()
    })
}

/// Lets the old leader go on, until it has found out that it leads no more.
fn going_on(cluster: &Arc<Cluster>) -> Act {
    let cluster = cluster.clone();
    Box::new(move || {
        let cluster = cluster.clone();
        async move {
            cluster.a.signal("-CONT");
            until("one of them leads", || cluster.a.leads() != cluster.b.leads()).await;
        }
        .boxed()
    })
}

fn nothing() -> Act {
    Box::new(|| async {}.boxed())
}

/// What the ledger says is lost is what nobody has who leads now.
fn holds_the_leaders_view(record: &RunRecord, written: &Written, has: &BTreeSet<u64>) -> u64 {
    let gone: BTreeSet<u64> = written.with(Fate::Acknowledged).difference(has).copied().collect();
    let missing = gone.len() as u64;
    let said = ledger(record);
    assert_eq!(said.first_lost.as_ref().map(|it| it.seq), gone.first().copied());
    assert_eq!(said.last_lost.as_ref().map(|it| it.seq), gone.last().copied());
    assert_eq!((said.lost.low, said.lost.high), (missing, Some(missing)), "{said:#?}");
    assert_eq!((said.unexpected, said.duplicated.high), (0, Some(0)), "{said:#?}");
    println!(
        "acknowledged {} refused {} unknown {} lost {} recovered {} window {:?} recovery {:?} verdict {:?} {:?}",
        said.acknowledged,
        said.refused,
        said.unknown,
        said.lost,
        said.recovered,
        said.window,
        record.services[0].probes[0].recovery,
        record.verdict,
        codes(record)
    );
    // What was promised is that it is written again in time, and that nothing is lost.
    let verdict = if missing == 0 { Verdict::Pass } else { Verdict::Fail };
    assert_eq!(record.verdict, verdict, "{:#?}", record.reasons);
    missing
}

async fn killed(cluster: &Arc<Cluster>, written: &Written) -> u64 {
    let reads = cluster.reads().await;
    let plan = cluster
        .plan()
        .replace("baseline: 2s", "baseline: 4s")
        .replace("\ncut:", &format!("\n{}cut:", reads.look(READ)));
    let record = drill(&plan, written, signalling(cluster, "-KILL"), nothing()).await;
    holds_reads_beside_writes(&record);
    assert!(cluster.b.leads(), "{:#?}", record.reasons);
    let recovery = record.services[0].probes[0].recovery.as_ref();
    assert!(recovery.is_some(), "{:#?}", record.reasons);
    holds_the_leaders_view(&record, written, &cluster.b.rows())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_followed_by_its_synchronous_standby_and_nothing_is_lost() {
    let cluster = Cluster::start(true).await;
    assert_eq!(killed(&cluster, &Written::default()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_leader_that_is_killed_loses_what_its_standby_had_not_got() {
    let cluster = Cluster::start(false).await;
    let written = Written::default();
    // From an early part of the baseline on, nothing reaches the standby any more.
    let lag = async {
        until("a part of the baseline", || written.with(Fate::Acknowledged).len() >= 50).await;
        let cluster = cluster.clone();
        let alone = move || {
            cluster.a.sql("ALTER ROLE replicator NOLOGIN").unwrap();
            cluster.a.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication").unwrap();
        };
        tokio::task::spawn_blocking(alone).await.unwrap();
    };
    let (lost, ()) = tokio::join!(killed(&cluster, &written), lag);
    assert!(lost > 0, "the verdict on a loss is what this is about");
}

async fn stopped(synchronous: bool) -> u64 {
    let cluster = Cluster::start(synchronous).await;
    let written = Written::default();
    let (stop, go) = (signalling(&cluster, "-STOP"), going_on(&cluster));
    let reads = cluster.reads().await;
    let plan = cluster.plan().replace("\ncut:", &format!("\n{}cut:", reads.look(READ)));
    let record = drill(&plan, &written, stop, go).await;
    holds_reads_beside_writes(&record);
    let leaders: Vec<&Member> =
        [&cluster.a, &cluster.b].into_iter().filter(|it| it.leads()).collect();
    println!("leads after the restore: {:?}", leaders.iter().map(|it| it.name).collect::<Vec<_>>());
    assert_eq!(leaders.len(), 1, "{:#?}", record.reasons);
    let said = ledger(&record);
    println!("{:#?}", said.reads);
    holds_the_leaders_view(&record, &written, &leaders[0].rows())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_and_goes_on_is_no_leader_any_more_or_writes_are_lost() {
    // How many depends on who leads in the end: the account is held to the tables.
    stopped(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_leader_that_was_stopped_loses_nothing() {
    assert_eq!(stopped(true).await, 0);
}

/// The example plan at places of this test; its records are kept, for the tables to be read.
fn example_at(a: Place, b: Place, before: Before, etcd: u16) -> String {
    example(
        "postgres-patroni.yaml",
        &[
            (&format!("{PROXIES}:15432"), &format!("{PROXIES}:{}", before.postgres)),
            (&format!("{PROXIES}:18008"), &format!("{PROXIES}:{}", before.patroni)),
            (&format!("{PROXIES}:12379"), &format!("{PROXIES}:{}", before.etcd)),
            ("127.0.1.1:5432", &format!("{}:{}", a.ip, a.port)),
            ("127.0.1.1:8008", &format!("{}:{}", a.ip, a.api)),
            ("127.0.2.1:5432", &format!("{}:{}", b.ip, b.port)),
            ("127.0.0.1:2379", &format!("127.0.0.1:{etcd}")),
            ("dbname: shop", "dbname: postgres"),
            ("create: true", "create: true\n          keep: true"),
        ],
    )
}

/// The leader is cut off from clients, standby and etcd by the proxy of the example plan.
async fn cut_off(synchronous: bool) -> u64 {
    let (a, b) = (Place::new("a", "127.0.1.1"), Place::new("b", "127.0.2.1"));
    let etcd = free_port("127.0.0.1");
    let [postgres, patroni, to_etcd] = [(); 3].map(|()| free_port(PROXIES));
    let before = Before { postgres, patroni, etcd: to_etcd };
    let text = example_at(a, b, before, etcd);
    let proxy = Gates::listen(plan(&text).traffic[0].clone()).await.unwrap();
    let cluster = Cluster::start_at([a, b], etcd, Some(before), synchronous).await;
    let role = "CREATE ROLE firedrill LOGIN PASSWORD 's3cret-PGPASSWORD'; GRANT CREATE ON SCHEMA public TO firedrill";
    cluster.a.sql(role).unwrap();
    let reads = cluster.reads().await;
    // HAProxy does not tell who answers, so that nobody could see reads served by the first again.
    let text = text
        .replace("    promises:\n", &format!("{}    promises:\n", reads.look(READ)))
        .replace("      failback_within: 30s\n", "");
    let (plan, written) = (Arc::new(plan(&text)), Written::default());
    let record = drill_through(plan, std::slice::from_ref(&written), Arc::new(proxy)).await;
    assert!(cluster.b.leads(), "{:#?}", record.reasons);
    holds_reads_beside_writes(&record);
    let served = &record.services[0].probes[0].served;
    println!("served {served:?}");
    let lost = holds_the_leaders_view(&record, &written, &cluster.b.rows());
    // The path itself was seen dead, and is open again.
    let path = record.proof.controls[0].path.unwrap();
    assert!(path.connections > 0 && path.bytes == 0, "{path:?}");
    until("the old leader follows", || !cluster.a.leads()).await;
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_leader_that_was_cut_off_by_the_proxy_loses_nothing() {
    assert_eq!(cut_off(true).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_leader_is_cut_off_by_the_proxy() {
    cut_off(false).await;
}
