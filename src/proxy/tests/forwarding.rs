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
    let nobody = TcpListener::bind(any_port()).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::listen(&Gate::new(), any_port(), nobody.to_string()).await.unwrap();
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
