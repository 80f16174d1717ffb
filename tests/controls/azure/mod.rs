//! The `azure` control: endpoints of Traffic Manager here, origins of Front Door beside it, against a double of Azure Resource Manager, which takes no call, field or word that Azure's own client
//! for Python does not have.

mod front_door;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use firedrill::model::{
    AzureBy, AzureParts, AzureSettings, ControlSpec, CutOrder, Mode, Provider, Text,
};
use firedrill::traffic::api::Tokens;
use firedrill::traffic::azure::Azure;
use firedrill::traffic::{ControlError, TrafficControl};
use serde_json::{Value, json};

use crate::contract;
use crate::journal_alone::{End, restored};
use crate::rest::{Answers, Asked, Doubled, Instead, Said, serve};
use crate::world::{A, B};

const TOKEN: &str = "eyJ.let-me-in";
const PROFILE: &str = "/subscriptions/sub-1/resourceGroups/shop/providers/Microsoft.Network/trafficmanagerprofiles/web";

/// What `azure-mgmt-trafficmanager` 2.0.0 (PyPI, MIT licence) has as types and statuses of endpoints.
const KINDS: [&str; 3] = ["AzureEndpoints", "ExternalEndpoints", "NestedEndpoints"];
const STATUSES: [&str; 2] = ["Enabled", "Disabled"];

struct Manager {
    endpoints: Vec<Value>,
    actions: Vec<&'static str>,
    not_actions: Vec<&'static str>,
    profile_status: &'static str,
    obeys: bool,
    refused: Option<&'static str>,
    instead: Instead,
    heard: Vec<String>,
}

struct Token(&'static str);

#[async_trait]
impl Tokens for Token {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        Ok(Some(self.0.to_owned()))
    }
}

fn error(code: u16, message: &str) -> Said {
    (code, json!({ "error": { "code": "X", "message": message } }))
}

impl Answers for Manager {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}", asked.method, asked.path));
        if asked.token != format!("Bearer {TOKEN}") {
            return error(401, "The access token is invalid.");
        }
        assert_eq!(asked.query, "api-version=2022-04-01");
        let rest = asked.path.strip_prefix(PROFILE).unwrap();
        if (&*asked.method, rest) == ("GET", "") {
            let status = self.profile_status;
            let properties = json!({ "profileStatus": status, "endpoints": self.endpoints });
            return (200, json!({ "name": "web", "properties": properties }));
        }
        if (&*asked.method, rest) == ("GET", "/providers/Microsoft.Authorization/permissions") {
            let both = json!({ "actions": self.actions, "notActions": self.not_actions });
            return (200, json!({ "value": [both] }));
        }
        assert_eq!(asked.method, "PATCH");
        let (kind, name) = rest.trim_start_matches('/').split_once('/').unwrap();
        assert!(KINDS.iter().any(|it| it.eq_ignore_ascii_case(kind)), "{kind}");
        if self.refused == Some(name) {
            return error(403, "The client 'drill' does not have authorization to perform action");
        }
        let status = &asked.body["properties"]["endpointStatus"];
        assert_eq!(asked.body, json!({ "properties": { "endpointStatus": status } }));
        assert!(STATUSES.contains(&status.as_str().unwrap()));
        let Some(endpoint) = self.endpoints.iter_mut().find(|it| it["name"] == name) else {
            return error(404, "The resource was not found.");
        };
        if self.obeys {
            endpoint["properties"]["endpointStatus"] = status.clone();
        }
        (200, endpoint.clone())
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        self.instead.take(asked)
    }
}

fn endpoint(kind: &str, name: &str, status: &str) -> Value {
    json!({
        "name": name,
        "type": format!("Microsoft.Network/trafficManagerProfiles/{kind}"),
        "properties": {
            "endpointStatus": status, "endpointMonitorStatus": "Online", "weight": 7, "target": "x.example",
        },
    })
}

/// A profile with endpoints in two datacenters, and a control of it.
struct World {
    azure: Azure,
    manager: Arc<Mutex<Manager>>,
}

impl World {
    async fn start() -> World {
        let manager = Manager {
            endpoints: vec![
                endpoint("azureEndpoints", "a-1", "Enabled"),
                endpoint("externalEndpoints", "a-2", "Disabled"),
                endpoint("externalEndpoints", "b-1", "Enabled"),
                endpoint("externalEndpoints", "other", "Enabled"),
            ],
            actions: vec!["Microsoft.Network/*/read", "Microsoft.Network/trafficManagerProfiles/*"],
            not_actions: Vec::new(),
            profile_status: "Enabled",
            obeys: true,
            refused: None,
            instead: Instead::default(),
            heard: Vec::new(),
        };
        let manager = Arc::new(Mutex::new(manager));
        let at = serve(&manager).await;
        World { azure: control(at, TOKEN, Duration::from_secs(5)), manager }
    }

    fn manager(&self) -> MutexGuard<'_, Manager> {
        self.manager.lock().unwrap()
    }
}

fn control(at: std::net::SocketAddr, token: &'static str, timeout: Duration) -> Azure {
    let endpoints = |datacenter, patterns: &[&str]| AzureParts {
        datacenter,
        patterns: patterns.iter().map(|it| (*it).into()).collect(),
    };
    let provider = Provider::Azure(AzureSettings {
        subscription: "sub-1".into(),
        resource_group: "shop".into(),
        by: AzureBy::TrafficManager {
            profile: "web".into(),
            endpoints: vec![endpoints(A, &["a-*", "a ?"]), endpoints(B, &["b-*", "*-b"])],
        },
        endpoint: Some(Text::from(&*format!("http://{at}"))),
        timeout,
    });
    Azure::with(&ControlSpec { name: "tm".into(), provider }, Box::new(Token(token))).unwrap()
}

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

#[tokio::test]
async fn azure_keeps_the_contract_and_touches_nothing_else() {
    let world = World::start().await;
    let before = world.manager().endpoints.clone();
    contract::holds(&world.azure, &drain()).await;
    assert_eq!(world.manager().endpoints, before, "also what was disabled before");
    let heard = world.manager().heard.clone();
    let mut changed: Vec<_> = heard.iter().filter(|it| it.starts_with("PATCH")).collect();
    changed.retain(|it| !it.ends_with("/a-1"));
    // The contract restores the whole snapshot once.
    assert!(changed.iter().all(|it| it.ends_with("/a-2") || it.ends_with("/b-1")), "{changed:?}");
    let shown = format!("{:?}", world.azure.exchanges());
    assert!(shown.contains("PATCH") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn an_azure_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = control(silent.local_addr().unwrap(), TOKEN, Duration::from_millis(200));
    contract::gives_up_within(&control, &drain(), Duration::from_secs(5)).await;
}

#[tokio::test]
async fn bad_answers_of_azure_are_told_and_change_nothing() {
    let World { azure, manager } = World::start().await;
    let doubled = Doubled {
        control: &azure,
        order: drain(),
        token: TOKEN,
        change: ("PATCH", false),
        set: &|instead| manager.lock().unwrap().instead = instead,
        state: &|| format!("{:?}", manager.lock().unwrap().endpoints),
    };
    doubled.stands_bad_answers().await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_told_and_not_shown() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    let before = world.manager().endpoints.clone();
    let stale = "eyJ.stale";
    let azure = Azure::with(world.azure.spec(), Box::new(Token(stale))).unwrap();
    for asked in [
        azure.inspect().await.map(drop),
        azure.preflight().await,
        azure.cut(&drain(), &snapshot).await,
    ] {
        let error = asked.unwrap_err();
        assert!(error.what.contains("401 Unauthorized: The access token is invalid."), "{error}");
        assert!(error.hint.contains("have not expired"), "{error}");
        let shown = format!("{error} {:?}", azure.exchanges());
        assert!(!shown.contains(stale), "{shown}");
    }
    assert_eq!(world.manager().endpoints, before);
}

// An endpoint has two words here, so no other hand can leave a third; its weight is none of the state.
#[tokio::test]
async fn a_weight_that_another_hand_set_meanwhile_stays() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.azure.cut(&drain(), &snapshot).await.unwrap();
    world.manager().endpoints[0]["properties"]["weight"] = json!(3);
    assert!(world.azure.inspect().await.unwrap().is_cut(&drain()));
    world.azure.restore(&snapshot.cuttable(&drain())).await.unwrap();
    let properties = world.manager().endpoints[0]["properties"].clone();
    assert_eq!(
        (&properties["endpointStatus"], &properties["weight"]),
        (&json!("Enabled"), &json!(3))
    );
    assert_eq!(world.azure.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn preflight_names_what_is_missing() {
    type Change = fn(&mut Manager);
    let cases: [(Change, &str); 6] = [
        (
            |it| {
                it.not_actions =
                    vec!["Microsoft.Network/trafficManagerProfiles/azureEndpoints/write"]
            },
            "Azure does not give us Microsoft.Network/trafficManagerProfiles/azureEndpoints/write",
        ),
        (|it| it.actions = vec!["*/read"], "azureEndpoints/write and Microsoft.Network"),
        (|it| it.profile_status = "Disabled", "the profile web is disabled"),
        (
            |it| it.endpoints.push(endpoint("externalEndpoints", "a 3", "Enabled")),
            "externalEndpoints/a 3 has a name that firedrill cannot ask for",
        ),
        (
            |it| it.endpoints.push(endpoint("externalEndpoints", "a-b", "Enabled")),
            "externalEndpoints/a-b leads to two datacenters by the plan's patterns",
        ),
        (
            |it| it.endpoints.retain(|it| it["name"] != "b-1"),
            "no endpoint has the name `b-*`, `*-b`",
        ),
    ];
    for (change, what) in cases {
        let world = World::start().await;
        change(&mut world.manager());
        let error = world.azure.preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
    let world = World::start().await;
    world.azure.preflight().await.unwrap();
    assert!(!world.manager().heard.iter().any(|it| it.starts_with("PATCH")));
}

#[tokio::test]
async fn who_serves_on_is_up_by_azures_own_probes() {
    let world = World::start().await;
    let left = async || world.azure.survivors(&drain()).await.unwrap()[0].left;
    assert_eq!(left().await, 2);
    world.manager().endpoints[2]["properties"]["endpointMonitorStatus"] = json!("Degraded");
    assert_eq!(left().await, 1);
}

#[tokio::test]
async fn an_azure_that_accepts_and_does_nothing_is_never_cut_and_a_refusal_is_told() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.manager().obeys = false;
    world.azure.cut(&drain(), &snapshot).await.unwrap();
    assert!(!world.azure.inspect().await.unwrap().is_cut(&drain()));
    world.manager().refused = Some("a-1");
    let error = world.azure.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("403 Forbidden: The client 'drill' does not have"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_nobody_can_place_keeps_nothing_cut() {
    let World { azure, manager } = World::start().await;
    let control: Arc<dyn TrafficControl> = Arc::new(azure);
    let before = control.inspect().await.unwrap();
    let hand = async {
        let strange = endpoint("externalEndpoints", "a-b", "Enabled");
        manager.lock().unwrap().endpoints.push(strange);
    };
    let end = restored(&control, &drain(), hand).await;
    assert_eq!(end, End::Restored { undone: false });
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn a_restore_goes_on_after_a_refusal() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    let order = CutOrder { datacenters: vec![A, B], ..drain() };
    world.azure.cut(&order, &snapshot).await.unwrap();
    world.manager().refused = Some("a-1");
    let error = world.azure.restore(&snapshot.cuttable(&order)).await.unwrap_err();
    assert!(error.what.starts_with("not put back: ") && error.what.contains("/a-1"), "{error}");
    assert_eq!(world.manager().endpoints[2]["properties"]["endpointStatus"], "Enabled");
    let by_hand = world.azure.by_hand(&snapshot.cuttable(&drain()));
    assert_eq!(
        by_hand,
        [
            "az network traffic-manager endpoint update --subscription sub-1 --resource-group 'shop' \
          --profile-name web --type azureEndpoints --name a-1 --endpoint-status Enabled"
        ]
    );
}
