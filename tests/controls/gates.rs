//! The `lab` and `proxy` controls against their gates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use firedrill::clock::Clock;
use firedrill::lab::Lab;
use firedrill::model::{
    BalancerSpec, ControlSpec, ControlState, CutOrder, Degrade, LabSpec, Mode, PathCounters,
    Provider, ProxyRoute, ProxySettings, Spread, Text,
};
use firedrill::proxy::Gate;
use firedrill::traffic::TrafficControl;
use firedrill::traffic::gates::Gates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::contract;
use crate::world::{A, B, within_bounds};

const DEGRADE: Mode = Mode::Degrade(Degrade {
    latency: Duration::from_millis(20),
    jitter: Duration::from_millis(5),
    loss: 0.25,
    bandwidth: Some(100_000),
});
const MODES: [Mode; 4] = [Mode::Blackhole, Mode::Reset, Mode::Drain, DEGRADE];

/// Two routes to a datacenter and one to another, all to a server that sends back what it gets.
async fn routes() -> Gates {
    let to = echo().await;
    Gates::listen(spec(&[(A, "127.0.0.1:0"), (A, "127.0.0.1:0"), (B, "127.0.0.1:0")], &to))
        .await
        .unwrap()
}

fn spec(routes: &[(firedrill::model::DatacenterId, &str)], to: &str) -> ControlSpec {
    let routes = routes.iter().map(|(datacenter, listen)| ProxyRoute {
        datacenter: *datacenter,
        listen: listen.parse().unwrap(),
        to: Text::from(to),
    });
    let provider = Provider::Proxy(ProxySettings { routes: routes.collect() });
    ControlSpec { name: "wan".into(), provider }
}

async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn says_back(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").await.is_ok()
        && stream.read_exact(&mut back).await.is_ok()
        && back == *b"ping"
}

fn addresses(state: &ControlState, datacenter: firedrill::model::DatacenterId) -> Vec<SocketAddr> {
    state
        .parts_of(&CutOrder::of(datacenter, Mode::Reset))
        .map(|(name, _)| name.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn the_proxy_keeps_the_contract_in_every_mode() {
    let control = routes().await;
    for mode in MODES {
        contract::holds(&control, &CutOrder::of(A, mode)).await;
    }
}

#[tokio::test]
async fn the_lab_keeps_the_contract_in_every_mode() {
    let balancer = BalancerSpec {
        check_every: Duration::from_millis(20),
        check_timeout: Duration::from_millis(20),
        fall: 2,
        rise: 2,
        spread: Spread::RoundRobin,
    };
    let services = BTreeMap::from([("talk".into(), BTreeMap::from([(A, 2), (B, 2)]).into())]);
    let spec = LabSpec { balancer, services, ..LabSpec::default() };
    let lab = Lab::start(&spec, &["a".into(), "b".into()], Clock::start()).await.unwrap();
    let control = ControlSpec { name: "wan".into(), provider: Provider::Lab };
    let control = Gates::new(control, lab.gates());
    assert_eq!(
        control.inspect().await.unwrap().parts.keys().collect::<Vec<_>>(),
        ["a/talk", "b/talk"]
    );
    for mode in MODES {
        contract::holds(&control, &CutOrder::of(A, mode)).await;
    }
    lab.stop().await;
}

#[tokio::test]
async fn gates_that_another_hand_turned_are_left_alone() {
    let gates = vec![("a1".into(), A, Gate::new()), ("a2".into(), A, Gate::new())];
    let spec = ControlSpec { name: "wan".into(), provider: Provider::Lab };
    let another = Gates::new(spec.clone(), gates.clone());
    let control = Gates::new(spec, gates);
    let order = CutOrder::of(A, Mode::Reset);
    let mut open = control.inspect().await.unwrap();
    open.parts.remove("a2");
    let drain = CutOrder::of(A, Mode::Drain);
    let hand = async { another.cut(&drain, &open).await.unwrap() };
    contract::leaves_another_hand_alone(&control, &order, "a1", hand).await;
}

#[tokio::test]
async fn a_cut_ends_the_way_to_one_datacenter_and_counts_what_knocks() {
    let control = routes().await;
    let snapshot = control.inspect().await.unwrap();
    let (a, b) = (addresses(&snapshot, A)[0], addresses(&snapshot, B)[0]);
    let mut open = TcpStream::connect(a).await.unwrap();
    assert!(says_back(&mut open).await);
    assert_eq!(control.path(), None, "nothing was cut yet");

    let order = CutOrder::of(A, Mode::Reset);
    control.cut(&order, &snapshot).await.unwrap();
    assert!(!says_back(&mut open).await);
    assert!(TcpStream::connect(a).await.is_err());
    assert!(says_back(&mut TcpStream::connect(b).await.unwrap()).await);
    assert_eq!(control.path(), Some(PathCounters { connections: 1, bytes: 0 }));

    control.cut(&order, &snapshot).await.unwrap();
    assert_eq!(control.path(), Some(PathCounters { connections: 1, bytes: 0 }), "cut again");
    control.restore(&snapshot).await.unwrap();
    assert!(says_back(&mut TcpStream::connect(a).await.unwrap()).await);
    assert_eq!(control.path(), Some(PathCounters { connections: 1, bytes: 0 }), "still the cut's");
}

#[tokio::test]
async fn a_gate_that_is_not_there_is_named_and_the_others_are_restored() {
    let control = routes().await;
    let snapshot = control.inspect().await.unwrap();
    let order = CutOrder::of(A, Mode::Drain);
    control.cut(&order, &snapshot).await.unwrap();
    let mut with_more = snapshot.clone();
    let any = snapshot.parts.values().next().unwrap().clone();
    with_more.parts.insert("127.0.0.1:1".into(), any.clone());
    let error = control.restore(&with_more).await.unwrap_err();
    assert!(error.what.contains("no gate `127.0.0.1:1`"), "{error}");
    assert_eq!(control.inspect().await.unwrap(), snapshot);

    let mut changed = any;
    changed.settings.insert("mode".into(), "ajar".into());
    let name = snapshot.parts.keys().next().unwrap().clone();
    let state = ControlState { parts: BTreeMap::from([(name, changed)]) };
    let error = control.restore(&state).await.unwrap_err();
    assert!(error.what.contains("`ajar`"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_told_and_leaves_no_route_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let free = crate::ports::free_address();
    let at = taken.local_addr().unwrap().to_string();
    let spec = spec(&[(A, &free.to_string()), (B, &at)], "127.0.0.1:9");
    let error = Gates::listen(spec).await.unwrap_err();
    assert!(error.what.contains(&format!("`wan` cannot listen at {at}")), "{error}");
    assert!(error.hint.contains("another process has it"), "{error}");
    within_bounds("the first route is gone", async || TcpStream::connect(free).await.is_err())
        .await;
}

#[tokio::test]
async fn a_route_to_nowhere_and_an_address_of_another_machine_are_told() {
    let error = Gates::listen(spec(&[(A, "192.0.2.1:7000")], "127.0.0.1:9")).await.unwrap_err();
    assert!(error.hint.contains("no address of this machine"), "{error}");
    let error = Gates::listen(spec(&[(A, "127.0.0.1:0")], "no-port")).await.unwrap_err();
    assert!(error.what.contains("no-port"), "{error}");
    let lab = ControlSpec { name: "wan".into(), provider: Provider::Lab };
    assert!(Gates::listen(lab).await.unwrap_err().what.contains("control of `lab`"));
}

#[tokio::test]
async fn routes_end_with_their_control() {
    let control = routes().await;
    let at = addresses(&control.inspect().await.unwrap(), A)[0];
    let mut open = TcpStream::connect(at).await.unwrap();
    assert!(says_back(&mut open).await);
    drop(control);
    within_bounds("the listener is gone", async || TcpStream::connect(at).await.is_err()).await;
    assert!(!says_back(&mut open).await);
}
