//! The `nats` ledger against real servers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use firedrill::clock::Clock;
use firedrill::model::{Fate, ReadStage};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::outage::{Process, Written, handle, plan, plan_with, prober, until, write_while};
use super::ports::free_port;
use super::redis::{LIMIT, answering};

pub const IPS: [&str; 3] = ["127.0.1.1", "127.0.2.1", "127.0.3.1"];
/// What JetStream says where no message has that number.
const NO_MESSAGE: u64 = 10037;
const OURS: &str = "firedrill.test.chats.keep";

/// A NATS server of one's own.
pub struct Nats {
    pub process: Process,
    pub ip: &'static str,
    pub port: u16,
    pub arguments: Vec<String>,
    _home: Arc<TempDir>,
}

impl Nats {
    pub async fn start(ip: &'static str, more: &[&str]) -> Nats {
        let (home, port) = (Arc::new(tempfile::tempdir().unwrap()), free_port(ip));
        let store = home.path().join("js").display().to_string();
        let own = ["-a", ip, "-p", &port.to_string(), "-sd", &store].map(str::to_owned);
        let mut arguments = own.to_vec();
        arguments.extend(more.iter().map(|&it| it.to_owned()));
        let nats = Nats { process: run(&arguments), ip, port, arguments, _home: home };
        nats.listens().await;
        nats
    }

    pub async fn listens(&self) {
        until("NATS listens", || TcpStream::connect((self.ip, self.port)).is_ok()).await;
    }

    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.ip, self.port)
    }

    /// What answers a request, by another way than firedrill's. It is answered.
    pub fn ask(&self, subject: &str, with: &Value) -> Value {
        self.publish(subject, &with.to_string())
    }

    /// The same with a payload that need not be JSON.
    fn publish(&self, subject: &str, payload: &str) -> Value {
        let said = self.request(subject, payload, Duration::from_secs(30));
        let said = said.unwrap_or_else(|| panic!("{subject} {payload} is not answered"));
        let read = serde_json::from_slice(&said);
        read.unwrap_or_else(|_| panic!("{subject}: {}", String::from_utf8_lossy(&said)))
    }

    /// The same where nobody may answer, or one who cannot: then nothing. For those who ask again.
    pub fn try_ask(&self, subject: &str, with: &Value) -> Value {
        self.request(subject, &with.to_string(), Duration::from_secs(1))
            .and_then(|said| serde_json::from_slice(&said).ok())
            .unwrap_or_default()
    }

    /// What answers within the time, with its headers.
    pub fn request(&self, subject: &str, payload: &str, patience: Duration) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect((self.ip, self.port)).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        let length = payload.len();
        let sent = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB _INBOX.test 1\r\n\
             PUB {subject} _INBOX.test {length}\r\n{payload}\r\n"
        );
        stream.write_all(sent.as_bytes()).ok()?;
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
            if line.starts_with("MSG") || line.starts_with("HMSG") {
                let length: usize = line.trim().rsplit(' ').next()?.parse().ok()?;
                let mut payload = vec![0; length];
                stream.read_exact(&mut payload).ok()?;
                return Some(payload);
            }
        }
    }

    pub fn make_stream(&self, config: Value) -> Value {
        self.ask(&create(&config), &config)
    }

    pub fn info(&self, stream: &str) -> Value {
        self.ask(&about(stream), &json!({ "subjects_filter": ">" }))
    }

    /// The numbers of our records in the stream, one message asked after the other.
    pub async fn list(&self, stream: &str) -> Vec<u64> {
        let info = self.answer(&about(stream), &json!({})).await;
        let mut records = Vec::new();
        for seq in 1..=info["state"]["last_seq"].as_u64().unwrap() {
            let get = format!("$JS.API.STREAM.MSG.GET.{stream}");
            let said = self.answer(&get, &json!({ "seq": seq })).await["message"].take();
            if said["subject"] == OURS {
                let key = decoded(said["data"].as_str().unwrap());
                records.push(key.rsplit(':').next().unwrap().parse().unwrap());
            }
        }
        records
    }

    /// What the stream's leader says. While it is busy, or another is chosen, nobody answers or one answers that it cannot;
    /// that there is no such message is an answer.
    async fn answer(&self, subject: &str, with: &Value) -> Value {
        let mut said = Value::Null;
        until(&format!("{subject} {with} is answered"), || {
            said = self.try_ask(subject, with);
            let refused = &said["error"]["err_code"];
            said.is_object() && (refused.is_null() || *refused == NO_MESSAGE)
        })
        .await;
        said
    }
}

/// The subject at which the stream of this configuration is made.
pub fn create(config: &Value) -> String {
    format!("$JS.API.STREAM.CREATE.{}", config["name"].as_str().unwrap())
}

/// The subject at which a stream tells of itself.
pub fn about(stream: &str) -> String {
    format!("$JS.API.STREAM.INFO.{stream}")
}

pub fn run(arguments: &[String]) -> Process {
    let mut command = Command::new("nats-server");
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    Process::new(command.spawn().expect("NATS is installed: apt-get install nats-server"))
}

/// Base64, as JetStream answers.
fn decoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | LETTERS.iter().position(|it| *it == letter).unwrap() as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Settings of a ledger at `servers`, with `more`.
pub fn settings(servers: &[&Nats], more: &str, rest: &str) -> String {
    let urls: Vec<String> = servers.iter().map(|it| format!("\"{}\"", it.url())).collect();
    format!("{{ nats: {{ servers: [{}]{more} }}{rest} }}", urls.join(", "))
}

pub fn limits(name: &str, replicas: u64) -> Value {
    json!({ "name": name, "subjects": ["firedrill.>"], "retention": "limits", "storage": "file",
            "num_replicas": replicas })
}

#[tokio::test]
async fn what_is_written_is_read_back_and_removed_and_nothing_else() {
    let nats = Nats::start(IPS[0], &["-js"]).await;
    let made = nats.make_stream(limits("LEDGER", 1));
    assert!(made["error"].is_null(), "{made}");
    nats.ask("firedrill.theirs", &json!("a record of somebody else's"));
    let plan = plan(&plan_with(&settings(&[&nats], ", stream: LEDGER", "")));
    let (prober, written) = (prober(&plan), Written::default());
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 30)).await;
    let acknowledged = written.with(Fate::Acknowledged);
    assert_eq!(nats.list("LEDGER").await.into_iter().collect::<BTreeSet<u64>>(), acknowledged);
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!(read.end, Ok(()));
    assert_eq!(read.seen.iter().collect::<BTreeSet<u64>>(), acknowledged);
    assert_eq!((read.foreign, read.seen.more_than_once().count()), (1, 0));
    // Published again, as by a client that was not sure.
    nats.publish(OURS, "firedrill:test:chats:keep:5");
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!(read.seen.more_than_once().collect::<Vec<_>>(), [5]);
    nats.publish(OURS, "firedrill:test:chats:keep:x");
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert!(read.end.unwrap_err().contains("make no sense"));
    ledger.clean(LIMIT).await.unwrap();
    let subjects = nats.info("LEDGER")["state"]["subjects"].clone();
    assert_eq!(subjects, json!({ "firedrill.theirs": 1 }));
}

#[tokio::test]
async fn more_records_than_are_read_at_a_time_are_all_read() {
    let nats = Nats::start(IPS[0], &["-js"]).await;
    let ledger = handle(&settings(&[&nats], "", ", create: true"));
    ledger.begin(LIMIT).await.unwrap();
    let mut stream = TcpStream::connect((nats.ip, nats.port)).unwrap();
    let mut sent = "CONNECT {\"verbose\":false}\r\n".to_owned();
    for seq in 0..2500 {
        let key = format!("firedrill:test:chats:keep:{seq}");
        sent += &format!("PUB {OURS} {}\r\n{key}\r\n", key.len());
    }
    stream.write_all(sent.as_bytes()).unwrap();
    let there = || nats.try_ask(&about("FIREDRILL"), &json!({}))["state"]["messages"] == 2500;
    until("all are there", there).await;
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!((read.end, read.seen.len()), (Ok(()), 2500));
    // What it made itself it takes away.
    ledger.clean(LIMIT).await.unwrap();
    assert_eq!(nats.info("FIREDRILL")["error"]["code"], 404);
}

#[tokio::test]
async fn ledgers_share_a_stream_and_what_its_limits_took_is_told() {
    let nats = Nats::start(IPS[0], &["-js"]).await;
    // Made by the first of them: its records vanish after a day, so that it may drop some.
    let plan = plan(&plan_with(&settings(&[&nats], "", ", create: true")));
    let (prober, written) = (prober(&plan), Written::default());
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    let other = handle(&settings(&[&nats], "", ", create: true"));
    other.begin(LIMIT).await.unwrap();
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 30)).await;
    for ledger in [&ledger, &other] {
        let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
        assert_eq!(read.end, Ok(()));
        assert_eq!(read.seen.iter().collect::<BTreeSet<u64>>(), written.with(Fate::Acknowledged));
    }
    let first = nats.info("FIREDRILL")["state"]["first_seq"].as_u64().unwrap();
    let upto = json!({ "seq": first + 1 });
    assert_eq!(nats.ask("$JS.API.STREAM.PURGE.FIREDRILL", &upto)["purged"], 1);
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert!(read.end.unwrap_err().contains("dropped messages"));
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_before_the_cut() {
    let nats = Nats::start(IPS[0], &["-js"]).await;
    let closed = Nats::start(IPS[1], &["-js", "--user", "app", "--pass", "s3cret-PW"]).await;
    let core = Nats::start(IPS[2], &[]).await;
    let mut told = Vec::new();
    let mut refused = async |settings: &str, words: &str| {
        let said = handle(settings).begin(LIMIT).await.unwrap_err();
        assert!(said.contains(words), "{said}");
        told.push(said);
    };
    let create = ", create: true";
    refused(&settings(&[&nats], "", ""), "`create: true`").await;
    refused(&settings(&[&closed], "", create), "does not let us in").await;
    let wrong = ", user: app, password: \"${env:OTHER}\"";
    refused(&settings(&[&closed], wrong, create), "does not let us in").await;
    refused(&settings(&[&core], "", create), "JetStream").await;
    refused(&settings(&[&nats], ", replicas: 3", create), "replicas").await;
    let other = json!({ "name": "OTHER", "subjects": ["orders.>"] });
    assert!(nats.make_stream(other)["error"].is_null());
    refused(&settings(&[&nats], ", stream: OTHER", ""), "does not take the subjects").await;
    let queue = json!({ "name": "QUEUE", "subjects": ["firedrill.>"], "retention": "workqueue" });
    assert!(nats.make_stream(queue.clone())["error"].is_null());
    refused(&settings(&[&nats], ", stream: QUEUE", ""), "retention").await;
    refused("{ nats: { servers: [\"nats://127.0.1.1:1\"] } }", "refused").await;
    for (name, setting, words) in [
        ("FEW", json!({ "max_msgs_per_subject": 9 }), "max_msgs_per_subject"),
        ("MUTE", json!({ "no_ack": true }), "no_ack"),
        ("SHUT", json!({ "deny_purge": true }), "purge"),
    ] {
        assert_eq!(nats.ask("$JS.API.STREAM.DELETE.QUEUE", &json!({})).get("error"), None);
        let mut config = limits(name, 1);
        config.as_object_mut().unwrap().extend(setting.as_object().unwrap().clone());
        assert!(nats.make_stream(config)["error"].is_null(), "{name}");
        refused(&settings(&[&nats], &format!(", stream: {name}"), ""), words).await;
        nats.ask(&format!("$JS.API.STREAM.DELETE.{name}"), &json!({}));
        nats.make_stream(queue.clone());
    }
    let right = settings(&[&closed], ", user: app, password: \"${env:PW}\"", create);
    assert_eq!(handle(&right).begin(LIMIT).await, Ok(()));
    assert!(told.iter().all(|said| !said.contains("s3cret")), "{told:?}");
}

#[tokio::test]
async fn rubbish_is_never_taken_for_an_empty_ledger() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"INFO {\r\n",
        b"INFO {}\r\nPONG\r\nMSG x\r\n",
        b"INFO {}\r\nPONG\r\nMSG _INBOX.x.1 1 99999999999\r\n",
        b"INFO {}\r\nPONG\r\nHMSG _INBOX.x.1 1 9 2\r\nab\r\n",
        b"INFO {}\r\nPONG\r\nMSG _INBOX.x.1 1 2\r\n{}\r\n",
        b"INFO {}\r\n-ERR 'no s3cret-PW here'\r\n",
        b"\xff\xfe\r\n",
    ] {
        let port = answering_first(answer).await;
        let login = ", user: app, password: \"${env:PW}\"";
        let at = format!("{{ nats: {{ servers: [\"nats://127.0.0.1:{port}\"]{login} }} }}");
        let (ledger, limit) = (handle(&at), Duration::from_millis(500));
        let begun = ledger.begin(limit).await.unwrap_err();
        let read = ledger.read(Clock::start(), ReadStage::AfterFailover, limit).await;
        let read = read.end.unwrap_err();
        assert!(!begun.contains("s3cret") && !read.contains("s3cret"), "{begun} {read}");
        assert!(ledger.clean(limit).await.is_err());
    }
    let port = answering(b"PONG\r\n").await;
    let silent = format!("{{ nats: {{ servers: [\"nats://127.0.0.1:{port}\"] }} }}");
    assert!(handle(&silent).begin(Duration::from_secs(2)).await.is_err());
}

/// A server that says `first` before it is asked, and nothing more.
async fn answering_first(first: &'static [u8]) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, first).await;
            all.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn what_a_stream_drops_by_itself_is_told_and_not_taken_for_a_loss() {
    let nats = Nats::start(IPS[0], &["-js"]).await;
    let mut config = limits("LEDGER", 1);
    assert!(nats.make_stream(config.clone())["error"].is_null());
    let plan = plan(&plan_with(&settings(&[&nats], ", stream: LEDGER", "")));
    let (prober, written) = (prober(&plan), Written::default());
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    let read = || ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT);
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 10)).await;
    let has = nats.list("LEDGER").await.len() as u64;
    config["max_msgs"] = json!(has + 19);
    assert!(nats.ask("$JS.API.STREAM.UPDATE.LEDGER", &config)["error"].is_null());
    let early = read().await;
    assert_eq!((early.end, early.seen.len()), (Ok(()), has));
    for _ in 0..20 {
        nats.ask("firedrill.theirs", &json!("a record of somebody else's"));
    }
    let said = read().await.end.unwrap_err();
    assert!(said.contains("`max_msgs`"), "{said}");
    // What somebody removes by hand is gone: that is a loss.
    config["max_msgs"] = json!(-1);
    assert!(nats.ask("$JS.API.STREAM.UPDATE.LEDGER", &config)["error"].is_null());
    assert_eq!(nats.ask("$JS.API.STREAM.PURGE.LEDGER", &json!({}))["success"], true);
    let purged = read().await;
    assert_eq!((purged.end, purged.seen.len()), (Ok(()), 0));
    // A limit that was set behind our back.
    config["max_msgs_per_subject"] = json!(5);
    assert!(nats.ask("$JS.API.STREAM.UPDATE.LEDGER", &config)["error"].is_null());
    let said = read().await.end.unwrap_err();
    assert!(said.contains("max_msgs_per_subject"), "{said}");
}

#[tokio::test]
async fn missing_rights_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let api = "\"$JS.API.STREAM.*.FIREDRILL\", \"$JS.API.STREAM.MSG.GET.FIREDRILL\"";
    let user = |name: &str, publish: &str, subscribe: &str| {
        format!(
            "{{ user: {name}, password: s3cret-PW, permissions: {{ publish: [{publish}], subscribe: [{subscribe}] }} }}\n"
        )
    };
    let inbox = "\"_INBOX.firedrill.>\"";
    let all = [
        user("good", &format!("\"firedrill.>\", {api}"), inbox),
        user("mute", api, inbox),
        user("deaf", &format!("\"firedrill.>\", {api}"), "\"other.>\""),
        user("weak", "\"firedrill.>\"", inbox),
    ];
    let config = home.path().join("nats.conf");
    std::fs::write(&config, format!("authorization {{ users: [\n{}] }}\n", all.join(""))).unwrap();
    let nats = Nats::start(IPS[0], &["-js", "-c", config.to_str().unwrap()]).await;
    let settings = |name: &str| {
        let login = format!(", user: {name}, password: \"${{env:PW}}\"");
        settings(&[&nats], &login, ", create: true")
    };
    assert_eq!(handle(&settings("good")).begin(LIMIT).await, Ok(()));
    for (name, words) in [
        ("mute", "Publish to \"firedrill.test.chats.keep.trial\""),
        ("deaf", "Subscription to \"_INBOX.firedrill."),
        ("weak", "Publish to \"$JS.API.STREAM."),
    ] {
        let said = handle(&settings(name)).begin(LIMIT).await.unwrap_err();
        assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
        let ledger = handle(&settings(name));
        let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
        assert!(name == "mute" || read.end.is_err(), "{name}");
    }
    // What is denied was certainly not taken.
    let (plan, written) = (plan(&plan_with(&settings("mute"))), Written::default());
    write_while(prober(&plan), &written, written.until_more(Fate::Refused, 3)).await;
    assert_eq!(written.with(Fate::Acknowledged).len(), 0);
}
