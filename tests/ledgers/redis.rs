//! The `redis` ledger and Redis servers that do not do what is wanted.

use std::path::Path;
use std::process::{Command, Stdio};

use firedrill::clock::Clock;
use firedrill::model::{Fate, ReadStage};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::outage::{Process, Written, handle, plan, plan_with, prober, until, write_while};
use super::ports::free_port;

use std::time::Duration;

pub const LIMIT: Duration = Duration::from_secs(10);

/// A Redis server of one's own.
pub struct Redis {
    pub process: Process,
    pub ip: &'static str,
    pub port: u16,
    _home: TempDir,
}

impl Redis {
    /// Starts one at `ip` with `more` settings, and waits until it answers.
    pub async fn start(ip: &'static str, more: &[&str]) -> Redis {
        let (home, port) = (tempfile::tempdir().unwrap(), free_port(ip));
        let process = Process::new(run(ip, port, home.path(), more));
        let redis = Redis { process, ip, port, _home: home };
        until("Redis listens", || std::net::TcpStream::connect((ip, port)).is_ok()).await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.ip, self.port)
    }

    /// Asks it by another way than firedrill's.
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.ip, self.port, words)
    }

    /// The numbers in the drill's list.
    pub fn list(&self) -> std::collections::BTreeSet<u64> {
        self.list_of("keep")
    }

    /// The numbers in the list of a probe.
    pub fn list_of(&self, probe: &str) -> std::collections::BTreeSet<u64> {
        let said = self.ask(&["LRANGE", &format!("firedrill:test:chats:{probe}"), "0", "-1"]);
        said.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// What a server of Redis' protocol says.
pub fn ask(ip: &str, port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    let said = Command::new("redis-cli").args(["-h", ip, "-p", &port]).args(words).output();
    String::from_utf8(said.unwrap().stdout).unwrap().trim().to_owned()
}

fn run(ip: &str, port: u16, home: &Path, more: &[&str]) -> std::process::Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", ip, "--save", "", "--protected-mode", "no"])
        .args(["--replica-announce-ip", ip, "--bind-source-addr", ip])
        .args(["--repl-diskless-sync-delay", "0", "--dir"])
        .arg(home)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis is installed: apt-get install redis-server")
}

#[tokio::test]
async fn what_is_written_is_read_back_and_removed_and_nothing_else() {
    let redis = Redis::start("127.0.1.1", &[]).await;
    redis.ask(&["SET", "users", "theirs"]);
    redis.ask(&["RPUSH", "firedrill:other:chats:keep", "1"]);
    let plan = plan(&plan_with(&format!("{{ redis: {{ url: \"{}/3\" }} }}", redis.url())));
    let (prober, written) = (prober(&plan), Written::default());
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 30)).await;
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!(read.end, Ok(()));
    let seen: std::collections::BTreeSet<u64> = read.seen.iter().collect();
    assert_eq!(seen, written.with(Fate::Acknowledged));
    assert_eq!(read.seen.more_than_once().count(), 0);
    // It would go by itself.
    let ends: i64 = redis.ask(&["-n", "3", "TTL", "firedrill:test:chats:keep"]).parse().unwrap();
    assert!((80_000..=86_400).contains(&ends), "{ends}");
    // Pushed again, as by a retry on the way; and one that makes no sense.
    redis.ask(&["-n", "3", "RPUSH", "firedrill:test:chats:keep", "5"]);
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!(read.seen.more_than_once().collect::<Vec<_>>(), [5]);
    redis.ask(&["-n", "3", "RPUSH", "firedrill:test:chats:keep", "x"]);
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert!(read.end.unwrap_err().contains("make no sense"));
    ledger.clean(LIMIT).await.unwrap();
    assert_eq!(redis.ask(&["-n", "3", "DBSIZE"]), "0");
    assert_eq!(redis.ask(&["GET", "users"]), "theirs");
    assert_eq!(redis.ask(&["LLEN", "firedrill:other:chats:keep"]), "1");
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_before_the_cut() {
    let redis =
        Redis::start("127.0.1.1", &["--requirepass", "s3cret-PW", "--maxmemory", "100mb"]).await;
    let replica =
        Redis::start("127.0.2.1", &["--replicaof", redis.ip, &redis.port.to_string()]).await;
    let cli = |words: &[&str]| {
        redis.ask(&[&["--no-auth-warning", "-a", "s3cret-PW"], words].concat());
    };
    let begin = async |settings: &str| handle(settings).begin(LIMIT).await;
    let url = redis.url();
    let good = format!("{{ redis: {{ url: \"{url}\", password: \"${{env:PW}}\" }} }}");
    assert_eq!(begin(&good).await, Ok(()));
    let mut told = Vec::new();
    let mut refused = async |settings: &str, words: &str| {
        let said = begin(settings).await.unwrap_err();
        assert!(said.contains(words), "{said}");
        told.push(said);
    };
    refused(&format!("{{ redis: {{ url: \"{url}\" }} }}"), "give `password`").await;
    refused(&format!("{{ redis: {{ url: \"{url}\", password: \"${{env:OTHER}}\" }} }}"), "wrong")
        .await;
    refused(&format!("{{ redis: {{ url: \"{}\" }} }}", replica.url()), "read-only replica").await;
    let waits = good.replace("\" } }", "\", wait: { replicas: 1, within: 50ms } } }");
    refused(&waits, "0 replicas had a trial record").await;
    cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    refused(&good, "min-replicas-to-write").await;
    cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    cli(&["CONFIG", "SET", "maxmemory", "1"]);
    refused(&good, "maxmemory").await;
    cli(&["CONFIG", "SET", "maxmemory", "0"]);
    cli(&["ACL", "SETUSER", "weak", "on", ">s3cret-PW", "~*", "+@all", "-rpush"]);
    refused(&good.replace("password", "user: weak, password"), "+rpush").await;
    cli(&["SET", "firedrill:test:chats:keep", "x"]);
    refused(&good, "somebody else's").await;
    cli(&["DEL", "firedrill:test:chats:keep"]);
    refused("{ redis: { url: \"redis://127.0.1.1:1\" } }", "refused").await;
    assert_eq!(begin(&good).await, Ok(()));
    assert!(told.iter().all(|said| !said.contains("s3cret")), "{told:?}");
}

/// A server that answers everything with `answer`.
pub async fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while matches!(stream.read(&mut asked).await, Ok(1..)) {
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn rubbish_is_never_taken_for_an_empty_ledger() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\r\n",
        b"*-7\r\n",
        b"$99999999999\r\n",
        b"*1048576\r\n",
        b"*2\r\n*1\r\n:1\r\n",
        b"\xff\xfe\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"-ERR unknown command `AUTH`, with args beginning with: `s3cret-PW`\r\n",
        b"-\x1b[31mred\r\n",
    ] {
        let port = answering(answer).await;
        let settings = format!(
            "{{ redis: {{ url: \"redis://127.0.0.1:{port}\", password: \"${{env:PW}}\" }} }}"
        );
        let ledger = handle(&settings);
        let limit = Duration::from_millis(500);
        let said = ledger.begin(limit).await.unwrap_err();
        assert!(!said.contains("s3cret") && !said.contains('\x1b'), "{said}");
        let read = ledger.read(Clock::start(), ReadStage::AfterFailover, limit).await;
        let said = read.end.unwrap_err();
        assert!(!said.contains("s3cret") && !said.contains('\x1b'), "{said}");
        assert!(
            ledger.clean(limit).await.is_err()
                || answer == b"+OK\r\n"
                || answer == b":1\r\n"
                || answer == b"$-1\r\n"
                || answer == b"*0\r\n"
        );
    }
}

#[tokio::test]
async fn a_server_that_dies_while_it_is_read_is_no_empty_ledger() {
    // Says that it is a master, and breaks off in the middle of the list.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked).await;
        let info = "role:master\r\nmaster_replid:a\r\n";
        let info = format!("${}\r\n{info}\r\n", info.len());
        stream.write_all(info.as_bytes()).await.unwrap();
        let _ = stream.read(&mut asked).await;
        stream.write_all(b"*3\r\n$1\r\n0\r\n$1\r\n1\r\n$1").await.unwrap();
    });
    let ledger = handle(&format!("{{ redis: {{ url: \"redis://127.0.0.1:{port}\" }} }}"));
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert!(read.end.is_err());
    // What was there is there.
    assert_eq!(read.seen.iter().collect::<Vec<_>>(), [0, 1]);
}

/// Says of every name that its master is at `ip` and `port`, as a Sentinel does.
async fn sentinel(ip: &'static str, port: u16) -> u16 {
    let port = port.to_string();
    let said = format!("*2\r\n${}\r\n{ip}\r\n${}\r\n{port}\r\n", ip.len(), port.len());
    answering(said.leak().as_bytes()).await
}

#[tokio::test]
async fn records_are_read_where_most_sentinels_say_and_nowhere_without_most() {
    let (old, new) = (Redis::start("127.0.1.1", &[]).await, Redis::start("127.0.2.1", &[]).await);
    old.ask(&["RPUSH", "firedrill:test:chats:keep", "1", "2", "3"]);
    new.ask(&["RPUSH", "firedrill:test:chats:keep", "1"]);
    let (cut_off, one, two) = (
        sentinel(old.ip, old.port).await,
        sentinel(new.ip, new.port).await,
        sentinel(new.ip, new.port).await,
    );
    let read = async |sentinels: [u16; 3]| {
        let at = sentinels.map(|port| format!("\"127.0.0.1:{port}\"")).join(", ");
        let ledger = handle(&format!("{{ redis: {{ sentinels: [{at}], master: drill }} }}"));
        let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
        read.end.map(|()| read.seen.iter().collect::<Vec<_>>())
    };
    for order in [[cut_off, one, two], [one, cut_off, two], [one, two, cut_off], [one, two, 1]] {
        assert_eq!(read(order).await, Ok(vec![1]), "{order:?}");
    }
    for order in [[cut_off, one, 1], [one, 1, 2]] {
        let said = read(order).await.unwrap_err();
        assert!(said.contains("agree who the master is"), "{said}");
    }
}

/// Answers `first` to the first that it is asked on a connection, and breaks off.
async fn breaking_off_after(first: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(first).await;
        }
    });
    port
}

#[tokio::test]
async fn a_write_is_what_the_answer_to_it_says_and_unknown_without_one() {
    use Fate::{Acknowledged, Refused, Unknown};
    // Before the record's own answer comes that to its end of life.
    for (answer, wait, fate) in [
        (&b":0\r\n:1\r\n"[..], "", Acknowledged),
        (b"-NOPERM no\r\n:1\r\n", "", Acknowledged),
        (b":0\r\n:1\r\n", WAIT, Unknown),
        (b":0\r\n:1\r\n:0\r\n", WAIT, Unknown),
        (b":0\r\n:1\r\n-NOPERM no\r\n", WAIT, Unknown),
        (b":0\r\n:1\r\n:1\r\n", WAIT, Acknowledged),
        (b":1\r\n", "", Unknown),
        (b":1\r\n:0\r\n", "", Unknown),
        (b":1\r\n+QUEUED\r\n", "", Unknown),
        (b">2\r\n$1\r\na\r\n$1\r\nb\r\n", "", Unknown),
        (b":1\r\n-ERR whatever\r\n", "", Unknown),
        (b":1\r\n-UNKILLABLE whatever\r\n", "", Unknown),
        (b"-READONLY no\r\n-READONLY no\r\n", "", Refused),
        (b"-MOVED 1 a:1\r\n-MOVED 1 a:1\r\n", "", Refused),
        (b"-LOADING no\r\n-LOADING no\r\n", WAIT, Refused),
        (b"-LOADING no\r\n", "", Unknown),
        (b"", "", Unknown),
    ] {
        let port = breaking_off_after(answer).await;
        let settings = format!("{{ redis: {{ url: \"redis://127.0.0.1:{port}\"{wait} }} }}");
        let (plan, written) = (plan(&plan_with(&settings)), Written::default());
        write_while(prober(&plan), &written, written.until_more(fate, 3)).await;
        // Those that were under way at the end are unknown.
        let strays = [Acknowledged, Refused].into_iter().filter(|it| *it != fate);
        let strays: usize = strays.map(|it| written.with(it).len()).sum();
        assert_eq!(strays, 0, "{}", String::from_utf8_lossy(answer));
    }
}

const WAIT: &str = ", wait: { replicas: 1, within: 50ms }";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_is_read_is_not_read() {
    let redis = Redis::start("127.0.1.1", &[]).await;
    // Each piece is a command of its own, and there are two hundred of them.
    let fill = "for i = 0, 399 do local t = {} for j = 1, 5000 do t[j] = i * 5000 + j - 1 end \
                redis.call('RPUSH', KEYS[1], unpack(t)) end";
    redis.ask(&["EVAL", fill, "1", "firedrill:test:chats:keep"]);
    let ledger = handle(&format!("{{ redis: {{ url: \"{}\" }} }}", redis.url()));
    let reading = tokio::spawn(async move {
        ledger.read(Clock::start(), ReadStage::AfterFailover, Duration::from_secs(60)).await
    });
    until("it is being read", || {
        let stats = redis.ask(&["INFO", "commandstats"]);
        stats.contains("cmdstat_lrange:calls=") && !stats.contains("cmdstat_lrange:calls=1,")
    })
    .await;
    redis.process.kill();
    let read = reading.await.unwrap();
    let said = read.end.unwrap_err();
    assert!(said.contains("could not be reached"), "{said}");
    assert!(read.seen.len() < 2_000_000, "{}", read.seen.len());
}
