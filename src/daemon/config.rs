//! The config file: Toxiproxy's list of proxies, with toxics if wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::answer::ApiError;
use super::form::{self, ProxyForm, Reader, ToxicForm, Wrong};
use super::place::{self, Place};
use super::proxies::Wanted;

/// The largest file that is read, in bytes.
pub const CONFIG_LIMIT: u64 = 32 * 1024 * 1024;
/// What a proxy may have.
const KEYS: &[&str] = &["name", "listen", "upstream", "enabled", "toxics"];
/// What a toxic may have.
const TOXIC_KEYS: &[&str] = &["name", "type", "stream", "toxicity", "attributes"];

/// The proxies of a file, all of them right.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub(super) proxies: BTreeMap<String, Configured>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Configured {
    pub wanted: Wanted,
    pub toxics: Vec<ToxicForm>,
}

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub what: String,
}

impl Config {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn read(bytes: &[u8]) -> Result<Config, Vec<Finding>> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let place = Place { line: 1, column: 1 };
            vec![finding(place, format!("byte {} is not UTF-8", error.valid_up_to()))]
        })?;
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let place = Place { line: error.line().max(1), column: error.column().max(1) };
            vec![finding(place, format!("this is no JSON: {error}"))]
        })?;
        let mut wrong = Vec::new();
        let config = list(&value, &mut wrong);
        if wrong.is_empty() {
            return Ok(config);
        }
        let mut findings: Vec<Finding> =
            wrong.into_iter().map(|it| finding(place::of(text, &it.at), it.error.what)).collect();
        findings.sort_by_key(|it| (it.line, it.column));
        Err(findings)
    }

    /// How many proxies it has.
    pub fn len(&self) -> usize {
        self.proxies.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.proxies.is_empty()
    }
}

fn finding(place: Place, what: String) -> Finding {
    // Of bodies of requests it is said the same way; here it is the file.
    let what = what.strip_prefix("bad request body: ").map(str::to_owned).unwrap_or(what);
    Finding { line: place.line, column: place.column, what }
}

fn list(value: &Value, wrong: &mut Vec<Wrong>) -> Config {
    let mut config = Config::default();
    let Value::Array(items) = value else {
        let error = ApiError::body("a list of proxies was expected: `[{\"name\": ...}]`");
        wrong.push(Wrong { at: String::new(), error });
        return config;
    };
    let mut seen = Seen::default();
    for (at, item) in items.iter().enumerate() {
        let at = format!("/{at}");
        let read = Reader::new(item, &at, wrong).and_then(|mut it| one(&mut it, &mut seen));
        if let Some(it) = read {
            config.proxies.insert(it.wanted.name.clone(), it);
        }
    }
    config
}

/// What two proxies cannot have both.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    /// With the name of who has it.
    addresses: BTreeMap<String, String>,
}

fn one(reader: &mut Reader, seen: &mut Seen) -> Option<Configured> {
    let before = reader.wrong().len();
    reader.only(KEYS);
    let form = form::proxy(reader);
    let toxics = toxics(reader);
    for field in missing(&form) {
        // One that is something else than text was noted as that.
        if reader.get(field).is_none_or(|value| value.as_str() == Some("")) {
            reader.object(field, ApiError::missing(field));
        }
    }
    address(reader, "upstream", form.upstream.as_deref());
    address(reader, "listen", form.listen.as_deref());
    let name = form.name.clone().unwrap_or_default();
    if !name.is_empty() && !seen.names.insert(name.clone()) {
        reader.object("name", ApiError::body(format_args!("there is a proxy {name:?} above")));
    }
    if let Some(listen) = form.listen.as_ref().filter(|it| !it.is_empty() && !it.ends_with(":0")) {
        if let Some(other) = seen.addresses.get(listen) {
            let what = format!("{other:?} listens at {listen} already");
            reader.object("listen", ApiError::body(what));
        }
        seen.addresses.insert(listen.clone(), name);
    }
    if reader.wrong().len() > before {
        return None;
    }
    let wanted = Wanted::of(form, str::to_owned).ok()?;
    Some(Configured { wanted, toxics })
}

fn missing(form: &ProxyForm) -> Vec<&'static str> {
    let empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    let fields = [("name", empty(&form.name)), ("upstream", empty(&form.upstream))];
    fields.into_iter().filter(|(_, empty)| *empty).map(|(field, _)| field).collect()
}

fn address(reader: &mut Reader, key: &str, text: Option<&str>) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return };
    let checked = match key {
        "upstream" => super::entry::target(text).map(drop),
        _ => super::entry::is_address(text),
    };
    if let Err(error) = checked {
        reader.object(key, error);
    }
}

fn toxics(reader: &mut Reader) -> Vec<ToxicForm> {
    let Some(value) = reader.get("toxics") else { return Vec::new() };
    let at = reader.pointer("toxics");
    let Value::Array(items) = value else {
        reader.object("toxics", ApiError::body("\"toxics\" must be a list"));
        return Vec::new();
    };
    let mut toxics: Vec<ToxicForm> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let at = format!("{at}/{number}");
        let Some(mut inner) = Reader::new(item, &at, reader.wrong()) else { continue };
        inner.only(TOXIC_KEYS);
        let Some(form) = form::toxic(&mut inner, true) else { continue };
        if toxics.iter().any(|other| other.name == form.name) {
            let what = format!("there is a toxic {:?} above", form.name);
            inner.object("name", ApiError::body(what));
        }
        toxics.push(form);
    }
    toxics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let findings = Config::read(text.as_bytes()).unwrap_err();
        findings.iter().map(|it| format!("{}:{}: {}", it.line, it.column, it.what)).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_where() {
        let text = r#"[
  {"name": "a", "listen": "127.0.0.1:7001", "upstream": "db:5432"},
  {"name": "a", "listen": "127.0.0.1:7001", "upstream": "db"},
  {"listen": 7, "upstream": "", "enabled": "no", "upsteam": "x:1"},
  7,
  {"name": "b", "upstream": "x:1", "listen": "here", "toxics": [
    {"type": "latncy"},
    {"type": "latency", "stream": "up", "toxicity": 2, "attributes": {"latency": -1, "jiter": 1}},
    {"type": "timeout"}, {"type": "timeout"}, []]}
]"#;
        assert_eq!(
            said(text),
            [
                "3:4: there is a proxy \"a\" above",
                "3:17: \"a\" listens at 127.0.0.1:7001 already",
                "3:45: upstream \"db\" is not HOST:PORT",
                "4:3: missing required field: name",
                "4:4: \"listen\" must be text, found 7",
                "4:17: missing required field: upstream",
                "4:33: \"enabled\" must be true or false, found text",
                "4:50: unknown key \"upsteam\"; known are name, listen, upstream, enabled, toxics",
                "5:3: expected an object, found 7",
                "6:36: listen \"here\" is not HOST:PORT, such as 127.0.0.1:0",
                "7:6: invalid toxic type",
                "8:25: stream was invalid, can be either upstream or downstream",
                "8:41: \"toxicity\" must be a number from 0 to 1, found 2",
                "8:71: \"latency\" must be a whole number from 0, found -1",
                "8:86: unknown key \"jiter\"; known are latency, jitter",
                "9:26: there is a toxic \"timeout_downstream\" above",
                "9:47: expected an object, found a list",
            ]
        );
    }

    #[test]
    fn what_is_no_list_at_all_is_said_too() {
        assert_eq!(said("{}"), ["1:1: a list of proxies was expected: `[{\"name\": ...}]`"]);
        assert!(said("[\n1,]")[0].starts_with("2:3: this is no JSON"));
        assert_eq!(Config::read(&[b'[', 0xff]).unwrap_err()[0].what, "byte 1 is not UTF-8");
        assert!(Config::read(b"[]").unwrap().is_empty());
    }

    #[test]
    fn a_proxy_has_the_defaults_of_toxiproxy() {
        let config = Config::read(
            br#"[{"name": "a", "upstream": "x:1", "toxics": [{"type": "slicer", "name": null}]}]"#,
        );
        let config = config.unwrap();
        let it = &config.proxies["a"];
        assert_eq!((it.wanted.enabled, it.wanted.listen.as_str()), (true, ""));
        assert_eq!((it.toxics[0].name.as_str(), it.toxics[0].toxicity), ("slicer_downstream", 1.0));
    }
}
