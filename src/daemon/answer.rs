//! What the API answers: JSON, with Toxiproxy's errors in its words.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub what: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl ApiError {
    pub fn new(status: StatusCode, what: impl Into<String>) -> ApiError {
        ApiError { status, what: what.into() }
    }

    pub fn body(what: impl fmt::Display) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, format!("bad request body: {what}"))
    }

    pub fn missing(field: &str) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, format!("missing required field: {field}"))
    }

    pub fn stream() -> ApiError {
        let what = "stream was invalid, can be either upstream or downstream";
        ApiError::new(StatusCode::BAD_REQUEST, what)
    }

    pub fn toxic_type() -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid toxic type")
    }

    pub fn no_proxy() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "proxy not found")
    }

    pub fn proxy_exists() -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "proxy already exists")
    }

    pub fn no_toxic() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "toxic not found")
    }

    pub fn toxic_exists() -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "toxic already exists")
    }

    /// Something that this machine refused.
    pub fn machine(what: impl fmt::Display) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, what.to_string())
    }

    /// As Toxiproxy writes it.
    pub fn json(&self) -> Value {
        json!({ "error": self.what, "status": self.status.as_u16() })
    }

    pub fn answer(&self) -> Answer {
        json_answer(self.status, &self.json())
    }
}

pub(super) fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut body = value.to_string();
    body.push('\n');
    with_type(status, "application/json", body)
}

pub(super) fn nothing() -> Answer {
    with_status(StatusCode::NO_CONTENT, Bytes::new())
}

pub(super) fn with_type(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = with_status(status, body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn with_status(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}
