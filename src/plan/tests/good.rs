//! Plans that are right, and exactly what they mean.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{GOOD, SECRET, broken, parsed, parsed_with};
use crate::model::{
    BalancerSpec, Calendar, Connection, ControlSpec, CutOrder, DatacenterId, Degrade, Guardrail,
    GuardrailCheck, HaproxyServers, HaproxySettings, HaproxySocket, HttpExpect, HttpProbe, LabSpec,
    Mode, Name, Networks, Part, Plan, ProbeKind, ProbeSpec, Promises, Provider, ProxyRoute,
    ProxySettings, QueryLimit, ServedBySource, ServedByValues, Service, Spread, TcpProbe, Text,
    Timing,
};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

fn plan(text: &str) -> Plan {
    let outcome = parsed_with(text.as_bytes(), &[]);
    outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn expected_service() -> Service {
    let url = Text::new(vec![Part::Lab("talk".into()), Part::Plain("/send".into())]);
    Service {
        name: Name::from("talk"),
        users: Some(47_430_000),
        standby: false,
        home: None,
        depends_on: vec![],
        probes: vec![ProbeSpec {
            name: Name::from("send"),
            kind: ProbeKind::Http(HttpProbe {
                url,
                method: "POST".into(),
                headers: vec![],
                body: None,
                ca: None,
                expect: HttpExpect { status: vec![(200, 200)], body: None, json: vec![] },
            }),
            every: millis(50),
            timeout: millis(1_000),
            slower_than: None,
            connection: Connection::New,
            look_up: None,
            cohort: None,
            served_by: Some(ServedBySource::Header {
                name: "x-datacenter".into(),
                values: ServedByValues(vec![
                    (EAST, vec!["east".into()]),
                    (WEST, vec!["west".into()]),
                ]),
            }),
            may_stay: false,
            required: true,
            promises: Default::default(),
        }],
        promises: Promises {
            recover_within: Some(millis(3_000)),
            failback_within: Some(millis(1_000)),
            sustain: false,
            ..Promises::default()
        },
    }
}

fn expected_traffic() -> Vec<ControlSpec> {
    let route = ProxyRoute {
        datacenter: EAST,
        listen: "127.0.0.1:8080".parse().unwrap(),
        to: "east.example:80".into(),
    };
    let haproxy = HaproxySettings {
        socket: HaproxySocket::Unix("/run/haproxy.sock".into()),
        servers: vec![
            HaproxyServers { datacenter: EAST, patterns: vec!["app/east-*".into()] },
            HaproxyServers {
                datacenter: WEST,
                patterns: vec!["app/west-1".into(), "app/west-2".into()],
            },
        ],
        timeout: millis(2_000),
    };
    let control = |name, provider| ControlSpec { name: Name::from(name), provider };
    vec![
        control("wan", Provider::Lab),
        control("edge", Provider::Proxy(ProxySettings { routes: vec![route] })),
        control("door", Provider::Haproxy(haproxy)),
    ]
}

#[test]
fn a_plan_means_exactly_what_it_says() {
    let lab = LabSpec {
        balancer: BalancerSpec {
            check_every: millis(200),
            check_timeout: millis(200),
            fall: 3,
            rise: 2,
            spread: Spread::RoundRobin,
        },
        services: BTreeMap::from([(
            Name::from("talk"),
            BTreeMap::from([(EAST, 2), (WEST, 2)]).into(),
        )]),
        ..LabSpec::default()
    };
    let expected = Plan {
        name: Name::from("quickstart"),
        about: None,
        datacenters: vec![Name::from("east"), Name::from("west")],
        lab: Some(lab),
        traffic: expected_traffic(),
        services: vec![expected_service()],
        control_plane: vec![],
        networks: Networks::default(),
        loads: Vec::new(),
        cut: CutOrder::of(EAST, Mode::Blackhole),
        steps: vec![vec![0]],
        timing: Timing {
            baseline: millis(3_000),
            stable_for: millis(2_000),
            stable_share: 1.0,
            hold: millis(3_000),
            at_most: millis(60_000),
        },
        guardrails: Vec::new(),
        calendar: Calendar::default(),
        notify: Vec::new(),
    };
    assert_eq!(plan(GOOD), expected);
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let timing = "timing: { baseline: 3s, stable_for: 2s, hold: 3s, at_most: 60s }\n";
    let seconds = Duration::from_secs;
    let expected = Timing {
        baseline: seconds(10),
        stable_for: seconds(5),
        stable_share: 1.0,
        hold: seconds(10),
        at_most: seconds(300),
    };
    assert_eq!(plan(&broken(timing, "")).timing, expected);
    let short = broken(
        "http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }",
        "http: \"${lab:talk}\"",
    );
    let short = plan(&short);
    let ProbeKind::Http(http) = &short.services[0].probes[0].kind else { panic!() };
    assert_eq!((&*http.method, &http.expect.status), ("GET", &vec![(200, 299)]));
}

#[test]
fn every_form_of_probe_is_read() {
    let probe = |to: &str| {
        let http = "http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }";
        plan(&broken(http, to)).services.remove(0).probes.remove(0).kind
    };
    let ProbeKind::Http(http) = probe(
        "http: { url: https://a.example/, headers: { X-Key: 'k=${env:TOKEN}' }, body: '{}', ca: ca.pem, \
         expect: { status: [200, 3xx, 500-502], body: ok, json: { /n: 1, /s: '1', /l: [true, ~] } } }",
    ) else {
        panic!()
    };
    let key = Text::new(vec![
        Part::Plain("k=".into()),
        Part::Secret { name: "TOKEN".into(), value: SECRET.into() },
    ]);
    assert_eq!(http.headers, [("x-key".to_owned(), key)]);
    assert_eq!(http.ca.as_deref(), Some(std::path::Path::new("ca.pem")));
    assert_eq!(http.expect.status, [(200, 200), (300, 399), (500, 502)]);
    let values: Vec<_> = http.expect.json.iter().map(|(_, value)| value.to_string()).collect();
    assert_eq!(values, ["1", "\"1\"", "[true,null]"]);

    let none = TcpProbe { address: "db:5432".into(), send: None, expect: None };
    let tcp = |to: &str| match plan(
        &broken("http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }", to)
            .replace("        served_by: { header: x-datacenter }\n", "")
            .replace("      failback_within: 1s\n", ""),
    )
    .services
    .remove(0)
    .probes
    .remove(0)
    .kind
    {
        ProbeKind::Tcp(tcp) => tcp,
        _ => panic!(),
    };
    assert_eq!(tcp("tcp: db:5432"), none);
    let long = tcp("tcp: { address: 'db:5432', send: \"PING\\r\\n\", expect: PONG }");
    assert_eq!(
        long,
        TcpProbe { send: Some("PING\r\n".into()), expect: Some("PONG".into()), ..none }
    );
    assert_eq!(tcp("tcp: '${lab:talk}'").address, Text::new(vec![Part::Lab("talk".into())]));
}

#[test]
fn every_way_to_tell_who_served_is_read() {
    let source = |to: &str| {
        let text = broken("{ header: x-datacenter }", to);
        plan(&text).services.remove(0).probes.remove(0).served_by.unwrap()
    };
    let values =
        ServedByValues(vec![(EAST, vec!["dc-a-*".into()]), (WEST, vec!["b".into(), "c".into()])]);
    assert_eq!(
        source("{ header: X-DC, values: { east: dc-a-*, west: [b, c] } }"),
        ServedBySource::Header { name: "x-dc".into(), values: values.clone() }
    );
    assert_eq!(
        source("{ json: /dc, values: { east: dc-a-*, west: [b, c] } }"),
        ServedBySource::Json { pointer: "/dc".into(), values }
    );
    let net = |text: &str| text.parse().unwrap();
    assert_eq!(
        source("{ peer: { east: [10.1.0.0/16, 'fd00::/8'], west: 10.2.0.1 } }"),
        ServedBySource::Peer(vec![
            (EAST, vec![net("10.1.0.0/16"), net("fd00::/8")]),
            (WEST, vec![net("10.2.0.1/32")])
        ])
    );
}

#[test]
fn a_sick_network_is_described_by_numbers() {
    let to =
        "mode: degrade\n  degrade: { latency: 200ms, jitter: 50ms, loss: 1%, bandwidth: 1MB/s }";
    let degrade = Degrade {
        latency: millis(200),
        jitter: millis(50),
        loss: 0.01,
        bandwidth: Some(1_000_000),
    };
    assert_eq!(plan(&broken("mode: blackhole", to)).cut.mode, Mode::Degrade(degrade));
}

#[test]
fn guardrails_mean_what_they_say_and_have_their_defaults() {
    let text = format!(
        "{GOOD}guardrails:\n\
         - {{ service: talk, good_share_below: 20%, for: 30s }}\n\
         - {{ name: slow, service: talk, latency_above: 500ms, for: 10s, grace: 20s }}\n\
         - {{ prometheus: {{ url: 'http://p.example:9090/', query: up == 0 }} }}\n\
         - {{ prometheus: {{ url: 'http://p', query: errors, above: -0.5, headers: {{ A: '${{env:TOKEN}}' }} }}, \
              every: 10s, timeout: 1s, for: 20s, grace: 30s }}\n\
         - {{ alertmanager: {{ url: 'http://a', matchers: severity=critical }} }}\n\
         - {{ http: '${{lab:talk}}/' }}\n\
         kill_switch: {{ file: /srv/stop, every: 2s }}\n"
    );
    let plan = plan(&text);
    let names: Vec<&str> =
        plan.guardrails.iter().map(|guardrail| guardrail.name.as_str()).collect();
    let wanted = ["talk-good-share", "slow", "prometheus", "prometheus-2", "alertmanager", "http"];
    assert_eq!(names, [&wanted[..], &["kill-switch"]].concat());
    let times = |place: usize| {
        let Guardrail { every, timeout, lasting, grace, .. } = &plan.guardrails[place];
        [every, timeout, lasting, grace].map(|time| time.as_millis())
    };
    // A second more: the probe's time-out.
    assert_eq!(times(0), [100, 100, 30_000, 16_000]);
    assert_eq!(times(1), [100, 100, 10_000, 20_000]);
    assert_eq!(times(2), [5_000, 5_000, 0, 15_000]);
    assert_eq!(times(3), [10_000, 1_000, 20_000, 30_000]);
    assert_eq!(times(6), [2_000, 2_000, 0, 15_000]);
    assert_eq!(plan.guardrails[0].check, GuardrailCheck::GoodShareBelow { service: 0, limit: 0.2 });
    let GuardrailCheck::Prometheus(query) = &plan.guardrails[3].check else { panic!() };
    assert_eq!((query.limit, &*query.query), (QueryLimit::Above(-0.5), "errors"));
    assert_eq!(query.headers[0].1.reveal_plain(), SECRET);
    assert!(!format!("{plan:?}").contains(SECRET));
    let GuardrailCheck::Alertmanager(query) = &plan.guardrails[4].check else { panic!() };
    assert_eq!(query.matchers, ["severity=critical"]);
    assert_eq!(plan.guardrails[6].check, GuardrailCheck::KillSwitchFile("/srv/stop".into()));
}

#[test]
fn windows_and_dates_mean_what_they_say() {
    let text = format!(
        "{GOOD}allowed: {{ zone: europe/berlin, windows: ['Tue-Thu 10:00-16:00', 'sat,SUN 22:00-4:00', \
         'Sat-Mon 00:00-24:00', '9:30-17:00'] }}\n\
         blocked: {{ zone: UTC, dates: [2026-11-27, '2026-12-20 .. 2027-01-06'] }}\n"
    );
    let calendar = plan(&text).calendar;
    let allowed = calendar.allowed.unwrap();
    assert_eq!(allowed.zone.iana_name(), Some("Europe/Berlin"));
    let shown: Vec<String> = allowed
        .windows
        .iter()
        .map(|window| {
            let days: String = window.days.map(|day| if day { 'x' } else { '-' }).iter().collect();
            format!("{days} {} {}", window.from, window.to)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "-xxx--- 10:00:00 16:00:00",
            "-----xx 22:00:00 04:00:00",
            "x----xx 00:00:00 00:00:00",
            "xxxxxxx 09:30:00 17:00:00",
        ]
    );
    let dates = calendar.blocked.unwrap().dates;
    let shown: Vec<String> = dates.iter().map(|(a, b)| format!("{a} {b}")).collect();
    assert_eq!(shown, ["2026-11-27 2026-11-27", "2026-12-20 2027-01-06"]);
}

#[test]
fn placeholders_are_filled_in_wherever_they_stand() {
    let text = broken("datacenter: east\n", "datacenter: ${var:REGION}\n")
        .replace("every: 50ms", "every: ${var:PACE}0ms")
        .replace("app/east-*", "\"app/${var:REGION}-*\"")
        .replace("expect: { status: 200 }", "body: 'a $${b} ${var:REGION} ${env:TOKEN}'")
        .replace("  talk:\n    users", "  ${var:NAME}:\n    users");
    let vars = [("REGION", "east"), ("PACE", "4"), ("NAME", "chat")];
    let outcome = parsed_with(text.as_bytes(), &vars);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    assert_eq!(plan.cut.datacenters, [EAST]);
    assert_eq!(plan.services[0].name.as_str(), "chat");
    assert_eq!(plan.services[0].probes[0].every, millis(40));
    let ProbeKind::Http(http) = &plan.services[0].probes[0].kind else { panic!() };
    let body = http.body.as_ref().unwrap();
    assert_eq!(body.reveal_plain(), format!("a ${{b}} east {SECRET}"));
    assert!(!format!("{plan:?}").contains(SECRET));
}

#[test]
fn a_value_written_once_may_be_used_twice() {
    let text = broken("served_by: { header: x-datacenter }", "served_by: &who { header: x-dc }")
        .replace(
            "    promises:\n",
            "      read: { http: '${lab:talk}', every: 50ms, served_by: *who }\n    promises:\n",
        );
    let probes = plan(&text).services.remove(0).probes;
    assert_eq!(probes[0].served_by, probes[1].served_by);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let windows = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(plan(&windows), plan(GOOD));
}

#[test]
fn warnings_do_not_prevent_a_plan() {
    let text = broken("        served_by: { header: x-datacenter }\n", "")
        .replace("      failback_within: 1s\n", "");
    let outcome = parsed_with(text.as_bytes(), &[]);
    assert_eq!((outcome.plan.is_some(), outcome.findings.len()), (true, 1));
    assert_eq!(parsed(GOOD.as_bytes()).findings.len(), 1, "REGION is not used");
}

#[test]
fn what_the_environment_chooses_is_told_from_what_is_sent_to_it() {
    let chosen = |from: &str, to: &str| {
        let outcome = parsed(broken(from, to).as_bytes());
        let names: Vec<&str> = outcome.chosen.names().map(String::as_str).collect();
        names.concat()
    };
    let url = "http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }";
    for (place, expected) in [
        ("http: \"http://${env:TOKEN}/\"", "TOKEN"),
        ("http: \"http://a.example/${env:\\x54OKEN}\"", "TOKEN"),
        ("tcp: \"${env:TOKEN}:80\"", "TOKEN"),
        ("http: { url: \"http://a/\", headers: { Host: \"${env:TOKEN}\" } }", "TOKEN"),
        ("http: { url: \"http://a/\", ca: \"${env:TOKEN}\" }", "TOKEN"),
        ("http: { url: \"http://a/\", headers: { authorization: \"${env:TOKEN}\" } }", ""),
        ("http: { url: \"http://a/\", body: \"${env:TOKEN}\" }", ""),
        ("tcp: { address: \"a:80\", send: \"${env:TOKEN}\" }", ""),
        // Sent here, and chosen by there.
        ("http: { url: \"http://${env:TOKEN}/\", body: \"${env:TOKEN}\" }", "TOKEN"),
        ("http: { url: \"http://a/${env:UNSET}\", body: \"${env:TOKEN}\" }", "UNSET"),
        ("http: \"http://a/$${env:TOKEN}\"", ""),
    ] {
        assert_eq!(chosen(url, place), expected, "{place}");
    }
}
