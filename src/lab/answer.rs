//! What the servers of the lab say, and how they tell checks from requests.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use crate::model::{DatacenterId, LabCheck, Name};

/// The header field that makes a request a health check: it takes no time, warms nothing and is
/// counted nowhere.
pub(super) const CHECK: &str = "x-lab-check";

/// The value of [`CHECK`].
pub(super) fn check_value(check: LabCheck) -> HeaderValue {
    HeaderValue::from_static(match check {
        LabCheck::Up => "up",
        LabCheck::Deep => "deep",
    })
}

/// What kind of check a request is; `None` for an ordinary one.
pub(super) fn check_of(headers: &HeaderMap) -> Option<LabCheck> {
    match headers.get(CHECK)?.as_bytes() {
        b"deep" => Some(LabCheck::Deep),
        _ => Some(LabCheck::Up),
    }
}

/// Who a replica is, or a copy of a store.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) service: Name,
    pub(super) datacenter: DatacenterId,
    pub(super) datacenter_name: Name,
    pub(super) number: u32,
}

impl Identity {
    /// An answer that says who gave it.
    pub(super) fn answer(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let body = serde_json::json!({
            "service": self.service,
            "datacenter": self.datacenter_name,
            "replica": self.number,
        });
        self.answer_with(status, &body)
    }

    /// As [`Identity::answer`], with a body of its own.
    pub(super) fn answer_with(&self, status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-replica", HeaderValue::from(self.number));
        // A name that is no header value stays away from the header; the body has it in any case.
        if let Ok(name) = HeaderValue::from_str(self.datacenter_name.as_str()) {
            headers.insert("x-datacenter", name);
        }
        response
    }
}

/// An answer of a balancer itself.
pub(super) fn own(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text + "\n"));
    *response.status_mut() = status;
    response
}

/// The value of `key` in a query, as it is written there.
pub(super) fn in_query<'q>(query: Option<&'q str>, key: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_a_query_by_their_whole_key() {
        let query = Some("idx=1&id=a-2&id=3");
        assert_eq!(in_query(query, "id"), Some("a-2"));
        assert_eq!(in_query(query, "i"), None);
        assert_eq!(in_query(None, "id"), None);
    }
}
