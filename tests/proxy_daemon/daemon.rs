//! A daemon of a test's own, a server behind it, and the plainest of HTTP clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Long enough for anything that is to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long silence is listened to. Too short can only miss a failure, never invent one.
pub const SILENCE: Duration = Duration::from_millis(100);

/// A running `firedrill proxy`. Ended when dropped.
pub struct Daemon {
    pub address: SocketAddr,
    pub process: Child,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
}

/// The program with `proxy` and these arguments, and without a token of whoever runs the test.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.arg("proxy").args(arguments).env_remove("FIREDRILL_PROXY_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Daemon {
    pub fn start() -> Daemon {
        Daemon::with(&[])
    }

    /// With these arguments, at an address of its own.
    pub fn with(arguments: &[&str]) -> Daemon {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(arguments);
        Daemon::spawn(command(&all))
    }

    pub fn spawn(mut command: Command) -> Daemon {
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let said: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.0.lock().unwrap().push(line);
                heard.1.notify_all();
            }
        });
        let mut daemon = Daemon { address: (Ipv4Addr::LOCALHOST, 0).into(), process, said };
        let line = daemon.hears("listening at http://");
        let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap();
        daemon.address = address.parse().unwrap();
        daemon
    }

    /// Waits until it has said a line that holds `text`, and gives the line.
    pub fn hears(&self, text: &str) -> String {
        let found = |said: &Vec<String>| said.iter().find(|line| line.contains(text)).cloned();
        let said = self.said.0.lock().unwrap();
        let (said, _) =
            self.said.1.wait_timeout_while(said, PATIENCE, |said| found(said).is_none()).unwrap();
        found(&said).unwrap_or_else(|| panic!("it never said {text:?}, but {said:?}"))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Asks, and gives the status and what was answered.
    pub fn ask(&self, method: &str, path: &str, body: impl ToString) -> (u16, Value) {
        let (status, body) = self.ask_with(method, path, "", &body.to_string());
        let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        (status, value)
    }

    /// Asks with these header lines, and gives the status and the body of the answer.
    pub fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let answer = self.talk(&format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}",
            self.address
        ));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{method} {path}: {answer:?}")), body.to_owned())
    }

    /// Sends `request` and reads all that is answered.
    pub fn talk(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may have answered, and closed, before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// As [`Daemon::ask`], for what has to be right.
    #[track_caller]
    pub fn done(&self, method: &str, path: &str, body: impl ToString) -> Value {
        let (status, value) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {value}");
        value
    }

    /// Makes a proxy before `server`, and gives where it listens.
    #[track_caller]
    pub fn proxy(&self, name: &str, server: &Server) -> SocketAddr {
        let upstream = server.address.to_string();
        let form = json!({ "name": name, "listen": "127.0.0.1:0", "upstream": upstream });
        listen(&self.done("POST", "/proxies", form))
    }
}

pub fn listen(proxy: &Value) -> SocketAddr {
    proxy["listen"].as_str().unwrap().parse().unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that sends everything back, and ends when the client ends.
pub struct Server {
    pub address: SocketAddr,
}

impl Server {
    pub fn start() -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let _ = client.set_nodelay(true);
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(n @ 1..) = client.read(&mut buffer) {
                        if client.write_all(&buffer[..n]).is_err() {
                            return;
                        }
                    }
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Server { address }
    }
}

/// A client of the server behind a proxy.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// Sends `data` and reads it back; how long that took.
    #[track_caller]
    pub fn round_trip(&mut self, data: &[u8]) -> Duration {
        let start = Instant::now();
        self.0.write_all(data).unwrap();
        self.receives(data);
        start.elapsed()
    }

    #[track_caller]
    pub fn receives(&mut self, data: &[u8]) {
        let mut received = vec![0; data.len()];
        self.0.read_exact(&mut received).unwrap();
        assert!(received == data, "other bytes came back");
    }

    /// Asserts that nothing comes: no data, no end, no error.
    #[track_caller]
    pub fn is_silent(&mut self) {
        self.0.set_read_timeout(Some(SILENCE)).unwrap();
        let got = self.0.read(&mut [0]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let kind = got.as_ref().map_err(io::Error::kind);
        assert_eq!(kind, Err(io::ErrorKind::WouldBlock), "expected silence, got {got:?}");
    }

    #[track_caller]
    pub fn ends(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0);
    }

    #[track_caller]
    pub fn is_reset(&mut self) {
        let error = self.0.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[track_caller]
pub fn is_refused(address: SocketAddr) {
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}
