//! Drills whose cut is made by the `proxy` control itself: all of a datacenter's ports lie behind its routes, and their traffic
//! vanishes. The servers there go on, and know nothing of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill::model::{
    ControlSpec, DatacenterId, Fate, LedgerRecord, Provider, ProxyRoute, ProxySettings, ReadStage,
    RunRecord, Text, Verdict,
};
use firedrill::traffic::gates::Gates;

use super::outage::{Written, codes, drill_through, free_port, ledger_of, plan, until};
use super::redis::Redis;
use super::redis_failover::sentinels;

/// Where the first datacenter's ports are seen from elsewhere.
const EDGE: &str = "127.0.1.9";

/// Routes to the first datacenter, each from a port of [`EDGE`] to an address.
struct Edge(Vec<(u16, String)>);

impl Edge {
    /// The plan's words for them.
    fn traffic(&self) -> String {
        let route = |(port, to): &(u16, String)| {
            format!("{{ datacenter: east, listen: \"{EDGE}:{port}\", to: \"{to}\" }}")
        };
        let routes: Vec<String> = self.0.iter().map(route).collect();
        format!("traffic:\n  path: {{ proxy: {{ routes: [{}] }} }}", routes.join(", "))
    }

    async fn listen(&self) -> Arc<Gates> {
        let route = |(port, to): &(u16, String)| ProxyRoute {
            datacenter: DatacenterId(0),
            listen: format!("{EDGE}:{port}").parse().unwrap(),
            to: Text::from(to.as_str()),
        };
        let routes = self.0.iter().map(route).collect();
        let provider = Provider::Proxy(ProxySettings { routes });
        Arc::new(Gates::listen(ControlSpec { name: "path".into(), provider }).await.unwrap())
    }
}

fn plan_of(edge: &Edge, probes: &str, timing: &str) -> String {
    let (traffic, nets) = (edge.traffic(), "[127.0.2.0/24, 127.0.3.0/24]");
    format!(
        "version: 1
name: real
datacenters: [east, west]
networks: {{ east: [127.0.1.0/24], west: {nets} }}
{traffic}
services:
  chats:
    probes:
{probes}
cut: {{ datacenter: east, mode: blackhole, through: [path] }}
timing: {timing}
"
    )
}

fn lost_of(ledger: &LedgerRecord, written: &Written, has: &BTreeSet<u64>) -> BTreeSet<u64> {
    let acknowledged = written.with(Fate::Acknowledged);
    let lost: BTreeSet<u64> = acknowledged.difference(has).copied().collect();
    let count = lost.len() as u64;
    assert_eq!((ledger.lost.low, ledger.lost.high), (count, Some(count)), "{ledger:#?}");
    assert_eq!(ledger.first_lost.as_ref().map(|it| it.seq), lost.first().copied());
    assert_eq!(ledger.last_lost.as_ref().map(|it| it.seq), lost.last().copied());
    assert_eq!(ledger.acknowledged, acknowledged.len() as u64);
    let unknown = written.with(Fate::Unknown);
    assert_eq!(ledger.recovered, unknown.intersection(has).count() as u64);
    assert_eq!((ledger.unexpected, ledger.duplicated.high), (0, Some(0)), "{ledger:#?}");
    lost
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
        let it = probe.ledger.as_ref().unwrap();
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
    let edge_port = free_port(EDGE);
    let port = edge_port.to_string();
    let old = Redis::start(
        "127.0.1.1",
        &["--replica-announce-ip", EDGE, "--replica-announce-port", &port],
    )
    .await;
    let edge = Edge(vec![(edge_port, format!("{}:{}", old.ip, old.port))]);
    let control = edge.listen().await;
    let new = Redis::start("127.0.2.1", &["--replicaof", EDGE, &port]).await;
    until("the replica follows", || {
        new.ask(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    let (_watching, at) = sentinels(EDGE, edge_port).await;
    let sentinels = format!("sentinels: [{at}], master: drill");
    let inside = old.url();
    let probes = format!(
        "      keep:
        ledger: {{ redis: {{ {sentinels} }}, settle: 200ms, keep: true }}
        every: 10ms
        served_by: {{ peer: {{ east: [127.0.1.0/24], west: [127.0.2.0/24] }} }}
        promises: {{ recover_within: 10s, lose_at_most: 1s, duplicate_at_most: 0 }}
      inside:
        ledger: {{ redis: {{ url: \"{inside}\", read: {{ {sentinels} }} }}, settle: 200ms, keep: true }}
        every: 10ms
        required: false
        promises: {{ lose_at_most: 0 }}"
    );
    let text = plan_of(&edge, &probes, "{ baseline: 2s, stable_for: 1s, hold: 0s, at_most: 20s }");
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
    let (record, its_own) =
        tokio::join!(drill_through(Arc::new(plan(&text)), &written, control), its_own);
    tell(&record);
    until("both have the same", || old.list_of("inside") == new.list_of("inside")).await;
    let has = new.list_of("inside");
    let inside = ledger_of(&record, 1);
    let lost = lost_of(inside, &written[1], &has);
    assert!(lost.is_superset(&its_own.difference(&has).copied().collect()));
    assert!(lost.len() > 100, "{}", lost.len());
    // All of it was acknowledged behind the cut; and most of it while users were served elsewhere.
    assert!(inside.lost_after_cut >= lost.len() as u64 - 5, "{inside:#?}");
    assert!(missing(inside, ReadStage::AfterFailover) > 0);
    assert!(missing(inside, ReadStage::AfterFailback) >= missing(inside, ReadStage::AfterFailover));
    let users = ledger_of(&record, 0);
    lost_of(users, &written[0], &new.list_of("keep"));
    assert!(users.datacenters["west"].while_cut > 50, "{users:#?}");
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    let shown = firedrill::report::markdown(&record);
    assert!(shown.contains("split brain"), "{shown}");
}
