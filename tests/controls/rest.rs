//! Doubles of providers' REST APIs: a server whose answers are a function of what is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is asked.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    /// The content type.
    pub kind: String,
    /// The `authorization`.
    pub token: String,
    pub body: Value,
}

/// A status, and the body to it.
pub type Said = (u16, Value);

/// A world that answers.
pub trait Answers: Send + 'static {
    fn answer(&mut self, asked: &Asked) -> Said;

    /// What goes out in place of an answer, byte for byte, before the connection is closed.
    fn instead(&mut self, _asked: &Asked) -> Option<String> {
        None
    }
}

/// Serves `state` on loopback, a request a connection.
pub async fn serve(state: &Arc<Mutex<impl Answers>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let state = Arc::clone(state);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, Arc::clone(&state)));
        }
    });
    at
}

async fn talk(stream: TcpStream, state: Arc<Mutex<impl Answers>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let (mut length, mut kind, mut token) = (0, String::new(), String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => kind = value.to_owned(),
            "authorization" => token = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = first.split_whitespace();
    let (method, whole) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let (path, query) = (path.to_owned(), query.to_owned());
    let asked = Asked { method, path, query, kind, token, body };
    let instead = state.lock().unwrap().instead(&asked);
    if let Some(text) = instead {
        return stream.write_all(text.as_bytes()).await.ok();
    }
    let (code, said) = state.lock().unwrap().answer(&asked);
    let said = said.to_string();
    let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).unwrap();
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ndate: {now}\r\ncontent-length: {}\r\n\r\n",
        said.len()
    );
    stream.write_all((head + &said).as_bytes()).await.ok()
}
