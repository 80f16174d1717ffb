//! A replica: a small server that does its work, calls what its service calls, and says who it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::answer::{CHECK, Identity, check_of, check_value};
use super::faults::LabFaults;
use super::serve::serve;
use super::upstream::ask;
use super::work::Desk;
use crate::clock::Clock;
use crate::model::{LabCheck, LabService, Name};

/// A replica and what it needs.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) identity: Identity,
    pub(super) service: Arc<LabService>,
    pub(super) desk: Desk,
    /// The balancers of all services and stores.
    pub(super) addresses: Arc<BTreeMap<Name, SocketAddr>>,
    pub(super) clock: Clock,
    pub(super) faults: Arc<LabFaults>,
}

/// Answers on `listener` for ever.
pub(super) async fn run(replica: Replica, listener: TcpListener) {
    let replica = Arc::new(replica);
    serve(listener, move |request| {
        let replica = replica.clone();
        async move {
            let status = replica.handle(request).await;
            replica.answer(status)
        }
    })
    .await;
}

impl Replica {
    async fn handle(&self, request: Request<Incoming>) -> StatusCode {
        let (head, body) = request.into_parts();
        let broken = self.faults.is_broken(self.identity.datacenter, self.clock.now());
        drain(body).await;
        if broken {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        match check_of(&head.headers) {
            Some(LabCheck::Up) => StatusCode::OK,
            Some(LabCheck::Deep) => self.call_all(&head, &self.service.calls, true).await,
            None => {
                // The seat is kept while callees work: one that hangs uses up its callers.
                let Some(_seat) = self.desk.sit().await else {
                    return StatusCode::SERVICE_UNAVAILABLE;
                };
                self.desk.work().await;
                self.call_all(&head, self.service.calls_of(head.uri.path()), false).await
            }
        }
    }

    /// Calls one after the other. What a callee says of the request (4xx) is passed on.
    async fn call_all(&self, head: &Parts, callees: &[Name], deep: bool) -> StatusCode {
        for callee in callees {
            match self.call(head, callee, deep).await {
                Some(status) if status.is_client_error() => return status,
                Some(status) if !status.is_server_error() => {}
                _ => return StatusCode::BAD_GATEWAY,
            }
        }
        StatusCode::OK
    }

    async fn call(&self, head: &Parts, callee: &Name, deep: bool) -> Option<StatusCode> {
        let to = *self.addresses.get(callee)?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        if deep {
            request.headers_mut().insert(CHECK, check_value(LabCheck::Deep));
        }
        Some(ask(to, request).await.ok()?.status())
    }

    fn answer(&self, status: StatusCode) -> Response<Full<Bytes>> {
        self.identity.answer(status)
    }
}

/// Reads a body to its end, so that the connection can be used again.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
