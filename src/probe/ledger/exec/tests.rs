//! Commands of every kind: real shells that say, and do, what they should not.

use std::path::Path;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::model::Part;

/// No test waits longer for something that must come.
const AT_MOST: Duration = Duration::from_secs(20);

fn shell(script: &str, home: &Path) -> Vec<Text> {
    let script = format!("cd '{}'; {script}", home.display());
    ["sh", "-c", &script].map(Text::from).into()
}

/// A ledger that `write` writes and `read` lists.
fn ledger(write: &str, read: &str) -> (ExecStore, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let (write, read) = (shell(write, home.path()), shell(read, home.path()));
    let writer = Writer { run: "r".into(), service: "s".into(), probe: "p".into() };
    let names = ["east", "west"].map(Name::from);
    let exec = ExecLedger { write, read, remove: None };
    (ExecStore::prepare(&exec, writer, &names).unwrap(), home)
}

async fn write(store: &ExecStore, seq: u64) -> (Result<(), Outcome>, ServedBy) {
    let mut progress = Progress::begun();
    let clock = Clock::start();
    let written = store.write(seq, &clock, &mut progress);
    let written = timeout(AT_MOST, written).await.expect("an answer");
    (written, progress.served_by)
}

async fn listed(read: &str) -> (Result<(), String>, Found) {
    let (store, _home) = ledger("cat", read);
    let mut found = Found::default();
    let end = timeout(AT_MOST, store.read(&mut found)).await.expect("an end");
    (end, found)
}

/// Answers every write.
const OBEYS: &str = "while read -r key value; do echo \"ok $key west\"; done";

#[tokio::test]
async fn a_command_says_what_became_of_a_write_among_whatever_else_it_says() {
    let script = r#"
while read -r key value; do case $key in
  *:0) echo "ok $key west" ;;
  *:1) echo "refused $key" ;;
  *:2) echo "unknown $key" ;;
  *:3) printf 'garbage\n\377\376\n\n ok\nok other:3\nmaybe %s\nok %s4\nok firedrill:r:s:p:+3\n' "$key" "$key"
     head -c 1000000 /dev/zero | tr '\0' ' '; echo "refused $key"
     echo "ok $key nowhere"; echo "refused $key" ;;
  *:4) printf 'ok %s' "$key"; exit ;;
  *) echo "ok $key" ;;
esac; done"#;
    let (store, _home) = ledger(script, "true");
    let west = ServedBy::Datacenter(DatacenterId(1));
    assert_eq!(write(&store, 0).await, (Ok(()), west));
    let bad = |reason| (Err(Outcome::Bad(reason)), ServedBy::Unnamed);
    assert_eq!(write(&store, 1).await, bad(Reason::Rejected));
    assert_eq!(write(&store, 2).await, bad(Reason::Reset));
    assert_eq!(write(&store, 3).await, (Ok(()), ServedBy::Foreign));
    assert_eq!(write(&store, 4).await, bad(Reason::Reset), "cut short, it says nothing");
    // It answered before it ended, so that it is started again soon.
    let clock = Clock::start();
    let again = async {
        while store.running(clock.now()).is_none() {
            tokio::task::yield_now().await
        }
    };
    timeout(AT_MOST, again).await.unwrap();
    assert_eq!(write(&store, 5).await, (Ok(()), ServedBy::Unnamed));
}

#[tokio::test]
async fn a_command_that_dies_at_once_is_not_started_for_every_write() {
    let (store, home) = ledger("echo x >> starts; exit 1", "true");
    for write in 0..500 {
        if let Some(running) = store.running(Offset::from_millis(write * 20)) {
            timeout(AT_MOST, running.ended()).await.unwrap();
        }
    }
    let starts = std::fs::read_to_string(home.path().join("starts")).unwrap().lines().count();
    // After pauses of 50, 100, 200 and 400 ms, one every 500 ms; a killed one has not always come to its line.
    assert!((15..=25).contains(&starts), "{starts} starts in ten seconds");
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up_at_the_time_out_of_a_write() {
    let script = format!("if mkdir first 2>/dev/null; then exec sleep 1000; fi; {OBEYS}");
    let (store, home) = ledger(&script, "true");
    let clock = Clock::start();
    let mut progress = Progress::begun();
    // Not before it is the one that hangs.
    let running = store.running(clock.now()).unwrap();
    let begun = async {
        while !home.path().join("first").exists() {
            tokio::task::yield_now().await
        }
    };
    timeout(AT_MOST, begun).await.unwrap();
    let short = Duration::from_millis(20);
    assert!(timeout(short, store.write(0, &clock, &mut progress)).await.is_err());
    assert_eq!(progress.phase, Phase::Answer, "it may have been written");
    assert!(running.is_over());
    drop(running);
    let another = async {
        while store.write(1, &clock, &mut Progress::begun()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(AT_MOST, another).await.expect("another is started");
}

#[tokio::test]
async fn a_command_that_does_not_read_takes_only_so_much() {
    let (store, _home) = ledger("exec sleep 1000", "true");
    let running = store.running(Offset::ZERO).unwrap();
    let mut told = Vec::new();
    for seq in 0..20_000 {
        told.extend(running.tell(seq, format!("{} x\n", store.writer.key(seq))));
        tokio::task::yield_now().await;
    }
    // What its pipe holds, and what waits before that.
    assert!((1024..10_000).contains(&told.len()), "{}", told.len());
    assert!(!running.is_over());
    drop(told);
    assert!(running.is_over(), "it answered nothing of all that");
}

#[tokio::test]
async fn nothing_that_a_command_starts_outlives_the_ledger() {
    let script =
        "sleep 1000 & echo $! > pid.tmp; mv pid.tmp pid; while read -r key; do :; done; wait";
    let (store, home) = ledger(script, "true");
    let _running = store.running(Offset::ZERO).unwrap();
    let file = home.path().join("pid");
    let begun = async {
        while !file.exists() {
            tokio::task::yield_now().await
        }
    };
    timeout(AT_MOST, begun).await.unwrap();
    let pid = std::fs::read_to_string(file).unwrap().trim().to_owned();
    let lives = || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !matches!(state.split(' ').nth(2), None | Some("Z" | "X"))
    };
    assert!(lives());
    drop(_running);
    drop(store);
    timeout(AT_MOST, async {
        while lives() {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_list_is_read_to_its_end_whatever_stands_in_it() {
    let prefix = "${FIREDRILL_PREFIX}";
    let (end, found) = listed(&format!(
        "echo {prefix}7; echo; echo other:1; printf '\\377\\n'; echo '  '{prefix}8; echo {prefix}7; \
         head -c 1000000 /dev/zero | tr '\\0' x; echo; head -c 300000 /dev/zero >&2; echo {prefix}9"
    ))
    .await;
    assert_eq!(end, Ok(()));
    assert_eq!(found.seen.iter().collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(found.seen.more_than_once().collect::<Vec<_>>(), [7]);
    assert_eq!((found.foreign, found.broken), (3, 0));

    let (end, found) =
        listed(&format!("for n in 1x +1 01 -1 '' 99999999999999999999; do echo {prefix}$n; done"))
            .await;
    assert_eq!((end, found.broken, found.seen.len()), (Ok(()), 6, 0));

    let (end, found) = listed(&format!("echo {prefix}1; printf '%s' {prefix}23")).await;
    assert!(end.unwrap_err().contains("cut short"));
    assert_eq!(found.seen.iter().collect::<Vec<_>>(), [1], "23 may be a part of 234");

    let (end, _) = listed("echo x; head -c 300000 /dev/zero >&2; echo no >&2; exit 3").await;
    assert!(end.unwrap_err().contains("exit status: 3"));
    let (end, _) = listed("kill -9 $$").await;
    assert!(end.unwrap_err().contains("signal: 9"));
}

#[tokio::test]
async fn a_list_ends_with_its_command_whatever_that_leaves_behind() {
    let prefix = "${FIREDRILL_PREFIX}";
    // It holds the pipe for what goes wrong, and would for a quarter of an hour.
    let (end, found) = listed(&format!("sleep 1000 >/dev/null & echo {prefix}1")).await;
    assert_eq!((end, found.seen.len()), (Ok(()), 1));

    let (end, found) = listed("head -c 268435456 /dev/zero").await;
    assert!(end.unwrap_err().contains("cut short"));
    assert!(found.seen.is_empty());

    let (end, found) = listed("echo connection refused").await;
    assert_eq!((end, found.seen.len(), found.foreign), (Ok(()), 0, 1), "then all are missing");
}

#[tokio::test]
async fn a_list_that_ignores_signals_ends_with_the_reading() {
    let script =
        "trap '' TERM INT HUP; echo $$ > pid.tmp; mv pid.tmp pid; while :; do sleep 1; done";
    let (store, home) = ledger(OBEYS, script);
    let file = home.path().join("pid");
    let begun = async {
        while !file.exists() {
            tokio::task::yield_now().await
        }
    };
    let mut found = Found::default();
    tokio::select! {
        end = store.read(&mut found) => panic!("{end:?}"),
        begun = timeout(AT_MOST, begun) => begun.unwrap(),
    }
    let pid = std::fs::read_to_string(file).unwrap().trim().to_owned();
    let lives = || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !matches!(state.split(' ').nth(2), None | Some("Z" | "X"))
    };
    let ended = async {
        while lives() {
            tokio::task::yield_now().await
        }
    };
    timeout(AT_MOST, ended).await.expect("it is killed");
}

#[tokio::test]
async fn what_cannot_work_is_said_before_the_first_write_without_secrets() {
    let begin = async |write: &str, read: &str| {
        let (store, _home) = ledger(write, read);
        timeout(AT_MOST, store.begin()).await.unwrap()
    };
    assert_eq!(begin(OBEYS, "true").await, Ok(()));
    let died = begin("echo no route >&2; exit 7", "true").await.unwrap_err();
    assert!(died.contains("ended at once") && died.contains("no route"), "{died}");
    let unread = begin(OBEYS, "echo no route >&2; exit 7").await.unwrap_err();
    assert!(unread.contains("no route"), "{unread}");

    let secret = Part::Secret { name: "PASSWORD".into(), value: "hunter2".into() };
    let command = |program: &str| -> Vec<Text> {
        // Where what is shown ends, the secret must not be cut in two before it is masked.
        let script = Text::from("printf '%983s bad password %s' x \"$0\" >&2; exit 1");
        vec![program.into(), "-c".into(), script, Text::new(vec![secret.clone()])]
    };
    let writer = Writer { run: "r".into(), service: "s".into(), probe: "p".into() };
    for program in ["sh", "/nowhere/at/all"] {
        let (write, read) = (command(program), command(program));
        let exec = ExecLedger { write, read, remove: None };
        let store = ExecStore::prepare(&exec, writer.clone(), &[]).unwrap();
        let said = store.begin().await.unwrap_err();
        assert!(!said.contains("hun") && said.contains(program), "{said}");
    }
}
