//! What goes wrong at a real server while its ledger is written, read or cleaned.

use firedrill::clock::Clock;
use firedrill::model::{Fate, ReadBack, ReadStage};
use firedrill::probe::LedgerHandle;

use super::outage::{Written, handle, plan, plan_with, prober, until, write_while};
use super::postgres::{LIMIT, MAKE, refusal};
use super::postgres_server::{Link, PASSWORD, Server, settings};

async fn read(ledger: &LedgerHandle) -> ReadBack {
    ledger.read(Clock::start(), ReadStage::AfterFailback, LIMIT).await
}

/// Changes a setting of a running server, and waits until it is in force.
async fn set(server: &Server, name: &str, value: &str) {
    server.sql(&format!("ALTER SYSTEM SET {name} = '{value}'")).unwrap();
    server.sql("SELECT pg_reload_conf()").unwrap();
    until("the setting is in force", || {
        server.sql(&format!("SHOW {name}")).as_deref() == Some(value)
    })
    .await;
}

const WAITS: &str =
    "FROM pg_stat_activity WHERE application_name = 'firedrill' AND wait_event = 'SyncRep'";

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_copy_that_is_called_off_acknowledges_and_one_that_is_ended_leaves_it_unknown()
{
    let server = Server::start("127.0.1.1", &[]).await;
    let prober =
        prober(&plan(&plan_with(&settings(&[server.host()], "", ", create: true, keep: true"))));
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    let written = Written::default();
    let (before, alone) = (Written::default(), Written::default());
    let acts = async {
        written.until_more(Fate::Acknowledged, 20).await;
        // From here on nothing is committed but what somebody calls off.
        set(&server, "synchronous_standby_names", "nobody").await;
        written.until_more(Fate::Unknown, 5).await;
        written.samples().into_iter().for_each(|sample| before.push(sample));
        until("writes are acknowledged that only the server has", || {
            server.sql(&format!("SELECT pg_cancel_backend(pid) {WAITS}")).unwrap();
            written.with(Fate::Acknowledged).len() >= before.with(Fate::Acknowledged).len() + 20
        })
        .await;
        written.samples().into_iter().for_each(|sample| alone.push(sample));
        let mut ended = 0;
        until("writes are ended", || {
            let said = server.sql(&format!("SELECT pg_terminate_backend(pid) {WAITS}")).unwrap();
            ended += said.lines().count();
            ended >= 20
        })
        .await;
    };
    write_while(prober, &written, acts).await;
    let there = server.rows();
    assert!(server.log().contains("canceling wait for synchronous replication"));
    assert!(server.log().contains("terminating connection due to administrator command"));
    assert!(written.with(Fate::Acknowledged).is_subset(&there));
    assert!(written.with(Fate::Refused).is_disjoint(&there), "refused is not there");
    let ended = &written.with(Fate::Unknown) - &alone.with(Fate::Unknown);
    assert!(ended.intersection(&there).count() > 0, "there, and nobody was told");
    set(&server, "synchronous_standby_names", "").await;
    let found = read(&ledger).await;
    assert_eq!((found.end.clone(), found.seen.iter().collect()), (Ok(()), there));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_would_not_keep_what_is_written_are_found_out_before_the_drill() {
    let server = Server::start("127.0.1.1", &["log_statement=all"]).await;
    let table = |name: &str| settings(&[server.host()], &format!(", table: {name}"), "");
    let take =
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    server.sql(take).unwrap();
    let trigger = "BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION take()";
    let made = [
        ("triggered", format!("CREATE TRIGGER t {trigger}"), "rule or a trigger"),
        ("ruled", "CREATE RULE r AS ON INSERT TO ruled DO INSTEAD NOTHING".into(), "0A000"),
        ("checked", "ALTER TABLE checked ADD CHECK (seq > 0)".into(), "23514"),
        (
            "filled",
            "ALTER TABLE filled ALTER written_at DROP DEFAULT, ALTER written_at SET NOT NULL"
                .into(),
            "23502",
        ),
    ];
    for (name, more, word) in made {
        server.sql(&format!("CREATE TABLE {name} {MAKE}")).unwrap();
        server.sql(&more).unwrap();
        let said = refusal(&table(name)).await;
        assert!(said.contains(word), "{name}: {said}");
    }
    server.sql(&format!("CREATE TABLE parted {MAKE} PARTITION BY RANGE (seq)")).unwrap();
    let said = refusal(&table("parted")).await;
    assert!(said.contains("23514"), "no partition takes it: {said}");

    server.sql(&format!("CREATE TABLE firedrill_ledger {MAKE}; CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; GRANT INSERT ON firedrill_ledger TO app")).unwrap();
    let app = settings(&[server.host()], "", "").replace("user: postgres", "user: app");
    let keeps = app.replace("settle: 200ms", "settle: 200ms, keep: true");
    let said = refusal(&app).await;
    assert!(said.contains("GRANT SELECT, DELETE"), "{said}");
    let said = refusal(&keeps).await;
    assert!(said.contains("GRANT SELECT ON"), "what is kept need not be removed: {said}");
    server.sql("GRANT SELECT ON firedrill_ledger TO app").unwrap();
    let said = refusal(&app).await;
    assert!(said.contains("GRANT DELETE ON"), "{said}");
    let ledger = handle(&keeps);
    ledger.begin(LIMIT).await.unwrap();
    assert_eq!(server.rows().len(), 0, "nothing is left of the trial");

    // What comes later must not make records look lost.
    let rows = "INSERT INTO firedrill_ledger SELECT 'test', 'chats', 'keep', n FROM generate_series(0, 499999) n";
    server.sql(rows).unwrap();
    assert_eq!(read(&ledger).await.seen.len(), 500_000);
    server.sql("ALTER ROLE app SET statement_timeout = '20ms'").unwrap();
    let cut = read(&ledger).await.end.unwrap_err();
    assert!(cut.contains("statement_timeout") && cut.contains("57014"), "{cut}");
    server.sql("ALTER ROLE app RESET statement_timeout; ALTER TABLE firedrill_ledger ENABLE ROW LEVEL SECURITY").unwrap();
    let hidden = read(&ledger).await.end.unwrap_err();
    assert!(hidden.contains("row level security") && hidden.contains("42501"), "{hidden}");
    server.sql("ALTER TABLE firedrill_ledger DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON firedrill_ledger FROM app").unwrap();
    let said = read(&ledger).await.end.unwrap_err();
    assert!(said.contains("GRANT SELECT"), "{said}");
    server.sql("DROP TABLE firedrill_ledger").unwrap();
    let said = read(&ledger).await.end.unwrap_err();
    assert!(said.contains("is not there"), "{said}");
    // A pooler that shares connections among clients forgets named statements.
    let log = server.log();
    assert!(log.contains("execute <unnamed>: INSERT INTO"), "the log tells");
    assert!(
        !log.lines().any(|line| line.contains("LOG:  execute ") && !line.contains("<unnamed>"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_behind_the_write_address_is_told_apart_and_can_be_read_from() {
    let primary = Server::start("127.0.1.1", &[]).await;
    let link = Link::to(primary.ip, primary.port).await;
    let standby = Server::standby("127.0.2.1", link.port).await;
    let said = refusal(&settings(&[standby.host()], "", ", create: true")).await;
    assert!(said.contains("read-only, a replica perhaps"), "{said}");
    let login = |server: &Server| {
        format!(
            "postgres://postgres:${{env:PG}}@{}:{}/postgres?sslmode=disable",
            server.ip, server.port
        )
    };
    let elsewhere = |attrs: &str| {
        let read = format!(", read: \"{}{attrs}\"", login(&standby));
        settings(&[primary.host()], &read, ", create: true, keep: true")
    };
    let ledger = handle(&elsewhere(""));
    ledger.begin(LIMIT).await.unwrap();
    let rows = "INSERT INTO firedrill_ledger SELECT 'test', 'chats', 'keep', n FROM generate_series(0, 99) n";
    primary.sql(rows).unwrap();
    until("the standby has it", || standby.rows().len() == 100).await;
    assert_eq!(read(&ledger).await.seen.len(), 100);
    let said = refusal(&elsewhere("&target_session_attrs=primary")).await;
    assert!(said.contains("read-only"), "{said}");
    standby.kill();
    let said = read(&ledger).await.end.unwrap_err();
    assert!(said.contains("cannot be reached: refused"), "{said}");
}
