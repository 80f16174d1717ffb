//! Drills whose cut is made by the `proxy` control itself: all of a datacenter's ports lie behind its routes, and their traffic
//! vanishes. The servers there go on, and know nothing of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill::model::{LedgerRecord, Plan, ReadStage, RunRecord, Verdict};
use firedrill::traffic::gates::Gates;

use super::balancer::Balancer;
use super::outage::{Written, codes, drill_through, example, ledger_of, lost_as_said, plan, until};
use super::ports::free_port;
use super::redis::Redis;
use super::redis_failover::{Sentinels, sentinels};

/// Where the first datacenter's ports are seen from elsewhere.
const EDGE: &str = "127.0.1.9";

/// A master in east behind the proxy of an example plan, and its replica in west.
struct Pair {
    old: Redis,
    new: Redis,
    control: Arc<Gates>,
    plan: Arc<Plan>,
    _watching: Sentinels,
    _reads: Balancer,
}

impl Pair {
    /// Starts them where the example plan in `file` has them, moved to free ports. Its records are kept, for the lists to be
    /// read.
    async fn of(file: &str) -> Pair {
        let edge_port = free_port(EDGE);
        let port = edge_port.to_string();
        let announced = ["--replica-announce-ip", EDGE, "--replica-announce-port", &port];
        let old = Redis::start("127.0.1.1", &announced).await;
        let text = example(
            file,
            &[
                ("10.9.0.1:6379", &format!("{EDGE}:{port}")),
                ("10.9.0.1/32", &format!("{EDGE}/32")),
                ("10.2.0.0/16", "127.0.2.0/24"),
                ("east-1.example:6379", &format!("{}:{}", old.ip, old.port)),
                ("  sessions:\n", "  chats:\n"),
                ("master: sessions", "master: drill"),
                ("            password: \"${env:REDIS_PASSWORD}\"\n", ""),
                // The Sentinels may need a second attempt.
                ("recover_within: 10s", "recover_within: 30s"),
                ("settle: 2s", "settle: 200ms\n          keep: true"),
                (
                    "baseline: 5s, stable_for: 3s, hold: 5s, at_most: 60s",
                    "baseline: 2s, stable_for: 1s, hold: 0s, at_most: 40s",
                ),
            ],
        );
        let route = plan(&text).traffic[0].clone();
        let control = Arc::new(Gates::listen(route).await.unwrap());
        let new = Redis::start("127.0.2.1", &["--replicaof", EDGE, &port]).await;
        until("the replica follows", || {
            new.ask(&["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        let (watching, at) = sentinels(EDGE, edge_port).await;
        let servers = [format!("{EDGE}:{port}"), format!("{}:{}", new.ip, new.port)];
        let reads = Balancer::start(
            &servers,
            "option tcp-check\n  tcp-check send PING\\r\\n\n  tcp-check expect string +PONG",
        )
        .await;
        until("the balancer answers", || {
            super::redis::ask("127.0.0.1", reads.port, &["PING"]) == "PONG"
        })
        .await;
        let text = text.replace("reads.example:6379", &format!("127.0.0.1:{}", reads.port));
        let text = text.replace("AUTH ${env:REDIS_PASSWORD}\\r\\n", "");
        let named = "\"s1.example:26379\", \"s2.example:26379\", \"s3.example:26379\"";
        let plan = Arc::new(plan(&text.replace(named, &at)));
        Pair { old, new, control, plan, _watching: watching, _reads: reads }
    }
}

/// What was missing at this end of the drill.
fn missing(ledger: &LedgerRecord, stage: ReadStage) -> u64 {
    let read = ledger.reads.iter().find(|read| read.stage == stage).unwrap();
    assert_eq!(read.unfinished, None, "{ledger:#?}");
    read.missing
}

/// Prints what came of a drill, for who looks.
fn tell(record: &RunRecord) {
    for probe in &record.services[0].probes {
        println!("{}: recovered {:?}", probe.name, probe.recovery.as_ref().map(|it| it.bounds));
        let Some(it) = &probe.ledger else { continue };
        println!(
            "{}: acknowledged {}, refused {}, unknown {}, lost {:?}, after the cut {}, recovered {}, duplicated {:?}, \
             window {:?}, by {:?}",
            probe.name,
            it.acknowledged,
            it.refused,
            it.unknown,
            it.lost,
            it.lost_after_cut,
            it.recovered,
            it.duplicated,
            it.window,
            it.datacenters
        );
    }
    println!("{} {:?} {:#?}", record.verdict, codes(record), record.services[0].promises);
}

/// A user's writer goes where the Sentinels say; another one is inside the datacenter that is cut off, next to the old master,
/// which goes on to acknowledge what it writes. When traffic is back the old master becomes a replica, and all of it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_master_acknowledged_on_its_side_is_lost_at_failback() {
    let Pair { old, new, control, plan, _watching, _reads } =
        Pair::of("redis-split-brain.yaml").await;
    let written = [Written::default(), Written::default()];
    // What the old master alone has while it still thinks that it is one.
    let its_own = async {
        until("the replica is master", || new.ask(&["ROLE"]).starts_with("master")).await;
        let mut its_own = BTreeSet::new();
        until("the old master follows", || {
            let list = old.list_of("inside");
            let leads = old.ask(&["ROLE"]).starts_with("master");
            if leads {
                its_own = list;
            }
            !leads
        })
        .await;
        its_own
    };
    let (record, its_own) = tokio::join!(drill_through(plan, &written, control), its_own);
    tell(&record);
    until("both have the same", || old.list_of("inside") == new.list_of("inside")).await;
    let has = new.list_of("inside");
    let inside = ledger_of(&record, 1);
    let lost = lost_as_said(inside, &written[1], &has);
    assert!(lost.is_superset(&its_own.difference(&has).copied().collect()));
    // All of it, but for what had just not reached the replica, was sent behind the cut.
    let cut = record.marks.cut_confirmed.unwrap();
    let after =
        written[1].samples().iter().filter(|it| lost.contains(&it.seq) && it.due >= cut).count();
    assert_eq!(inside.lost_after_cut, after as u64, "{inside:#?}");
    assert!(after > 100, "{after} of {}", lost.len());
    assert!(missing(inside, ReadStage::AfterFailover) > 0);
    assert!(missing(inside, ReadStage::AfterFailback) >= missing(inside, ReadStage::AfterFailover));
    let users = ledger_of(&record, 0);
    lost_as_said(users, &written[0], &new.list_of("keep"));
    assert!(users.datacenters["west"].while_cut > 50, "{users:#?}");
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    let shown = firedrill::report::markdown(&record);
    assert!(shown.contains("split brain"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_cut_off_with_its_clients_loses_no_more_than_its_replica_lagged() {
    let Pair { old: _old, new, control, plan, _watching, _reads } =
        Pair::of("redis-sentinel.yaml").await;
    let written = [Written::default()];
    let record = drill_through(plan, &written, control).await;
    tell(&record);
    lost_as_said(ledger_of(&record, 0), &written[0], &new.list_of("keep"));
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
}
