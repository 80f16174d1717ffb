//! A double of Shopify's Toxiproxy, which no package brings: its answers as they were seen, and no traffic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::rest::{Answers, Asked, Said, serve};

pub struct Shopify {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

pub struct State {
    pub proxies: BTreeMap<String, Value>,
    /// Whether what is accepted is done.
    pub obeys: bool,
    /// Goes out in place of the next answer to a change, which is made all the same.
    pub lost: Option<String>,
    /// Each `METHOD PATH`.
    pub heard: Vec<String>,
}

impl Shopify {
    /// One with these proxies.
    pub async fn start(names: &[&str]) -> Shopify {
        let proxy = |name: &str| {
            json!({
                "name": name, "listen": "127.0.0.1:1", "upstream": "127.0.0.1:2", "enabled": true,
                "toxics": [], "Logger": {},
            })
        };
        let proxies = names.iter().map(|name| ((*name).to_owned(), proxy(name))).collect();
        let state = State { proxies, obeys: true, lost: None, heard: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        Shopify { at: serve(&state).await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn missing(what: &str) -> Said {
    (404, json!({ "error": format!("{what} not found"), "status": 404 }))
}

impl State {
    fn toxics(&mut self, name: &str) -> Option<&mut Vec<Value>> {
        self.proxies.get_mut(name)?["toxics"].as_array_mut()
    }

    fn add(&mut self, name: &str, toxic: &Value) -> Said {
        let obeys = self.obeys;
        let Some(toxics) = self.toxics(name) else { return missing("proxy") };
        if toxics.iter().any(|it| it["name"] == toxic["name"]) {
            return (409, json!({ "error": "toxic already exists", "status": 409 }));
        }
        // Go writes a whole number without its point.
        let mut toxic = toxic.clone();
        toxic["toxicity"] = json!(1);
        if obeys {
            toxics.push(toxic.clone());
        }
        (200, toxic)
    }

    fn take_off(&mut self, name: &str, toxic: &str) -> Said {
        let Some(toxics) = self.toxics(name) else { return missing("proxy") };
        let before = toxics.len();
        toxics.retain(|it| it["name"] != toxic);
        if toxics.len() == before { missing("toxic") } else { (204, Value::Null) }
    }
}

impl Answers for State {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}", asked.method, asked.path));
        let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (&*asked.method, &*parts) {
            ("GET", ["version"]) => (200, json!({ "version": "2.12.0" })),
            ("GET", ["proxies"]) => (200, json!(self.proxies)),
            ("GET", ["proxies", name]) => match self.proxies.get(*name) {
                Some(proxy) => (200, proxy.clone()),
                None => missing("proxy"),
            },
            ("POST", ["proxies", name]) => {
                let obeys = self.obeys;
                let Some(proxy) = self.proxies.get_mut(*name) else { return missing("proxy") };
                if obeys {
                    proxy["enabled"] = asked.body["enabled"].clone();
                }
                (200, proxy.clone())
            }
            ("POST", ["proxies", name, "toxics"]) => self.add(name, &asked.body),
            ("DELETE", ["proxies", name, "toxics", toxic]) => self.take_off(name, toxic),
            _ => missing("page"),
        }
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        if asked.method == "GET" {
            return None;
        }
        let lost = self.lost.take()?;
        self.answer(asked);
        Some(lost)
    }
}
