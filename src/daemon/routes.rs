//! Which request does what.

use std::sync::Arc;

use hyper::header::{ALLOW, HeaderValue, ORIGIN, USER_AGENT, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::answer::{Answer, ApiError, json_answer, nothing, with_type};
use super::entry::Entry;
use super::form::{self, ProxyForm, Reader, Wrong};
use super::proxies::{Proxies, Wanted};
use super::token::Token;
use super::toxic::{Named, Type};
use super::{cut, metrics};

/// The version of Toxiproxy whose API this is.
const SPEAKS: &str = "2.12.0";

/// Whether the caller may ask at all; if not, what it gets.
pub(super) fn refuse(head: &Parts, token: Option<&Token>) -> Option<Answer> {
    // A page from anywhere can make a browser ask, whose owner knows nothing of it.
    let is_browser = head.headers.contains_key(ORIGIN)
        || head.headers.get(USER_AGENT).is_some_and(|it| it.as_bytes().starts_with(b"Mozilla/"));
    if is_browser {
        return Some(ApiError::new(StatusCode::FORBIDDEN, "User agent not allowed").answer());
    }
    if token.is_none_or(|token| token.is_shown(&head.headers)) {
        return None;
    }
    let what = "this needs the token of the daemon: `Authorization: Bearer TOKEN`";
    let mut answer = ApiError::new(StatusCode::UNAUTHORIZED, what).answer();
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(answer)
}

/// Does what the request asks for.
pub(super) async fn answer(proxies: &Proxies, method: &Method, path: &str, body: &[u8]) -> Answer {
    let decoded: Option<Vec<String>> = path
        .split('/')
        .skip(1)
        .map(|part| percent_decode_str(part).decode_utf8().ok().map(|part| part.into_owned()))
        .collect();
    let parts: Vec<&str> = decoded.iter().flatten().map(String::as_str).collect();
    let ask = Ask { proxies, method: method.as_str(), body };
    let done = match parts.as_slice() {
        ["proxies"] => ask.all().await,
        ["populate"] => ask.populate().await,
        ["reset"] => ask.reset().await,
        ["version"] => ask.version(),
        ["metrics"] => ask.metrics(),
        ["proxies", name] => ask.one(name).await,
        ["proxies", name, "cut"] => ask.cut(name).await,
        ["proxies", name, "toxics"] => ask.toxics(name),
        ["proxies", name, "toxics", toxic] => ask.toxic(name, toxic),
        _ => Err(Refusal::Error(ApiError::new(StatusCode::NOT_FOUND, "page not found"))),
    };
    done.unwrap_or_else(|refusal| refusal.answer())
}

enum Refusal {
    Error(ApiError),
    /// The methods that are possible.
    Method(&'static str),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Error(error)
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Refusal::Error(error) => error.answer(),
            Refusal::Method(allow) => {
                let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
                let mut answer = error.answer();
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                answer
            }
        }
    }
}

type Done = Result<Answer, Refusal>;

/// A request to a place that there is.
struct Ask<'a> {
    proxies: &'a Proxies,
    method: &'a str,
    body: &'a [u8],
}

impl Ask<'_> {
    async fn all(&self) -> Done {
        match self.method {
            "GET" => {
                let all = self.proxies.all();
                let all: Map<String, Value> =
                    all.iter().map(|entry| (entry.name.clone(), entry.json())).collect();
                Ok(json_answer(StatusCode::OK, &Value::Object(all)))
            }
            "POST" => {
                let form = form::body(self.body, form::proxy)?;
                let entry = self.proxies.create(Wanted::of(form, str::to_owned)?).await?;
                Ok(json_answer(StatusCode::CREATED, &entry.json()))
            }
            _ => Err(Refusal::Method("GET, POST")),
        }
    }

    async fn one(&self, name: &str) -> Done {
        let entry = self.proxies.get(name);
        match self.method {
            "GET" => Ok(json_answer(StatusCode::OK, &entry?.json())),
            "POST" | "PATCH" => {
                let entry = entry?;
                let form = form::body(self.body, form::proxy)?;
                entry.update(form).await?;
                Ok(json_answer(StatusCode::OK, &entry.json()))
            }
            "DELETE" => {
                self.proxies.delete(name).await?;
                Ok(nothing())
            }
            _ => Err(Refusal::Method("GET, POST, PATCH, DELETE")),
        }
    }

    /// Answers with what was done, whatever went wrong then.
    async fn populate(&self) -> Done {
        if self.method != "POST" {
            return Err(Refusal::Method("POST"));
        }
        let (done, error) = self.proxies.populate(list(self.body)?).await;
        let status = error.as_ref().map_or(StatusCode::CREATED, |error| error.status);
        let mut json = error.map_or_else(|| json!({}), |error| error.json());
        json["proxies"] = done.iter().map(|entry| entry.json()).collect();
        Ok(json_answer(status, &json))
    }

    async fn reset(&self) -> Done {
        if self.method != "POST" {
            return Err(Refusal::Method("POST"));
        }
        self.proxies.reset().await?;
        Ok(nothing())
    }

    fn version(&self) -> Done {
        if self.method != "GET" {
            return Err(Refusal::Method("GET"));
        }
        let version = json!({ "version": SPEAKS, "firedrill": env!("CARGO_PKG_VERSION") });
        Ok(json_answer(StatusCode::OK, &version))
    }

    fn metrics(&self) -> Done {
        if self.method != "GET" {
            return Err(Refusal::Method("GET"));
        }
        let text = metrics::text(&self.proxies.all());
        Ok(with_type(StatusCode::OK, metrics::CONTENT_TYPE, text))
    }

    async fn cut(&self, name: &str) -> Done {
        let entry: Arc<Entry> = self.proxies.get(name)?;
        match self.method {
            "GET" => {}
            "PUT" | "POST" => entry.turn(Some(cut::asked(self.body)?)).await?,
            "DELETE" => entry.turn(None).await?,
            _ => return Err(Refusal::Method("GET, PUT, POST, DELETE")),
        }
        Ok(json_answer(StatusCode::OK, &cut::state(&entry.gate)))
    }

    fn toxics(&self, name: &str) -> Done {
        let entry = self.proxies.get(name)?;
        match self.method {
            "GET" => {
                let toxics = entry.shown().toxics.iter().map(Named::json).collect();
                Ok(json_answer(StatusCode::OK, &Value::Array(toxics)))
            }
            "POST" => {
                let form = form::body(self.body, |reader| form::toxic(reader, false))?;
                let form = form.ok_or_else(|| ApiError::body("it is no toxic"))?;
                Ok(json_answer(StatusCode::OK, &entry.add(form)?.json()))
            }
            _ => Err(Refusal::Method("GET, POST")),
        }
    }

    fn toxic(&self, name: &str, toxic: &str) -> Done {
        let entry = self.proxies.get(name)?;
        match self.method {
            "GET" => {
                let shown = entry.shown();
                let found = shown.toxics.iter().find(|named| named.name == toxic);
                Ok(json_answer(StatusCode::OK, &found.ok_or_else(ApiError::no_toxic)?.json()))
            }
            "POST" | "PATCH" => {
                let changed = entry.change(toxic, |toxic| {
                    form::body(self.body, |reader| {
                        let of = Type::of(&toxic.kind);
                        toxic.kind = form::attributes(reader, of, toxic.kind, false);
                        toxic.toxicity = reader.share("toxicity").unwrap_or(toxic.toxicity);
                    })
                })?;
                Ok(json_answer(StatusCode::OK, &changed.json()))
            }
            "DELETE" => {
                entry.take_off(toxic)?;
                Ok(nothing())
            }
            _ => Err(Refusal::Method("GET, POST, PATCH, DELETE")),
        }
    }
}

/// The proxies of a `populate`, all of them right.
fn list(body: &[u8]) -> Result<Vec<Wanted>, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(ApiError::body)?;
    let Value::Array(items) = &value else { return Err(ApiError::body("expected a list")) };
    let mut wanted = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let mut wrong: Vec<Wrong> = Vec::new();
        let form = Reader::new(item, "", &mut wrong).map(|mut it| form::proxy(&mut it));
        if let Some(first) = wrong.into_iter().next() {
            return Err(first.error);
        }
        let form: ProxyForm = form.unwrap_or_default();
        wanted.push(Wanted::of(form, |field| format!("{field} at proxy {}", at + 1))?);
    }
    Ok(wanted)
}
