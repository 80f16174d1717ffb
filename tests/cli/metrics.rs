//! Guardrails at a real Prometheus and a real Alertmanager, from Debian's packages (`.ci/needs`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::home::{Home, Running};
use crate::page::Page;
use crate::plans::lab;

/// They start within a second; the first scrape of a Prometheus comes some seconds later.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in the foreground, with a directory and a loopback address of its own.
struct Server {
    child: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts `program`; `args` are given its directory and address.
    fn start(
        program: &str,
        port: u16,
        config: &str,
        args: impl Fn(&str, &str) -> Vec<String>,
    ) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        // No other process of this machine has this address, so the port on it is free.
        let pid = std::process::id();
        let host = format!("127.{}.{}.{}", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
        let address = format!("{host}:{port}");
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(args(&path, &address))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; .ci/needs installs it"));
        Server { child, address, directory }
    }

    /// Asks; gives the whole answer, or why there is none.
    fn ask(&self, request: &str, body: &str) -> String {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            write!(
                stream,
                "{request} HTTP/1.0\r\nhost: test\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().unwrap_or_else(|error| error.to_string())
    }

    /// Asks until the answer holds `text`.
    #[track_caller]
    fn until(&self, request: &str, text: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask(request, "");
            if answer.contains(text) {
                return;
            }
            if begun.elapsed() > LIMIT {
                let log = std::fs::read_to_string(self.directory.path().join("log"));
                panic!("no {text:?} in {answer}\n{log:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Prometheus that scrapes `page` and has seen `metric` there.
fn prometheus(page: &Page, metric: &str) -> Server {
    let config = format!(
        "global: {{ scrape_interval: 200ms }}\n\
         scrape_configs: [{{ job_name: test, static_configs: [{{ targets: [\"{}\"] }}] }}]\n",
        page.address()
    );
    let server = Server::start("prometheus", 19_090, &config, |path, address| {
        vec![
            format!("--config.file={path}/config.yml"),
            format!("--storage.tsdb.path={path}/data"),
            format!("--web.listen-address={address}"),
        ]
    });
    server.until(&format!("GET /api/v1/query?query={metric}"), "\"value\":");
    server
}

fn alertmanager() -> Server {
    let config = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
    let server = Server::start("prometheus-alertmanager", 19_093, config, |path, address| {
        vec![
            format!("--config.file={path}/config.yml"),
            format!("--storage.path={path}/data"),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ]
    });
    server.until("GET /-/ready", "200 OK");
    server
}

/// A drill that stays cut for much longer than any test takes.
fn long(guardrails: &str) -> String {
    let change = [("stable_for: 500ms", "stable_for: 50s"), ("at_most: 20s", "at_most: 10m")];
    format!("{}guardrails:\n{guardrails}", lab(&change))
}

/// Runs a drill with `guardrails` until it is cut.
#[track_caller]
fn cut(home: &Home, guardrails: &str) -> Running {
    let mut drill = Running::start(home, &["run", home.file("plan.yaml", long(guardrails))]);
    drill.until(" observe: ");
    drill
}

#[test]
fn a_query_of_prometheus_stops_a_drill_and_what_gives_nothing_starts_none() {
    let (home, page) = (Home::new(), Page::new("test_errors 0\n"));
    let prometheus = prometheus(&page, "test_errors");
    let rail = |query: &str, more: &str| {
        format!(
            "- {{ name: errors, prometheus: {{ url: \"http://{}/\", {query} }}, every: 200ms, {more} }}\n",
            prometheus.address
        )
    };
    let refused = |query: &str, said: &str| {
        let plan = home.file("plan.yaml", long(&rail(query, "grace: 500ms")));
        home.run(&["run", plan])
            .says(3, &["NOT STARTED", "guardrail errors could not be read", said]);
    };
    refused("query: \"sum(\"", "status 400: ");
    refused("query: tset_errors, above: 0.5", "the query gives no sample");
    refused("query: scalar(tset_errors)", "the query gives no number (NaN)");
    refused("query: \"test_errors[1m]\"", "it must be an instant query");

    let drill = cut(&home, &rail("query: test_errors, above: 0.5", "for: 500ms"));
    page.serve(200, "test_errors 0.75\n");
    let said =
        "guardrail errors is broken: the query gives 0.75 for {__name__=\"test_errors\", instance=";
    let limit = "(limit: `test_errors` above 0.5 for 500 ms)";
    drill.end().says(5, &["STOPPED", "wan (lab) restored", said, limit]);

    // As an alerting rule: what it gives is broken before the cut, too.
    let plan = home.file("plan.yaml", long(&rail("query: test_errors > 0.5", "")));
    home.run(&["run", plan])
        .says(3, &["NOT STARTED", "guardrail errors is broken: the query gives"]);

    page.serve(200, "test_errors 0\n");
    prometheus.until("GET /api/v1/query?query=test_errors", "\"0\"");
    let drill = cut(&home, &rail("query: test_errors > 0.5", "grace: 1s"));
    drop(prometheus);
    drill.end().says(5, &["STOPPED", "guardrail errors could not be read for 1", "restored"]);
}

/// What a Prometheus says of a query for a metric, encoded as for a URL.
fn values(server: &Server, query: &str) -> String {
    server.ask(&format!("GET /api/v1/query?query={query}"), "")
}

#[test]
fn the_metrics_of_a_drill_are_read_by_prometheus_in_both_of_its_formats() {
    let home = Home::new();
    let plan = home
        .file("plan.yaml", lab(&[("  talk:\n    probes", "  talk:\n    users: 7\n    probes")]));
    home.run(&["run", plan, "--report", "openmetrics=drill.prom"]).has(0, &["PASS"]);
    let text = std::fs::read_to_string(home.path("drill.prom")).unwrap();

    let mut promtool = Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(home.path("drill.prom")).unwrap());
    let linted = promtool.output().unwrap();
    let said = String::from_utf8_lossy(&[linted.stdout, linted.stderr].concat()).into_owned();
    assert!(linted.status.success() && said.is_empty(), "{said}\n{text}");

    for kind in ["text/plain", "application/openmetrics-text; version=1.0.0; charset=utf-8"] {
        let page = Page::of_type(kind, &text);
        let prometheus = prometheus(&page, "firedrill_drill_verdict");
        let verdict = values(&prometheus, "firedrill_drill_verdict==1");
        assert!(verdict.contains("\"plan\":\"short\",\"verdict\":\"PASS\""), "{kind}: {verdict}");
        let kept =
            values(&prometheus, "sum(firedrill_promise_judgement%7Bjudgement=%22kept%22%7D)");
        assert!(kept.contains(",\"2\"]"), "{kind}: {kept}");
        for name in ["service_recovery_high", "service_user_loss_high", "drill_cut"] {
            let value = values(&prometheus, &format!("firedrill_{name}_seconds%3E0"));
            assert!(value.contains("\"value\":"), "{kind}: {value}");
        }
    }
}

const CRITICAL: &str = r#"[{ "labels": { "alertname": "Down", "severity": "critical" } }]"#;
const KNOWN: &str = r#"[{ "labels": { "alertname": "Known", "severity": "critical" } },
    { "labels": { "alertname": "Slow", "severity": "warning" } }]"#;

#[test]
fn an_alert_that_fires_stops_a_drill_and_a_silenced_one_does_not() {
    let home = Home::new();
    let alertmanager = alertmanager();
    let now = jiff::Timestamp::now();
    let silence = format!(
        r#"{{ "matchers": [{{ "name": "alertname", "value": "Known", "isRegex": false, "isEqual": true }}],
            "startsAt": "{now}", "endsAt": "{}", "createdBy": "test", "comment": "test" }}"#,
        now + Duration::from_secs(3600)
    );
    let answer = alertmanager.ask("POST /api/v2/silences", &silence);
    assert!(answer.contains("silenceID"), "{answer}");
    let answer = alertmanager.ask("POST /api/v2/alerts", KNOWN);
    assert!(answer.contains("200 OK"), "{answer}");
    alertmanager.until("GET /api/v2/alerts?active=false", "\"suppressed\"");
    alertmanager.until("GET /api/v2/alerts?silenced=false&unprocessed=false", "\"Slow\"");

    let rail = format!(
        "- {{ alertmanager: {{ url: \"http://{}\", matchers: ['severity=\"critical\"', 'alertname=~\"Down|Known\"'] }}, \
         every: 200ms }}\n",
        alertmanager.address
    );
    let drill = cut(&home, &rail);
    let answer = alertmanager.ask("POST /api/v2/alerts", CRITICAL);
    assert!(answer.contains("200 OK"), "{answer}");
    drill.end().says(5, &["STOPPED", "guardrail alertmanager is broken: Down fires", "restored"]);

    // It fires still.
    let plan = home.file("plan.yaml", long(&rail));
    home.run(&["run", plan]).says(3, &["NOT STARTED", "Down fires"]);
}
