//! Where messages arrive: a real HTTP server that keeps what it is told and answers as a test wants.

#![allow(dead_code, reason = "several binaries share it, and each uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// No test waits longer for a message.
const LIMIT: Duration = Duration::from_secs(40);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Heard {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With a status and a body.
    With(u16, &'static str),
    /// Not at all, for as long as the process lives.
    Hang,
    /// With a body that comes byte by byte, without an end.
    Drip,
    /// The connection is closed.
    Close,
}

type Kept = Arc<(Mutex<Vec<Heard>>, Condvar)>;

/// The server. Its threads end with the process.
pub struct Inbox {
    address: SocketAddr,
    kept: Kept,
}

impl Inbox {
    /// One that takes everything.
    pub fn new() -> Inbox {
        Inbox::answering(|_, _| Answer::With(200, "ok"))
    }

    /// One that answers the `n`th request, from 0, with `answer(n, request)`.
    pub fn answering(answer: impl Fn(usize, &Heard) -> Answer + Send + Sync + 'static) -> Inbox {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Kept::default();
        let (all, answer) = (kept.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, answer) = (all.clone(), answer.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, &all, &*answer);
                });
            }
        });
        Inbox { address, kept }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.kept.0.lock().unwrap().clone()
    }

    /// What has come, once `met` holds of it.
    #[track_caller]
    pub fn until(&self, met: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let (kept, news) = &*self.kept;
        let waited = news.wait_timeout_while(kept.lock().unwrap(), LIMIT, |kept| !met(kept));
        let (kept, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "only {kept:#?}");
        kept.clone()
    }
}

fn serve(
    stream: TcpStream,
    kept: &Kept,
    answer: &dyn Fn(usize, &Heard) -> Answer,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let heard = Heard { method, path, headers, body: String::from_utf8(body).unwrap() };
    let number = {
        let mut all = kept.0.lock().unwrap();
        all.push(heard.clone());
        kept.1.notify_all();
        all.len() - 1
    };
    let mut stream = stream.into_inner();
    match answer(number, &heard) {
        Answer::Close => Ok(()),
        Answer::Hang => loop {
            std::thread::park();
        },
        Answer::Drip => {
            stream.write_all(b"HTTP/1.1 200 It\r\ncontent-length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b"x")?;
                // No wait for anything: this is how a server drips.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::With(status, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} It\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())
        }
    }
}
