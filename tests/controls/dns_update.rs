//! The `dns-update` control against a real Knot, with a real resolver behind it.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use firedrill::model::{
    ControlSpec, CutOrder, DnsKey, DnsKeyAlgorithm, DnsRecords, DnsUpdateSettings, Mode, Part,
    Passage, Provider, Text,
};
use firedrill::restore::Reading;
use firedrill::traffic::dns_update::DnsUpdate;
use firedrill::traffic::{TrafficControl, reach};
use hickory_proto::rr::RecordType;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::contract;
use crate::dns::*;
use crate::world::{A, B, within_bounds};

const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0IQ==";
const OTHER: &str = "b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVyc2VjIQ==";

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// A Knot with the zone `drill.test`; stopped on drop.
struct World {
    directory: TempDir,
    server: Server,
    dns: SocketAddr,
}

impl World {
    /// With the app in both datacenters and `more` lines of a zone file, all with this TTL.
    async fn start(ttl: u32, more: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let (home, dns) = (directory.path().display().to_string(), own_address());
        let zone = format!(
            "$ORIGIN {ZONE}.\n$TTL {ttl}\n@ SOA ns admin 1 60 60 600 1\n@ NS ns\nns A {}\n\
             app A {}\napp A {}\n{more}\n",
            dns.ip(),
            east(),
            west()
        );
        std::fs::write(directory.path().join("zone"), zone).unwrap();
        let key = |name: &str, algorithm: &str| {
            format!("  - id: {name}\n    algorithm: {algorithm}\n    secret: \"{SECRET}\"\n")
        };
        let keys =
            [("firedrill", "hmac-sha256"), ("longer", "hmac-sha512"), ("reader", "hmac-sha256")];
        let keys = keys.map(|(name, algorithm)| key(name, algorithm)).concat();
        let config = format!(
            "server:\n    rundir: \"{home}\"\n    listen: {}@{}\n    tcp-workers: 1\n    udp-workers: 1\n    \
             background-workers: 1\n\
             log:\n  - target: \"{home}/knot.log\"\n    any: info\ndatabase:\n    storage: \"{home}\"\n\
             key:\n{keys}\
             acl:\n  - id: update\n    key: [firedrill, longer]\n    action: [update, transfer]\n  - id: read\n    key: reader\n    action: query\n\
             zone:\n  - domain: {ZONE}\n    storage: \"{home}\"\n    file: zone\n    acl: [update, read]\n    \
             zonefile-sync: -1\n    zonefile-load: whole\n",
            dns.ip(),
            dns.port()
        );
        let file = directory.path().join("knot.conf");
        std::fs::write(&file, config).unwrap();
        let server = Server::start("knotd", &["-c", file.to_str().unwrap()]);
        let world = World { directory, server, dns };
        within_bounds("Knot answers", async || {
            ask(dns, APP, RecordType::A).await.is_some_and(|(addresses, _)| addresses.len() == 2)
        })
        .await;
        world
    }

    fn settings(&self, records: Vec<DnsRecords>) -> DnsUpdateSettings {
        DnsUpdateSettings {
            server: Text::from(&*self.dns.to_string()),
            zone: ZONE.to_owned(),
            key: key("firedrill", DnsKeyAlgorithm::HmacSha256, SECRET),
            records,
            resolvers: Vec::new(),
            follow_within: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        }
    }

    fn control(&self) -> DnsUpdate {
        control(self.settings(app()))
    }

    /// Updates the zone by another way than firedrill's.
    fn by_hand(&self, lines: &str) {
        let (ip, port) = (self.dns.ip(), self.dns.port());
        let script = format!("server {ip} {port}\nzone {ZONE}.\n{lines}\nsend\n");
        let file = self.directory.path().join("by-hand");
        std::fs::write(&file, script).unwrap();
        let done = Command::new("nsupdate")
            .args(["-v", "-y", &format!("hmac-sha256:firedrill:{SECRET}")])
            .arg(file)
            .output()
            .expect("nsupdate is installed: apt-get install bind9-dnsutils");
        assert!(done.status.success(), "{done:?}");
    }

    async fn set(&self, name: &str, kind: RecordType) -> (Vec<IpAddr>, u32) {
        let (addresses, ttl) = ask(self.dns, name, kind).await.unwrap();
        (addresses.into_iter().collect(), ttl)
    }
}

fn key(name: &str, algorithm: DnsKeyAlgorithm, secret: &str) -> DnsKey {
    let secret = Part::Secret { name: "TSIG_SECRET".to_owned(), value: secret.to_owned() };
    DnsKey::Given { name: name.to_owned(), algorithm, secret: Text::new(vec![secret]) }
}

fn spec(settings: DnsUpdateSettings) -> ControlSpec {
    ControlSpec { name: "dns".into(), provider: Provider::DnsUpdate(settings) }
}

fn control(settings: DnsUpdateSettings) -> DnsUpdate {
    DnsUpdate::new(&spec(settings.clone()), &settings)
}

#[tokio::test]
async fn dns_update_keeps_the_contract() {
    let world = World::start(60, "").await;
    let control = world.control();
    contract::holds(&control, &drain()).await;
    assert_eq!(world.set(APP, RecordType::A).await, (vec![east(), west()], 60));
    let asked = format!("{:?}", control.exchanges());
    assert!(asked.contains("SOA serial") && asked.contains(": delete "), "{asked}");
    assert!(!asked.contains(SECRET));
}

#[tokio::test]
async fn several_sets_change_in_one_update() {
    let v6: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
    let more =
        format!("app AAAA {}\napp AAAA {}\napi 20 A {}\napi 20 A {}", v6[0], v6[1], east(), west());
    let world = World::start(60, &more).await;
    let named = records(&[
        (A, APP, east()),
        (A, APP, v6[0]),
        (A, "api.drill.test", east()),
        (B, APP, west()),
    ]);
    let settings = DnsUpdateSettings {
        key: key("longer", DnsKeyAlgorithm::HmacSha512, SECRET),
        ..world.settings(named)
    };
    let control = control(settings);
    contract::holds(&control, &drain()).await;
    let snapshot = control.inspect().await.unwrap();
    drop(control.exchanges());
    control.cut(&drain(), &snapshot).await.unwrap();
    let updates =
        control.exchanges().into_iter().filter(|it| it.asked.starts_with("update")).count();
    assert_eq!(updates, 1);
    assert_eq!(world.set(APP, RecordType::AAAA).await, (vec![v6[1]], 60));
    assert_eq!(world.set("api.drill.test", RecordType::A).await, (vec![west()], 20));
    control.restore(&snapshot).await.unwrap();
    assert_eq!(world.set(APP, RecordType::AAAA).await, (v6.to_vec(), 60));
    assert_eq!(world.set("api.drill.test", RecordType::A).await, (vec![east(), west()], 20));
}

#[tokio::test]
async fn a_change_of_another_hand_outlives_the_restore() {
    let world = World::start(60, "").await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let (ours, expected) = (snapshot.cuttable(&drain()), control.cut_state(&drain(), &snapshot));
    control.cut(&drain(), &snapshot).await.unwrap();
    // A third datacenter, and a shorter TTL.
    let third: IpAddr = "192.0.2.3".parse().unwrap();
    world.by_hand(&format!(
        "update delete {APP}. A\nupdate add {APP}. 5 A {}\nupdate add {APP}. 5 A {third}",
        west()
    ));
    let now = control.inspect().await.unwrap();
    let reading = Reading::of(&now, &ours, &expected);
    assert_eq!(reading.cut, [part()], "a TTL is not ours, and a record more is not either");
    control.restore(&ours).await.unwrap();
    assert_eq!(world.set(APP, RecordType::A).await, (vec![east(), west(), third], 5));
    assert_eq!(control.inspect().await.unwrap(), snapshot);

    control.cut(&drain(), &snapshot).await.unwrap();
    world.by_hand(&format!("update delete {APP}. A"));
    let now = control.inspect().await.unwrap();
    assert_eq!(Reading::of(&now, &ours, &expected).foreign, [part()], "all of them are gone");
    let error = control.restore(&ours).await.unwrap_err();
    assert!(error.what.contains("no records app.drill.test A"), "{error}");
    assert!(gives(world.dns).await.is_empty(), "what was deleted stays so");
}

#[tokio::test]
async fn a_set_whose_records_are_gone_keeps_no_other_cut() {
    let world = World::start(60, &format!("api A {}\napi A {}", east(), west())).await;
    let named = records(&[(A, APP, east()), (A, "api.drill.test", east()), (B, APP, west())]);
    let control = control(world.settings(named));
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    world.by_hand("update delete api.drill.test. A");
    let error = control.restore(&snapshot).await.unwrap_err();
    assert!(error.what.contains("no records api.drill.test A"), "{error}");
    assert!(gives(world.dns).await.contains(&east()), "the other one is back");
}

#[tokio::test]
async fn the_last_record_is_never_cut() {
    let world = World::start(60, "").await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    world.by_hand(&format!("update delete {APP}. A {}", west()));
    let survivors = control.survivors(&drain()).await.unwrap();
    assert_eq!((survivors.len(), survivors[0].left), (1, 0));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("nobody would be left in app.drill.test A"), "{error}");
    assert_eq!(gives(world.dns).await, [east()].into(), "nothing was changed");
}

#[tokio::test]
async fn what_the_plan_says_of_the_zone_must_be_so_before_anything_is_cut() {
    let world = World::start(60, "alias CNAME app\nsub NS ns").await;
    let settings = world.settings(app());
    let with_key = |name: &str, algorithm, secret: &str| DnsUpdateSettings {
        key: key(name, algorithm, secret),
        ..settings.clone()
    };
    let sha256 = DnsKeyAlgorithm::HmacSha256;
    let of =
        |name: &str, address: &str| world.settings(records(&[(A, name, address.parse().unwrap())]));
    let zone = |zone: &str| DnsUpdateSettings { zone: zone.to_owned(), ..settings.clone() };
    let no_file =
        DnsUpdateSettings { key: DnsKey::File("/nowhere/key".into()), ..settings.clone() };
    for (settings, what, hint) in [
        (
            with_key("firedrill", sha256, OTHER),
            "does not take the signature of the key firedrill (BADSIG)",
            "secret",
        ),
        (with_key("nobody", sha256, SECRET), "does not know the key nobody", "name and algorithm"),
        (
            with_key("reader", sha256, SECRET),
            "or does not let it do this (BADKEY), asked for the update",
            "access rules",
        ),
        (
            with_key("firedrill", DnsKeyAlgorithm::HmacSha384, SECRET),
            "does not know the key firedrill",
            "name and algorithm",
        ),
        (
            with_key("firedrill", sha256, "no base64"),
            "its secret is no base64",
            "base64, as the name server has it",
        ),
        (no_file, "the key in /nowhere/key cannot be used", "see that the file is there"),
        (zone("drill.tset"), "said REFUSED to drill.tset. SOA", "has the zone drill.tset"),
        (zone(APP), "has no zone app.drill.test", "above or below"),
        (of(APP, "192.0.2.9"), "app.drill.test A has no 192.0.2.9", "it has"),
        (of("no.drill.test", "192.0.2.9"), "no.drill.test A has no 192.0.2.9", "no address"),
        (
            of("alias.drill.test", "192.0.2.9"),
            "is another name (CNAME) for app.drill.test",
            "it leads to",
        ),
        (of("a.sub.drill.test", "192.0.2.9"), "is no authority for a.sub.drill.test", "primary"),
    ] {
        let error = control(settings).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{what}: {error}");
        assert!(error.hint.contains(hint), "{hint}: {error}");
        assert!(
            !error.to_string().contains(SECRET) && !error.to_string().contains(OTHER),
            "{error}"
        );
    }
    assert_eq!(
        world.set(APP, RecordType::A).await,
        (vec![east(), west()], 60),
        "nothing was changed"
    );
    world.control().preflight().await.unwrap();
    // A key that may only read shows what is there, and changes nothing.
    let reader = control(with_key("reader", sha256, SECRET));
    let snapshot = reader.inspect().await.unwrap();
    let error = reader.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("BADKEY"), "{error}");
    assert_eq!(reader.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn the_key_may_stand_in_a_file_and_the_settings_alone_put_back() {
    let world = World::start(60, "").await;
    let made = Command::new("tsig-keygen")
        .args(["-a", "hmac-sha256", "firedrill"])
        .stderr(Stdio::null())
        .output();
    // As tsig-keygen writes it, where there is none to ask.
    let form =
        made.ok().filter(|it| it.status.success()).map(|it| String::from_utf8(it.stdout).unwrap());
    let form = form.unwrap_or_else(|| {
        "key \"firedrill\" {\n\talgorithm hmac-sha256;\n\tsecret \"x\";\n};\n".to_owned()
    });
    let (before, behind) = form.split_once("secret \"").unwrap();
    let behind = behind.split_once('"').unwrap().1;
    let file = world.directory.path().join("key");
    std::fs::write(&file, format!("{before}secret \"{SECRET}\"{behind}")).unwrap();
    let key = DnsKey::File(Text::from(file.to_str().unwrap()));
    let spec = spec(DnsUpdateSettings { key, ..world.settings(app()) });
    let control = reach(&spec).unwrap().unwrap();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(gives(world.dns).await, [west()].into());
    // As a journal keeps it, and another process reads it.
    let (spec, state) =
        (serde_json::to_string(&spec).unwrap(), serde_json::to_string(&snapshot).unwrap());
    assert!(!spec.contains(SECRET));
    let elsewhere = reach(&serde_json::from_str(&spec).unwrap()).unwrap().unwrap();
    elsewhere.restore(&serde_json::from_str(&state).unwrap()).await.unwrap();
    assert_eq!(elsewhere.inspect().await.unwrap(), snapshot);
    assert_eq!(world.set(APP, RecordType::A).await, (vec![east(), west()], 60));
}

#[tokio::test]
async fn what_is_done_by_hand_puts_back_too() {
    let world = World::start(60, "").await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    let calls = control.calls(&drain(), &snapshot);
    assert!(calls[0].call.contains("TTL 60 s"), "{calls:?}");
    // One has read the zone, and knows the TTL; the other has not, and asks for it.
    for teller in [&control, &world.control()] {
        control.cut(&drain(), &snapshot).await.unwrap();
        for command in teller.by_hand(&snapshot.cuttable(&drain())) {
            let done = Command::new("sh")
                .args(["-c", &command])
                .env("TSIG_SECRET", SECRET)
                .output()
                .unwrap();
            assert!(done.status.success(), "{command}: {done:?}");
        }
        assert_eq!(world.set(APP, RecordType::A).await, (vec![east(), west()], 60));
    }
}

#[tokio::test]
async fn a_name_server_that_hangs_or_never_answers_is_given_up() {
    let world = World::start(60, "").await;
    let timeout = Duration::from_secs(1);
    let control = world.control();
    let impatient = self::control(DnsUpdateSettings { timeout, ..world.settings(app()) });
    let snapshot = control.inspect().await.unwrap();
    world.server.signal("-STOP").await;
    contract::gives_up_within(&impatient, &drain(), Duration::from_secs(20)).await;
    world.server.signal("-CONT").await;
    control.cut(&drain(), &snapshot).await.unwrap();
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);

    // It takes connections and says nothing; or there is nobody.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = own_address();
    for at in [silent.local_addr().unwrap(), nobody] {
        let server = Text::from(&*at.to_string());
        let control = self::control(DnsUpdateSettings { server, timeout, ..world.settings(app()) });
        contract::gives_up_within(&control, &drain(), Duration::from_secs(20)).await;
    }
    assert!(TcpStream::connect(nobody).await.is_err());
}

/// A world with a resolver before it, whose control waits for that too.
async fn resolved(ttl: u32) -> (World, Resolver, DnsUpdate) {
    let world = World::start(ttl, "").await;
    let resolver = Resolver::start(world.directory.path(), world.dns).await;
    let resolvers = vec![Text::from(&*resolver.at.to_string())];
    let control = control(DnsUpdateSettings { resolvers, ..world.settings(app()) });
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
    let resolvers = vec![Text::from(&*resolver.at.to_string())];
    let timeout = Duration::from_secs(1);
    let impatient =
        self::control(DnsUpdateSettings { resolvers, timeout, ..world.settings(app()) });
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
