//! Redis with three Sentinels, and real failovers: what the ledger says is held to what the servers have.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;

use firedrill::clock::Clock;
use firedrill::model::{Fate, ReadStage, Verdict};
use futures_util::FutureExt;
use tempfile::TempDir;

use super::outage::{
    Act, Process, Written, drill, is_without_a_gap, ledger, lost_of_what_it_had, plan, plan_with,
    prober, staying, until, write_while,
};
use super::ports::free_port;
use super::redis::{LIMIT, Redis, ask};

/// A master in 127.0.1.1, a replica in 127.0.2.1, and three Sentinels that watch them.
struct Watched {
    master: Redis,
    replica: Redis,
    /// Their addresses, as a plan lists them.
    sentinels: String,
    _watching: Sentinels,
}

/// Sentinels that run.
pub type Sentinels = (Vec<Process>, TempDir);

/// Starts three Sentinels that watch the master at `ip` and `port` and its one replica, and gives their addresses as a plan
/// lists them.
pub async fn sentinels(ip: &str, port: u16) -> (Sentinels, String) {
    let home = tempfile::tempdir().unwrap();
    let (mut all, mut at) = (Vec::new(), Vec::new());
    for place in 0..3 {
        let own = free_port("127.0.0.1");
        let file = home.path().join(format!("{place}.conf"));
        let text = format!(
            "port {own}\nbind 127.0.0.1\nsentinel monitor drill {ip} {port} 2\n\
             sentinel down-after-milliseconds drill 1000\nsentinel failover-timeout drill 5000\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-sentinel")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-sentinel is installed: apt-get install redis-sentinel");
        all.push(Process::new(child));
        at.push(own);
    }
    for port in &at {
        until("the Sentinels know each other and the replica", || {
            let known = ask("127.0.0.1", *port, &["SENTINEL", "master", "drill"]);
            let known: Vec<&str> = known.lines().collect();
            let is = |key: &str, value: &str| known.windows(2).any(|it| it == [key, value]);
            is("num-slaves", "1") && is("num-other-sentinels", "2") && is("flags", "master")
        })
        .await;
    }
    let at: Vec<String> = at.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    ((all, home), at.join(", "))
}

impl Watched {
    async fn start() -> Watched {
        let master = Redis::start("127.0.1.1", &[]).await;
        let port = master.port.to_string();
        let replica = Redis::start("127.0.2.1", &["--replicaof", master.ip, &port]).await;
        until("the replica follows", || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        let (watching, sentinels) = sentinels(master.ip, master.port).await;
        Watched { master, replica, sentinels, _watching: watching }
    }

    /// The ledger's settings, with `more`.
    fn settings(&self, more: &str) -> String {
        let at = &self.sentinels;
        format!(
            "{{ redis: {{ sentinels: [{at}], master: drill{more} }}, settle: 200ms, keep: true }}"
        )
    }

    /// The replica hears nothing of the master any more; the master does not know it and goes on.
    fn cut_link(&self) {
        self.replica.ask(&["CONFIG", "SET", "masterauth", "not-the-password"]);
        self.master.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Kills the master, and tells what was in its list at the end: what comes later is not answered.
    fn kill_master(&self) -> BTreeSet<u64> {
        self.master.ask(&["CLIENT", "PAUSE", "60000", "WRITE"]);
        let list = self.master.list();
        self.master.process.kill();
        list
    }

    /// The Sentinels have made the replica master.
    async fn failed_over(&self) {
        until("the replica is master", || self.replica.ask(&["ROLE"]).starts_with("master")).await;
    }
}

/// What the killed master had, once it is known.
type Had = Arc<std::sync::Mutex<BTreeSet<u64>>>;

/// Kills the master, after so many more writes with the link to the replica cut that end so.
fn killing(servers: &Arc<Watched>, had: &Had, first: Option<(&Written, Fate)>) -> Act {
    let (servers, had) = (servers.clone(), had.clone());
    let first = first.map(|(written, fate)| (written.clone(), fate));
    Box::new(move || {
        let (servers, had, first) = (servers.clone(), had.clone(), first.clone());
        async move {
            if let Some((written, fate)) = first {
                servers.cut_link();
                written.until_more(fate, 20).await;
            }
            *had.lock().unwrap() = servers.kill_master();
        }
        .boxed()
    })
}

/// A plan that leaves time for a second attempt of the Sentinels: where the replica does not tell of itself at once, they give
/// up, and try again after twice `failover-timeout`.
fn patient(ledger: &str) -> String {
    let text = staying(ledger).replace("recover_within: 8s", "recover_within: 30s");
    text.replace("at_most: 12s", "at_most: 40s")
}

fn nothing() -> Act {
    Box::new(|| async {}.boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_replica_that_lags_loses_what_the_master_alone_had() {
    let servers = Arc::new(Watched::start().await);
    let (written, had) = (Written::default(), Had::default());
    let cut = killing(&servers, &had, None);
    let text = patient(&servers.settings(""));
    // In the middle of the baseline: about two seconds of writes are behind it when the master is killed.
    let text = text.replace("baseline: 2s", "baseline: 4s");
    let lag = async {
        until("half of the baseline", || written.with(Fate::Acknowledged).len() >= 200).await;
        servers.cut_link();
    };
    let (record, ()) = tokio::join!(drill(&text, &written, cut, nothing()), lag);
    let had = had.lock().unwrap().clone();
    let lost = lost_of_what_it_had(&record, &written, &had, &servers.replica.list());
    assert!(lost.len() >= 20, "{}", lost.len());
    is_without_a_gap(&lost, &written);
    let window = ledger(&record).window.unwrap();
    let first = ledger(&record).first_lost.as_ref().unwrap();
    let last = ledger(&record).last_lost.as_ref().unwrap();
    let newest = record.marks.cut_issued.unwrap().max(last.acknowledged);
    assert!(window.low <= newest.since(first.due), "{window:?}");
    assert!(window.high.unwrap() >= last.due.since(first.acknowledged), "{window:?}");
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_wants_a_replica_for_each_write_refuses_and_loses_nothing() {
    let servers = Arc::new(Watched::start().await);
    servers.master.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let (written, had) = (Written::default(), Had::default());
    let cut = killing(&servers, &had, Some((&written, Fate::Refused)));
    let record = drill(&patient(&servers.settings("")), &written, cut, nothing()).await;
    let had = had.lock().unwrap().clone();
    let lost = lost_of_what_it_had(&record, &written, &had, &servers.replica.list());
    assert_eq!(lost, BTreeSet::new());
    assert!(ledger(&record).refused >= 20);
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_wait_was_not_met_is_unknown_and_never_lost() {
    let servers = Arc::new(Watched::start().await);
    let (written, had) = (Written::default(), Had::default());
    let cut = killing(&servers, &had, Some((&written, Fate::Unknown)));
    let waits = servers.settings(", wait: { replicas: 1, within: 100ms }");
    // Long enough for a second attempt of the Sentinels. Nothing recovers, so all of it is waited for.
    let text = patient(&waits).replace("recover_within: 30s", "recover_within: 15s");
    let record = drill(&text, &written, cut, nothing()).await;
    let had = had.lock().unwrap().clone();
    let lost = lost_of_what_it_had(&record, &written, &had, &servers.replica.list());
    assert_eq!(lost, BTreeSet::new());
    assert!(ledger(&record).unknown >= 20);
    // With its only replica gone nothing can be acknowledged.
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_master_acknowledges_when_it_goes_on_is_lost() {
    let servers = Watched::start().await;
    let url = servers.master.url();
    // A client that stays with the old master, and what reads where the Sentinels say: one ledger.
    let stays = prober(&plan(&plan_with(&format!("{{ redis: {{ url: \"{url}\" }} }}"))));
    let reads = prober(&plan(&plan_with(&servers.settings("")))).ledger().unwrap();
    let written = Written::default();
    let mut late = BTreeSet::new();
    write_while(stays, &written, async {
        written.until_more(Fate::Acknowledged, 50).await;
        servers.master.process.signal("-STOP");
        servers.failed_over().await;
        let before = written.with(Fate::Acknowledged);
        servers.master.process.signal("-CONT");
        written.until_more(Fate::Acknowledged, 20).await;
        late = written.with(Fate::Acknowledged).difference(&before).copied().collect();
        until("the old master follows the new one", || {
            servers.master.ask(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
    })
    .await;
    let read = reads.read(Clock::start(), ReadStage::AfterFailback, LIMIT).await;
    assert_eq!(read.end, Ok(()));
    let has: BTreeSet<u64> = read.seen.iter().collect();
    assert_eq!(has, servers.replica.list());
    let lost: BTreeSet<u64> = written.with(Fate::Acknowledged).difference(&has).copied().collect();
    assert!(lost.is_superset(&late), "{late:?} {lost:?}");
    // Both servers agree by now: nobody has them any more.
    assert_eq!(servers.master.list(), has);
}
