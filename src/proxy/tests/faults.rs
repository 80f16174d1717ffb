//! Each fault, on new and on open connections, and the way back.

use super::*;

#[tokio::test]
async fn a_blackhole_holds_open_connections_and_data_goes_on_where_it_stopped() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    passes(&mut client, &mut server).await;
    world.gate.cut(Fault::Blackhole).await.unwrap();
    client.write_all(b"up").await.unwrap();
    server.write_all(b"down").await.unwrap();
    silent(&mut client).await;
    silent(&mut server).await;
    assert_eq!(world.gate.counters().bytes, 0);
    world.gate.open().await.unwrap();
    arrives(&mut server, b"up").await;
    arrives(&mut client, b"down").await;
}

#[tokio::test]
async fn a_blackhole_holds_the_end_of_a_connection_too() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    world.gate.cut(Fault::Blackhole).await.unwrap();
    client.shutdown().await.unwrap();
    silent(&mut server).await;
    world.gate.open().await.unwrap();
    ends(&mut server).await;
    passes(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_new_connection_vanishes_in_a_blackhole_and_is_served_after_it() {
    let world = World::new().await;
    world.gate.cut(Fault::Blackhole).await.unwrap();
    let mut connecting = tokio::spawn(TcpStream::connect(world.proxy.address()));
    assert!(timeout(SILENCE, &mut connecting).await.is_err(), "nobody answers");
    assert_eq!(world.gate.counters().connections, 1);
    world.gate.open().await.unwrap();
    let mut client = soon(connecting).await.unwrap().unwrap();
    let (mut server, _) = soon(world.backend.accept()).await.unwrap();
    passes(&mut client, &mut server).await;
    passes(&mut server, &mut client).await;
    assert_eq!(world.gate.counters().connections, 1, "kept after the cut");
}

#[tokio::test]
async fn what_vanished_in_one_cut_is_not_counted_in_the_next() {
    let world = World::new().await;
    for _ in 0..3 {
        world.gate.cut(Fault::Blackhole).await.unwrap();
        assert_eq!(world.gate.counters().connections, 0);
        for _ in 0..2 {
            assert!(timeout(SILENCE, world.connect()).await.is_err());
        }
        assert_eq!(world.gate.counters().connections, 2);
        world.gate.cut(Fault::Reset).await.unwrap();
        assert_eq!(world.gate.counters().connections, 0);
    }
}

#[tokio::test]
async fn a_listener_that_comes_during_a_cut_is_cut_too() {
    let world = World::new().await;
    let to = world.backend.local_addr().unwrap().to_string();
    world.gate.cut(Fault::Reset).await.unwrap();
    let late = Proxy::listen(&world.gate, any_port(), to).await.unwrap();
    let refused = TcpStream::connect(late.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    world.gate.open().await.unwrap();
    TcpStream::connect(late.address()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_left_during_a_blackhole_is_gone_after_it() {
    let world = World::new().await;
    let (client, mut server) = world.pair().await;
    world.gate.cut(Fault::Blackhole).await.unwrap();
    drop(client);
    silent(&mut server).await;
    world.gate.open().await.unwrap();
    ends(&mut server).await;
    drop(server);
    // A reset would have to wait for it if it were still there.
    soon(world.gate.cut(Fault::Drain)).await.unwrap();
    soon(world.gate.cut(Fault::Reset)).await.unwrap();
}

#[tokio::test]
async fn a_reset_resets_both_sides_and_refuses_new_connections() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    passes(&mut client, &mut server).await;
    world.gate.cut(Fault::Reset).await.unwrap();
    // It is confirmed, so there is nothing left to wait for.
    for end in [&client, &server] {
        let error = end.take_error().unwrap().expect("the RST is here");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let refused = world.connect().await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(world.gate.counters().connections, 1);
    assert_eq!(world.gate.counters().bytes, 0);
    world.gate.open().await.unwrap();
    assert!(world.serves().await);
}

#[tokio::test]
async fn a_drain_lets_open_connections_go_on_and_refuses_new_ones() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    world.gate.cut(Fault::Drain).await.unwrap();
    passes(&mut client, &mut server).await;
    passes(&mut server, &mut client).await;
    assert_eq!(world.gate.counters(), super::super::Counters { connections: 1, bytes: 10 });
    let refused = world.connect().await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    drop(client);
    ends(&mut server).await;
    world.gate.open().await.unwrap();
    assert!(world.serves().await);
}

#[tokio::test]
async fn degrading_delays_every_piece_on_open_and_on_new_connections() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let latency = Duration::from_millis(30);
    world.gate.cut(Fault::Degrade(degraded(latency))).await.unwrap();
    let start = std::time::Instant::now();
    passes(&mut client, &mut server).await;
    assert!(start.elapsed() >= latency, "{:?}", start.elapsed());
    passes(&mut server, &mut client).await;
    assert!(start.elapsed() >= 2 * latency, "{:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert!(world.serves().await);
    assert!(start.elapsed() >= 2 * latency, "{:?}", start.elapsed());
}

#[tokio::test]
async fn nobody_takes_the_port_of_a_paused_listener() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    for fault in [Fault::Drain, Fault::Reset] {
        world.gate.cut(fault).await.unwrap();
        let thief =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        thief.set_reuse_address(true).unwrap();
        let taken = thief.bind(&world.proxy.address().into());
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse, "{fault:?}");
        if fault == Fault::Drain {
            world.gate.open().await.unwrap();
            passes(&mut client, &mut server).await;
            assert!(world.serves().await);
        }
    }
    world.gate.open().await.unwrap();
    assert!(world.serves().await);
}
