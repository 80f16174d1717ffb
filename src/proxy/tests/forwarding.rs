//! An open gate.

use super::*;

#[tokio::test]
async fn data_passes_in_both_directions() {
    let world = World::new().await;
    assert!(world.serves().await);
    assert_eq!(world.gate.fault(), None);
    assert_eq!(world.gate.counters().bytes, 0, "nothing is counted while the gate is open");
}

#[tokio::test]
async fn a_half_close_is_passed_on_and_the_other_direction_stays_open() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = Vec::new();
    soon(server.read_to_end(&mut question)).await.unwrap();
    assert_eq!(question, b"question");
    passes(&mut server, &mut client).await;
    drop(server);
    ends(&mut client).await;
}

#[tokio::test]
async fn a_client_is_reset_at_once_when_the_target_refuses() {
    // Bound and not listening: it refuses, and nobody else can have the port.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind(any_port()).unwrap();
    let target = nobody.local_addr().unwrap().to_string();
    let proxy = Proxy::listen(&Gate::new(), any_port(), target).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    is_reset(&mut client).await;
}

#[tokio::test]
async fn a_reset_by_one_side_reaches_the_other() {
    let world = World::new().await;
    let (mut client, server) = world.pair().await;
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    is_reset(&mut client).await;
}

#[tokio::test]
async fn targets_are_looked_up_by_name_and_nonsense_is_refused() {
    let backend = TcpListener::bind(any_port()).await.unwrap();
    let gate = Gate::new();
    let to = format!("localhost:{}", backend.local_addr().unwrap().port());
    let proxy = Proxy::listen(&gate, any_port(), to).await.unwrap();
    let _client = TcpStream::connect(proxy.address()).await.unwrap();
    soon(backend.accept()).await.unwrap();
    for nonsense in ["", "here", ":80", "host:", "host:99999"] {
        let error = Proxy::listen(&gate, any_port(), nonsense.into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{nonsense}");
    }
}

#[tokio::test]
async fn a_dropped_proxy_closes_its_connections_and_its_port() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let address = world.proxy.address();
    drop(world.proxy);
    ends(&mut client).await;
    ends(&mut server).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn held_connections_close_with_their_listener_and_others_stay() {
    let world = World::new().await;
    let (mut client, _server) = world.pair().await;
    let to = world.backend.local_addr().unwrap().to_string();
    let other = Proxy::listen(&world.gate, any_port(), to).await.unwrap();
    let mut stays = TcpStream::connect(other.address()).await.unwrap();
    let (mut server, _) = soon(world.backend.accept()).await.unwrap();
    world.gate.cut(Fault::Blackhole).await.unwrap();
    drop(world.proxy);
    ends(&mut client).await;
    world.gate.open().await.unwrap();
    passes(&mut stays, &mut server).await;
}

#[tokio::test]
async fn ipv6_addresses_are_served_and_cut_too() {
    let backend = TcpListener::bind("[::1]:0").await.unwrap();
    let gate = Gate::new();
    let to = backend.local_addr().unwrap().to_string();
    let proxy = Proxy::listen(&gate, "[::1]:0".parse().unwrap(), to).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = soon(backend.accept()).await.unwrap();
    passes(&mut client, &mut server).await;
    gate.cut(Fault::Blackhole).await.unwrap();
    assert!(timeout(SILENCE, TcpStream::connect(proxy.address())).await.is_err());
    assert_eq!(gate.counters().connections, 2, "one was open and one tried");
}

#[test]
fn the_futures_may_move_between_threads() {
    fn moves(_: impl Send) {}
    let gate = Gate::new();
    moves(gate.cut(Fault::Reset));
    moves(gate.open());
    moves(Proxy::listen(&gate, any_port(), String::new()));
}
