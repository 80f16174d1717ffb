//! Real failovers of JetStream: three servers, of which the one that leads the stream is killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use firedrill::model::{Fate, ReadStage, RunRecord, Verdict};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::balancer::{Balancer, holds_reads_beside_writes};
use super::nats::{IPS, Nats, about, create, limits, run, settings};
use super::outage::{Act, Process, Written, drill, ledger, plan_with, until};
use super::ports::free_port;

const SECOND: Duration = Duration::from_secs(1);

/// Three servers that keep streams together, one a datacenter.
struct Cluster {
    servers: [Nats; 3],
}

impl Cluster {
    async fn start() -> Cluster {
        let ports = IPS.map(free_port);
        let routes: Vec<String> =
            IPS.iter().zip(ports).map(|(ip, port)| format!("nats://{ip}:{port}")).collect();
        let start = |place: usize| {
            let routes = routes.clone();
            async move {
                let (name, at) = (format!("n{place}"), routes[place].clone());
                let more = ["-js", "-n", &name, "--cluster_name", "drill", "--cluster", &at];
                Nats::start(IPS[place], &[&more[..], &["--routes", &routes.join(",")]].concat())
                    .await
            }
        };
        let (a, b, c) = tokio::join!(start(0), start(1), start(2));
        Cluster { servers: [a, b, c] }
    }

    /// Makes a stream, as soon as there are servers enough for it.
    async fn made(&self, config: Value) {
        let first = &self.servers[0];
        let name = config["name"].as_str().unwrap();
        until(&format!("the stream {name} is made"), || {
            first.try_ask(&create(&config), &config)["error"].is_null()
                && !first.try_ask(&about(name), &json!({}))["state"].is_null()
        })
        .await;
    }

    /// Makes the stream that is written to, as soon as there are enough servers, and gives the place of its leader.
    async fn make_stream(&self, replicas: u64) -> usize {
        self.made(limits("FIREDRILL", replicas)).await;
        let info = || self.servers[0].try_ask(&about("FIREDRILL"), &json!({}));
        let leader = || info()["cluster"]["leader"].as_str().map(str::to_owned);
        until("the stream has a leader and its followers are current", || {
            let info = info();
            let followers = info["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
            followers.len() as u64 + 1 == replicas
                && followers.iter().all(|it| it["current"] == true)
                && leader().is_some()
        })
        .await;
        leader().unwrap().trim_start_matches('n').parse().unwrap()
    }

    /// Reads of a message that whichever server is asked has, or another one for it.
    async fn reads(&self) -> Balancer {
        let mut config = limits("LOOK", 3);
        config["subjects"] = json!(["look"]);
        config["allow_direct"] = json!(true);
        self.made(config).await;
        let first = &self.servers[0];
        until("it is kept", || first.try_ask("look", &json!("canary"))["seq"].is_u64()).await;
        for server in &self.servers {
            let get = || server.request("$JS.API.DIRECT.GET.LOOK", "{\"seq\":1}", SECOND);
            let has = || String::from_utf8_lossy(&get().unwrap_or_default()).contains("canary");
            until("each of them has it", has).await;
        }
        let servers = self.servers.each_ref().map(|it| format!("{}:{}", it.ip, it.port));
        Balancer::start(&servers, "option tcp-check\n  tcp-check expect string INFO").await
    }

    fn others(&self, place: usize) -> &Nats {
        &self.servers[(place + 1) % 3]
    }
}

/// A plan whose first datacenter is where server `place` is.
fn plan_of(cluster: &Cluster, place: usize) -> String {
    let servers: Vec<&Nats> = cluster.servers.iter().collect();
    let text = plan_with(&settings(&servers, "", ", settle: 5s, keep: true"));
    let net = format!("127.0.{}.0/24", place + 1);
    let text = text.replace("127.0.1.0/24", "FIRST").replace(&net, "127.0.1.0/24");
    // Each write asks another server, so that all serve on an ordinary day.
    let text = text.replace("FIRST", &net);
    let text = text.replace("at_most: 12s", "at_most: 40s");
    text.replace("every: 10ms", "every: 20ms\n        connection: new")
}

/// A read without the stream's leader.
const READ: &str = "CONNECT {\\\"verbose\\\":false,\\\"headers\\\":true,\\\"no_responders\\\":true}\\r\\n\
                    SUB _INBOX.look 1\\r\\n\
                    PUB $JS.API.DIRECT.GET.LOOK _INBOX.look 9\\r\\n{\\\"seq\\\":1}\\r\\n";

fn acts(
    cluster: &Arc<Cluster>,
    place: usize,
    revived: &Arc<std::sync::Mutex<Option<Process>>>,
) -> (Act, Act) {
    let (killed, back, revived) = (cluster.clone(), cluster.clone(), revived.clone());
    let cut = move || {
        let cluster = killed.clone();
        async move { cluster.servers[place].process.kill() }.boxed()
    };
    let restore = move || {
        let (cluster, revived) = (back.clone(), revived.clone());
        async move {
            let server = &cluster.servers[place];
            *revived.lock().unwrap() = Some(run(&server.arguments));
            server.listens().await;
        }
        .boxed()
    };
    (Box::new(cut), Box::new(restore))
}

/// Kills the server that leads the stream, and lets it come back at the restore. Writes have to recover `within` that.
async fn lead_lost(replicas: u64, within: &str) -> (RunRecord, Written, Vec<u64>) {
    let cluster = Arc::new(Cluster::start().await);
    let place = cluster.make_stream(replicas).await;
    let (written, revived) = (Written::default(), Arc::default());
    let (cut, restore) = acts(&cluster, place, &revived);
    let reads = cluster.reads().await;
    let plan = plan_of(&cluster, place).replace("\ncut:", &format!("\n{}cut:", reads.look(READ)));
    let plan = plan.replace("recover_within: 8s", &format!("recover_within: {within}"));
    let record = drill(&plan, &written, cut, restore).await;
    let list = cluster.others(place).list("FIREDRILL").await;
    (record, written, list)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_three_servers_loses_nothing_with_its_leader() {
    // A follower waits for 4 to 9 s before it stands for election; where both stand at once, they do so again.
    let (record, written, list) = lead_lost(3, "30s").await;
    holds_reads_beside_writes(&record);
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
    let has: BTreeSet<u64> = list.iter().copied().collect();
    let acknowledged = written.with(Fate::Acknowledged);
    assert_eq!(acknowledged.difference(&has).count(), 0, "the servers have all");
    let said = ledger(&record);
    assert_eq!((said.lost.low, said.lost.high), (0, Some(0)), "{said:#?}");
    assert_eq!(said.acknowledged, acknowledged.len() as u64);
    assert_eq!(said.recovered, written.with(Fate::Unknown).intersection(&has).count() as u64);
    assert_eq!((said.unexpected, list.len()), (0, has.len()), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_the_lost_server_alone_takes_no_writes_and_loses_none() {
    let (record, written, list) = lead_lost(1, "8s").await;
    let has: BTreeSet<u64> = list.iter().copied().collect();
    let said = ledger(&record);
    assert_eq!(written.with(Fate::Acknowledged).difference(&has).count(), 0);
    // While it was away nobody could read it; when it was back it had everything.
    assert_eq!(said.lost.low, 0, "{said:#?}");
    assert!(said.refused + said.unknown > 50, "{said:#?}");
    assert_eq!(said.unexpected, 0, "{said:#?}");
    let after = said.reads.iter().find(|it| it.stage == ReadStage::AfterFailover).unwrap();
    assert!(after.unfinished.is_some(), "{said:#?}");
    let after = said.reads.iter().find(|it| it.stage == ReadStage::AfterFailback).unwrap();
    assert_eq!((after.missing, &after.unfinished), (0, &None), "{said:#?}");
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
}
