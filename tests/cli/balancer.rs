//! A false HAProxy: a web server that spreads requests over `east` and `west`, and a runtime API that
//! takes servers out and puts them back, or does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the runtime API does with the command that puts a server back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restores {
    /// Does it.
    Done,
    /// Says that it cannot.
    Refused,
    /// Says nothing wrong and does nothing.
    Ignored,
    /// Closes the connection, to this command and to all after it.
    Lost,
}

/// The false HAProxy. Its threads end with the process.
#[derive(Clone)]
pub struct Balancer {
    east_is_out: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    nameless: bool,
    heard: Arc<Mutex<Vec<String>>>,
    restores: Restores,
}

impl Balancer {
    pub fn new(restores: Restores) -> Balancer {
        Balancer {
            east_is_out: Arc::default(),
            lost: Arc::default(),
            nameless: false,
            heard: Arc::default(),
            restores,
        }
    }

    /// It closes the connection when it is asked who it is.
    pub fn nameless(self) -> Balancer {
        Balancer { nameless: true, ..self }
    }

    /// Every command that the runtime API was given.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub fn is_cut(&self) -> bool {
        self.east_is_out.load(SeqCst)
    }

    /// Serves web pages that name their datacenter; `echo` is a header field to give back in the body.
    pub fn web(&self, echo: Option<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (balancer, turn) = (self.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (balancer, turn) = (balancer.clone(), turn.clone());
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let body = request(&mut stream, echo).unwrap_or_default();
                    let west = turn.fetch_add(1, SeqCst) % 2 == 1 || balancer.is_cut();
                    let datacenter = if west { "west" } else { "east" };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nx-datacenter: {datacenter}\r\ncontent-length: {length}\r\n\
                         connection: close\r\n\r\n{body}"
                    );
                    let _ = stream.get_mut().write_all(answer.as_bytes());
                });
            }
        });
        address
    }

    /// Serves the runtime API at a UNIX socket.
    pub fn socket(&self, path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        let balancer = self.clone();
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| balancer.answer(stream));
        });
    }

    /// Serves the runtime API at a TCP address.
    pub fn address(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = self.clone();
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| balancer.answer(stream));
        });
        address
    }

    fn answer(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let mut command = String::new();
        let _ = stream.read_line(&mut command);
        let command = command.trim();
        self.heard.lock().unwrap().push(command.to_owned());
        if let Some(answer) = self.act(command) {
            let _ = stream.get_mut().write_all(format!("{answer}\n").as_bytes());
        }
    }

    /// Carries a command out; `None` closes the connection without an answer.
    fn act(&self, command: &str) -> Option<String> {
        if self.lost.load(SeqCst) {
            return None;
        }
        match command {
            "show info" if self.nameless => None,
            "show cli level" => Some("admin\n".to_owned()),
            "show servers state" => {
                let east = u8::from(self.is_cut());
                Some(format!(
                    "1\n# be_name srv_name srv_op_state srv_admin_state srv_uweight srv_agent_state\n\
                     app east-1 2 {east} 1 0\napp west-1 2 0 1 0\n"
                ))
            }
            "set server app/east-1 state maint" => {
                self.east_is_out.store(true, SeqCst);
                Some(String::new())
            }
            "set server app/east-1 state ready" => match self.restores {
                Restores::Done => {
                    self.east_is_out.store(false, SeqCst);
                    Some(String::new())
                }
                Restores::Refused => Some("Permission denied\n".to_owned()),
                Restores::Ignored => Some(String::new()),
                Restores::Lost => {
                    self.lost.store(true, SeqCst);
                    None
                }
            },
            _ => Some(String::new()),
        }
    }
}

/// Reads a request to its end and gives the value of the field `echo`.
fn request(stream: &mut impl BufRead, echo: Option<&str>) -> Option<String> {
    let mut found = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 || line.trim().is_empty() {
            return found;
        }
        if let (Some((name, value)), Some(echo)) = (line.split_once(':'), echo)
            && name.eq_ignore_ascii_case(echo)
        {
            found = Some(value.trim().to_owned());
        }
    }
}
