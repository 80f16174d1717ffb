//! A thousand proxies with ten toxics each.

use serde_json::{Value, json};

use crate::daemon::{Client, Daemon, Server, listen};

const PROXIES: usize = 1000;
const TOXICS: usize = 10;

#[test]
fn a_thousand_proxies_with_ten_toxics_each_are_all_there_and_all_work() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let upstream = server.address.to_string();
    let list: Vec<Value> = (0..PROXIES)
        .map(|n| json!({ "name": format!("p{n}"), "listen": "127.0.0.1:0", "upstream": upstream }))
        .collect();
    let made = daemon.done("POST", "/populate", json!(list));
    assert_eq!(made["proxies"].as_array().unwrap().len(), PROXIES);
    for n in 0..PROXIES {
        for toxic in 0..TOXICS {
            let stream = if toxic % 2 == 0 { "upstream" } else { "downstream" };
            let form = json!({
                "name": format!("t{toxic}"), "type": "latency", "stream": stream,
                "attributes": { "latency": 1 },
            });
            daemon.done("POST", &format!("/proxies/p{n}/toxics"), form);
        }
    }
    let all = daemon.done("GET", "/proxies", "");
    let all = all.as_object().unwrap();
    let toxics: usize = all.values().map(|it| it["toxics"].as_array().unwrap().len()).sum();
    assert_eq!((all.len(), toxics), (PROXIES, PROXIES * TOXICS));
    let mut addresses: Vec<_> = all.values().map(listen).collect();
    for address in addresses.iter().step_by(97) {
        let took = Client::connect(*address).round_trip(b"hello").as_millis();
        assert!(took >= TOXICS as u128, "ten times 1 ms took {took} ms");
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), PROXIES);
    daemon.done("POST", "/reset", "");
    let all = daemon.done("GET", "/proxies", "");
    assert!(all.as_object().unwrap().values().all(|it| it["toxics"] == json!([])));
}
