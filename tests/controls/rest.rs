//! Doubles of providers' REST APIs: a server whose answers are a function of what is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use firedrill::model::CutOrder;
use firedrill::traffic::{ControlError, TrafficControl};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::strangers::Elsewhere;

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

/// What goes out in place of answers: to a method, at the paths that have this piece, for so often.
#[derive(Default)]
pub struct Instead {
    method: &'static str,
    piece: &'static str,
    text: String,
    times: usize,
}

impl Instead {
    pub fn always(method: &'static str, piece: &'static str, text: &str) -> Instead {
        Instead { method, piece, text: text.to_owned(), times: usize::MAX }
    }

    pub fn once(method: &'static str, piece: &'static str, text: &str) -> Instead {
        Instead { times: 1, ..Instead::always(method, piece, text) }
    }

    /// What goes out in place of the answer to `asked`.
    pub fn take(&mut self, asked: &Asked) -> Option<String> {
        if self.times == 0 || asked.method != self.method || !asked.path.contains(self.piece) {
            return None;
        }
        self.times -= 1;
        Some(self.text.clone())
    }
}

/// An answer, byte for byte. `headers` end in line breaks.
pub fn said(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A refusal in JSON, in all forms that providers have, with the pause `wait` in seconds.
pub fn refusal(status: &str, wait: u32, words: &str) -> String {
    let body = json!({ "message": words, "error": { "message": words } });
    let headers = format!("content-type: application/json\r\nretry-after: {wait}\r\n");
    said(status, &headers, &body.to_string())
}

/// An answer that helps nobody, and the words that tell of it.
struct Bad {
    text: String,
    what: &'static str,
    hint: &'static str,
    is_a_page: bool,
}

/// Those to a reading or to a change; each has the token in it that must not be shown.
fn bad(token: &str, elsewhere: &Elsewhere, is_change: bool) -> [Bad; 5] {
    let of = |text, what, hint| Bad { text, what, hint, is_a_page: false };
    let words = format!("not now, {token}");
    let page = format!("<html>Sign in to the network, {token}</html>");
    let away = format!("location: http://127.0.0.1:{}/?token={token}\r\n", elsewhere.port());
    let half = if is_change { "may have taken effect" } else { "can be reached from here" };
    [
        of(
            refusal("429 Too Many Requests", 3600, &words),
            "429 Too Many Requests: not now, *** to",
            "takes no more calls for now",
        ),
        of(
            refusal("503 Service Unavailable", 3600, &words),
            "503 Service Unavailable: not now, *** to",
            "the provider is not well",
        ),
        of(
            format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{{\"{token}\": "),
            "the answer broke off",
            half,
        ),
        Bad {
            is_a_page: true,
            ..of(
                said("200 OK", "content-type: text/html\r\n", &page),
                "not the JSON that was due (text/html",
                "the address is that of the provider's API",
            )
        },
        of(
            said("307 Temporary Redirect", &away, ""),
            "which is not followed: the credentials are for",
            "give the address that answers itself",
        ),
    ]
}

/// A control of a double, which is given what goes out in place of answers, and tells what is in it.
pub struct Doubled<'d> {
    pub control: &'d dyn TrafficControl,
    pub order: CutOrder,
    pub token: &'static str,
    /// The method of changes, and whether anything is read out of the answers to them.
    pub change: (&'static str, bool),
    pub set: &'d dyn Fn(Instead),
    pub state: &'d dyn Fn() -> String,
}

impl Doubled<'_> {
    /// Bad answers to readings and to changes are told, with no token in it; nothing is changed, and nobody is sent on.
    pub async fn stands_bad_answers(&self) {
        let elsewhere = Elsewhere::new();
        let snapshot = self.control.inspect().await.unwrap();
        let before = (self.state)();
        for (method, is_read) in [("GET", true), self.change] {
            for bad in bad(self.token, &elsewhere, method != "GET") {
                (self.set)(Instead::always(method, "", &bad.text));
                let result = match method {
                    "GET" => self.control.inspect().await.map(drop),
                    _ => self.control.cut(&self.order, &snapshot).await,
                };
                (self.set)(Instead::default());
                match result {
                    Err(error) => self.is_told(&error, bad.what, bad.hint),
                    // Where nothing is read out of an answer, the next reading tells.
                    Ok(()) => assert!(bad.is_a_page && !is_read, "{method}: {}", bad.what),
                }
                assert_eq!((self.state)(), before, "{method}: {}", bad.what);
                assert_eq!(self.control.inspect().await.unwrap(), snapshot);
            }
        }
        elsewhere.heard_nothing();
    }

    /// `error` has these words, and neither it nor what was noted has the token.
    pub fn is_told(&self, error: &ControlError, what: &str, hint: &str) {
        assert!(error.what.contains(what) && error.hint.contains(hint), "{what}, {hint}: {error}");
        let shown = format!("{error} {:?}", self.control.exchanges());
        assert!(!shown.contains(self.token), "{shown}");
    }
}
