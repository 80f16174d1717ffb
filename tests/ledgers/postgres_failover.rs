//! PostgreSQL fails over, and the answer is known: what the primary has and the standby has not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use firedrill::model::{Fate, RunRecord, Verdict};
use futures_util::FutureExt;

use super::outage::{
    Act, Written, drill, is_without_a_gap, ledger, lost_of_what_it_had, staying, until,
};
use super::postgres_server::{Link, Server, settings};

/// A primary in 127.0.1.1 and a standby in 127.0.2.1 that follows it over a link.
struct Pair {
    primary: Server,
    standby: Server,
    link: Link,
}

impl Pair {
    async fn start() -> Arc<Pair> {
        let primary = Server::start("127.0.1.1", &[]).await;
        let link = Link::to(primary.ip, primary.port).await;
        let standby = Server::standby("127.0.2.1", link.port).await;
        until("the standby follows", || {
            primary
                .sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
                .as_deref()
                == Some("1")
        })
        .await;
        Arc::new(Pair { primary, standby, link })
    }

    fn settings(&self) -> String {
        settings(&[self.primary.host(), self.standby.host()], "", ", create: true, keep: true")
    }

    /// Kills the primary with all its processes and promotes the standby; first, so many more writes of this fate with
    /// the link cut.
    fn killing(self: &Arc<Self>, first: Option<(&Written, Fate)>) -> Act {
        let (pair, first) = (self.clone(), first.map(|(written, fate)| (written.clone(), fate)));
        Box::new(move || {
            let (pair, first) = (pair.clone(), first.clone());
            async move {
                if let Some((written, fate)) = first {
                    pair.link.cut();
                    written.until_more(fate, 20).await;
                }
                pair.primary.kill();
                pair.standby.promote();
            }
            .boxed()
        })
    }

    /// What the primary had: it is started once more, alone.
    async fn had(&self) -> BTreeSet<u64> {
        self.primary.up(&["synchronous_standby_names="]).await;
        self.primary.rows()
    }
}

fn nothing() -> Act {
    Box::new(|| async {}.boxed())
}

/// The ledger's account is what the servers' own tables say.
pub fn holds_the_servers_view(
    record: &RunRecord,
    written: &Written,
    had: &BTreeSet<u64>,
    has: &BTreeSet<u64>,
) -> BTreeSet<u64> {
    let missing = lost_of_what_it_had(record, written, had, has);
    let said = ledger(record);
    println!(
        "acknowledged {} refused {} unknown {} lost {} recovered {} window {:?} recovery {:?}",
        said.acknowledged,
        said.refused,
        said.unknown,
        said.lost,
        said.recovered,
        said.window,
        record.services[0].probes[0].recovery
    );
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_standby_loses_what_the_primary_alone_had() {
    let pair = Pair::start().await;
    let written = Written::default();
    let text = staying(&pair.settings());
    // In the middle of the baseline: about two seconds of writes are behind it when the primary is killed.
    let text = text.replace("baseline: 2s", "baseline: 4s");
    let lag = async {
        until("half of the baseline", || written.with(Fate::Acknowledged).len() >= 200).await;
        let cut = std::time::Instant::now();
        pair.link.cut();
        cut
    };
    let killed: Arc<std::sync::Mutex<Vec<std::time::Instant>>> = Arc::default();
    let (kill, at) = (pair.killing(None), killed.clone());
    let act: Act = Box::new(move || {
        let (killing, at) = (kill(), at.clone());
        async move {
            at.lock().unwrap().push(std::time::Instant::now());
            killing.await;
            at.lock().unwrap().push(std::time::Instant::now());
        }
        .boxed()
    });
    let (record, unlinked) = tokio::join!(drill(&text, &written, act, nothing()), lag);
    let behind = |at: usize| killed.lock().unwrap()[at].duration_since(unlinked);
    let had = pair.had().await;
    let lost = holds_the_servers_view(&record, &written, &had, &pair.standby.rows());
    assert!(lost.len() >= 20, "{}", lost.len());
    is_without_a_gap(&lost, &written);
    // The link was cut as long before the kill as the window says, but for a few writes that were under way.
    let window = ledger(&record).window.unwrap();
    let slack = Duration::from_millis(300);
    assert!(window.low <= behind(1) + slack, "{window:?} {:?}", behind(1));
    assert!(window.high.unwrap() + slack >= behind(0), "{window:?} {:?}", behind(0));
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_loses_nothing() {
    let pair = Pair::start().await;
    pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'b'").unwrap();
    pair.primary.sql("SELECT pg_reload_conf()").unwrap();
    until("the standby is synchronous", || {
        pair.primary.sql("SELECT sync_state FROM pg_stat_replication").as_deref() == Some("sync")
    })
    .await;
    let written = Written::default();
    // With the link cut no write is acknowledged: each waits until its deadline.
    let act = pair.killing(Some((&written, Fate::Unknown)));
    let record = drill(&staying(&pair.settings()), &written, act, nothing()).await;
    let had = pair.had().await;
    let lost = holds_the_servers_view(&record, &written, &had, &pair.standby.rows());
    assert_eq!(lost, BTreeSet::new());
    assert!(ledger(&record).unknown >= 20);
    // The new primary has no standby to wait for, and acknowledges by itself.
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
}
