//! A replica: a small server that answers everything and says who it is.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::net::TcpListener;

use super::faults::LabFaults;
use super::serve::serve;
use crate::clock::Clock;
use crate::model::{DatacenterId, Name};

/// Who a replica is.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) service: Name,
    pub(super) datacenter: DatacenterId,
    pub(super) datacenter_name: Name,
    pub(super) number: u32,
}

/// Answers on `listener` for ever.
pub(super) async fn run(
    replica: Replica,
    listener: TcpListener,
    clock: Clock,
    faults: Arc<LabFaults>,
) {
    let replica = Arc::new(replica);
    serve(listener, move |request| {
        let (replica, faults) = (replica.clone(), faults.clone());
        async move {
            let broken = faults.is_broken(replica.datacenter, clock.now());
            drain(request.into_body()).await;
            answer(&replica, broken)
        }
    })
    .await;
}

/// Reads a body to its end, so that the connection can be used again.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn answer(replica: &Replica, broken: bool) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "service": replica.service,
        "datacenter": replica.datacenter_name,
        "replica": replica.number,
    });
    let mut response = Response::new(Full::from(body.to_string()));
    if broken {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-replica", HeaderValue::from(replica.number));
    // A name that is no header value stays away from the header; the body has it in any case.
    if let Ok(name) = HeaderValue::from_str(replica.datacenter_name.as_str()) {
        headers.insert("x-datacenter", name);
    }
    response
}
