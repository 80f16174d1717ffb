//! A provider for tests: a server on a real socket that answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Api, Reach};
use crate::model::{Part, Text};

/// What a connection is answered with.
#[derive(Clone)]
pub(in crate::traffic) enum Reply {
    /// This, and the end.
    Say(String),
    /// This, and then nothing more for as long as the client waits.
    Hang(String),
}

/// A server that answers each connection with the next of its replies, and notes what it is asked.
pub(in crate::traffic) struct Provider {
    pub(in crate::traffic) at: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub(in crate::traffic) async fn new(replies: impl IntoIterator<Item = Reply>) -> Provider {
        Provider::speaking(None, replies).await
    }

    pub(in crate::traffic) async fn speaking(
        tls: Option<TlsAcceptor>,
        replies: impl IntoIterator<Item = Reply>,
    ) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::default());
        let (notes, replies) = (Arc::clone(&heard), replies.into_iter().collect::<Vec<_>>());
        tokio::spawn(async move {
            for reply in replies {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => serve(stream, reply, &notes).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => serve(stream, reply, &notes).await,
                        Err(_) => continue,
                    },
                }
            }
            // A connection that nobody expected is told so.
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, Reply::Say(said("418 Nobody expected that", "", "")), &notes).await;
            }
        });
        Provider { at, heard }
    }

    pub(in crate::traffic) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(in crate::traffic) fn api(&self, path: &str) -> Api {
        self.within(path, Duration::from_secs(30))
    }

    pub(in crate::traffic) fn within(&self, path: &str, limit: Duration) -> Api {
        let base = Text::from(&*format!("http://{}{path}", self.at));
        let headers = vec![("authorization", secret("Bearer ", TOKEN))];
        Api::new(&base, &Reach { headers, limit, ..Reach::default() }).unwrap()
    }
}

pub(in crate::traffic) const TOKEN: &str = r#"hun"ter&2"#;

pub(in crate::traffic) fn secret(before: &str, value: &str) -> Text {
    let value = Part::Secret { name: "TOKEN".into(), value: value.into() };
    Text::new(vec![Part::Plain(before.into()), value])
}

/// Notes a request, and answers it.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: Reply,
    heard: &Mutex<Vec<String>>,
) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    heard.lock().unwrap().push(head + &String::from_utf8_lossy(&body));
    // The client may have enough of it before its end.
    match reply {
        Reply::Say(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}

/// An answer. `headers` end in line breaks.
pub(in crate::traffic) fn said(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

pub(in crate::traffic) fn say(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Say(said(status, headers, body))
}

pub(in crate::traffic) fn good(body: &Value) -> Reply {
    say("200 OK", "content-type: application/json\r\n", &body.to_string())
}
