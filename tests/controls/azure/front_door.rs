//! Origins of Front Door, against a double that is held to the models of Azure's own client.

mod trouble;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use firedrill::model::{AzureBy, AzureParts, AzureSettings, ControlSpec, CutOrder, Provider, Text};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::azure::Azure;
use serde_json::{Value, json};

use super::{TOKEN, Token, drain, error};
use crate::contract;
use crate::published::Published;
use crate::rest::{Answers, Asked, Doubled, Instead, Said, serve};
use crate::world::{A, B};

const PROFILE: &str =
    "/subscriptions/sub-1/resourceGroups/shop/providers/Microsoft.Cdn/profiles/web";

/// How Azure says that an operation is under way.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// With the answer itself, at once.
    AtOnce,
    /// By `Azure-AsyncOperation`, whose answer has a status.
    Operation,
    /// By `Location`, which answers 202 until it is done.
    Location,
}

struct Manager {
    published: Published,
    at: SocketAddr,
    /// By `GROUP/ORIGIN`.
    origins: BTreeMap<String, Value>,
    actions: Vec<&'static str>,
    way: Way,
    /// So often an operation is looked at before it is done.
    looks: u32,
    /// What an operation that was begun will do: to which origin, and what.
    pending: Vec<(String, String)>,
    /// How operations end badly.
    fault: Option<Value>,
    obeys: bool,
    /// So often a change is refused, since another one is under way.
    conflicts: u32,
    /// For how many seconds Azure wants to be left alone after a change.
    wait: u32,
    /// Whether one change is made at a time: others are refused, which takes as long as a look at it.
    one_by_one: bool,
    refused: Option<(&'static str, &'static str)>,
    instead: Instead,
    heard: Vec<String>,
}

impl Manager {
    fn origin(&self, name: &str, state: &str) -> Value {
        json!({
            "id": format!("{PROFILE}/originGroups/{name}"), "name": name.split('/').next_back().unwrap(),
            "type": "Microsoft.Cdn/profiles/origingroups/origins",
            "properties": {
                "hostName": "x.example", "priority": 1, "weight": 700, "enabledState": state,
                "provisioningState": "Succeeded", "deploymentStatus": "NotStarted",
            },
        })
    }

    fn page(&self, all: Vec<Value>, asked: &Asked) -> Said {
        // Two a page.
        let skip: usize = asked.query.split("skip=").nth(1).map_or(0, |it| it.parse().unwrap());
        let next =
            format!("http://{}{}?api-version=2026-10-01&skip={}", self.at, asked.path, skip + 2);
        let link = if all.len() > skip + 2 { json!(next) } else { Value::Null };
        let value: Vec<Value> = all.into_iter().skip(skip).take(2).collect();
        (200, json!({ "value": value, "nextLink": link }))
    }

    /// What has to be done is done.
    fn end(&mut self) {
        for (origin, state) in std::mem::take(&mut self.pending) {
            let Some(origin) = self.origins.get_mut(&origin) else { continue };
            origin["properties"]["provisioningState"] = json!("Succeeded");
            if self.fault.is_none() {
                origin["properties"]["enabledState"] = json!(state);
            }
        }
    }

    /// An operation is looked at.
    fn look(&mut self) -> bool {
        let is_done = self.looks == 0;
        self.looks = self.looks.saturating_sub(1);
        if is_done {
            self.end();
        }
        is_done
    }

    fn begin(&mut self, asked: &Asked) -> (String, Said) {
        let rest = asked.path.split("/originGroups/").nth(1).unwrap();
        let name = rest.replacen("/origins/", "/", 1);
        let state = asked.body["properties"]["enabledState"].as_str().unwrap().to_owned();
        // Nothing else is written.
        assert_eq!(asked.body, json!({ "properties": { "enabledState": state } }));
        if let Some((of, words)) = self.refused
            && of == name
        {
            return (String::new(), error(403, words));
        }
        if self.one_by_one && !self.pending.is_empty() && !self.look() {
            return (String::new(), error(409, "Another operation is in progress."));
        }
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return (String::new(), error(409, "Another operation is in progress."));
        }
        let Some(origin) = self.origins.get_mut(&name) else {
            return (String::new(), error(404, "The resource was not found."));
        };
        if self.obeys {
            self.pending.push((name.clone(), state));
            origin["properties"]["provisioningState"] = json!("Updating");
        }
        let headers = match self.way {
            Way::AtOnce => {
                self.end();
                return (String::new(), (200, self.origins[&name].clone()));
            }
            Way::Operation => {
                format!("azure-asyncoperation: http://{}/operations/1\r\nlocation: x\r\n", self.at)
            }
            Way::Location => format!("location: http://{}/results/1\r\n", self.at),
        };
        (headers, (202, self.origins[&name].clone()))
    }
}

impl Answers for Manager {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}", asked.method, asked.path));
        if asked.token != format!("Bearer {TOKEN}") {
            return error(401, "The access token is invalid.");
        }
        if asked.path == "/operations/1" {
            let mut said =
                json!({ "status": if self.look() { "Succeeded" } else { "InProgress" } });
            if let (Some(fault), "Succeeded") = (&self.fault, said["status"].as_str().unwrap()) {
                said = json!({ "status": "Failed", "error": fault });
            }
            return (200, said);
        }
        if asked.path == "/results/1" {
            return (if self.look() { 200 } else { 202 }, Value::Null);
        }
        if asked.path.ends_with("/permissions") {
            return (200, json!({ "value": [{ "actions": self.actions, "notActions": [] }] }));
        }
        let first = asked.query.split('&').next().unwrap();
        assert_eq!(first, "api-version=2026-10-01", "the version that the models are of");
        let bare = Asked { query: first.to_owned(), ..copy(asked) };
        let method = self.published.asked(&bare);
        let rest = asked.path.strip_prefix(PROFILE).unwrap();
        let said = match rest.split('/').collect::<Vec<_>>()[..] {
            ["", "originGroups"] => {
                let mut groups: Vec<&str> =
                    self.origins.keys().map(|it| it.split('/').next().unwrap()).collect();
                groups.dedup();
                self.page(groups.iter().map(|name| json!({ "name": name })).collect(), asked)
            }
            ["", "originGroups", group, "origins"] => {
                let begin = format!("{group}/");
                let all = self.origins.iter().filter(|(name, _)| name.starts_with(&begin));
                self.page(all.map(|(_, origin)| origin.clone()).collect(), asked)
            }
            _ => panic!("{} {rest}", asked.method),
        };
        self.published.answered(&method, &said.1);
        said
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        if let Some(text) = self.instead.take(asked) {
            return Some(text);
        }
        if asked.method != "PATCH" || asked.token != format!("Bearer {TOKEN}") {
            return None;
        }
        self.heard.push(format!("{} {}", asked.method, asked.path));
        let method = self.published.asked(asked);
        let (headers, (code, body)) = self.begin(asked);
        if code < 300 {
            self.published.answered(&method, &body);
        }
        let body = body.to_string();
        Some(format!(
            "HTTP/1.1 {code} X\r\n{headers}retry-after: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.wait,
            body.len()
        ))
    }
}

fn copy(asked: &Asked) -> Asked {
    Asked {
        method: asked.method.clone(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        kind: asked.kind.clone(),
        token: asked.token.clone(),
        body: asked.body.clone(),
    }
}

struct World {
    azure: Azure,
    manager: Arc<Mutex<Manager>>,
}

impl World {
    async fn start() -> World {
        let mut manager = Manager {
            published: Published::new(include_str!("../../fixtures/azure/cdn.json")),
            at: "127.0.0.1:0".parse().unwrap(),
            origins: BTreeMap::new(),
            actions: vec!["Microsoft.Cdn/*"],
            way: Way::Operation,
            looks: 1,
            pending: Vec::new(),
            fault: None,
            obeys: true,
            conflicts: 0,
            wait: 0,
            one_by_one: false,
            refused: None,
            instead: Instead::default(),
            heard: Vec::new(),
        };
        for (name, state) in [
            ("api/a-1", "Enabled"),
            ("api/b-1", "Enabled"),
            ("other/a-1", "Enabled"),
            ("pay/a-1", "Enabled"),
            ("pay/b-1", "Enabled"),
            ("web/a-1", "Enabled"),
            ("web/a-2", "Disabled"),
            ("web/b-1", "Enabled"),
        ] {
            let origin = manager.origin(name, state);
            manager.origins.insert(name.to_owned(), origin);
        }
        let manager = Arc::new(Mutex::new(manager));
        let at = serve(&manager).await;
        manager.lock().unwrap().at = at;
        World { azure: control(at, TOKEN, Duration::from_secs(5)), manager }
    }

    fn manager(&self) -> MutexGuard<'_, Manager> {
        self.manager.lock().unwrap()
    }

    fn states(&self) -> Vec<(String, String)> {
        let state = |it: &Value| it["properties"]["enabledState"].as_str().unwrap().to_owned();
        self.manager().origins.iter().map(|(name, it)| (name.clone(), state(it))).collect()
    }

    fn patched(&self) -> Vec<String> {
        let heard = self.manager().heard.clone();
        let patched = heard.iter().filter_map(|it| it.strip_prefix("PATCH "));
        patched.map(|it| it.split("/originGroups/").nth(1).unwrap().to_owned()).collect()
    }
}

fn control(at: SocketAddr, token: &'static str, timeout: Duration) -> Azure {
    let of = |datacenter, patterns: &[&str]| AzureParts {
        datacenter,
        patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
    };
    let origins = vec![of(A, &["web/a-*", "api/a-1"]), of(B, &["web/b-*", "api/b-?"])];
    let provider = Provider::Azure(AzureSettings {
        subscription: "sub-1".into(),
        resource_group: "shop".into(),
        by: AzureBy::FrontDoor { profile: "web".into(), origins },
        endpoint: Some(Text::from(&*format!("http://{at}"))),
        timeout,
    });
    Azure::with(&ControlSpec { name: "afd".into(), provider }, Box::new(Token(token))).unwrap()
}

// An origin has two words here, so no other hand can leave a third.
#[tokio::test]
async fn front_door_keeps_the_contract_however_azure_tells_of_its_operations() {
    for way in [Way::AtOnce, Way::Operation, Way::Location] {
        let world = World::start().await;
        world.manager().way = way;
        let before = world.states();
        contract::holds(&world.azure, &drain()).await;
        assert_eq!(world.states(), before, "also what was disabled before, and what is not named");
        let patched = world.patched();
        assert_eq!(patched.len(), 4, "once for the cut and once for the restore each: {patched:?}");
        let shown = format!("{:?}", world.azure.exchanges());
        assert!(shown.contains("PATCH") && !shown.contains(TOKEN), "{shown}");
    }
}

#[tokio::test]
async fn an_origin_that_is_still_being_updated_is_not_cut_yet() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    // Azure shows the new word before its servers know it.
    for name in ["web/a-1", "api/a-1"] {
        let mut manager = world.manager();
        let properties = &mut manager.origins.get_mut(name).unwrap()["properties"];
        properties["enabledState"] = json!("Disabled");
        properties["provisioningState"] = json!("Updating");
    }
    assert!(!world.azure.inspect().await.unwrap().is_cut(&drain()));
    for name in ["web/a-1", "api/a-1"] {
        world.manager().origins.get_mut(name).unwrap()["properties"]["provisioningState"] =
            json!("Succeeded");
    }
    assert!(world.azure.inspect().await.unwrap().is_cut(&drain()));
    world.azure.restore(&snapshot).await.unwrap();
    assert_eq!(world.azure.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn an_operation_that_takes_long_is_left_to_the_readings() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.manager().looks = u32::MAX;
    let begun = std::time::Instant::now();
    world.azure.cut(&drain(), &snapshot).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "a call of a control has 15 s: {took:?}");
    assert!(!world.azure.inspect().await.unwrap().is_cut(&drain()));
    world.manager().end();
    assert!(world.azure.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn a_change_that_azure_took_and_did_not_make_is_no_cut() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.manager().fault = Some(json!({ "code": "Conflict", "message": "The rules are busy." }));
    let error = world.azure.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("could not make it: Conflict The rules are busy."), "{error}");
    world.manager().fault = None;
    world.manager().obeys = false;
    world.azure.cut(&drain(), &snapshot).await.unwrap();
    assert!(!world.azure.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn origins_of_a_profile_that_makes_one_change_at_a_time_are_all_cut_and_all_put_back() {
    let world = World::start().await;
    let before = world.states();
    let snapshot = world.azure.inspect().await.unwrap();
    let order = CutOrder { datacenters: vec![A, B], ..drain() };
    world.manager().one_by_one = true;
    for _ in 0..2 {
        world.manager().looks = 6;
        world.azure.cut(&order, &snapshot).await.unwrap();
        assert!(world.azure.inspect().await.unwrap().is_cut(&order));
        world.manager().looks = 6;
        world.azure.restore(&snapshot.cuttable(&order)).await.unwrap();
        assert_eq!(world.states(), before);
    }
}

#[tokio::test]
async fn preflight_names_what_is_missing_and_who_serves_on_is_told_for_each_group() {
    type Change = fn(&mut Manager);
    let cases: [(Change, &str); 2] = [
        (
            |it| it.actions = vec!["*/read"],
            "give us Microsoft.Cdn/profiles/originGroups/origins/write",
        ),
        (
            |it| it.origins.retain(|name, _| !name.contains("/b-")),
            "no origin has the name `web/b-*`, `api/b-?`",
        ),
    ];
    for (change, what) in cases {
        let world = World::start().await;
        change(&mut world.manager());
        let error = world.azure.preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(world.patched().is_empty());
    }
    let world = World::start().await;
    world.azure.preflight().await.unwrap();
    world.manager().origins.get_mut("web/b-1").unwrap()["properties"]["enabledState"] =
        json!("Disabled");
    let survivors = world.azure.survivors(&drain()).await.unwrap();
    let left: Vec<_> = survivors.iter().map(|it| (&*it.group, it.left)).collect();
    assert_eq!(left, [("origin group api of web", 1), ("origin group web of web", 0)]);
}

#[tokio::test]
async fn the_way_back_by_hand_is_a_command_for_each_origin() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    let begin =
        "az afd origin update --subscription sub-1 --resource-group 'shop' --profile-name web";
    let due = ["api", "web"].map(|group| {
        format!("{begin} --origin-group-name {group} --origin-name a-1 --enabled-state Enabled")
    });
    assert_eq!(world.azure.by_hand(&snapshot.cuttable(&drain())), due);
}
