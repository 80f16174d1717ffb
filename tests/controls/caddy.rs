//! The `caddy` control against a real Caddy.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use firedrill::model::{
    CaddySettings, CaddyUpstream, ControlSpec, CutOrder, Mode, Passage, Provider, Text,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::caddy::Caddy;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::contract;
use crate::world::{A, B, Front, web_server, within_bounds};

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// A Caddy with one handler before upstreams in two datacenters; stopped on drop.
struct World {
    directory: TempDir,
    process: Child,
    /// Where its admin API listens.
    admin: String,
    config: Value,
    upstreams: Vec<CaddyUpstream>,
    front: Front,
}

impl World {
    /// Upstreams in the datacenters a, b and a, chosen among by `policy`.
    async fn start(policy: &str) -> World {
        let [a1, b, a2] = [web_server("a").await, web_server("b").await, web_server("a").await];
        World::before(policy, &[(A, a1), (B, b), (A, a2)]).await
    }

    async fn before(
        policy: &str,
        servers: &[(firedrill::model::DatacenterId, std::net::SocketAddr)],
    ) -> World {
        let directory = tempfile::tempdir().unwrap();
        let front = Front::new(directory.path().join("front.sock"));
        let upstreams: Vec<CaddyUpstream> = servers
            .iter()
            .map(|(datacenter, at)| CaddyUpstream { datacenter: *datacenter, dial: at.to_string() })
            .collect();
        let listed: Vec<Value> = upstreams.iter().map(|it| json!({ "dial": it.dial })).collect();
        let admin = own_address();
        let handler = json!({
            "@id": "edge", "handler": "reverse_proxy", "upstreams": listed,
            "load_balancing": { "selection_policy": { "policy": policy }, "try_duration": "2s" },
        });
        let server = json!({
            "listen": [format!("unix/{}", front.path.display())],
            "automatic_https": { "disable": true }, "routes": [{ "handle": [handler] }],
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
        let world = World { directory, process, admin, config, upstreams, front };
        within_bounds("Caddy listens", async || {
            TcpStream::connect(&world.admin).await.is_ok()
                && UnixStream::connect(&world.front.path).await.is_ok()
        })
        .await;
        world
    }

    fn control(&self) -> Caddy {
        control(&self.admin, "edge", self.upstreams.clone())
    }

    /// Asks the admin API by another way than firedrill's.
    async fn by_hand(&self, method: &str, path: &str, body: &Value) -> String {
        let mut stream = TcpStream::connect(&self.admin).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{method} {path}: {answer}");
        answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
    }

    /// The upstreams as Caddy lists them.
    async fn list(&self) -> Value {
        let text = self.by_hand("GET", "/id/edge/upstreams", &Value::Null).await;
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = &self.directory;
    }
}

/// An address of loopback that no other test's process has.
fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = 20_190 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{middle}.{low}:{port}", 64 + high % 64)
}

fn control(admin: &str, id: &str, upstreams: Vec<CaddyUpstream>) -> Caddy {
    let settings = CaddySettings {
        url: Text::from(&*format!("http://{admin}")),
        id: id.to_owned(),
        upstreams,
        timeout: std::time::Duration::from_secs(5),
    };
    let provider = Provider::Caddy(settings.clone());
    Caddy::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

#[tokio::test]
async fn caddy_keeps_the_contract() {
    let world = World::start("round_robin").await;
    contract::holds(&world.control(), &drain()).await;
}

#[tokio::test]
async fn caddy_leaves_what_another_hand_changed_alone() {
    let world = World::start("round_robin").await;
    let part = world.upstreams[0].dial.clone();
    let changed = json!({ "dial": part, "max_requests": 7 });
    let hand = async {
        let _ = world.by_hand("POST", "/id/edge/upstreams", &changed).await;
    };
    contract::leaves_another_hand_alone(&world.control(), &drain(), &part, hand).await;
}

#[tokio::test]
async fn what_goes_back_stands_where_it_stood_for_the_order_may_say_who_serves() {
    let world = World::start("first").await;
    let (control, before) = (world.control(), world.list().await);
    assert_eq!(world.front.served(3).await, ["a"; 3]);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.list().await, json!([{ "dial": world.upstreams[1].dial }]));
    assert_eq!(world.front.served(3).await, ["b"; 3]);
    control.restore(&snapshot).await.unwrap();
    assert_eq!(world.list().await, before);
    assert_eq!(world.front.served(3).await, ["a"; 3]);
}

#[tokio::test]
async fn nobody_new_reaches_a_cut_datacenter_and_who_is_there_may_finish() {
    let world = World::start("round_robin").await;
    let control = world.control();
    let mut downloads = vec![world.front.download().await, world.front.download().await];
    downloads.push(world.front.download().await);
    let cut_off = downloads.iter().position(|it| it.datacenter == "a").unwrap();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.front.served(12).await, ["b"; 12]);
    assert!(downloads[cut_off].goes_on_for(1000).await, "an open download goes on");
    control.restore(&snapshot).await.unwrap();
    assert!(world.front.served(6).await.contains(&"a".to_owned()));
    assert!(downloads[cut_off].goes_on_for(1000).await);
}

#[tokio::test]
async fn a_datacenter_that_is_dead_or_hangs_can_be_cut_and_put_back() {
    let dead = crate::ports::free_address();
    // It takes connections, and nobody ever reads from them.
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = [(A, dead), (A, hangs.local_addr().unwrap()), (B, web_server("b").await)];
    let world = World::before("round_robin", &servers).await;
    contract::holds(&world.control(), &drain()).await;
    let snapshot = world.control().inspect().await.unwrap();
    world.control().cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.front.served(6).await, ["b"; 6]);
    world.control().restore(&snapshot).await.unwrap();
    assert_eq!(world.control().inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_configuration_that_is_loaded_anew_opens_what_was_cut_and_shows() {
    let world = World::start("round_robin").await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    let changed = {
        let mut config = world.config.clone();
        config["apps"]["http"]["servers"]["front"]["idle_timeout"] = json!("77s");
        config
    };
    world.by_hand("POST", "/load", &changed).await;
    let now = control.inspect().await.unwrap();
    assert!(now.parts.values().all(|part| part.passage == Passage::Open), "{now:?}");
}

#[tokio::test]
async fn what_the_plan_says_of_caddy_must_be_so_before_anything_is_cut() {
    let world = World::start("round_robin").await;
    let all = world.upstreams.clone();
    let other = CaddyUpstream { datacenter: B, dial: "127.0.0.1:1".to_owned() };
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    for (id, upstreams, what) in [
        ("egde", all.clone(), "no handler with the @id egde"),
        ("edge", [all.clone(), vec![other]].concat(), "has no upstream 127.0.0.1:1"),
        ("edge", all[..2].to_vec(), "has an upstream that the plan does not name"),
        ("edge", reversed, "in another order"),
    ] {
        let error = control(&world.admin, id, upstreams).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(id == "egde" || error.hint.contains(&all[0].dial), "{error}");
    }
    assert_eq!(world.list().await.as_array().unwrap().len(), 3, "nothing was changed");
}

#[tokio::test]
async fn a_caddy_that_never_answers_is_given_up() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = CaddyUpstream { datacenter: A, dial: "127.0.0.1:1".to_owned() };
    let control = control(&silent.local_addr().unwrap().to_string(), "edge", vec![upstream]);
    contract::gives_up_within(&control, &drain(), std::time::Duration::from_secs(20)).await;
}
