//! An HTTP/1.1 connection that lives in the sample's own task, and the pool of those kept open.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::connector::Stream;
use crate::model::Offset;

/// An idle connection older than this is given up; most servers and NATs have done so by then.
const IDLE_AT_MOST: Duration = Duration::from_secs(60);

/// More idle connections than this are not kept.
const MOST_IDLE: usize = 1024;

/// A connection that speaks HTTP. hyper's half of it is polled by whoever uses the line: a second
/// task for it would cost a third of the time of a request.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>,
    finished: bool,
    /// The address at the other end.
    pub(super) peer: SocketAddr,
}

/// Why no answer came.
pub(super) enum NoAnswer {
    /// The connection was dead before anything was sent on it.
    NotSent(hyper::Error),
    /// Anything that happened later.
    Broken(hyper::Error),
}

impl Line {
    /// Speaks HTTP over `stream`.
    pub(super) async fn new(stream: Box<dyn Stream>, peer: SocketAddr) -> hyper::Result<Self> {
        let (sender, connection) = Builder::new().handshake(TokioIo::new(stream)).await?;
        Ok(Line { sender, connection, finished: false, peer })
    }

    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let answer = self.sender.try_send_request(request);
        self.drive(answer).await.map_err(|mut error| {
            if error.take_message().is_some() {
                NoAnswer::NotSent(error.into_error())
            } else {
                NoAnswer::Broken(error.into_error())
            }
        })
    }

    /// The next piece of `body`; `None` at its end.
    pub(super) async fn next(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        if body.is_end_stream() {
            return None;
        }
        self.drive(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await
    }

    /// Lets the connection work until `wanted` is there.
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            self.work(cx);
            wanted.as_mut().poll(cx)
        })
        .await
    }

    /// What the connection finds at its end reaches the caller through the answer.
    fn work(&mut self, cx: &mut Context<'_>) {
        // Without a shutdown: dropping the connection says the same with one system call less.
        if !self.finished && self.connection.poll_without_shutdown(cx).is_ready() {
            self.finished = true;
        }
    }

    /// Whether another request can be sent, as far as is known here and now.
    async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.work(cx);
            Poll::Ready(!self.finished && self.sender.is_ready())
        })
        .await
    }
}

/// Connections kept open between samples; the one used last is used first.
#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<(Line, Offset)>>);

impl Pool {
    /// An idle connection that is still alive. Dead ones are dropped on the way.
    pub(super) async fn take(&self) -> Option<Line> {
        loop {
            let (mut line, _) = self.idle().pop_back()?;
            if line.is_usable().await {
                return Some(line);
            }
        }
    }

    /// Keeps `line` for a later sample, if it can be used again.
    pub(super) async fn put(&self, mut line: Line, now: Offset) {
        if !line.is_usable().await {
            return;
        }
        let mut idle = self.idle();
        idle.push_back((line, now));
        while idle.len() > MOST_IDLE
            || idle.front().is_some_and(|(_, since)| now.since(*since) > IDLE_AT_MOST)
        {
            idle.pop_front();
        }
    }

    /// A panic elsewhere leaves the list as whole as it was.
    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<(Line, Offset)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
