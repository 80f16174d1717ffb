//! Toxics on real sockets: put on, changed and taken off while data flows.

use super::*;

const LONG: Duration = Duration::from_secs(3600);

fn toxic(id: u64, stream: Stream, kind: Kind) -> Toxic {
    Toxic { id, stream, toxicity: 1.0, kind }
}

fn latency(latency: Duration) -> Kind {
    Kind::Latency { latency, jitter: Duration::ZERO }
}

#[tokio::test]
async fn a_toxic_treats_its_own_direction_alone() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    world.gate.set_toxics(vec![toxic(1, Stream::Downstream, latency(LONG))]);
    passes(&mut client, &mut server).await;
    server.write_all(b"held").await.unwrap();
    silent(&mut client).await;
    world.gate.set_toxics(Vec::new());
    arrives(&mut client, b"held").await;
    assert!(world.serves().await);
}

#[tokio::test]
async fn what_a_toxic_held_comes_in_order_when_it_is_taken_off() {
    for stream in [Stream::Upstream, Stream::Downstream] {
        let world = World::new().await;
        let (client, server) = world.pair().await;
        let (mut from, mut to) = match stream {
            Stream::Upstream => (client, server),
            Stream::Downstream => (server, client),
        };
        world.gate.set_toxics(vec![
            toxic(1, stream, latency(LONG)),
            toxic(2, stream, Kind::Bandwidth { rate: 0 }),
        ]);
        from.write_all(b"one ").await.unwrap();
        silent(&mut to).await;
        world.gate.set_toxics(vec![toxic(2, stream, Kind::Bandwidth { rate: 0 })]);
        from.write_all(b"two ").await.unwrap();
        silent(&mut to).await;
        world.gate.set_toxics(Vec::new());
        from.write_all(b"three").await.unwrap();
        arrives(&mut to, b"one two three").await;
    }
}

#[tokio::test]
async fn bulk_data_is_whole_whatever_toxics_come_and_go() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let size = 8 * 1024 * 1024_usize;
    let sending = tokio::spawn(async move {
        let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        server.write_all(&data).await.unwrap();
        server
    });
    let turning = async {
        let kinds = [
            latency(Duration::from_millis(3)),
            Kind::Slicer { average: 1000, variation: 900, delay: Duration::ZERO },
            Kind::Bandwidth { rate: 50_000_000 },
            Kind::LimitData { bytes: u64::MAX },
        ];
        for id in 0.. {
            let kind = kinds[id as usize % kinds.len()];
            let both = [id, id + 1].map(|id| toxic(id, Stream::Downstream, kind));
            world.gate.set_toxics(if id % 3 == 0 { Vec::new() } else { both.to_vec() });
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reading = async {
        let mut received = vec![0; size];
        client.read_exact(&mut received).await.unwrap();
        received
    };
    let received = tokio::select! {
        received = soon(reading) => received,
        () = turning => unreachable!(),
    };
    assert!(received.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
    drop(sending.await.unwrap());
    ends(&mut client).await;
}

#[tokio::test]
async fn a_timeout_comes_also_to_a_connection_that_is_idle() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let kind = Kind::Timeout { after: Some(Duration::from_millis(20)) };
    world.gate.set_toxics(vec![toxic(1, Stream::Downstream, kind)]);
    ends(&mut client).await;
    ends(&mut server).await;
}

#[tokio::test]
async fn a_connection_that_lost_bytes_does_not_go_on() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    world.gate.set_toxics(vec![toxic(1, Stream::Upstream, Kind::Timeout { after: None })]);
    client.write_all(b"lost").await.unwrap();
    silent(&mut server).await;
    world.gate.set_toxics(Vec::new());
    ends(&mut server).await;
    ends(&mut client).await;
    assert!(world.serves().await);
}

#[tokio::test]
async fn a_reset_peer_resets_both_ends() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let kind = Kind::ResetPeer { after: Duration::ZERO };
    world.gate.set_toxics(vec![toxic(1, Stream::Upstream, kind)]);
    silent(&mut client).await;
    client.write_all(b"used").await.unwrap();
    is_reset(&mut client).await;
    is_reset(&mut server).await;
}

#[tokio::test]
async fn a_limit_lets_so_much_pass_and_closes_without_a_reset() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let kind = Kind::LimitData { bytes: 3 };
    world.gate.set_toxics(vec![toxic(1, Stream::Downstream, kind)]);
    client.write_all(b"not read by anybody").await.unwrap();
    server.write_all(b"abcdef").await.unwrap();
    let mut received = Vec::new();
    soon(client.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"abc");
}

#[tokio::test]
async fn a_cut_is_above_toxics_and_leaves_them_as_they_are() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    let short = Kind::Timeout { after: Some(Duration::from_millis(10)) };
    world.gate.cut(Fault::Blackhole).await.unwrap();
    world.gate.set_toxics(vec![toxic(1, Stream::Downstream, short)]);
    silent(&mut client).await;
    world.gate.set_toxics(vec![toxic(2, Stream::Downstream, latency(Duration::from_millis(30)))]);
    server.write_all(b"held").await.unwrap();
    silent(&mut client).await;
    world.gate.open().await.unwrap();
    arrives(&mut client, b"held").await;
    world.gate.cut(Fault::Reset).await.unwrap();
    is_reset(&mut client).await;
}

#[tokio::test]
async fn a_closed_proxy_has_no_connections_left_whatever_holds_them() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    world.gate.set_toxics(vec![toxic(1, Stream::Downstream, latency(LONG))]);
    server.write_all(b"held").await.unwrap();
    silent(&mut client).await;
    let address = world.proxy.address();
    assert_eq!(world.gate.traffic().open, 1);
    soon(world.proxy.close()).await;
    assert_eq!(world.gate.traffic().open, 0);
    TcpListener::bind(address).await.expect("the port is free");
    assert!(soon(client.read(&mut [0])).await.is_ok_and(|n| n == 0));
}

#[tokio::test]
async fn what_passes_is_counted_by_direction() {
    let world = World::new().await;
    let (mut client, mut server) = world.pair().await;
    passes(&mut client, &mut server).await;
    server.write_all(&[1; 100_000]).await.unwrap();
    arrives(&mut client, &[1; 100_000]).await;
    let traffic = world.gate.traffic();
    assert_eq!((traffic.upstream.received, traffic.upstream.sent), (5, 5));
    assert_eq!((traffic.downstream.received, traffic.downstream.sent), (100_000, 100_000));
    assert_eq!((traffic.open, traffic.opened), (1, 1));
}
