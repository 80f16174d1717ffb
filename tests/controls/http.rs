//! The `http` control against the APIs of real servers that know nothing of it: Caddy's and PowerDNS's.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use firedrill::model::{
    ControlSpec, CutOrder, DatacenterId, HttpCall, HttpExpect, HttpPart, HttpReading, HttpSettings,
    Mode, ModeKind, Passage, Provider, Text,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::http::Http;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::contract;
use crate::world::{A, B, Front, web_server, within_bounds};

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// An address of loopback that no other test's process has.
fn own_address() -> (String, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = 21_190 + 2 * NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("127.{}.{middle}.{low}", 64 + high % 64), port)
}

fn call(method: &str, path: &str, body: Option<&str>) -> HttpCall {
    HttpCall {
        method: method.to_owned(),
        path: path.into(),
        body: body.map(Text::from),
        content_type: "application/json".to_owned(),
        expect: HttpExpect { status: vec![(200, 299)], body: None, json: Vec::new() },
        repeatable: true,
    }
}

/// A control of `parts` in the datacenters a and b.
fn settings(url: &str, parts: &[(DatacenterId, &str)], inspect: HttpReading) -> HttpSettings {
    let part = |(datacenter, name): &(DatacenterId, &str)| HttpPart {
        datacenter: *datacenter,
        name: (*name).to_owned(),
    };
    HttpSettings {
        url: url.into(),
        headers: Vec::new(),
        ca: None,
        parts: parts.iter().map(part).collect(),
        datacenters: vec!["dc-a".into(), "dc-b".into()],
        modes: vec![ModeKind::Drain],
        survivors: true,
        inspect,
        cut: call("PATCH", "/", None),
        restore: call("PATCH", "/", None),
        timeout: Duration::from_secs(5),
    }
}

fn control(settings: HttpSettings) -> Http {
    let provider = Provider::Http(Box::new(settings.clone()));
    Http::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

/// The control as a journal brings it back.
fn from_the_journal(control: &Http) -> Http {
    let text = serde_json::to_string(control.spec()).unwrap();
    let spec: ControlSpec = serde_json::from_str(&text).unwrap();
    let provider = spec.provider.filled(&|_| Some("secret".to_owned())).unwrap();
    let Provider::Http(settings) = provider else { panic!("{text}") };
    self::control(*settings)
}

/// A Caddy that sends everyone to datacenter a, and to b while the gate of a is shut; stopped on drop.
struct Caddy {
    directory: TempDir,
    process: Child,
    admin: String,
    front: Front,
}

impl Caddy {
    async fn start(a: SocketAddr, b: SocketAddr) -> Caddy {
        let directory = tempfile::tempdir().unwrap();
        let front = Front::new(directory.path().join("front.sock"));
        let (host, port) = own_address();
        let admin = format!("{host}:{port}");
        let route = |id: &str, to: SocketAddr| {
            json!({
                "match": [{ "@id": id, "method": ["GET"] }], "terminal": true,
                "handle": [{ "handler": "reverse_proxy", "upstreams": [{ "dial": to.to_string() }] }],
            })
        };
        let server = json!({
            "listen": [format!("unix/{}", front.path.display())],
            "automatic_https": { "disable": true },
            "routes": [route("gate-a", a), route("gate-b", b)],
        });
        let config = json!({
            "admin": { "listen": admin, "config": { "persist": false } },
            "apps": { "http": { "servers": { "front": server } } },
        });
        std::fs::write(directory.path().join("caddy.json"), config.to_string()).unwrap();
        let process = Command::new("caddy")
            .args(["run", "--config"])
            .arg(directory.path().join("caddy.json"))
            .env("HOME", directory.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("caddy is installed: apt-get install caddy");
        let world = Caddy { directory, process, admin, front };
        within_bounds("Caddy listens", async || {
            TcpStream::connect(&world.admin).await.is_ok()
                && UnixStream::connect(&world.front.path).await.is_ok()
        })
        .await;
        world
    }

    fn settings(&self) -> HttpSettings {
        let gate = "/id/{{part}}/method";
        let inspect = HttpReading {
            call: call("GET", gate, None),
            read: String::new(),
            closed: json!(["NONE"]),
            keep: None,
        };
        let parts = [(A, "gate-a"), (B, "gate-b")];
        HttpSettings {
            cut: call("PATCH", gate, Some(r#"["NONE"]"#)),
            restore: call("PATCH", gate, Some("{{before}}")),
            ..settings(&format!("http://{}", self.admin), &parts, inspect)
        }
    }

    fn control(&self) -> Http {
        control(self.settings())
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = &self.directory;
    }
}

/// Asks an API by another way than firedrill's, and gives the body of what must be a good answer.
async fn by_hand(at: &str, method: &str, path: &str, body: &Value) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: {at}\r\nx-api-key: secret\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.split(' ').nth(1).is_some_and(|it| it.starts_with('2')),
        "{method} {path}: {answer}"
    );
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn caddy_keeps_the_contract_and_its_traffic_moves() {
    let world = Caddy::start(web_server("a").await, web_server("b").await).await;
    let control = world.control();
    contract::holds(&control, &drain()).await;
    assert_eq!(world.front.served(3).await, ["a"; 3]);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.front.served(3).await, ["b"; 3]);
    from_the_journal(&control).restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(world.front.served(3).await, ["a"; 3]);
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_restore_puts_back_exactly_what_was_read_before() {
    let world = Caddy::start(web_server("a").await, web_server("b").await).await;
    let control = world.control();
    let own = json!(["GET", "PUT"]);
    by_hand(&world.admin, "PATCH", "/id/gate-a/method", &own).await;
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    let now = by_hand(&world.admin, "GET", "/id/gate-a/method", &Value::Null).await;
    assert_eq!(serde_json::from_str::<Value>(&now).unwrap(), own);
}

#[tokio::test]
async fn what_another_hand_changed_is_left_alone() {
    let world = Caddy::start(web_server("a").await, web_server("b").await).await;
    let hand = async {
        by_hand(&world.admin, "PATCH", "/id/gate-a/method", &json!(["POST"])).await;
    };
    contract::leaves_another_hand_alone(&world.control(), &drain(), "gate-a", hand).await;
}

#[tokio::test]
async fn a_datacenter_that_is_dead_or_hangs_can_be_cut_and_put_back() {
    // It takes connections, and nobody ever reads from them.
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = crate::ports::free_address();
    for a in [dead, hangs.local_addr().unwrap()] {
        let world = Caddy::start(a, web_server("b").await).await;
        let control = world.control();
        contract::holds(&control, &drain()).await;
        let snapshot = control.inspect().await.unwrap();
        control.cut(&drain(), &snapshot).await.unwrap();
        assert_eq!(world.front.served(4).await, ["b"; 4]);
        control.restore(&snapshot).await.unwrap();
        assert_eq!(control.inspect().await.unwrap(), snapshot);
    }
}

#[tokio::test]
async fn what_the_plan_names_must_be_there_and_the_last_is_never_cut() {
    let world = Caddy::start(web_server("a").await, web_server("b").await).await;
    let mut unknown = world.settings();
    unknown.parts[0].name = "gate-x".to_owned();
    let error = control(unknown).preflight().await.unwrap_err();
    assert!(error.what.contains("has no gate-x: the answer is 404"), "{error}");
    by_hand(&world.admin, "PATCH", "/id/gate-b/method", &json!(["NONE"])).await;
    let left = world.control().survivors(&drain()).await.unwrap();
    assert_eq!((left[0].left, left.len()), (0, 1));
    let standby = HttpSettings { survivors: false, ..world.settings() };
    assert!(control(standby).survivors(&drain()).await.unwrap().is_empty());
}

/// A PowerDNS with a zone of its own, in which each datacenter has a name; stopped on drop.
struct PowerDns {
    directory: TempDir,
    process: Child,
    host: String,
    dns: u16,
    api: String,
}

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
const ZONES: &str = "/api/v1/servers/localhost/zones";

impl PowerDns {
    async fn start() -> PowerDns {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().display();
        let (host, dns) = own_address();
        let api = format!("{host}:{}", dns + 1);
        let schema = std::fs::File::open(SCHEMA).expect("apt-get install pdns-backend-sqlite3");
        let made =
            Command::new("sqlite3").arg(directory.path().join("zones")).stdin(schema).status();
        assert!(made.expect("apt-get install sqlite3").success());
        let config = format!(
            "launch=gsqlite3\ngsqlite3-database={home}/zones\nlocal-address={host}\nlocal-port={dns}\n\
             api=yes\napi-key=secret\nwebserver=yes\nwebserver-address={host}\nwebserver-port={}\n\
             webserver-allow-from=127.0.0.0/8\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n\
             zone-cache-refresh-interval=0\nsocket-dir={home}\nsetuid=\nsetgid=\ndaemon=no\nguardian=no\n",
            dns + 1
        );
        std::fs::write(directory.path().join("pdns.conf"), config).unwrap();
        let process = Command::new("pdns_server")
            .arg(format!("--config-dir={home}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pdns_server is installed: apt-get install pdns-server");
        let world = PowerDns { directory, process, host, dns, api };
        within_bounds("PowerDNS listens", async || TcpStream::connect(&world.api).await.is_ok())
            .await;
        let set = |name: &str, to: &str| json!({ "name": name, "type": "A", "ttl": 7, "records": [{ "content": to, "disabled": false }] });
        let zone = json!({
            "name": "drill.test.", "kind": "Native", "nameservers": ["ns.drill.test."],
            "rrsets": [set("a.drill.test.", "127.0.1.1"), set("b.drill.test.", "127.0.2.1")],
        });
        by_hand(&world.api, "POST", ZONES, &zone).await;
        world
    }

    fn settings(&self) -> HttpSettings {
        let zone = "/zones/drill.test.";
        let inspect = HttpReading {
            call: call("GET", "/zones/drill.test.?rrset_name={{part}}&rrset_type=A", None),
            // Of records that are disabled, the answer tells nothing.
            read: "/rrsets".to_owned(),
            closed: json!([]),
            keep: None,
        };
        let records = |records: &str| {
            format!(
                r#"{{"rrsets": [{{"name": {{{{part}}}}, "type": "A", "ttl": {{{{before:/0/ttl}}}}, "changetype": "REPLACE", "records": {records}}}]}}"#
            )
        };
        let off = records(r#"[{"content": {{before:/0/records/0/content}}, "disabled": true}]"#);
        let on = records("{{before:/0/records}}");
        let parts = [(A, "a.drill.test."), (B, "b.drill.test.")];
        let key = firedrill::model::Part::Secret { name: "KEY".into(), value: "secret".into() };
        HttpSettings {
            headers: vec![("x-api-key".to_owned(), Text::new(vec![key]))],
            cut: call("PATCH", zone, Some(&off)),
            restore: call("PATCH", zone, Some(&on)),
            ..settings(&format!("http://{}/api/v1/servers/localhost", self.api), &parts, inspect)
        }
    }

    /// What a client is told of a name.
    fn answer(&self, name: &str) -> String {
        let (at, port) = (format!("@{}", self.host), self.dns.to_string());
        let said =
            Command::new("dig").args(["+short", "+tries=1", &at, "-p", &port, name]).output();
        String::from_utf8(said.expect("apt-get install dnsutils").stdout).unwrap().trim().to_owned()
    }
}

impl Drop for PowerDns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = &self.directory;
    }
}

#[tokio::test]
async fn powerdns_keeps_the_contract_and_clients_are_told_so() {
    let world = PowerDns::start().await;
    let control = control(world.settings());
    contract::holds(&control, &drain()).await;
    let snapshot = control.inspect().await.unwrap();
    let part = &snapshot.parts["a.drill.test."];
    assert!(part.settings["state"].contains(r#""ttl":7"#), "{part:?}");
    assert_eq!(world.answer("a.drill.test"), "127.0.1.1");
    control.cut(&drain(), &snapshot).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert_eq!(now.parts["a.drill.test."].passage, Passage::Closed);
    assert_eq!(
        (world.answer("a.drill.test"), world.answer("b.drill.test")),
        ("".into(), "127.0.2.1".into())
    );
    from_the_journal(&control).restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(world.answer("a.drill.test"), "127.0.1.1");
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    let told = control.exchanges();
    assert!(!told.is_empty() && told.iter().all(|it| !it.asked.contains("secret")), "{told:?}");
}

#[tokio::test]
async fn powerdns_says_no_in_words_and_nothing_is_changed() {
    let world = PowerDns::start().await;
    let good = control(world.settings());
    let before = good.inspect().await.unwrap();
    let wrong = |change: &dyn Fn(&mut HttpSettings)| {
        let mut settings = world.settings();
        change(&mut settings);
        control(settings)
    };
    let expired = wrong(&|it| it.headers[0].1 = "expired".into());
    let error = expired.preflight().await.unwrap_err();
    assert!(
        error.what.contains("401 Unauthorized") && error.hint.contains("credentials"),
        "{error}"
    );
    let zone =
        wrong(&|it| it.inspect.call.path = "/zones/nothing.test.?rrset_name={{part}}".into());
    let error = zone.preflight().await.unwrap_err();
    assert!(error.what.contains("the answer is 404"), "{error}");
    let body = wrong(&|it| it.cut.body = Some(r#"{"rrsets": [{"name": "x"}]}"#.into()));
    let error = body.cut(&drain(), &before).await.unwrap_err();
    assert!(error.what.contains("422"), "{error}");
    assert_eq!(good.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn an_api_that_never_answers_is_given_up() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let inspect = HttpReading {
        call: call("GET", "/{{part}}", None),
        read: "/on".to_owned(),
        closed: json!(false),
        keep: None,
    };
    let silent = control(settings(&url, &[(A, "app/dc-a-web1")], inspect));
    contract::gives_up_within(&silent, &drain(), Duration::from_secs(20)).await;
}
