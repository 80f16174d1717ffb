//! A double of Compute Engine's API. What it is asked and what it answers are held to Google's discovery document.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::published::Published;
use crate::rest::{Answers, Asked, Instead, Said, serve};

pub const TOKEN: &str = "ya29.let-me-in";

/// A project with a global load balancer and a regional one, over two zones.
pub struct Google {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What is in it, and how it behaves.
pub struct State {
    published: Published,
    pub global: Value,
    pub regional: Value,
    pub permissions: Vec<&'static str>,
    /// Whether what is accepted is done.
    pub obeys: bool,
    /// So often an operation is looked at before it is done.
    pub looks: u32,
    /// How operations end badly.
    pub fault: Option<Value>,
    /// Done to the global service before the next change, as if another hand were faster.
    pub meanwhile: Option<fn(&mut Value)>,
    /// Whether somebody deleted the regional service.
    pub is_deleted: bool,
    pub instead: Instead,
    pub heard: Vec<String>,
}

fn service(kind: &str, places: [(&str, f64); 3]) -> Value {
    let backend = |(place, scaler): (&str, f64)| {
        json!({
            "group": format!("https://www.googleapis.com/compute/v1/projects/shop-1/{place}"),
            "balancingMode": "RATE",
            "maxRatePerInstance": 100.0,
            "capacityScaler": scaler,
        })
    };
    json!({ "name": kind, "fingerprint": "1", "backends": places.map(backend) })
}

impl Google {
    pub async fn start() -> Google {
        let state = State {
            published: Published::new(include_str!("../../fixtures/gcp/compute.v1.json")),
            global: service(
                "web",
                [
                    ("zones/europe-west9-a/instanceGroups/web", 1.0),
                    ("zones/europe-west9-b/instanceGroups/web", 0.5),
                    ("global/networkEndpointGroups/elsewhere", 1.0),
                ],
            ),
            regional: service(
                "pay",
                [
                    ("zones/europe-west9-a/networkEndpointGroups/pay", 0.8),
                    ("zones/europe-west9-a/networkEndpointGroups/pay-2", 0.0),
                    ("zones/europe-west9-b/networkEndpointGroups/pay", 1.0),
                ],
            ),
            permissions: vec!["compute.backendServices.get", "compute.backendServices.update"],
            obeys: true,
            looks: 1,
            fault: None,
            meanwhile: None,
            is_deleted: false,
            instead: Instead::default(),
            heard: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        Google { at: serve(&state).await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    pub fn scalers(&self) -> [Vec<f64>; 2] {
        [&self.global, &self.regional].map(|service| {
            let backends = service["backends"].as_array().unwrap().iter();
            backends.map(|backend| backend["capacityScaler"].as_f64().unwrap()).collect()
        })
    }

    /// The service or operation that is meant, and what it is asked.
    fn said(&mut self, asked: &Asked) -> Said {
        let path = asked.path.strip_prefix("/compute/v1/projects/shop-1/").unwrap();
        let words: Vec<&str> = path.split('/').collect();
        let service = match words[..] {
            ["global", "operations", _] | ["regions", _, "operations", _] => {
                return (200, self.operation());
            }
            ["global", "backendServices", "web", ..] => &mut self.global,
            ["regions", "europe-west9", "backendServices", "pay", ..] if !self.is_deleted => {
                &mut self.regional
            }
            _ => {
                return error(
                    404,
                    "The resource 'projects/shop-1/global/backendServices/x' was not found",
                );
            }
        };
        if words.last() == Some(&"testIamPermissions") {
            return (200, json!({ "permissions": self.permissions }));
        }
        if asked.method == "GET" {
            return (200, service.clone());
        }
        if let Some(change) = self.meanwhile.take() {
            change(service);
            service["fingerprint"] = json!("other");
        }
        if asked.body["fingerprint"] != service["fingerprint"] {
            return error(412, "Invalid fingerprint.");
        }
        if self.obeys && self.fault.is_none() {
            service["backends"] = asked.body["backends"].clone();
            service["fingerprint"] =
                json!(format!("{}+", service["fingerprint"].as_str().unwrap()));
        }
        (200, self.operation())
    }

    fn operation(&mut self) -> Value {
        let status = if self.looks == 0 { "DONE" } else { "RUNNING" };
        self.looks = self.looks.saturating_sub(1);
        let mut operation = json!({ "name": "operation-1", "status": status });
        if let (Some(fault), "DONE") = (&self.fault, status) {
            operation["error"] = json!({ "errors": [fault] });
        }
        operation
    }
}

impl Answers for State {
    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}", asked.method, asked.path));
        if asked.token != format!("Bearer {TOKEN}") {
            return error(401, "Request had invalid authentication credentials.");
        }
        let method = self.published.asked(asked);
        let said = self.said(asked);
        if said.0 == 200 {
            self.published.answered(&method, &said.1);
        }
        said
    }

    fn instead(&mut self, asked: &Asked) -> Option<String> {
        let text = self.instead.take(asked)?;
        self.heard.push(format!("{} {}", asked.method, asked.path));
        Some(text)
    }
}

fn error(code: u16, message: &str) -> Said {
    (code, json!({ "error": { "code": code, "message": message, "errors": [] } }))
}
