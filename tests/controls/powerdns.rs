//! The `powerdns` control against a real PowerDNS, with a real resolver behind it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use firedrill::model::{
    ControlSpec, CutOrder, DnsRecords, Mode, Part, Passage, PowerdnsKey, PowerdnsSettings,
    Provider, Text,
};
use firedrill::restore::Reading;
use firedrill::traffic::powerdns::Powerdns;
use firedrill::traffic::{TrafficControl, reach};
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::contract;
use crate::dns::*;
use crate::world::{A, B, within_bounds};

const KEY: &str = "pdns-key-7f3a";

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// A PowerDNS with the zone `drill.test`; stopped on drop.
struct World {
    directory: TempDir,
    server: Server,
    api: SocketAddr,
    dns: SocketAddr,
}

impl World {
    /// With the app in both datacenters, and this TTL.
    async fn start(ttl: u32) -> World {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().display().to_string();
        let (api, dns) = (own_address(), own_address());
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let made = Command::new("sqlite3")
            .arg(directory.path().join("zones.db"))
            .arg(format!(".read {schema}"))
            .status();
        assert!(made.expect("sqlite3 is installed").success(), "pdns-backend-sqlite3 is installed");
        // The caches are as they are by default.
        let config = format!(
            "launch=gsqlite3\ngsqlite3-database={home}/zones.db\nlocal-address={}\nlocal-port={}\napi=yes\n\
             api-key={KEY}\nwebserver=yes\nwebserver-address={}\nwebserver-port={}\nwebserver-allow-from=127.0.0.0/8\n\
             enable-lua-records=yes\nsocket-dir={home}\nsetuid=\nsetgid=\ndaemon=no\nguardian=no\nloglevel=0\n",
            dns.ip(),
            dns.port(),
            api.ip(),
            api.port()
        );
        std::fs::write(directory.path().join("pdns.conf"), config).unwrap();
        let server = Server::start("pdns_server", &[&format!("--config-dir={home}")]);
        let world = World { directory, server, api, dns };
        within_bounds("PowerDNS listens", async || TcpStream::connect(api).await.is_ok()).await;
        let zone = json!({
            "name": format!("{ZONE}."), "kind": "Native", "nameservers": [format!("ns.{ZONE}.")],
            "rrsets": [set(APP, "A", ttl, &[(east().to_string(), false), (west().to_string(), false)])],
        });
        world.by_hand("POST", "", &zone).await;
        within_bounds("PowerDNS has the zone", async || {
            ask(dns, APP, RecordType::A).await.is_some_and(|(addresses, _)| addresses.len() == 2)
        })
        .await;
        world
    }

    fn settings(&self, records: Vec<DnsRecords>) -> PowerdnsSettings {
        let key = Part::Secret { name: "PDNS_API_KEY".to_owned(), value: KEY.to_owned() };
        PowerdnsSettings {
            url: Text::from(&*format!("http://{}", self.api)),
            api_key: PowerdnsKey::Given(Text::new(vec![key])),
            server: "localhost".to_owned(),
            zone: ZONE.to_owned(),
            records,
            resolvers: Vec::new(),
            follow_within: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        }
    }

    fn control(&self) -> Powerdns {
        control(self.settings(app()))
    }

    /// Asks the API by another way than firedrill's, below the zones.
    async fn by_hand(&self, method: &str, path: &str, body: &Value) -> String {
        let mut stream = TcpStream::connect(self.api).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "{method} /api/v1/servers/localhost/zones{path} HTTP/1.0\r\nhost: x\r\nx-api-key: {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let is_good = answer.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
        assert!(is_good, "{method} {path}: {answer}");
        answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
    }

    /// Replaces sets of records.
    async fn put(&self, sets: &[Value]) {
        let sets: Vec<Value> = sets
            .iter()
            .map(|set| {
                let mut set = set.clone();
                set["changetype"] = json!("REPLACE");
                set
            })
            .collect();
        self.by_hand("PATCH", &format!("/{ZONE}."), &json!({ "rrsets": sets })).await;
    }

    /// A set as PowerDNS has it, its records in order.
    async fn get(&self, name: &str, kind: &str) -> Value {
        let zone = self.by_hand("GET", &format!("/{ZONE}."), &Value::Null).await;
        let zone: Value = serde_json::from_str(&zone).unwrap();
        let sets = zone["rrsets"].as_array().unwrap();
        let set = sets.iter().find(|it| it["name"] == format!("{name}.") && it["type"] == kind);
        let mut set = set.cloned().unwrap_or(Value::Null);
        if let Some(records) = set["records"].as_array_mut() {
            records.sort_by_key(|it| it["content"].to_string());
        }
        set
    }
}

/// A set as PowerDNS takes it: contents, and whether each is disabled.
fn set(name: &str, kind: &str, ttl: u32, records: &[(String, bool)]) -> Value {
    let records: Vec<Value> = records
        .iter()
        .map(|(content, disabled)| json!({ "content": content, "disabled": disabled }))
        .collect();
    json!({ "name": format!("{name}."), "type": kind, "ttl": ttl, "records": records })
}

fn spec(settings: PowerdnsSettings) -> ControlSpec {
    ControlSpec { name: "dns".into(), provider: Provider::Powerdns(settings) }
}

fn control(settings: PowerdnsSettings) -> Powerdns {
    Powerdns::new(&spec(settings.clone()), &settings)
}

#[tokio::test]
async fn powerdns_keeps_the_contract() {
    let world = World::start(60).await;
    let control = world.control();
    contract::holds(&control, &drain()).await;
    let asked = control.exchanges();
    assert!(asked.iter().any(|it| it.asked.starts_with("PATCH")), "{asked:?}");
    assert!(!format!("{asked:?}").contains(KEY));
}

#[tokio::test]
async fn several_sets_are_cut_together_and_the_rest_of_them_stays_as_it_is() {
    let world = World::start(60).await;
    let (v6, other) = ("2001:db8::1", "192.0.2.77");
    world
        .put(&[
            set(APP, "AAAA", 30, &[(v6.to_owned(), false), ("2001:db8::2".to_owned(), false)]),
            set(
                "api.drill.test",
                "A",
                20,
                &[
                    (east().to_string(), false),
                    (other.to_owned(), true),
                    (west().to_string(), false),
                ],
            ),
        ])
        .await;
    let comments = json!([{ "content": "ours", "account": "us" }]);
    let mut commented = set(
        "api.drill.test",
        "A",
        20,
        &[(east().to_string(), false), (other.to_owned(), true), (west().to_string(), false)],
    );
    commented["comments"] = comments;
    world.put(&[commented]).await;
    let named = records(&[
        (A, APP, east()),
        (A, APP, v6.parse().unwrap()),
        (A, "api.drill.test", east()),
        (B, APP, west()),
    ]);
    let control = control(world.settings(named));
    let before = [world.get(APP, "AAAA").await, world.get("api.drill.test", "A").await];
    assert_eq!(before[1]["comments"][0]["content"], "ours");
    contract::holds(&control, &drain()).await;
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    let mut cut = before.clone();
    for set in &mut cut {
        for it in set["records"].as_array_mut().unwrap() {
            if [json!(v6), json!(east())].contains(&it["content"]) {
                it["disabled"] = json!(true);
            }
        }
    }
    assert_eq!([world.get(APP, "AAAA").await, world.get("api.drill.test", "A").await], cut);
    let (given, ttl) = ask(world.dns, APP, RecordType::AAAA).await.unwrap();
    assert_eq!((given, ttl), (["2001:db8::2".parse().unwrap()].into(), 30));
    control.restore(&snapshot).await.unwrap();
    assert_eq!([world.get(APP, "AAAA").await, world.get("api.drill.test", "A").await], before);
}

#[tokio::test]
async fn a_change_of_another_hand_outlives_the_restore() {
    let world = World::start(60).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let (ours, expected) = (snapshot.cuttable(&drain()), control.cut_state(&drain(), &snapshot));
    control.cut(&drain(), &snapshot).await.unwrap();
    // A third datacenter, and a shorter TTL.
    let hand = |east_disabled| {
        set(
            APP,
            "A",
            5,
            &[
                (east().to_string(), east_disabled),
                (west().to_string(), false),
                ("192.0.2.3".to_owned(), false),
            ],
        )
    };
    world.put(&[hand(true)]).await;
    let now = control.inspect().await.unwrap();
    let reading = Reading::of(&now, &ours, &expected);
    assert_eq!(reading.cut, [part()], "a TTL is not ours, and a record more is not either");
    control.restore(&ours).await.unwrap();
    let after = world.get(APP, "A").await;
    assert_eq!((&after["ttl"], after["records"].as_array().unwrap().len()), (&json!(5), 3));
    assert_eq!(control.inspect().await.unwrap(), snapshot);

    control.cut(&drain(), &snapshot).await.unwrap();
    world.put(&[set(APP, "A", 5, &[(west().to_string(), false)])]).await;
    let now = control.inspect().await.unwrap();
    assert_eq!(Reading::of(&now, &ours, &expected).foreign, [part()], "it is gone");
    let error = control.restore(&ours).await.unwrap_err();
    assert!(error.what.contains(&format!("no record {}", part())), "{error}");
    assert!(error.hint.contains(&west().to_string()), "{error}");
    let after = world.get(APP, "A").await;
    assert_eq!(after["records"].as_array().unwrap().len(), 1, "what was deleted stays so");
}

#[tokio::test]
async fn a_record_that_is_gone_keeps_no_other_cut() {
    let world = World::start(60).await;
    world
        .put(&[set(
            "api.drill.test",
            "A",
            9,
            &[(east().to_string(), false), (west().to_string(), false)],
        )])
        .await;
    let named = records(&[(A, APP, east()), (A, "api.drill.test", east()), (B, APP, west())]);
    let control = control(world.settings(named));
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    world.put(&[set("api.drill.test", "A", 9, &[(west().to_string(), false)])]).await;
    let error = control.restore(&snapshot).await.unwrap_err();
    assert!(error.what.contains("no record api.drill.test/A/"), "{error}");
    assert!(gives(world.dns).await.contains(&east()), "the other one is back");
}

#[tokio::test]
async fn the_last_record_in_force_is_never_cut() {
    let world = World::start(60).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    // West is a standby now, which another tool brings into force.
    world
        .put(&[set(APP, "A", 60, &[(east().to_string(), false), (west().to_string(), true)])])
        .await;
    let survivors = control.survivors(&drain()).await.unwrap();
    assert_eq!((survivors.len(), survivors[0].left), (1, 0));
    assert_eq!(survivors[0].group, format!("record {APP} A"));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("nobody would be left in app.drill.test A"), "{error}");
    assert_eq!(gives(world.dns).await, [east()].into(), "nothing was changed");
    // A set that loses nothing, because all that could be lost is out already, is not judged.
    world
        .put(&[set(APP, "A", 60, &[(east().to_string(), true), (west().to_string(), false)])])
        .await;
    assert!(control.survivors(&drain()).await.unwrap().is_empty());
    assert!(!control.inspect().await.unwrap().has_open(&drain()));
}

#[tokio::test]
async fn what_the_plan_says_of_powerdns_must_be_so_before_anything_is_cut() {
    let world = World::start(60).await;
    world
        .put(&[set(
            "lua.drill.test",
            "LUA",
            5,
            &[("A \"pickrandom({'192.0.2.1'})\"".to_owned(), false)],
        )])
        .await;
    let settings = world.settings(app());
    let wrong_key =
        PowerdnsSettings { api_key: PowerdnsKey::Given("wrong".into()), ..settings.clone() };
    let no_zone = PowerdnsSettings { zone: "drill.tset".to_owned(), ..settings.clone() };
    let no_server = PowerdnsSettings { server: "other".to_owned(), ..settings.clone() };
    let no_file =
        PowerdnsSettings { api_key: PowerdnsKey::File("/nowhere/key".into()), ..settings.clone() };
    let of =
        |name: &str, address: &str| world.settings(records(&[(A, name, address.parse().unwrap())]));
    for (settings, what, hint) in [
        (wrong_key, "does not take the API key", "api-key"),
        (no_zone, "has no zone drill.tset", "list-all-zones"),
        (no_server, "the server other of PowerDNS", "localhost"),
        (no_file, "the API key in /nowhere/key cannot be used", "see that the file is there"),
        (of(APP, "192.0.2.9"), "no record app.drill.test/A/192.0.2.9", "name those that it has"),
        (of("no.drill.test", "192.0.2.9"), "no record no.drill.test/A/192.0.2.9", "list-zone"),
        (of("lua.drill.test", "192.0.2.1"), "no record lua.drill.test/A/192.0.2.1", "a LUA record"),
    ] {
        let error = control(settings).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(error.hint.contains(hint), "{error}");
        assert!(!error.to_string().contains(KEY), "{error}");
    }
    let before = world.get(APP, "A").await;
    assert_eq!(before["records"].as_array().unwrap().len(), 2, "nothing was changed");
    // A copy is written over by its primary.
    world
        .by_hand("PUT", &format!("/{ZONE}."), &json!({ "kind": "Slave", "masters": ["192.0.2.1"] }))
        .await;
    let error = world.control().preflight().await.unwrap_err();
    assert!(error.what.contains("is a copy here (Slave)"), "{error}");
}

#[tokio::test]
async fn the_key_may_stand_in_a_file_and_the_settings_alone_put_back() {
    let world = World::start(60).await;
    let file = world.directory.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let key = PowerdnsKey::File(Text::from(file.to_str().unwrap()));
    let spec = spec(PowerdnsSettings { api_key: key, ..world.settings(app()) });
    let control = reach(&spec).unwrap().unwrap();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(gives(world.dns).await, [west()].into());
    // As a journal keeps it, and another process reads it.
    let (spec, state) =
        (serde_json::to_string(&spec).unwrap(), serde_json::to_string(&snapshot).unwrap());
    assert!(!spec.contains(KEY));
    let elsewhere = reach(&serde_json::from_str(&spec).unwrap()).unwrap().unwrap();
    elsewhere.restore(&serde_json::from_str(&state).unwrap()).await.unwrap();
    assert_eq!(elsewhere.inspect().await.unwrap(), snapshot);
    assert_eq!(gives(world.dns).await, [east(), west()].into());
}

#[tokio::test]
async fn what_is_done_by_hand_puts_back_too() {
    let world = World::start(60).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let calls = control.calls(&drain(), &snapshot);
    assert!(calls[0].call.contains("TTL 60 s"), "{calls:?}");
    control.cut(&drain(), &snapshot).await.unwrap();
    for command in control.by_hand(&snapshot.cuttable(&drain())) {
        let done =
            Command::new("sh").args(["-c", &command]).env("PDNS_API_KEY", KEY).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
    }
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_powerdns_that_hangs_or_never_answers_is_given_up() {
    let world = World::start(60).await;
    let control = world.control();
    let timeout = Duration::from_secs(1);
    let impatient = self::control(PowerdnsSettings { timeout, ..world.settings(app()) });
    let snapshot = control.inspect().await.unwrap();
    world.server.signal("-STOP").await;
    contract::gives_up_within(&impatient, &drain(), Duration::from_secs(20)).await;
    world.server.signal("-CONT").await;
    control.cut(&drain(), &snapshot).await.unwrap();
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

/// A world with a resolver before it, whose control waits for that too.
async fn resolved(ttl: u32) -> (World, Resolver, Powerdns) {
    let world = World::start(ttl).await;
    let resolver = Resolver::start(world.directory.path(), world.dns).await;
    let resolvers = vec![Text::from(&*resolver.at.to_string())];
    let control = control(PowerdnsSettings { resolvers, ..world.settings(app()) });
    (world, resolver, control)
}

#[tokio::test]
async fn users_move_when_the_ttl_has_passed_and_the_control_says_so() {
    let (world, resolver, control) = resolved(2).await;
    control.preflight().await.unwrap();
    let visits = Visits::of(resolver.at, Health::Well).await;
    let (cut, back) = follow(&control, &drain(), (world.dns, resolver.at), &visits).await;
    in_order(cut, Duration::from_secs(2));
    in_order(back, Duration::from_secs(2));
    assert!(cut.resolver <= cut.control + Duration::from_millis(300), "not before users: {cut:?}");
}

#[tokio::test]
async fn a_datacenter_that_is_dead_or_hangs_can_be_cut_and_put_back() {
    for health in [Health::Dead, Health::Hangs] {
        let (world, resolver, control) = resolved(1).await;
        let visits = Visits::of(resolver.at, health).await;
        let (cut, back) = follow(&control, &drain(), (world.dns, resolver.at), &visits).await;
        in_order(cut, Duration::from_secs(1));
        in_order(back, Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_confirms_no_cut_and_holds_up_no_restore() {
    let (world, resolver, control) = resolved(1).await;
    let snapshot = control.inspect().await.unwrap();
    let (ours, expected) = (snapshot.cuttable(&drain()), control.cut_state(&drain(), &snapshot));
    let impatient = {
        let resolvers = vec![Text::from(&*resolver.at.to_string())];
        let timeout = Duration::from_secs(1);
        self::control(PowerdnsSettings { resolvers, timeout, ..world.settings(app()) })
    };
    resolver.server.signal("-STOP").await;
    control.cut(&drain(), &snapshot).await.unwrap();
    let now = impatient.inspect().await.unwrap();
    assert!(!now.is_cut(&drain()), "{now:?}");
    assert_eq!(now.parts[&part()].passage, Passage::Open);
    assert_eq!(Reading::of(&now, &ours, &expected).cut, [part()], "but ours it is");
    control.restore(&ours).await.unwrap();
    assert_eq!(impatient.inspect().await.unwrap(), snapshot);
    let error = impatient.preflight().await.unwrap_err();
    assert!(error.what.contains("does not answer for app.drill.test A"), "{error}");
}

#[tokio::test]
async fn resolvers_must_agree_before_the_cut_and_be_given_time_enough() {
    let (world, resolver, control) = resolved(60).await;
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("may keep app.drill.test A for 1 min"), "{error}");
    assert!(error.hint.contains("follow_within"), "{error}");
    assert!(gives(resolver.at).await.contains(&east()));
    // The resolver keeps for a minute what the zone says no more.
    world
        .put(&[set(APP, "A", 2, &[(east().to_string(), true), (west().to_string(), false)])])
        .await;
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("is not in force at the authority"), "{error}");
}

#[tokio::test]
async fn a_powerdns_that_answers_nothing_is_given_up() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = PowerdnsSettings {
        url: Text::from(&*format!("http://{}", silent.local_addr().unwrap())),
        api_key: PowerdnsKey::Given("k".into()),
        server: "localhost".to_owned(),
        zone: ZONE.to_owned(),
        records: app(),
        resolvers: Vec::new(),
        follow_within: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
    };
    contract::gives_up_within(&control(world), &drain(), Duration::from_secs(20)).await;
}
