//! Proxies and toxics as JSON, read so that everything that is wrong is found, with its place.

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::answer::ApiError;
use super::toxic::Type;
use crate::proxy::{Kind, Stream};

/// Something that is wrong, and where: a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub at: String,
    pub error: ApiError,
}

/// A proxy as somebody wants it. What is not said is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ProxyForm {
    pub name: Option<String>,
    pub listen: Option<String>,
    pub upstream: Option<String>,
    pub enabled: Option<bool>,
}

/// A toxic as somebody wants it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToxicForm {
    pub name: String,
    pub kind: Kind,
    pub stream: Stream,
    pub toxicity: f64,
}

/// A JSON object that is read, and what is wrong with it.
pub(super) struct Reader<'a> {
    map: &'a Map<String, Value>,
    at: &'a str,
    wrong: &'a mut Vec<Wrong>,
}

impl<'a> Reader<'a> {
    /// `value` at the pointer `at`. `None` when it is no object, which is noted.
    pub fn new(value: &'a Value, at: &'a str, wrong: &'a mut Vec<Wrong>) -> Option<Reader<'a>> {
        match value {
            Value::Object(map) => Some(Reader { map, at, wrong }),
            other => {
                let error =
                    ApiError::body(format_args!("expected an object, found {}", kind(other)));
                wrong.push(Wrong { at: at.to_owned(), error });
                None
            }
        }
    }

    /// Notes what is wrong with `key`; with the object itself if that is not there.
    pub fn object(&mut self, key: &str, error: ApiError) {
        let at = if self.map.contains_key(key) { self.pointer(key) } else { self.at.to_owned() };
        self.wrong.push(Wrong { at, error });
    }

    /// Notes every key that is none of `known`.
    pub fn only(&mut self, known: &[&str]) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let error =
                ApiError::body(format_args!("unknown key {key:?}; known are {}", known.join(", ")));
            self.wrong.push(Wrong { at: self.pointer(key), error });
        }
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => self.mismatch(key, "text", other),
        }
    }

    pub fn switch(&mut self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(it) => Some(*it),
            other => self.mismatch(key, "true or false", other),
        }
    }

    /// A whole number, not below 0.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        let number = value.as_u64().filter(|n| *n <= LARGEST);
        number.or_else(|| self.mismatch(key, "a whole number from 0", value))
    }

    /// A number between 0 and 1.
    pub fn share(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        let number = value.as_f64().filter(|n| (0.0..=1.0).contains(n));
        number.or_else(|| self.mismatch(key, "a number from 0 to 1", value))
    }

    /// What stands under `key`. `null` is nothing, as for Toxiproxy.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn pointer(&self, key: &str) -> String {
        format!("{}/{}", self.at, key.replace('~', "~0").replace('/', "~1"))
    }

    /// What is wrong below `key` is noted here.
    pub fn wrong(&mut self) -> &mut Vec<Wrong> {
        self.wrong
    }

    fn mismatch<T>(&mut self, key: &str, wanted: &str, found: &Value) -> Option<T> {
        let what = format!("{key:?} must be {wanted}, found {}", kind(found));
        self.object(key, ApiError::body(what));
        None
    }
}

/// Numbers are those of Go's `int64`, of which some are multiplied by a thousand.
const LARGEST: u64 = i64::MAX as u64 / 1000;

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Reads a proxy's own fields.
pub(super) fn proxy(reader: &mut Reader) -> ProxyForm {
    ProxyForm {
        name: reader.text("name"),
        listen: reader.text("listen"),
        upstream: reader.text("upstream"),
        enabled: reader.switch("enabled"),
    }
}

/// Reads a new toxic. `None` if anything is wrong with it, which is noted.
pub(super) fn toxic(reader: &mut Reader, strict: bool) -> Option<ToxicForm> {
    let before = reader.wrong().len();
    let stream = match reader.text("stream").map(|text| text.to_lowercase()).as_deref() {
        None | Some("downstream") => Stream::Downstream,
        Some("upstream") => Stream::Upstream,
        Some(_) => {
            reader.object("stream", ApiError::stream());
            Stream::Downstream
        }
    };
    let name = reader.text("name").filter(|name| !name.is_empty());
    let toxicity = reader.share("toxicity").unwrap_or(1.0);
    let written = reader.text("type").unwrap_or_default();
    let Some(of) = Type::named(&written) else {
        reader.object("type", ApiError::toxic_type());
        return None;
    };
    let kind = attributes(reader, of, of.default(), strict);
    let direction = if stream == Stream::Upstream { "upstream" } else { "downstream" };
    let name = name.unwrap_or_else(|| format!("{written}_{direction}"));
    (reader.wrong().len() == before).then_some(ToxicForm { name, kind, stream, toxicity })
}

/// `base` with the attributes that are there.
pub(super) fn attributes(reader: &mut Reader, of: Type, base: Kind, strict: bool) -> Kind {
    let Some(value) = reader.get("attributes") else { return base };
    let at = reader.pointer("attributes");
    let mut numbers = of.numbers(&base);
    if let Some(mut inner) = Reader::new(value, &at, reader.wrong()) {
        if strict {
            inner.only(of.keys());
        }
        for (number, key) in numbers.iter_mut().zip(of.keys()) {
            *number = inner.count(key).unwrap_or(*number);
        }
    }
    of.kind(numbers)
}

/// Reads the body of a request as `read` does; the first thing that is wrong is the answer.
pub(super) fn body<T>(bytes: &[u8], read: impl FnOnce(&mut Reader) -> T) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(bytes).map_err(ApiError::body)?;
    let mut wrong = Vec::new();
    let read = Reader::new(&value, "", &mut wrong).map(|mut reader| read(&mut reader));
    match (wrong.into_iter().next(), read) {
        (Some(first), _) => Err(first.error),
        (None, Some(read)) => Ok(read),
        (None, None) => Err(ApiError::new(StatusCode::BAD_REQUEST, "bad request body")),
    }
}
