//! Settings of `http`: requests of one's own to any API.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, is_loopback};
use crate::model::{DatacenterId, HttpExpect, ModeKind, Name, Text, millis};

/// Settings of the `http` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpSettings {
    /// The URL that stands before every path.
    pub url: Text,
    /// Header fields of every request, by their names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Text)>,
    /// A PEM file with the authorities that the server is checked against; the system's if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Text>,
    /// What can be closed, and where it leads.
    pub parts: Vec<HttpPart>,
    /// The plan's datacenters in its order: what stands for `{{datacenter}}`.
    pub datacenters: Vec<Name>,
    /// What the requests can do.
    pub modes: Vec<ModeKind>,
    /// Whether the parts stand in for each other, so that one outside of what is cut must be open.
    pub survivors: bool,
    /// Tells the state of a part.
    pub inspect: HttpReading,
    /// Closes a part.
    pub cut: HttpCall,
    /// Puts a part back.
    pub restore: HttpCall,
    /// How long one request may take, with what is asked again for it.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// A part of an API that leads to a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpPart {
    /// The datacenter that it leads to.
    pub datacenter: DatacenterId,
    /// What stands for `{{part}}`.
    pub name: String,
}

/// A request with places for values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpCall {
    /// Its method.
    pub method: String,
    /// Its path and query, behind the URL.
    pub path: Text,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Text>,
    /// What the body is.
    pub content_type: String,
    /// Which answer says that it was done.
    pub expect: HttpExpect,
    /// Whether asking twice does what asking once does.
    pub repeatable: bool,
}

/// A request whose answer tells the state of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpReading {
    /// The request.
    pub call: HttpCall,
    /// Where in the answer stands whether the part is open: a JSON pointer with places for values.
    pub read: String,
    /// What stands there when it is closed; anything else is open.
    pub closed: serde_json::Value,
    /// Where stands what a restore puts back, if that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
}

impl HttpCall {
    fn texts_mut(&mut self) -> impl Iterator<Item = &mut Text> {
        [&mut self.path].into_iter().chain(&mut self.body).chain(&mut self.expect.body)
    }

    /// Method and path, secrets left out.
    pub fn named(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Settings for HttpSettings {
    fn key(&self) -> &'static str {
        "http"
    }

    fn modes(&self) -> &[ModeKind] {
        &self.modes
    }

    fn parts(&self) -> &'static str {
        "parts"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.parts.iter().map(|part| part.datacenter).collect())
    }

    fn place(&self) -> String {
        format!("the API at {}", self.url)
    }

    /// Two plans may steer different parts of one API.
    fn places(&self) -> Vec<String> {
        let url = self.url.reveal_plain();
        let (url, path) = (url.trim_end_matches('/'), self.inspect.call.path.reveal_plain());
        let mut places: Vec<String> =
            self.parts.iter().map(|part| format!("http {url}{path}\0{}", part.name)).collect();
        places.sort();
        places
    }

    fn needs(&self) -> Vec<String> {
        let calls = [&self.inspect.call, &self.cut, &self.restore];
        let url = self.url.to_string();
        let calls =
            calls.map(|call| format!("{} {}{}", call.method, url.trim_end_matches('/'), call.path));
        BTreeSet::from(calls).into_iter().collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let HttpSettings { url, headers, ca, inspect, cut, restore, .. } = self;
        let headers = headers.iter_mut().map(|(_, text)| text);
        let calls = inspect.call.texts_mut().chain(cut.texts_mut()).chain(restore.texts_mut());
        [url].into_iter().chain(headers).chain(ca).chain(calls).collect()
    }

    fn endpoints(&self) -> Vec<&Text> {
        vec![&self.url]
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.ca.iter_mut().collect()
    }

    fn is_of_one_host(&self) -> bool {
        is_loopback(&self.url)
    }

    fn has_states_between(&self) -> bool {
        true
    }

    /// What an API accepted may have a provider behind it.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}
