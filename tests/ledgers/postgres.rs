//! The `postgres` ledger against a real server: what is not as it has to be is told apart.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use firedrill::clock::Clock;
use firedrill::model::{Fate, Outcome, Phase, ReadStage, Reason};

use super::outage::{Written, handle, plan, plan_with, prober, until, write_while};
use super::postgres_server::{Link, PASSWORD, Server, settings};

pub const LIMIT: Duration = Duration::from_secs(10);

/// What `begin` says against a ledger with these settings.
pub async fn refusal(ledger: &str) -> String {
    let said = handle(ledger).begin(LIMIT).await.unwrap_err();
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

pub const MAKE: &str =
    "(run text, service text, probe text, seq bigint, written_at timestamptz DEFAULT now())";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ledger_cannot_use_is_told_apart() {
    let server = Server::start("127.0.1.1", &[]).await;
    let at = [server.host()];
    let plain = settings(&at, "", "");
    let said = refusal(&plain).await;
    assert!(said.contains("does not exist") && said.contains("create: true"), "{said}");
    assert!(said.contains("CREATE TABLE \"firedrill_ledger\""), "what to run: {said}");
    let said = refusal(&plain.replace("user: postgres", "user: nobody")).await;
    assert!(said.contains("refused the credentials") && said.contains("28P01"), "{said}");
    let said = refusal(&plain.replace("dbname: postgres", "dbname: nowhere")).await;
    assert!(said.contains("no such database"), "{said}");
    let said = refusal(&settings(&at, ", table: nowhere.ledger", ", create: true")).await;
    assert!(said.contains("schema"), "{said}");
    let table = |name: &str| settings(&at, &format!(", table: {name}"), "");
    let made = [
        ("users", "(id int PRIMARY KEY, name text)", "other columns"),
        (
            "keyed",
            "(run text, service text, probe text, seq bigint PRIMARY KEY, written_at timestamptz)",
            "unique index",
        ),
        ("lazy", "", "unlogged"),
    ];
    for (name, columns, word) in made {
        let unlogged = if columns.is_empty() { "UNLOGGED" } else { "" };
        let columns = if columns.is_empty() { MAKE } else { columns };
        server.sql(&format!("CREATE {unlogged} TABLE {name} {columns}")).unwrap();
        let said = refusal(&table(name)).await;
        assert!(said.contains(word), "{name}: {said}");
    }
    server.sql(&format!("CREATE TABLE mine {MAKE}; CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON mine TO app")).unwrap();
    let app = |text: String| text.replace("user: postgres", "user: app");
    let said = refusal(&app(table("mine"))).await;
    assert!(said.contains("GRANT INSERT, DELETE"), "{said}");
    let said = refusal(&app(settings(&at, "", ", create: true"))).await;
    assert!(said.contains("CREATE there"), "rights in the schema: {said}");
    for mode in ["", "sslmode: require, ", "sslmode: verify-full, "] {
        let said = refusal(&plain.replace("sslmode: disable, ", mode)).await;
        assert!(said.contains("no TLS") && said.contains("sslmode"), "{mode}: {said}");
    }
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    server.sql("SELECT pg_reload_conf()").unwrap();
    until("the server is read-only", || {
        server.sql("SHOW default_transaction_read_only").as_deref() == Some("on")
    })
    .await;
    let said = refusal(&table("mine")).await;
    assert!(said.contains("read-only"), "{said}");
    server.kill();
    let said = refusal(&plain).await;
    assert!(said.contains("cannot be reached: refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_only_where_the_plan_says_so() {
    let primary = Server::start("127.0.1.1", &[]).await;
    let link = Link::to("127.0.1.1", primary.port).await;
    let standby = Server::standby("127.0.2.1", link.port).await;
    primary.sql(&format!("CREATE TABLE firedrill_ledger {MAKE}")).unwrap();
    until("the standby has the table", || standby.sql("TABLE firedrill_ledger").is_some()).await;
    let read = async |ledger: &str| {
        handle(ledger).read(Clock::start(), ReadStage::AfterFailback, LIMIT).await.end
    };
    // The address that writes go to leads to a replica by now, which may be behind, or have what the primary lost.
    let said = read(&settings(&[standby.host()], "", "")).await.unwrap_err();
    assert!(said.contains("replica"), "{said}");
    assert_eq!(read(&settings(&[primary.host()], "", "")).await, Ok(()));
    let to = standby.host().replace('"', "");
    let read_at =
        format!(", read: \"postgres://postgres:${{env:PG}}@{to}/postgres?sslmode=disable\"");
    let beside = settings(&[primary.host()], &read_at, "");
    assert_eq!(read(&beside).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_read_beside_those_of_others_and_removed_with_the_table() {
    let server = Server::start("127.0.1.1", &[]).await;
    let text = settings(&[server.host()], "", ", create: true");
    let prober = prober(&plan(&plan_with(&text)));
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    ledger.begin(LIMIT).await.unwrap();
    server.sql("INSERT INTO firedrill_ledger VALUES ('other', 'x', 'y', 1), ('test', 'chats', 'keep', 7)").unwrap();
    let written = Written::default();
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 50)).await;
    let read = ledger.read(Clock::start(), ReadStage::AfterFailback, LIMIT).await;
    assert_eq!((read.end.clone(), read.foreign), (Ok(()), 1));
    assert_eq!(read.seen.more_than_once().collect::<Vec<_>>(), [7]);
    let acknowledged = written.with(Fate::Acknowledged);
    assert!(acknowledged.is_subset(&read.seen.iter().collect()));
    server.sql("INSERT INTO firedrill_ledger VALUES ('test', 'chats', 'keep', -1)").unwrap();
    let garbled = ledger.read(Clock::start(), ReadStage::AfterFailback, LIMIT).await;
    assert!(garbled.end.unwrap_err().contains("make no sense"));
    ledger.clean(LIMIT).await.unwrap();
    assert_eq!(server.sql("SELECT run, seq FROM firedrill_ledger").as_deref(), Some("other|1"));
    server.sql("DELETE FROM firedrill_ledger").unwrap();
    ledger.clean(LIMIT).await.unwrap();
    assert_eq!(
        server.sql("SELECT to_regclass('firedrill_ledger')").as_deref(),
        Some(""),
        "ours, and empty"
    );
    assert!(!server.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_cut_short_is_no_reading() {
    let server = Server::start("127.0.1.1", &[]).await;
    let link = Link::to(server.ip, server.port).await;
    server.sql(&format!("CREATE TABLE firedrill_ledger {MAKE}")).unwrap();
    server
        .sql("INSERT INTO firedrill_ledger SELECT 'test', 'chats', 'keep', n FROM generate_series(0, 999999) n")
        .unwrap();
    let text = settings(&[format!("\"127.0.0.1:{}\"", link.port)], "", "");
    let ledger = handle(&text);
    let whole =
        ledger.read(Clock::start(), ReadStage::AfterFailback, Duration::from_secs(60)).await;
    assert_eq!((whole.end, whole.seen.len()), (Ok(()), 1_000_000));
    let reading = ledger.read(Clock::start(), ReadStage::AfterFailback, LIMIT);
    let killing = async {
        until("the reading is under way", || {
            server
                .sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'firedrill' AND state <> 'idle'")
                .is_some_and(|count| count != "0")
        })
        .await;
        server.kill();
    };
    let (cut, ()) = tokio::join!(reading, killing);
    let said = cut.end.unwrap_err();
    assert!(!said.is_empty() && !said.contains(PASSWORD), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_ends_writes_at_their_deadline_and_takes_them_again_when_it_goes_on() {
    let server = Server::start("127.0.1.1", &[]).await;
    let prober = prober(&plan(&plan_with(&settings(&[server.host()], "", ", create: true"))));
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    let written = Written::default();
    let acts = async {
        written.until_more(Fate::Acknowledged, 50).await;
        server.signal("-STOP");
        written.until_more(Fate::Refused, 50).await;
        server.signal("-CONT");
        written.until_more(Fate::Acknowledged, 50).await;
    };
    write_while(prober, &written, acts).await;
    let hung = |sample: &firedrill::model::Sample| {
        matches!(sample.outcome, Outcome::Bad(Reason::TimeOut(Phase::Connect | Phase::Answer)))
    };
    let late = written.samples().into_iter().filter(hung).collect::<Vec<_>>();
    assert!(!late.is_empty());
    let longest = late.iter().map(|it| it.done.since(it.sent)).max().unwrap();
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let read = ledger.read(Clock::start(), ReadStage::AfterFailback, LIMIT).await;
    assert_eq!(read.end, Ok(()));
    let has: BTreeSet<u64> = read.seen.iter().collect();
    assert!(written.with(Fate::Acknowledged).is_subset(&has), "nothing is lost");
    assert!(written.with(Fate::Refused).is_disjoint(&has), "what was refused is not there");
    // The connections that were given up are gone from the server too.
    until("few connections are left", || {
        server
            .sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'firedrill'")
            .is_some_and(|count| count.parse::<u32>().unwrap() <= 17)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_in_no_output_of_a_whole_drill() {
    let server = Server::start("127.0.1.1", &[]).await;
    let home = tempfile::tempdir().unwrap();
    let port = super::ports::free_port("127.0.0.1");
    let route = format!("listen: \"127.0.0.1:{port}\", to: \"127.0.1.1:{}\"", server.port);
    let url = "url: \"${env:DATABASE_URL}\"";
    let text = plan_with(&format!("{{ postgres: {{ {url} }}, settle: 200ms, create: true }}"))
        .replace("listen: \"127.0.0.1:1\", to: \"127.0.1.1:1\"", &route)
        .replace("baseline: 2s", "baseline: 1s")
        .replace("at_most: 12s", "at_most: 3s")
        .replace("recover_within: 8s, ", "");
    let file = home.path().join("plan.yaml");
    std::fs::write(&file, text).unwrap();
    let run = |password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["run", "--yes", "--state-dir"]).arg(home.path().join("state"));
        for format in ["json", "html", "junit", "markdown", "openmetrics"] {
            command.arg(format!("--report={format}={}", home.path().join(format).display()));
        }
        let url =
            format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable");
        let output = command.arg(&file).env("DATABASE_URL", url).output().unwrap();
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said += &String::from_utf8_lossy(&output.stderr);
        said
    };
    let said = run("wrong-s3cret");
    assert!(said.contains("refused the credentials"), "{said}");
    let told = run(PASSWORD);
    assert!(told.contains("acknowledged"), "{told}");
    assert!(!told.contains("s3cret") && !said.contains("s3cret"), "{told}{said}");
    let found = Command::new("grep").args(["-rlF", "s3cret"]).arg(home.path()).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}
