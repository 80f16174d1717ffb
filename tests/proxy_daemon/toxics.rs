//! What each toxic does to a connection, in either direction.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Client, Daemon, SILENCE, Server};

const STREAMS: [&str; 2] = ["upstream", "downstream"];

/// A daemon with one proxy, and a connection through it.
struct World {
    daemon: Daemon,
    at: std::net::SocketAddr,
    client: Client,
}

impl World {
    fn new() -> World {
        let (daemon, server) = (Daemon::start(), Server::start());
        let at = daemon.proxy("db", &server);
        let mut client = Client::connect(at);
        client.round_trip(b"before");
        World { daemon, at, client }
    }

    /// Puts the only toxic on, while the connection is open.
    fn toxic(&mut self, of: &str, stream: &str, attributes: Value) {
        self.daemon.done("POST", "/reset", "");
        let form = json!({ "name": "it", "type": of, "stream": stream, "attributes": attributes });
        self.daemon.done("POST", "/proxies/db/toxics", form);
    }

    fn take_off(&self) {
        self.daemon.done("DELETE", "/proxies/db/toxics/it", "");
    }

    fn anew(&mut self) -> &mut Client {
        self.client = Client::connect(self.at);
        &mut self.client
    }
}

#[test]
fn latency_delays_and_changes_on_an_open_connection() {
    let mut world = World::new();
    for stream in STREAMS {
        world.toxic("latency", stream, json!({ "latency": 120, "jitter": 10 }));
        let took = world.client.round_trip(b"hello");
        assert!(took >= Duration::from_millis(110), "{took:?}");
        world.daemon.done(
            "POST",
            "/proxies/db/toxics/it",
            json!({ "attributes": { "latency": 3_600_000 } }),
        );
        world.client.0.write_all(b"held").unwrap();
        world.client.is_silent();
        world.take_off();
        world.client.receives(b"held");
    }
}

#[test]
fn bandwidth_limits_and_none_of_it_holds() {
    let mut world = World::new();
    for stream in STREAMS {
        world.toxic("bandwidth", stream, json!({ "rate": 200 }));
        let took = world.client.round_trip(&[7; 60_000]);
        assert!(took >= Duration::from_millis(280), "60 KB at 200 KB/s took {took:?}");
        world.toxic("bandwidth", stream, json!({ "rate": 0 }));
        world.client.0.write_all(b"held").unwrap();
        world.client.is_silent();
        world.take_off();
        world.client.receives(b"held");
    }
}

#[test]
fn slow_close_delays_the_end() {
    let mut world = World::new();
    for stream in STREAMS {
        world.toxic("slow_close", stream, json!({ "delay": 150 }));
        let client = world.anew();
        client.round_trip(b"hello");
        let start = Instant::now();
        client.0.shutdown(Shutdown::Write).unwrap();
        client.ends();
        assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    }
}

#[test]
fn a_timeout_closes_after_its_time_or_never() {
    let mut world = World::new();
    for stream in STREAMS {
        world.anew().round_trip(b"hello");
        let start = Instant::now();
        world.toxic("timeout", stream, json!({ "timeout": 150 }));
        world.client.0.write_all(b"lost").unwrap();
        world.client.ends();
        assert!(start.elapsed() >= Duration::from_millis(150));
        world.toxic("timeout", stream, json!({ "timeout": 0 }));
        let client = world.anew();
        client.0.write_all(b"lost").unwrap();
        client.is_silent();
        world.take_off();
        world.client.ends();
        world.anew().round_trip(b"after");
    }
}

#[test]
fn a_peer_is_reset_after_its_first_byte() {
    let mut world = World::new();
    for stream in STREAMS {
        world.toxic("reset_peer", stream, json!({ "timeout": 100 }));
        let client = world.anew();
        client.is_silent();
        let start = Instant::now();
        client.0.write_all(b"used").unwrap();
        client.is_reset();
        assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    }
}

#[test]
fn a_slicer_makes_small_pieces_of_the_same_bytes() {
    let mut world = World::new();
    for stream in STREAMS {
        let attributes = json!({ "average_size": 100, "size_variation": 50, "delay": 1000 });
        world.toxic("slicer", stream, attributes);
        let data: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        let took = world.client.round_trip(&data);
        assert!(took >= Duration::from_millis(130), "133 pieces or more took {took:?}");
    }
}

#[test]
fn a_limit_closes_when_so_much_has_passed() {
    let mut world = World::new();
    for stream in STREAMS {
        world.toxic("limit_data", stream, json!({ "bytes": 1000 }));
        let client = world.anew();
        client.round_trip(&[1; 600]);
        client.0.write_all(&[2; 600]).unwrap();
        if stream == "downstream" {
            client.receives(&[2; 400]);
        }
        // Upstream, the end overtakes what the server had still to answer.
        let mut rest = Vec::new();
        let _ = client.0.read_to_end(&mut rest);
        assert!(rest.len() <= 400 && rest.iter().all(|byte| *byte == 2));
    }
}

#[test]
fn no_change_waits_for_a_client_that_does_not_read() {
    let mut world = World::new();
    let data: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut sending = world.client.0.try_clone().unwrap();
    let sent = data.clone();
    let sender = std::thread::spawn(move || sending.write_all(&sent).unwrap());
    for of in ["latency", "bandwidth", "slicer", "slow_close", "reset_peer", "limit_data"] {
        let attributes = match of {
            "latency" => json!({ "latency": 5 }),
            "bandwidth" => json!({ "rate": 1 }),
            "slicer" => json!({ "average_size": 100, "size_variation": 10, "delay": 10 }),
            "reset_peer" => json!({ "timeout": 3_600_000 }),
            "limit_data" => json!({ "bytes": 1_000_000_000 }),
            _ => json!({ "delay": 5 }),
        };
        let start = Instant::now();
        world.toxic(of, "downstream", attributes);
        world.take_off();
        assert!(start.elapsed() < Duration::from_secs(5), "{of}: {:?}", start.elapsed());
    }
    world.client.receives(&data);
    sender.join().unwrap();
    world.client.round_trip(b"after");
}

#[test]
fn toxicity_chooses_connections() {
    let world = World::new();
    let form = json!({
        "type": "latency", "toxicity": 0.5, "attributes": { "latency": 3_600_000 },
    });
    world.daemon.done("POST", "/proxies/db/toxics", form);
    let change = |toxicity: f64| {
        let change = json!({ "toxicity": toxicity });
        world.daemon.done("POST", "/proxies/db/toxics/latency_downstream", change);
    };
    let share = |toxicity: f64| {
        change(toxicity);
        let mut all: Vec<Client> = (0..30).map(|_| Client::connect(world.at)).collect();
        for client in &mut all {
            client.0.write_all(b"x").unwrap();
            client.0.set_read_timeout(Some(SILENCE)).unwrap();
        }
        let answered = |client: &mut Client| client.0.read(&mut [0]).is_ok();
        all.iter_mut().map(answered).filter(|answered| !answered).count()
    };
    change(0.0);
    for _ in 0..30 {
        Client::connect(world.at).round_trip(b"x");
    }
    let half = share(0.5);
    assert!((3..=27).contains(&half), "{half} of 30");
    assert_eq!(share(1.0), 30);
}
