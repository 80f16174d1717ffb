//! A double of Cloudflare's API: an account with pools, and a zone with records. What it is asked and what it answers are
//! held to the models that Cloudflare's client for Python has.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};

use crate::published::Published;
use crate::rest::{Answers, Asked, Said, serve};

pub const TOKEN: &str = "v1.let-me-in_7";
pub const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub const ACCOUNT: &str = "01a7362d577a6c3019a474fd6f485823";

/// The double, served.
pub struct Cloudflare {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What is in it, and how it behaves.
pub struct State {
    published: Published,
    pub pools: Vec<Value>,
    pub records: Vec<Value>,
    /// By the ids of pools.
    pub health: Map<String, Value>,
    pub users: Map<String, Value>,
    pub token: Value,
    /// Whether the token is one of a person, or of the account.
    pub is_of_a_person: bool,
    /// Whether what is accepted is done.
    pub obeys: bool,
    /// Records a page, at most.
    pub page: usize,
    /// What is refused: a method and a piece of the path or of the body, with status, number and words.
    pub refused: Option<(&'static str, &'static str, u16, i64, &'static str)>,
    /// Bytes that go out in place of the next answers to this method, and whether what was asked is done all the same.
    pub instead: VecDeque<(&'static str, String, bool)>,
    /// Done before the next change, as if another hand were faster.
    pub meanwhile: Option<fn(&mut State)>,
    pub heard: Vec<String>,
    made: usize,
}

pub fn record(name: &str, kind: &str, content: &str) -> Value {
    json!({
        "id": format!("id-{name}-{content}"), "name": name, "type": kind, "content": content, "ttl": 60,
        "proxied": false, "proxiable": true, "comment": "front door", "tags": ["team:edge", "app:shop"],
        "settings": {}, "meta": {}, "created_on": "2026-01-02T03:04:05Z", "modified_on": "2026-01-02T03:04:05Z",
        "comment_modified_on": "2026-01-02T03:04:05Z",
    })
}

pub fn origin(name: &str, address: &str, enabled: bool) -> Value {
    let mut origin = json!({
        "name": name, "address": address, "enabled": enabled, "weight": 0.6, "port": 0,
        "header": { "Host": ["shop.example"] }, "virtual_network_id": null,
    });
    if !enabled {
        origin["disabled_at"] = json!("2026-01-02T03:04:05Z");
    }
    origin
}

fn pool(name: &str, origins: &[Value]) -> Value {
    json!({
        "id": format!("{name}-id"), "name": name, "enabled": true, "minimum_origins": 1, "monitor": "m1",
        "description": "", "origins": origins, "check_regions": ["WEU"], "created_on": "2026-01-02T03:04:05Z",
        "modified_on": "2026-01-02T03:04:05Z",
    })
}

fn fail(status: u16, code: i64, message: &str) -> Said {
    let errors = json!([{ "code": code, "message": message }]);
    (status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

impl Cloudflare {
    pub async fn start() -> Cloudflare {
        let used = |by: &str| {
            json!([{ "reference_type": "referrer", "resource_id": "lb", "resource_name": by,
                     "resource_type": "load_balancer" }])
        };
        let mut users = Map::new();
        for name in ["front-a", "front-b", "mixed"] {
            users.insert(format!("{name}-id"), used("shop.example"));
        }
        let state = State {
            published: Published::new(include_str!("../../fixtures/cloudflare/api.v4.json")),
            pools: vec![
                pool("front-a", &[origin("one", "192.0.2.1", true)]),
                pool("front-b", &[origin("one", "198.51.100.1", true)]),
                pool(
                    "mixed",
                    &[
                        origin("a-1", "192.0.2.2", true),
                        origin("a-2", "192.0.2.3", false),
                        origin("b-1", "198.51.100.2", true),
                    ],
                ),
            ],
            records: vec![
                record("www.shop.example", "A", "192.0.2.1"),
                record("www.shop.example", "A", "192.0.2.2"),
                record("www.shop.example", "A", "198.51.100.1"),
                record("www.shop.example", "A", "203.0.113.9"),
                record("www.shop.example", "AAAA", "2001:db8::1"),
                record("www.shop.example", "AAAA", "2001:db8:b::1"),
                record("other.example", "A", "192.0.2.1"),
            ],
            health: Map::new(),
            users,
            token: json!({ "id": "t", "status": "active" }),
            is_of_a_person: true,
            obeys: true,
            page: 100,
            refused: None,
            instead: VecDeque::new(),
            meanwhile: None,
            heard: Vec::new(),
            made: 0,
        };
        let state = Arc::new(Mutex::new(state));
        Cloudflare { at: serve(&state).await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// How often this was asked: a method and a piece of the path.
    pub fn count(&self, method: &str, piece: &str) -> usize {
        self.heard.iter().filter(|it| it.starts_with(method) && it.contains(piece)).count()
    }

    /// The addresses of `www`, in order.
    pub fn addresses(&self) -> Vec<String> {
        let www = self.records.iter().filter(|it| it["name"] == "www.shop.example");
        let mut all: Vec<_> = www.map(|it| it["content"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    }

    /// What is set on records, without what Cloudflare alone decides, in order.
    pub fn set(&self) -> Vec<Value> {
        let mut all = self.records.clone();
        for record in &mut all {
            let record = record.as_object_mut().unwrap();
            record.retain(|key, value| !key.ends_with("_on") && key != "id" && *value != json!({}));
            if let Some(tags) = record.get_mut("tags").and_then(Value::as_array_mut) {
                tags.sort_by_key(Value::to_string);
            }
        }
        all.sort_by_key(Value::to_string);
        all
    }

    fn listed(&self, query: &str) -> Said {
        let get = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(it, _)| *it == key).map(|(_, value)| value)
        };
        let fits = |it: &&Value| {
            it["name"] == get("name.exact").unwrap() && it["type"] == get("type").unwrap()
        };
        let all: Vec<&Value> = self.records.iter().filter(fits).collect();
        let number = |key: &str| get(key).unwrap().parse::<usize>().unwrap();
        let per_page = number("per_page").min(self.page);
        let page: Vec<_> =
            all.iter().skip((number("page") - 1) * per_page).take(per_page).collect();
        let info = json!({ "page": number("page"), "per_page": per_page, "count": page.len() });
        let mut said = good(&json!(page));
        said.1["result_info"] = info;
        said
    }

    fn batch(&mut self, body: &Value) -> Said {
        let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
        let mut records = self.records.clone();
        let place = |records: &[Value], id: &Value| records.iter().position(|it| it["id"] == *id);
        let mut deletes = Vec::new();
        for delete in list("deletes") {
            match place(&records, &delete["id"]) {
                Some(place) => deletes.push(records.remove(place)),
                None => return fail(404, 81044, "Record does not exist."),
            }
        }
        let (mut puts, mut posts) = (Vec::new(), Vec::new());
        for put in list("puts") {
            let Some(place) = place(&records, &put["id"]) else {
                return fail(404, 81044, "Record does not exist.");
            };
            records[place] = made(&put, put["id"].as_str().unwrap());
            puts.push(records[place].clone());
        }
        for post in list("posts") {
            let same =
                |it: &Value| ["name", "type", "content"].iter().all(|key| it[key] == post[key]);
            if records.iter().any(same) {
                return fail(400, 81058, "An identical record already exists.");
            }
            self.made += 1;
            records.push(made(&post, &format!("new-{}", self.made)));
            posts.push(records[records.len() - 1].clone());
        }
        if self.obeys {
            self.records = records;
        }
        good(&json!({ "deletes": deletes, "puts": puts, "posts": posts, "patches": null }))
    }

    fn pools(&mut self, asked: &Asked, words: &[&str]) -> Said {
        let Some(id) = words.first() else { return good(&json!(self.pools)) };
        match words.get(1) {
            Some(&"health") => {
                let health = self.health.get(*id).cloned().unwrap_or(json!({}));
                return good(&json!({ "pool_id": id, "pop_health": health }));
            }
            Some(&"references") => return good(&self.users.get(*id).cloned().unwrap_or(json!([]))),
            _ => {}
        }
        let obeys = self.obeys;
        let Some(pool) = self.pools.iter_mut().find(|it| it["id"] == *id) else {
            return fail(404, 1001, "object not found");
        };
        if asked.method == "PATCH" && obeys {
            for (key, value) in asked.body.as_object().unwrap() {
                pool[key] = value.clone();
            }
            for origin in pool["origins"].as_array_mut().unwrap() {
                if origin["enabled"] == false {
                    origin["disabled_at"] = json!("2026-02-03T04:05:06Z");
                }
            }
        }
        good(pool)
    }

    fn said(&mut self, asked: &Asked) -> Said {
        let path = asked.path.strip_prefix("/client/v4/").unwrap();
        let words: Vec<&str> = path.split('/').collect();
        match words[..] {
            ["user", "tokens", "verify"] if self.is_of_a_person => good(&self.token),
            ["accounts", ACCOUNT, "tokens", "verify"] if !self.is_of_a_person => good(&self.token),
            ["user" | "accounts", .., "verify"] => fail(401, 1000, "Invalid API Token"),
            ["zones", ZONE, "dns_records"] => self.listed(&asked.query),
            ["zones", ZONE, "dns_records", "batch"] => self.batch(&asked.body),
            ["accounts", ACCOUNT, "load_balancers", "pools", ..] => self.pools(asked, &words[4..]),
            _ => fail(
                404,
                7003,
                "Could not route to the path, perhaps your object identifier is invalid?",
            ),
        }
    }
}

fn made(from: &Value, id: &str) -> Value {
    let mut record = from.clone();
    record["id"] = json!(id);
    record["proxiable"] = json!(true);
    record["meta"] = json!({});
    record["settings"] = json!({});
    record["created_on"] = json!("2026-03-04T05:06:07Z");
    record["modified_on"] = json!("2026-03-04T05:06:07Z");
    record
}

fn good(result: &Value) -> Said {
    (200, json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

impl Answers for State {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}?{} {}", asked.method, asked.path, asked.query, asked.body));
        if asked.token != format!("Bearer {TOKEN}") {
            return fail(401, 10000, "Authentication error");
        }
        let method = self.published.asked(asked);
        if let Some((of, piece, status, code, words)) = self.refused
            && asked.method == of
            && (asked.path.contains(piece) || asked.body.to_string().contains(piece))
        {
            return fail(status, code, words);
        }
        if asked.method != "GET"
            && let Some(change) = self.meanwhile.take()
        {
            change(self);
        }
        let said = self.said(asked);
        if said.0 == 200 && !asked.path.ends_with("/health") {
            self.published.answered(&method, &said.1["result"]);
        }
        said
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        self.instead.front().filter(|(method, ..)| *method == asked.method)?;
        let (_, text, is_done) = self.instead.pop_front()?;
        match is_done {
            true => drop(self.answer(asked)),
            false => self.heard.push(format!("{} {}", asked.method, asked.path)),
        }
        Some(text)
    }
}
