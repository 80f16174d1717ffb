//! Under load: what is confirmed is true, and no byte is lost or out of order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::*;

const FLOWS: usize = 16;
const ROUNDS: u64 = 150;
/// Messages of a flow that are under way at most, so that nothing queues up before the proxy.
const WINDOW: usize = 4;

/// Sends the phase in which each message is sent. Even: the gate is open. Odd: a cut is confirmed.
async fn send_phases(mut to: impl AsyncWrite + Unpin, phase: Arc<AtomicU64>, sent: Arc<Semaphore>) {
    loop {
        sent.acquire().await.unwrap().forget();
        if to.write_u64(phase.load(Ordering::SeqCst)).await.is_err() {
            return;
        }
    }
}

/// Fails when a message that was sent after the confirmation arrives before the gate opens.
async fn check_phases(
    mut from: impl AsyncRead + Unpin,
    phase: Arc<AtomicU64>,
    sent: Arc<Semaphore>,
    arrived: Arc<AtomicU64>,
) {
    while let Ok(of) = from.read_u64().await {
        assert!(of.is_multiple_of(2) || phase.load(Ordering::SeqCst) > of, "passed a cut");
        sent.add_permits(1);
        arrived.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_passes_once_a_blackhole_is_confirmed() {
    let world = World::new().await;
    let phase = Arc::new(AtomicU64::new(0));
    let arrived = Arc::new(AtomicU64::new(0));
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..FLOWS {
        let (client, server) = world.pair().await;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        let up = Arc::new(Semaphore::new(WINDOW));
        let down = Arc::new(Semaphore::new(WINDOW));
        tokio::spawn(send_phases(client_out, Arc::clone(&phase), Arc::clone(&up)));
        tokio::spawn(send_phases(server_out, Arc::clone(&phase), Arc::clone(&down)));
        checks.spawn(check_phases(server_in, Arc::clone(&phase), up, Arc::clone(&arrived)));
        checks.spawn(check_phases(client_in, Arc::clone(&phase), down, Arc::clone(&arrived)));
    }
    for round in 0..ROUNDS {
        let before = arrived.load(Ordering::SeqCst);
        soon(async {
            while arrived.load(Ordering::SeqCst) < before + 200 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The first half of a cut by itself, because what comes after it takes time enough to hide
        // a write that was under way.
        world.gate.shared().switch(Some(Fault::Blackhole));
        let ever = world.gate.shared().ever.load(Ordering::SeqCst);
        world.gate.cut(Fault::Blackhole).await.unwrap();
        phase.store(2 * round + 1, Ordering::SeqCst);
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let later = world.gate.shared().ever.load(Ordering::SeqCst);
        assert_eq!(ever, later, "a write was under way when the cut was confirmed");
        let counters = world.gate.counters();
        assert_eq!((counters.connections, counters.bytes), (FLOWS as u64, 0));
        phase.store(2 * round + 2, Ordering::SeqCst);
        world.gate.open().await.unwrap();
    }
    world.gate.cut(Fault::Reset).await.unwrap();
    while let Some(checked) = soon(checks.join_next()).await {
        checked.unwrap();
    }
}

/// A stream of bytes that can be checked at any place.
fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u8
}

async fn send_bytes(mut to: impl AsyncWrite + Unpin, total: u64, mut random: fastrand::Rng) {
    let mut position = 0;
    while position < total {
        let size = if random.bool() { random.u64(1..2_000) } else { random.u64(1..300_000) };
        let chunk: Vec<u8> = (position..total.min(position + size)).map(byte_at).collect();
        to.write_all(&chunk).await.unwrap();
        position += chunk.len() as u64;
    }
    to.shutdown().await.unwrap();
}

async fn check_bytes(mut from: impl AsyncRead + Unpin, total: u64) {
    let mut buffer = vec![0; 100_000];
    let mut position = 0;
    loop {
        let n = from.read(&mut buffer).await.unwrap();
        if n == 0 {
            break;
        }
        for byte in &buffer[..n] {
            assert_eq!(*byte, byte_at(position), "at {position}");
            position += 1;
        }
    }
    assert_eq!(position, total);
}

fn any_fault(random: &mut fastrand::Rng) -> Option<Fault> {
    Some(match random.u8(0..8) {
        0..3 => return None,
        3..5 => Fault::Blackhole,
        5 => Fault::Drain,
        6 => Fault::Degrade(Degradation {
            latency: Duration::from_micros(random.u64(0..3_000)),
            jitter: Duration::from_micros(random.u64(0..3_000)),
            loss: 0.0,
            bandwidth: random.bool().then(|| random.u64(1_000_000..1_000_000_000)),
        }),
        _ => Fault::Degrade(Degradation { loss: 0.01, ..degraded(Duration::ZERO) }),
    })
}

async fn transfer_while_toggling(seed: u64) {
    const TOTAL: u64 = 4_000_000;
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new().await;
    let mut ends = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (client, server) = world.pair().await;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        ends.spawn(send_bytes(client_out, TOTAL, random.fork()));
        ends.spawn(send_bytes(server_out, TOTAL, random.fork()));
        ends.spawn(check_bytes(client_in, TOTAL));
        ends.spawn(check_bytes(server_in, TOTAL));
    }
    while !ends.is_empty() {
        match any_fault(&mut random) {
            Some(fault) => soon(world.gate.cut(fault)).await.unwrap(),
            None => soon(world.gate.open()).await.unwrap(),
        }
        let moment = Duration::from_millis(random.u64(0..8));
        if let Ok(Some(end)) = timeout(moment, ends.join_next()).await {
            end.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_arrives_once_and_in_order_whatever_faults_come_between() {
    for seed in 0..4 {
        timeout(6 * PATIENCE, transfer_while_toggling(seed)).await.expect("it hangs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_fault_follows_any_other() {
    let faults = [
        None,
        Some(Fault::Blackhole),
        Some(Fault::Reset),
        Some(Fault::Drain),
        Some(Fault::Degrade(degraded(Duration::from_millis(1)))),
    ];
    let world = World::new().await;
    for from in faults {
        for to in faults {
            for fault in [from, to] {
                match fault {
                    Some(fault) => world.gate.cut(fault).await.unwrap(),
                    None => world.gate.open().await.unwrap(),
                }
            }
            assert_eq!(world.gate.fault(), to);
            match to {
                None | Some(Fault::Degrade(_)) => assert!(world.serves().await, "{from:?} {to:?}"),
                Some(Fault::Reset | Fault::Drain) => {
                    let refused = world.connect().await.unwrap_err();
                    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
                }
                Some(Fault::Blackhole) => {
                    assert!(timeout(SILENCE, world.connect()).await.is_err());
                }
            }
        }
    }
    world.gate.open().await.unwrap();
    assert!(world.serves().await);
}
