//! Weighted answers of Cloud DNS, against a double that is held to Google's discovery document.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use firedrill::model::{
    ControlSpec, GcpBy, GcpItem, GcpItems, GcpSettings, Passage, Provider, Text,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::gcp::Gcp;
use serde_json::{Value, json};

use super::google::TOKEN;
use super::{Token, drain};
use crate::contract;
use crate::journal_alone::{End, puts_back_what_is_left, restored};
use crate::published::Published;
use crate::rest::{Answers, Asked, Doubled, Instead, Said, serve};
use crate::world::{A, B};

const ZONE: &str = "/dns/v1/projects/shop-1/managedZones/shop";
const WWW_A: &str = "www.shop.example/A/192.0.2.1";

struct Zone {
    published: Published,
    sets: Vec<Value>,
    permissions: Vec<&'static str>,
    obeys: bool,
    /// So often a change is looked at before it is done.
    looks: u32,
    /// What is refused: a method, and with what.
    refused: Option<(&'static str, u16, &'static str)>,
    /// Done before the next change, as if another hand were faster.
    meanwhile: Option<fn(&mut Value)>,
    /// Goes out in place of the next answer to a change, which is made all the same.
    lost: Option<String>,
    instead: Instead,
    heard: Vec<String>,
}

fn item(weight: f64, answers: &[&str]) -> Value {
    json!({ "weight": weight, "rrdatas": answers, "kind": "dns#rRSetRoutingPolicyWrrPolicyWrrPolicyItem" })
}

fn set(name: &str, kind: &str, items: &[Value]) -> Value {
    json!({
        "kind": "dns#resourceRecordSet", "name": name, "type": kind, "ttl": 30,
        "routingPolicy": { "kind": "dns#rRSetRoutingPolicy", "wrr": { "items": items } },
    })
}

fn error(code: u16, message: &str) -> Said {
    (code, json!({ "error": { "code": code, "message": message, "errors": [] } }))
}

impl Zone {
    fn weights(&self, place: usize) -> Vec<f64> {
        let items = self.sets[place]["routingPolicy"]["wrr"]["items"].as_array().unwrap();
        items.iter().map(|it| it["weight"].as_f64().unwrap()).collect()
    }

    fn change(&mut self, body: &Value) -> Said {
        if let Some(change) = self.meanwhile.take() {
            change(&mut self.sets[0]);
        }
        let mut sets = self.sets.clone();
        for deletion in body["deletions"].as_array().unwrap() {
            let Some(place) = sets.iter().position(|it| it == deletion) else {
                return error(412, "Precondition not met for 'entity.change.deletions[0]'");
            };
            sets[place] = Value::Null;
        }
        for addition in body["additions"].as_array().unwrap() {
            let free = sets.iter().position(Value::is_null).unwrap();
            sets[free] = addition.clone();
        }
        if self.obeys {
            self.sets = sets;
        }
        (200, json!({ "id": "7", "status": "pending", "startTime": "2026-01-02T03:04:05Z" }))
    }

    fn said(&mut self, asked: &Asked) -> Said {
        let rest = asked.path.strip_prefix(ZONE).unwrap();
        match rest.split('/').collect::<Vec<_>>()[..] {
            [":testIamPermissions"] => (200, json!({ "permissions": self.permissions })),
            ["", "rrsets", name, kind] => {
                let set = self.sets.iter().find(|it| it["name"] == name && it["type"] == kind);
                let missing = || error(404, "The 'parameters.name' resource does not exist.");
                set.map_or_else(missing, |set| (200, set.clone()))
            }
            ["", "changes"] => self.change(&asked.body),
            ["", "changes", "7"] => {
                let status = if self.looks == 0 { "done" } else { "pending" };
                self.looks = self.looks.saturating_sub(1);
                (200, json!({ "id": "7", "status": status }))
            }
            _ => panic!("{rest}"),
        }
    }
}

impl Answers for Zone {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}", asked.method, asked.path));
        if asked.token != format!("Bearer {TOKEN}") {
            return error(401, "Request had invalid authentication credentials.");
        }
        let method = self.published.asked(asked);
        if let Some((of, code, words)) = self.refused
            && asked.method == of
        {
            return error(code, words);
        }
        let said = self.said(asked);
        if said.0 == 200 {
            self.published.answered(&method, &said.1);
        }
        said
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        if let Some(text) = self.instead.take(asked) {
            return Some(text);
        }
        if !asked.path.ends_with("/changes") {
            return None;
        }
        let lost = self.lost.take()?;
        self.answer(asked);
        Some(lost)
    }
}

struct World {
    gcp: Gcp,
    at: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl World {
    async fn start() -> World {
        let checked = json!({ "weight": 2.0, "healthCheckedTargets": { "externalEndpoints": ["192.0.2.9"] } });
        let sets = vec![
            set(
                "www.shop.example.",
                "A",
                &[
                    item(0.7, &["192.0.2.1", "192.0.2.2"]),
                    item(0.0, &["192.0.2.3"]),
                    item(0.3, &["198.51.100.1"]),
                    item(1.0, &["203.0.113.1"]),
                ],
            ),
            set("api.shop.example.", "A", &[checked, item(5.0, &["198.51.100.9"])]),
            set(
                "api.shop.example.",
                "CNAME",
                &[item(1.0, &["a.example."]), item(1.0, &["b.example."])],
            ),
        ];
        let zone = Zone {
            published: Published::new(include_str!("../../fixtures/gcp/dns.v1.json")),
            sets,
            permissions: vec![
                "dns.changes.create",
                "dns.changes.get",
                "dns.resourceRecordSets.get",
                "dns.resourceRecordSets.update",
            ],
            obeys: true,
            looks: 1,
            refused: None,
            meanwhile: None,
            lost: None,
            instead: Instead::default(),
            heard: Vec::new(),
        };
        let zone = Arc::new(Mutex::new(zone));
        let at = serve(&zone).await;
        World { gcp: control(at, TOKEN, Duration::from_secs(5)), at, zone }
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().unwrap()
    }

    fn posted(&self) -> usize {
        self.zone()
            .heard
            .iter()
            .filter(|it| it.ends_with("/changes") && it.starts_with("POST"))
            .count()
    }
}

fn control(at: SocketAddr, token: &'static str, timeout: Duration) -> Gcp {
    let one = |name: &str, kind: &str, data: &str| GcpItem {
        name: name.into(),
        kind: kind.into(),
        data: data.into(),
    };
    let a = vec![
        one("www.shop.example", "A", "192.0.2.1"),
        one("www.shop.example", "A", "192.0.2.3"),
        one("api.shop.example", "A", "192.0.2.9"),
        one("api.shop.example", "CNAME", "A.example"),
    ];
    let b = vec![
        one("www.shop.example", "A", "198.51.100.1"),
        one("api.shop.example", "A", "198.51.100.9"),
    ];
    let items = vec![GcpItems { datacenter: A, items: a }, GcpItems { datacenter: B, items: b }];
    let provider = Provider::Gcp(GcpSettings {
        project: "shop-1".into(),
        by: GcpBy::Dns { zone: "shop".into(), items },
        endpoint: Some(Text::from(&*format!("http://{at}"))),
        timeout,
    });
    Gcp::with(&ControlSpec { name: "dns".into(), provider }, Box::new(Token(token))).unwrap()
}

#[tokio::test]
async fn weights_keep_the_contract_and_no_call_is_unknown_to_google() {
    let world = World::start().await;
    let before = world.zone().sets.clone();
    contract::holds(&world.gcp, &drain()).await;
    assert_eq!(world.zone().sets, before, "to the letter, also what had no weight before");
    assert_eq!(world.posted(), 6, "once for the cut and once for the restore of each set");
    let shown = format!("{:?}", world.gcp.exchanges());
    assert!(shown.contains("additions") && !shown.contains(TOKEN), "{shown}");
    assert!(world.zone().heard.iter().any(|it| it.ends_with("/changes/7")), "it is waited for");
}

#[tokio::test]
async fn a_cut_takes_all_weight_of_the_datacenter_and_nothing_else() {
    let world = World::start().await;
    let snapshot = world.gcp.inspect().await.unwrap();
    assert_eq!(snapshot.parts.len(), 6, "what the plan does not name is not ours: {snapshot:?}");
    assert_eq!(snapshot.parts["www.shop.example/A/192.0.2.3"].passage, Passage::Closed);
    world.gcp.cut(&drain(), &snapshot).await.unwrap();
    let zone = world.zone();
    assert_eq!(zone.weights(0), [0.0, 0.0, 0.3, 1.0]);
    assert_eq!(zone.weights(1), [0.0, 5.0]);
    assert_eq!(zone.sets[0]["ttl"], 30);
}

#[tokio::test]
async fn a_weight_that_another_hand_set_is_left_alone() {
    let world = World::start().await;
    let hand = async {
        world.zone().sets[0]["routingPolicy"]["wrr"]["items"][0]["weight"] = json!(0.1);
    };
    contract::leaves_another_hand_alone(&world.gcp, &drain(), WWW_A, hand).await;
}

#[tokio::test]
async fn a_set_that_is_changed_at_the_same_time_keeps_what_the_other_hand_did() {
    let world = World::start().await;
    let snapshot = world.gcp.inspect().await.unwrap();
    // The first set that is changed is another one.
    world.zone().meanwhile = Some(|www| {
        www["ttl"] = json!(60);
        www["routingPolicy"]["wrr"]["items"][2]["weight"] = json!(0.9);
    });
    world.gcp.cut(&drain(), &snapshot).await.unwrap();
    let zone = world.zone();
    assert_eq!((zone.weights(0), &zone.sets[0]["ttl"]), (vec![0.0, 0.0, 0.9, 1.0], &json!(60)));
}

#[tokio::test]
async fn an_answer_that_is_lost_changes_nothing_twice() {
    let world = World::start().await;
    let before = world.zone().sets.clone();
    let snapshot = world.gcp.inspect().await.unwrap();
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\"".to_owned();
    world.zone().lost = Some(half.clone());
    world.gcp.cut(&drain(), &snapshot).await.unwrap();
    assert!(world.gcp.inspect().await.unwrap().is_cut(&drain()));
    world.zone().lost = Some(half);
    world.gcp.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(world.zone().sets, before);
}

#[tokio::test]
async fn bad_answers_of_cloud_dns_are_told_and_change_nothing() {
    let World { gcp, zone, .. } = World::start().await;
    let doubled = Doubled {
        control: &gcp,
        order: drain(),
        token: TOKEN,
        change: ("POST", true),
        set: &|instead| zone.lock().unwrap().instead = instead,
        state: &|| format!("{:?}", zone.lock().unwrap().sets),
    };
    doubled.stands_bad_answers().await;
}

#[tokio::test]
async fn preflight_names_what_is_missing() {
    type Change = fn(&mut Zone);
    let cases: [(Change, &str); 6] = [
        (merge, "the plan names an item of www.shop.example A twice"),
        (|it| it.permissions.truncate(3), "does not give us dns.resourceRecordSets.update on shop"),
        (|it| it.permissions.clear(), "dns.changes.create and dns.changes.get and dns.resource"),
        (|it| drop(it.sets.remove(0)), "the zone shop has no www.shop.example A"),
        (
            |it| {
                drop(it.sets[0]["routingPolicy"]["wrr"]["items"].as_array_mut().unwrap().remove(2))
            },
            "no item of www.shop.example A has the answer 198.51.100.1",
        ),
        (
            |it| it.sets[0]["routingPolicy"] = json!({ "geo": { "items": [] } }),
            "www.shop.example A has no weighted routing policy",
        ),
    ];
    for (change, what) in cases {
        let world = World::start().await;
        change(&mut world.zone());
        let error = world.gcp.preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert_eq!(world.posted(), 0);
    }
    World::start().await.gcp.preflight().await.unwrap();
}

#[tokio::test]
async fn who_serves_on_is_told_for_each_set() {
    let world = World::start().await;
    let left = async || {
        let survivors = world.gcp.survivors(&drain()).await.unwrap();
        survivors.into_iter().map(|it| (it.group, it.left)).collect::<Vec<_>>()
    };
    let due = |www: usize| {
        [("api.shop.example A", 1), ("api.shop.example CNAME", 1), ("www.shop.example A", www)]
            .map(|(group, left)| (group.to_owned(), left))
    };
    assert_eq!(left().await, due(2));
    world.zone().sets[0]["routingPolicy"]["wrr"]["items"][3]["weight"] = json!(0.0);
    assert_eq!(left().await, due(1));
}

#[tokio::test]
async fn what_google_takes_and_does_not_do_is_no_cut_and_a_refusal_is_told() {
    let world = World::start().await;
    let snapshot = world.gcp.inspect().await.unwrap();
    world.zone().obeys = false;
    world.gcp.cut(&drain(), &snapshot).await.unwrap();
    assert!(!world.gcp.inspect().await.unwrap().is_cut(&drain()));
    for (code, words, what) in [
        (403, "Forbidden", "403 Forbidden: Forbidden"),
        (503, "Backend error", "503 Service Unavailable: Backend error"),
        (429, "Rate limit exceeded", "429 Too Many Requests"),
    ] {
        world.zone().refused = Some(("POST", code, words));
        let gcp = control(world.at, TOKEN, Duration::from_millis(300));
        let error = gcp.cut(&drain(), &snapshot).await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
    let stale = control(world.at, "ya29.stale", Duration::from_secs(5));
    let error = stale.inspect().await.unwrap_err();
    assert!(error.what.contains("401 Unauthorized: Request had invalid"), "{error}");
    assert!(!format!("{error} {:?}", stale.exchanges()).contains("stale"));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gcp = control(silent.local_addr().unwrap(), TOKEN, Duration::from_millis(200));
    contract::gives_up_within(&gcp, &drain(), Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_restore_goes_on_after_what_is_gone() {
    let world = World::start().await;
    let snapshot = world.gcp.inspect().await.unwrap();
    world.gcp.cut(&drain(), &snapshot).await.unwrap();
    drop(world.zone().sets[0]["routingPolicy"]["wrr"]["items"].as_array_mut().unwrap().remove(0));
    let error = world.gcp.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains(&format!("{WWW_A} is no longer there")), "{error}");
    assert_eq!(world.zone().weights(1), [2.0, 5.0]);
    let by_hand = world.gcp.by_hand(&snapshot.cuttable(&drain()));
    assert_eq!(by_hand.len(), 3);
    let due = "gcloud dns record-sets describe www.shop.example. --type A --zone shop --project shop-1   # then";
    assert!(by_hand[2].starts_with(due), "{}", by_hand[2]);
    assert!(by_hand[2].ends_with("where the weight of 192.0.2.1 is 0.7"), "{}", by_hand[2]);
}

/// Puts two items of ours together in one.
fn merge(zone: &mut Zone) {
    let items = &mut zone.sets[0]["routingPolicy"]["wrr"]["items"];
    items[2]["rrdatas"] = json!(["198.51.100.1", "192.0.2.1"]);
    items[0]["rrdatas"] = json!(["192.0.2.7"]);
}

#[tokio::test]
async fn a_record_set_that_is_gone_keeps_no_other_cut() {
    let World { gcp, zone, .. } = World::start().await;
    let gone = ["www.shop.example/A/192.0.2.1", "www.shop.example/A/192.0.2.3"];
    let gone = [gone[0], gone[1], "www.shop.example/A/198.51.100.1"];
    let hand = async { drop(zone.lock().unwrap().sets.remove(0)) };
    puts_back_what_is_left(Arc::new(gcp), &drain(), &gone, hand).await;
}

#[tokio::test]
async fn a_zone_that_has_none_of_it_is_not_taken_for_another_hand() {
    let world = World::start().await;
    world.zone().sets.clear();
    let error = world.gcp.inspect().await.unwrap_err();
    let what = "the zone shop of the project shop-1 has none of the items";
    assert!(error.what.contains(what), "{error}");
}

#[tokio::test]
async fn items_that_were_put_together_keep_no_other_cut() {
    let World { gcp, zone, .. } = World::start().await;
    let control: Arc<dyn TrafficControl> = Arc::new(gcp);
    let hand = async { merge(&mut zone.lock().unwrap()) };
    let end = restored(&control, &drain(), hand).await;
    assert_eq!(end, End::Foreign(vec![WWW_A.to_owned()]));
    assert_eq!(zone.lock().unwrap().weights(1), [2.0, 5.0]);
}
