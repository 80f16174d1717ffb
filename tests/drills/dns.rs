//! A name that moves: a real PowerDNS and a real unbound before it, real nginx in two datacenters, and the cohorts of clients that
//! follow the name sooner or later. Run as a person would.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::world::alone;

/// Port of the web servers.
const WEB: u16 = 8081;
/// Port of the zone's own server.
const ZONE: u16 = 5300;
/// Port of the resolver.
const RESOLVER: u16 = 5353;

/// All servers, for as long as it lives. Their addresses are this process's own.
struct Site {
    home: TempDir,
    dns: Vec<Child>,
}

impl Site {
    fn up() -> Site {
        let mut site = Site { home: tempfile::tempdir().unwrap(), dns: Vec::new() };
        for (name, address) in [("dc-a", address(1)), ("dc-b", address(2))] {
            site.web_server(name, address);
        }
        site.zone();
        site.resolver();
        within("everything answers", || {
            let web = [1, 2].map(|it| TcpStream::connect((address(it), WEB)).is_ok());
            web == [true; 2]
                && [ZONE, RESOLVER].map(ask) == [address(1).to_string(), address(1).to_string()]
        });
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn web_server(&self, name: &str, address: Ipv4Addr) {
        let home = self.home.path().display();
        let conf = format!(
            "master_process off;\npid {home}/{name}.pid;\nerror_log {home}/{name}.log;\nevents {{}}\nhttp {{\n  \
             access_log off;\n  client_body_temp_path {home}/{name}.body;\n  server {{\n    \
             listen {address}:{WEB};\n    location / {{ return 200 '{name}'; }}\n  }}\n}}\n"
        );
        std::fs::write(self.path(&format!("{name}.conf")), conf).unwrap();
        let conf = self.path(&format!("{name}.conf"));
        let log = self.path(&format!("{name}.log"));
        let started =
            Command::new("nginx").arg("-e").arg(log).arg("-c").arg(conf).status().unwrap();
        assert!(started.success());
    }

    /// PowerDNS with a name that leads to dc-a, and nothing cached.
    fn zone(&mut self) {
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let records = format!(
            "INSERT INTO domains (id, name, type) VALUES (1, 'drill.test', 'NATIVE');\n\
             INSERT INTO records (domain_id, name, type, content, ttl) VALUES\n\
             (1, 'drill.test', 'SOA', 'a.drill.test b.drill.test 1 60 60 60 1', 60),\n\
             (1, 'app.drill.test', 'A', '{}', 2);\n",
            address(1)
        );
        let sql = std::fs::read_to_string(schema).unwrap() + &records;
        std::fs::write(self.path("zone.sql"), sql).unwrap();
        let home = self.home.path().display();
        let filled = Command::new("sh")
            .args(["-c", &format!("sqlite3 {home}/zone.db < {home}/zone.sql")])
            .status()
            .unwrap();
        assert!(filled.success());
        let conf = format!(
            "launch=gsqlite3\ngsqlite3-database={home}/zone.db\nlocal-address={}\nlocal-port={ZONE}\ncache-ttl=0\n\
             query-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nsocket-dir={home}\n\
             setuid=\nsetgid=\ndaemon=no\nguardian=no\n",
            address(3)
        );
        std::fs::write(self.path("pdns.conf"), conf).unwrap();
        let mut pdns = Command::new("pdns_server");
        self.dns.push(quietly(pdns.arg(format!("--config-dir={home}"))));
    }

    /// unbound, which keeps the zone's answers for their TTL.
    fn resolver(&mut self) {
        let home = self.home.path().display();
        let (own, zone) = (address(4), address(3));
        let conf = format!(
            "server:\n  directory: \"{home}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  \
             do-daemonize: no\n  interface: {own}\n  port: {RESOLVER}\n  access-control: 127.0.0.0/8 allow\n  \
             do-not-query-localhost: no\n  module-config: \"iterator\"\n  local-zone: \"test.\" nodefault\n  \
             num-threads: 1\nremote-control:\n  control-enable: no\nstub-zone:\n  name: \"drill.test\"\n  \
             stub-addr: {zone}@{ZONE}\n"
        );
        std::fs::write(self.path("unbound.conf"), conf).unwrap();
        let mut unbound = Command::new("unbound");
        self.dns.push(quietly(unbound.arg("-d").arg("-c").arg(self.path("unbound.conf"))));
    }

    /// A tool that moves the name and, if it `kills`, the servers of dc-a with it.
    fn tool(&self, kills: bool) {
        let home = self.home.path().display();
        let (a, b, zone) = (address(1), address(2), address(3));
        let (kill, start) = match kills {
            true => (
                format!("kill -9 $(cat {home}/dc-a.pid) 2>/dev/null"),
                format!("nginx -e {home}/dc-a.log -c {home}/dc-a.conf 2>/dev/null"),
            ),
            false => ("true".to_owned(), "true".to_owned()),
        };
        let script = format!(
            "#!/bin/sh\ncat >/dev/null\nmove() {{ sqlite3 -cmd '.timeout 5000' {home}/zone.db \"UPDATE records SET content = '$1' WHERE type = 'A'\"; }}\n\
             case $1 in\ncut) {kill}; move {b};;\nrestore) {start}; move {a};;\n\
             inspect)\n  passage=closed\n  [ \"$(dig +short -p {ZONE} @{zone} app.drill.test)\" = {a} ] && passage=open\n  \
             printf '{{\"parts\":{{\"app\":{{\"datacenter\":\"dc-a\",\"passage\":\"%s\"}}}}}}' $passage;;\nesac\n"
        );
        std::fs::write(self.path("tool.sh"), script).unwrap();
    }

    /// Runs a drill in which the name moves after 3 s, and gives its record.
    fn drill(&self, mode: &str) -> Value {
        self.tool(mode == "reset");
        let home = self.home.path().display();
        let [a, b, zone, resolver] = [1, 2, 3, 4].map(address);
        let (zone, resolver) = (format!("{zone}:{ZONE}"), format!("{resolver}:{RESOLVER}"));
        let tool = |act: &str| format!("[sh, {home}/tool.sh, {act}]");
        let plan = format!(
            r#"
version: 1
name: moved
datacenters: [dc-a, dc-b]
traffic:
  name: {{ exec: {{ inspect: {}, cut: {}, restore: {}, modes: [{mode}] }} }}
services:
  app:
    probes:
      zone:
        dns: {{ name: app.drill.test, server: "{zone}", authority: true }}
        every: 50ms
        served_by: {{ answer: {{ dc-a: {a}, dc-b: {b} }} }}
      resolver:
        dns: {{ name: app.drill.test, server: "{resolver}" }}
        every: 50ms
        served_by: {{ answer: {{ dc-a: {a}, dc-b: {b} }} }}
      home:
        http: "http://app.drill.test:{WEB}/"
        every: 50ms
        served_by: {{ peer: {{ dc-a: {a}, dc-b: {b} }} }}
        cohorts:
          fresh: {{ look_up: {{ server: "{zone}" }} }}
          ttl: {{ look_up: {{ server: "{resolver}", cache: ttl }} }}
          stale: {{ look_up: {{ server: "{resolver}", cache: 10s }}, required: false }}
          held: {{ look_up: {{ server: "{resolver}" }}, connection: keep-alive, required: false }}
    promises: {{ recover_within: 8s }}
cut: {{ datacenter: dc-a, mode: {mode}, through: [name] }}
timing: {{ baseline: 3s, stable_for: 1s, hold: 9s, at_most: 40s }}
"#,
            tool("inspect"),
            tool("cut"),
            tool("restore"),
        );
        std::fs::write(self.path("plan.yaml"), plan).unwrap();
        let record = self.path("record.json");
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args(["run", "--yes", "--state-dir"])
            .arg(self.path("state"))
            .arg("--report")
            .arg(format!("json={}", record.display()))
            .arg(self.path("plan.yaml"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stdout) + &text(&output.stderr);
        let record = std::fs::read(&record).unwrap_or_else(|_| panic!("{told}"));
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["verdict"], "PASS", "{told}");
        assert_eq!([ZONE].map(ask), [address(1).to_string()], "traffic is back");
        record
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in &mut self.dns {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in ["dc-a", "dc-b"] {
            let Ok(pid) = std::fs::read_to_string(self.path(&format!("{name}.pid"))) else {
                continue;
            };
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

/// An address of this process: `place` 1 and 2 are the datacenters.
fn address(place: u8) -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 32 * place + high % 32, middle, low)
}

/// Where a server says that the name leads.
fn ask(port: u16) -> String {
    let at = if port == ZONE { address(3) } else { address(4) };
    let asked = Command::new("dig")
        .args([
            "+short",
            "+time=1",
            "+tries=1",
            "-p",
            &port.to_string(),
            &format!("@{at}"),
            "app.drill.test",
        ])
        .output()
        .unwrap();
    String::from_utf8_lossy(&asked.stdout).trim().to_owned()
}

fn quietly(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn within(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn probe<'r>(record: &'r Value, name: &str) -> &'r Value {
    let probes = record["services"][0]["probes"].as_array().unwrap();
    probes.iter().find(|probe| probe["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

/// Milliseconds within which a probe recovered.
fn recovered(record: &Value, name: &str) -> (f64, f64) {
    let recovery = &probe(record, name)["recovery"];
    let bound = |key: &str| recovery[key].as_f64().unwrap_or_else(|| panic!("{name}: {recovery}"));
    (bound("low_ms"), bound("high_ms"))
}

/// Milliseconds from the cut until the last request of a probe was led to dc-a.
fn last_led_there(record: &Value, name: &str) -> f64 {
    let cut = record["marks"]["cut_issued_ms"].as_f64().unwrap();
    let last = &probe(record, name)["cohort"]["last_led_there_ms"];
    last.as_f64().map_or(0.0, |last| last - cut)
}

fn is_before(first: f64, second: f64) -> bool {
    first < second
}

#[test]
fn each_cohort_follows_a_name_in_its_own_time() {
    let _alone = alone();
    let site = Site::up();

    // Nothing dies: who knows the old address is served by it for as long as he goes on with it.
    let drained = site.drill("drain");
    let last = |name| last_led_there(&drained, name);
    let told = ["zone", "resolver", "home.fresh", "home.ttl", "home.stale", "home.held"]
        .map(|name| format!("{name} {:.0}", last(name)))
        .join(", ");
    println!("drain, last led there, in ms after the cut: {told}");
    assert!(is_before(last("zone"), last("home.stale")), "{told}");
    assert!(last("zone") <= 1_000.0 && last("home.fresh") <= 1_000.0, "{told}");
    assert!(last("resolver") <= 4_000.0 && last("home.ttl") <= 6_000.0, "{told}");
    assert!(is_before(last("home.ttl"), last("home.stale")), "{told}");
    // 10 s after it asked, which was 3 s before the cut.
    assert!((6_000.0..8_000.0).contains(&last("home.stale")), "{told}");
    assert!(is_before(last("home.stale"), last("home.held")), "held to the end: {told}");
    for name in ["zone", "home.fresh", "home.ttl", "home.stale", "home.held"] {
        assert_eq!(probe(&drained, name)["counts"]["bad"], 0, "{name}");
    }

    // It dies: whoever goes on with the old address is without the service meanwhile.
    let killed = site.drill("reset");
    let took = |name| recovered(&killed, name);
    let told = ["zone", "resolver", "home.fresh", "home.ttl", "home.stale", "home.held"]
        .map(|name| format!("{name} {:.0} to {:.0}", took(name).0, took(name).1))
        .join(", ");
    println!("reset, recovered, in ms after the cut: {told}");
    assert!(took("zone").0 <= took("home.ttl").1, "{told}");
    assert!(is_before(took("home.ttl").1, took("home.stale").0), "{told}");
    assert!(took("home.fresh").1 <= 1_000.0 && took("home.ttl").1 <= 6_000.0, "{told}");
    assert!((5_500.0..8_000.0).contains(&took("home.stale").1), "{told}");
    // Its connection died, so that it had to look up anew, as the resolver knew it then.
    assert!(is_before(took("home.held").1, took("home.stale").0), "{told}");
}
