//! A simulated web that guardrails look at: one server, whose answers depend on the time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock::Clock;
use crate::model::Offset;
use crate::probe::{Connector, LookUpError, Stream};

/// What the server does with a request that begins at some time.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Refuses the connection.
    Refuse,
    /// Accepts it and says nothing.
    Hang,
}

type Script = dyn Fn(Offset) -> Does + Send + Sync;

/// The web, before the drill begins.
#[derive(Clone)]
pub struct Web {
    script: Arc<Script>,
    clock: Option<Clock>,
}

impl Default for Web {
    fn default() -> Self {
        Web::new(|_| Does::Refuse)
    }
}

impl Web {
    pub fn new(script: impl Fn(Offset) -> Does + Send + Sync + 'static) -> Web {
        Web { script: Arc::new(script), clock: None }
    }

    /// Whose time counts.
    pub fn at(mut self, clock: Clock) -> Web {
        self.clock = Some(clock);
        self
    }
}

impl Connector for Web {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) }.boxed()
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let does = (self.script)(self.clock.map(|clock| clock.now()).unwrap_or_default());
            if does == Does::Refuse {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 12];
                let _ = far.read(&mut request).await;
                match does {
                    Does::Answer(status, body) => {
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status} It\r\ncontent-length: {length}\r\n\r\n{body}"
                        );
                        let _ = far.write_all(answer.as_bytes()).await;
                    }
                    _ => std::future::pending().await,
                }
            });
            Ok(Box::new(near) as Box<dyn Stream>)
        }
        .boxed()
    }
}
