//! Plans that ask the DNS: probes, look-ups and cohorts, and what is found to be wrong with them.

use std::time::Duration;

use super::{broken, drawn, parsed_with};
use crate::model::*;

/// A good plan with these lines as more probes.
fn with(probes: &str) -> String {
    let last = "        served_by: { header: x-datacenter }\n";
    broken(last, &format!("{last}{probes}"))
}

/// The probes of these lines.
fn probes(text: &str) -> Vec<ProbeSpec> {
    let outcome = parsed_with(with(text).as_bytes(), &[]);
    let mut plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    plan.services[0].probes.split_off(1)
}

fn network(text: &str) -> RecordPattern {
    RecordPattern::Network(text.parse().unwrap())
}

fn words(text: &str) -> RecordPattern {
    RecordPattern::Words(text.to_owned())
}

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

#[test]
fn a_question_means_exactly_what_it_says() {
    let read = probes(
        "      short: { dns: talk.example, every: 100ms }
      long:
        dns:
          name: _sip._tcp.talk.example.
          type: SRV
          server: [10.0.0.53, '[::1]:5300']
          authority: true
          tcp: true
          expect: { all_of: '*.example', any_of: [a, b], only: '10 *' }
        every: 100ms
        served_by: { answer: { east: [10.1.0.0/16, 'east-*'], west: 10.2.0.7 } }
",
    );
    let short = DnsProbe {
        name: "talk.example".into(),
        record: DnsType::A,
        servers: Vec::new(),
        authority: false,
        tcp: false,
        expect: DnsExpect::default(),
    };
    assert_eq!(read[0].kind, ProbeKind::Dns(short.clone()));
    assert_eq!(read[0].kind.asks(), "DNS A talk.example");
    let long = DnsProbe {
        name: "_sip._tcp.talk.example.".into(),
        record: DnsType::Srv,
        servers: vec!["10.0.0.53".into(), "[::1]:5300".into()],
        authority: true,
        tcp: true,
        expect: DnsExpect {
            all_of: vec![words("*.example")],
            any_of: vec![words("a"), words("b")],
            only: vec![words("10 *")],
        },
    };
    assert_eq!(read[1].kind, ProbeKind::Dns(long));
    let asks = "DNS SRV _sip._tcp.talk.example. at 10.0.0.53, [::1]:5300";
    assert_eq!(read[1].kind.asks(), asks);
    let places = vec![
        (EAST, vec![network("10.1.0.0/16"), words("east-*")]),
        (WEST, vec![network("10.2.0.7/32")]),
    ];
    let lost = vec![EAST];
    assert_eq!(read[1].served_by, Some(ServedBySource::Answer { places, lost }));
    let [copy, zone] = [&read[0], &read[1]].map(ProbeSpec::holds_on);
    assert!(copy && !zone);
}

#[test]
fn cohorts_are_probes_of_their_own_and_ask_the_same() {
    let read = probes(
        "      home:
        http: 'http://talk.example/'
        every: 100ms
        required: true
        look_up: { server: '127.0.0.1:5300', addresses: every }
        cohorts:
          fresh: {}
          ttl: { look_up: { cache: ttl } }
          stale: { look_up: { cache: 5m }, required: false, promises: { recover_within: 9s } }
          held: { connection: keep-alive, look_up: { cache: none } }
",
    );
    let names: Vec<&str> = read.iter().map(|probe| probe.name.as_str()).collect();
    assert_eq!(names, ["home.fresh", "home.ttl", "home.stale", "home.held"]);
    let look_up = |servers: &[&str], cache, every_address, lost: &[DatacenterId]| {
        let servers = servers.iter().map(|server| Text::from(*server)).collect();
        Some(LookUp { servers, cache, every_address, lost: lost.to_vec() })
    };
    let [fresh, ttl, stale, held] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!(fresh.look_up, look_up(&["127.0.0.1:5300"], DnsCache::None, true, &[EAST]));
    assert_eq!(ttl.look_up, look_up(&[], DnsCache::Ttl, false, &[]));
    let five_minutes = DnsCache::For(Duration::from_secs(300));
    assert_eq!(stale.look_up, look_up(&[], five_minutes, false, &[]));
    assert_eq!((stale.required, held.required), (false, true));
    assert_eq!(stale.promises.recover_within, Some(Duration::from_secs(9)));
    assert_eq!(ttl.promises, Promises::default());
    assert_eq!((ttl.connection, held.connection), (Connection::New, Connection::KeepAlive));
    let hold_on: Vec<bool> = read.iter().map(ProbeSpec::holds_on).collect();
    assert_eq!(hold_on, [false, true, true, true]);
    for (probe, cohort) in read.iter().zip(["fresh", "ttl", "stale", "held"]) {
        assert_eq!(probe.cohort().unwrap().name, Some(cohort.into()));
        assert_eq!(probe.kind, fresh.kind);
    }
    let plain = probes("      home: { http: 'http://talk.example/', every: 100ms }\n");
    assert_eq!((plain[0].cohort(), plain[0].holds_on()), (None, false));
}

#[test]
fn values_from_outside_are_filled_in_and_secrets_stay_hidden() {
    let text = with(
        "      zone: { dns: { name: '${var:REGION}.example', server: '${env:TOKEN}' }, every: 100ms }\n",
    );
    let outcome = parsed_with(text.as_bytes(), &[("REGION", "east")]);
    let told = format!("{:?}", outcome.findings);
    assert!(told.contains("${env:TOKEN}") && !told.contains(super::SECRET), "{told}");
}

#[test]
fn whatever_is_wrong_with_them_is_found_in_one_pass() {
    let wrong = with(
        "      none: { dns: {}, every: 100ms }
      form: { dns: { name: 'talk example', type: a, server: [dns.example, '10.0.0.53:0'] }, every: 100ms }
      copy: { dns: { name: talk.example, authority: true, expect: { only: talk.example, all_of: [] } }, every: 100ms }
      asks: { dns: talk.example, every: 100ms, connection: keep-alive, look_up: { cache: ttl }, served_by: { header: x } }
      mine: { dns: talk.example, every: 100ms, served_by: { answer: { east: 10.1.0.0/16 }, values: {} } }
      nets: { dns: talk.example, every: 100ms, served_by: { answer: { east: 10.1.0.0/33, west: [] } } }
      both: { dns: talk.example, every: 100ms, served_by: { answer: { east: 10.1.0.0/16, west: 10.1.0.0/16 } } }
      page: { http: 'http://talk.example/', every: 100ms, served_by: { answer: { east: 10.1.0.0/16 } } }
      addr: { http: 'http://[::1]:80/', every: 100ms, look_up: { cache: forever, addresses: all } }
      host: { tcp: '127.0.0.1:80', every: 100ms, look_up: { cache: 0s, server: [] } }
      keep: { http: 'http://talk.example/', every: 100ms, connection: keep-alive, look_up: { addresses: every } }
      many: { http: 'http://talk.example/', every: 100ms, cohorts: {} }
      two: { http: 'http://talk.example/', every: 100ms, cohorts: { a: { timeout: 1s }, b: { look_up: { addresses: every }, connection: keep-alive } } }
      two.a: { http: 'http://talk.example/', every: 100ms }
      three: { dns: talk.example, every: 100ms, cohorts: { a: {} } }
",
    );
    insta::assert_snapshot!("dns", drawn(wrong.as_bytes()));
}
