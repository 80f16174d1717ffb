//! moto's server: the part of AWS that can be had on one machine. Its requests are read and answered by code that is not
//! ours; no traffic moves.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill::model::{AwsReach, Text};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::ports::free_port;
use crate::world::within_bounds;

/// A server of moto's, and credentials for it, which it takes for what they are.
pub struct Moto {
    server: Child,
    port: u16,
    home: TempDir,
}

impl Moto {
    /// One that answers.
    pub async fn start() -> Moto {
        let home = tempfile::tempdir().unwrap();
        let port = free_port("127.0.0.1");
        let server = Command::new(program("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto's server is installed: pip install 'moto[server]'");
        let moto = Moto { server, port, home };
        within_bounds("moto answers", async || {
            TcpStream::connect(("127.0.0.1", moto.port)).is_ok()
        })
        .await;
        moto
    }

    /// How a control reaches it.
    pub fn reach(&self) -> AwsReach {
        reach_in(&self.home, self.port)
    }

    /// Asks as somebody else would, in the plainest way: moto checks no signatures.
    pub fn post(&self, service: &str, path: &str, body: &str) -> String {
        self.send(service, ("POST", path), "text/xml", body)
    }

    /// Takes something away.
    pub fn delete(&self, service: &str, path: &str) {
        self.send(service, ("DELETE", path), "text/xml", "");
    }

    /// The same for services that take forms.
    #[cfg(feature = "aws-elb")]
    pub fn query(&self, service: &str, body: &str) -> String {
        self.send(service, ("POST", "/"), "application/x-www-form-urlencoded", body)
    }

    fn send(&self, service: &str, (method, path): (&str, &str), kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let scope = format!("Credential=AKIDTEST/20260101/us-east-1/{service}/aws4_request");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// How a control reaches a port of this machine, with credentials in `home`.
pub fn reach_in(home: &TempDir, port: u16) -> AwsReach {
    let credentials = home.path().join("credentials");
    let text = "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = only-for-moto\n";
    std::fs::write(&credentials, text).unwrap();
    AwsReach {
        profile: None,
        credentials: Some(Text::from(credentials.to_str().unwrap())),
        endpoint: Some(Text::from(format!("http://127.0.0.1:{port}").as_str())),
        timeout: Duration::from_secs(5),
    }
}

/// A program of Python's: where `.ci/needs` put it, else whatever the machine has.
fn program(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/needs/bin").join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

/// A Python that has botocore.
pub fn python() -> PathBuf {
    program("python3")
}

/// What stands in the first `<tag>` of an answer.
pub fn inside(answer: &str, tag: &str) -> String {
    let (_, rest) = answer.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("{answer}"));
    rest.split_once('<').unwrap().0.to_owned()
}

/// A server of one's own that gives these answers, one a request, and the last one from then on. Each is a status,
/// header fields and a body; a length among the fields is the one that is told, and an empty status is no answer at all.
pub async fn answering(answers: &[(&str, &str, &str)]) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let whole = |(status, headers, body): &(&str, &str, &str)| {
        if status.is_empty() {
            return String::new();
        }
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}");
        if headers.contains("content-length:") {
            return format!("{head}\r\n{body}");
        }
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    let mut answers: VecDeque<String> = answers.iter().map(whole).collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let last = answers.len() == 1;
            let answer = if last { answers.front().cloned() } else { answers.pop_front() };
            answer_one(BufReader::new(stream), &answer.unwrap()).await;
        }
    });
    port
}

/// Reads a whole request and answers it.
async fn answer_one(mut stream: BufReader<tokio::net::TcpStream>, answer: &str) -> Option<()> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let field = line.to_ascii_lowercase();
        let value = field.strip_prefix("content-length:").and_then(|it| it.trim().parse().ok());
        length = value.unwrap_or(length);
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    stream.write_all(answer.as_bytes()).await.ok()
}
