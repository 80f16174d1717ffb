//! The `dns` probe, and cohorts of clients that keep answers: against a DNS in memory, in virtual time.

mod double;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{SRV, TXT};
use hickory_resolver::proto::rr::{RData, Record};

use super::*;
use double::{Dns, Mood, Net, SERVER, a, alias, name};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

fn dns_spec(asked: &str, change: impl FnOnce(&mut DnsProbe)) -> ProbeSpec {
    let mut dns = DnsProbe {
        name: asked.into(),
        record: DnsType::A,
        servers: Vec::new(),
        authority: false,
        tcp: false,
        expect: DnsExpect::default(),
    };
    change(&mut dns);
    let places = vec![
        (EAST, vec![RecordPattern::Network("10.1.0.0/16".parse().unwrap())]),
        (
            WEST,
            vec![
                RecordPattern::Network("10.2.0.0/16".parse().unwrap()),
                RecordPattern::Words("west-*".into()),
            ],
        ),
    ];
    ProbeSpec {
        kind: ProbeKind::Dns(dns),
        timeout: Duration::from_millis(150),
        served_by: Some(ServedBySource::Answer { places, lost: vec![WEST] }),
        ..http_spec("http://unused/")
    }
}

async fn ask(dns: &Arc<Dns>, spec: &ProbeSpec) -> Sample {
    take_with(spec, Arc::new(Net(Arc::clone(dns))), 1).await.remove(0)
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_record_is_good_and_says_where_users_are_sent() {
    let dns = Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1])]);
    let sample = ask(&dns, &dns_spec("APP.example", |_| {})).await;
    assert_eq!((sample.outcome, sample.served_by), (Outcome::Good, ServedBy::Datacenter(EAST)));
    dns.set(vec![a("app.example.", 5, [10, 9, 0, 1])]);
    let sample = ask(&dns, &dns_spec("app.example.", |_| {})).await;
    assert_eq!((sample.outcome, sample.served_by), (Outcome::Good, ServedBy::Foreign));
}

#[tokio::test(start_paused = true)]
async fn while_the_address_of_what_is_cut_is_in_the_answer_users_are_sent_there() {
    for addresses in [[[10, 1, 0, 1], [10, 2, 0, 1]], [[10, 2, 0, 1], [10, 1, 0, 1]]] {
        let dns = Dns::with(addresses.map(|it| a("app.example.", 5, it)).to_vec());
        let sample = ask(&dns, &dns_spec("app.example", |_| {})).await;
        assert_eq!(sample.served_by, ServedBy::Datacenter(WEST), "{addresses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_in_between_are_followed_and_tell_whose_it_is() {
    let chain = |last| {
        vec![
            alias("app.example.", 60, "West-1.example."),
            alias("west-1.example.", 7, "edge.example."),
            a("edge.example.", 300, last),
        ]
    };
    let dns = Dns::with(chain([10, 9, 0, 1]));
    let sample = ask(&dns, &dns_spec("app.example", |_| {})).await;
    assert_eq!((sample.outcome, sample.served_by), (Outcome::Good, ServedBy::Datacenter(WEST)));
    let cname = dns_spec("app.example", |dns| dns.record = DnsType::Cname);
    assert_eq!(ask(&dns, &cname).await.served_by, ServedBy::Datacenter(WEST));
    // A circle of names is an answer without an address.
    let circle =
        vec![alias("app.example.", 5, "b.example."), alias("b.example.", 5, "app.example.")];
    dns.set(circle);
    let sample = ask(&dns, &dns_spec("app.example", |_| {})).await;
    assert_eq!(sample.outcome, Outcome::Bad(Reason::Empty));
}

#[tokio::test(start_paused = true)]
async fn every_way_in_which_a_server_fails_has_its_reason() {
    let dns = Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1])]);
    let reason = |mood, asked: &'static str, record| {
        let dns = Arc::clone(&dns);
        async move {
            dns.mood(SERVER, mood);
            let spec = dns_spec(asked, |dns| dns.record = record);
            match ask(&dns, &spec).await.outcome {
                Outcome::Bad(reason) => reason.to_string(),
                other => format!("{other:?}"),
            }
        }
    };
    use Mood::*;
    for (mood, asked, record, wanted) in [
        (Answers, "app.example", DnsType::A, "Good"),
        (Confuses, "app.example", DnsType::A, "Good"),
        (Answers, "other.example", DnsType::A, "answered NXDOMAIN"),
        (Answers, "app.example", DnsType::Aaaa, "empty answer"),
        (Says(ResponseCode::ServFail), "app.example", DnsType::A, "answered SERVFAIL"),
        (Says(ResponseCode::Refused), "app.example", DnsType::A, "answered REFUSED"),
        (Says(ResponseCode::NotImp), "app.example", DnsType::A, "answered NOTIMP"),
        (Refuses, "app.example", DnsType::A, "refused"),
        (Babbles, "app.example", DnsType::A, "look-up failed"),
        (Hangs, "app.example", DnsType::A, "time-out (look-up)"),
    ] {
        assert_eq!(reason(mood, asked, record).await, wanted, "{mood:?} {asked} {record}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_a_datagram_comes_by_tcp() {
    let dns = Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1])]);
    dns.mood(SERVER, Mood::Truncates);
    assert_eq!(ask(&dns, &dns_spec("app.example", |_| {})).await.outcome, Outcome::Good);
    assert!(dns.asked("datagram") >= 1 && dns.asked("stream") >= 1);
    let dns = Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1])]);
    let by_tcp = dns_spec("app.example", |dns| dns.tcp = true);
    assert_eq!(ask(&dns, &by_tcp).await.outcome, Outcome::Good);
    assert_eq!(dns.asked("datagram"), 0);
    dns.mood(SERVER, Mood::Hangs);
    let hung = ask(&dns, &by_tcp).await.outcome;
    assert_eq!(hung, Outcome::Bad(Reason::TimeOut(Phase::LookUp)));
}

#[tokio::test(start_paused = true)]
async fn servers_are_asked_in_order_until_one_answers() {
    let [first, second] = ["10.9.0.1:53", "10.9.0.2:5300"];
    for (mood, good) in [
        (Mood::Hangs, true),
        (Mood::Refuses, true),
        (Mood::Says(ResponseCode::ServFail), true),
        // There is no such name: that is an answer.
        (Mood::Says(ResponseCode::NXDomain), false),
    ] {
        let dns = Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1])]);
        dns.mood(first, mood);
        dns.mood(second, Mood::Answers);
        let spec = dns_spec("app.example", |dns| {
            dns.servers = vec!["10.9.0.1".into(), second.into()];
        });
        let sample = ask(&dns, &spec).await;
        assert_eq!(sample.outcome.is_good(), good, "{mood:?}: {sample:?}");
        let took = sample.done.since(sample.sent);
        let share = Duration::from_millis(if mood == Mood::Hangs { 75 } else { 0 });
        assert_eq!(took, share, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_answers_with_a_copy_is_none() {
    let records = vec![a("app.example.", 5, [10, 1, 0, 1])];
    let spec = dns_spec("app.example", |dns| dns.authority = true);
    let copy = Dns::with(records.clone());
    assert_eq!(ask(&copy, &spec).await.outcome, Outcome::Bad(Reason::Copy));
    let zone = Arc::new(Dns { authoritative: true, ..Dns::new() });
    zone.set(records);
    assert_eq!(ask(&zone, &spec).await.outcome, Outcome::Good);
}

#[tokio::test(start_paused = true)]
async fn records_are_held_to_what_is_expected() {
    let net = |text: &str| RecordPattern::Network(text.parse().unwrap());
    let words = |text: &str| RecordPattern::Words(text.into());
    let both = vec![a("app.example.", 5, [10, 1, 0, 1]), a("app.example.", 5, [10, 2, 0, 1])];
    let dns = Dns::with(both);
    let judged = |record, expect: DnsExpect| {
        let dns = Arc::clone(&dns);
        async move {
            let spec = dns_spec("app.example", |dns| (dns.record, dns.expect) = (record, expect));
            ask(&dns, &spec).await.outcome
        }
    };
    let (good, wrong) = (Outcome::Good, Outcome::Bad(Reason::Records));
    let (east, west) = (net("10.1.0.0/16"), net("10.2.0.1/32"));
    let all = |patterns| DnsExpect { all_of: patterns, ..DnsExpect::default() };
    let any = |patterns| DnsExpect { any_of: patterns, ..DnsExpect::default() };
    let only = |patterns| DnsExpect { only: patterns, ..DnsExpect::default() };
    assert_eq!(judged(DnsType::A, all(vec![east.clone(), west.clone()])).await, good);
    assert_eq!(judged(DnsType::A, all(vec![east.clone(), net("10.3.0.0/16")])).await, wrong);
    assert_eq!(judged(DnsType::A, any(vec![net("10.3.0.0/16"), west.clone()])).await, good);
    assert_eq!(judged(DnsType::A, any(vec![net("10.3.0.0/16")])).await, wrong);
    assert_eq!(judged(DnsType::A, only(vec![east.clone(), west])).await, good);
    assert_eq!(judged(DnsType::A, only(vec![east])).await, wrong);
    let text = TXT::new(vec!["v=1 ".into(), "dc=west".into()]);
    let server = SRV::new(10, 5, 5060, name("Sip-1.west.example."));
    dns.set(vec![
        Record::from_rdata(name("app.example."), 5, RData::TXT(text)),
        Record::from_rdata(name("app.example."), 5, RData::SRV(server)),
    ]);
    assert_eq!(judged(DnsType::Txt, all(vec![words("v=1 dc=*")])).await, good);
    assert_eq!(judged(DnsType::Srv, all(vec![words("sip-?.west.example.")])).await, good);
    assert_eq!(judged(DnsType::Srv, all(vec![words("10 5 5060 sip-1.*")])).await, good);
    assert_eq!(judged(DnsType::Srv, all(vec![words("*.east.example")])).await, wrong);
}

/// A probe of `app.example` by HTTP, with a sample each second.
fn cohort(cache: DnsCache, connection: Connection) -> ProbeSpec {
    let servers = vec![SERVER.into()];
    let look_up = LookUp { servers, cache, every_address: false, lost: Vec::new() };
    let east = vec![(EAST, vec!["10.1.0.0/16".parse().unwrap()])];
    ProbeSpec {
        every: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        look_up: Some(look_up),
        connection,
        served_by: Some(ServedBySource::Peer(east)),
        ..http_spec("http://app.example/")
    }
}

/// Samples at 0, 1, 2, … s of a name that leads to east, with a TTL of 3 s, until 4.5 s, and then to west.
async fn moved(spec: &ProbeSpec, dns: &Arc<Dns>, kills_east: bool) -> Vec<(bool, ServedBy)> {
    let change = async {
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        dns.set(vec![a("app.example.", 3, [10, 2, 0, 1])]);
        if kills_east {
            dns.dead.lock().unwrap().push([10, 1, 0, 1].into());
        }
    };
    let taken = take_with(spec, Arc::new(Net(Arc::clone(dns))), 14);
    let (samples, ()) = tokio::join!(taken, change);
    samples.iter().map(|it| (it.outcome.is_good(), it.served_by)).collect()
}

#[tokio::test(start_paused = true)]
async fn clients_go_on_with_an_answer_for_as_long_as_their_cohort_keeps_it() {
    let seconds = |time| DnsCache::For(Duration::from_secs(time));
    let new = Connection::New;
    // Asked at 0, 3 and 6 s, or at 0 and 8 s.
    for (cache, connection, by_west_from) in [
        (DnsCache::None, new, 5),
        (DnsCache::Ttl, new, 6),
        (seconds(8), new, 8),
        (seconds(30), new, 14),
        (DnsCache::Ttl, Connection::KeepAlive, 14),
    ] {
        let dns = Dns::with(vec![a("app.example.", 3, [10, 1, 0, 1])]);
        let seen = moved(&cohort(cache, connection), &dns, false).await;
        let wanted: Vec<_> = (0..14)
            .map(|at| {
                let east = ServedBy::Datacenter(EAST);
                (true, if at < by_west_from { east } else { ServedBy::Foreign })
            })
            .collect();
        assert_eq!(seen, wanted, "{cache:?} {connection:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_what_the_answer_leads_to_is_dead_they_are_without_it_for_so_long() {
    for (cache, bad) in
        [(DnsCache::None, 0), (DnsCache::Ttl, 1), (DnsCache::For(Duration::from_secs(8)), 3)]
    {
        let dns = Dns::with(vec![a("app.example.", 3, [10, 1, 0, 1])]);
        let seen = moved(&cohort(cache, Connection::New), &dns, true).await;
        assert_eq!(seen.iter().filter(|(good, _)| !good).count(), bad, "{cache:?}: {seen:?}");
        assert_eq!(seen.last(), Some(&(true, ServedBy::Foreign)), "{cache:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_resolver_they_go_on_until_the_answer_is_over_and_no_longer() {
    for (mood, reason) in [
        (Mood::Hangs, Reason::TimeOut(Phase::LookUp)),
        (Mood::Refuses, Reason::LookUp),
        (Mood::Says(ResponseCode::ServFail), Reason::LookUp),
        (Mood::Says(ResponseCode::NXDomain), Reason::LookUp),
    ] {
        let dns = Dns::with(vec![a("app.example.", 3, [10, 1, 0, 1])]);
        let change = async {
            tokio::time::sleep(Duration::from_millis(4_500)).await;
            dns.mood(SERVER, mood);
            tokio::time::sleep(Duration::from_secs(4)).await;
            dns.mood(SERVER, Mood::Answers);
        };
        let spec = cohort(DnsCache::Ttl, Connection::New);
        let taken = take_with(&spec, Arc::new(Net(Arc::clone(&dns))), 11);
        let (samples, ()) = tokio::join!(taken, change);
        let outcomes: Vec<Outcome> = samples.iter().map(|sample| sample.outcome).collect();
        let mut wanted = vec![Outcome::Good; 11];
        wanted[6..=8].fill(Outcome::Bad(reason));
        assert_eq!(outcomes, wanted, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_ttl_of_nothing_is_not_kept() {
    let dns = Dns::with(vec![a("app.example.", 0, [10, 1, 0, 1])]);
    let seen = moved(&cohort(DnsCache::Ttl, Connection::New), &dns, true).await;
    assert!(seen.iter().all(|(good, _)| *good), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn of_all_addresses_a_dead_one_is_not_hidden_by_those_that_live() {
    let (live, dead, hung) = ([10, 1, 0, 1], [10, 1, 0, 9], [10, 2, 0, 9]);
    let spec = |tcp: bool, every_address| {
        let mut spec = cohort(DnsCache::None, Connection::New);
        spec.look_up.as_mut().unwrap().every_address = every_address;
        if tcp {
            let address = "app.example:80".into();
            spec.kind = ProbeKind::Tcp(TcpProbe { address, send: None, expect: None });
        }
        spec
    };
    for (addresses, outcome, in_turn) in [
        (vec![live], Outcome::Good, Outcome::Good),
        (vec![live, dead], Outcome::Bad(Reason::Refused), Outcome::Good),
        (vec![live, hung], Outcome::Bad(Reason::TimeOut(Phase::Connect)), Outcome::Good),
    ] {
        let records = addresses.iter().map(|it| a("app.example.", 5, *it)).collect();
        let dns = Dns::with(records);
        dns.dead.lock().unwrap().push(dead.into());
        for tcp in [false, true] {
            let sample = ask(&dns, &spec(tcp, true)).await;
            assert_eq!(sample.outcome, outcome, "{addresses:?}, tcp: {tcp}");
            assert_eq!(sample.served_by, ServedBy::Datacenter(EAST), "{addresses:?}");
            assert_eq!(ask(&dns, &spec(tcp, false)).await.outcome, in_turn, "{addresses:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_that_answer_one_that_is_cut_counts() {
    let dns =
        Dns::with(vec![a("app.example.", 5, [10, 1, 0, 1]), a("app.example.", 5, [10, 2, 0, 1])]);
    for (lost, served_by) in [(EAST, EAST), (WEST, WEST)] {
        let mut spec = cohort(DnsCache::None, Connection::New);
        let networks = [(EAST, "10.1.0.0/16"), (WEST, "10.2.0.0/16")];
        let networks = networks.map(|(id, net)| (id, vec![net.parse().unwrap()]));
        spec.served_by = Some(ServedBySource::Peer(networks.to_vec()));
        let look_up = spec.look_up.as_mut().unwrap();
        (look_up.every_address, look_up.lost) = (true, vec![lost]);
        let sample = ask(&dns, &spec).await;
        assert_eq!(
            (sample.outcome, sample.served_by),
            (Outcome::Good, ServedBy::Datacenter(served_by))
        );
    }
}

#[test]
fn what_cannot_be_asked_is_refused_before_the_first_question() {
    let refused = |spec: &ProbeSpec| {
        let net: Arc<dyn Connector> = Arc::new(Net(Arc::new(Dns::new())));
        try_prepare(spec, net).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let good = dns_spec("app.example", |_| {});
    assert_eq!(refused(&good), "");
    let kept = ProbeSpec { connection: Connection::KeepAlive, ..good.clone() };
    assert!(refused(&kept).contains("asks anew each time"));
    let peer = ProbeSpec { served_by: Some(ServedBySource::Peer(Vec::new())), ..good.clone() };
    assert!(refused(&peer).contains("neither header fields nor JSON"));
    let bad = dns_spec("app.example", |dns| dns.servers = vec!["dns.example".into()]);
    assert!(refused(&bad).contains("not the address of a DNS server"));
    let http = ProbeSpec { served_by: good.served_by, ..http_spec("http://app.example/") };
    assert!(refused(&http).contains("only a dns probe"));
}
