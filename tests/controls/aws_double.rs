//! The doubles of AWS's services that moto has not: each holds what it is asked and what it answers to AWS's published
//! service model.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use firedrill::model::AwsReach;
use serde_json::Value;

use crate::moto::{python, reach_in};
use crate::ports::free_port;
use crate::world::within_bounds;

/// A double at one port or several.
pub struct Double {
    server: Child,
    home: tempfile::TempDir,
    /// Its ports.
    pub ports: Vec<u16>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

impl Double {
    /// That of `tests/fixtures/aws/NAME.py`, with so many ports and these words.
    pub async fn start(name: &str, ports: usize, more: &[&str]) -> Double {
        let ports: Vec<u16> = (0..ports).map(|_| free_port("127.0.0.1")).collect();
        let script = format!("tests/fixtures/aws/{name}.py");
        let server = Command::new(python())
            .arg("-B")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args(ports.iter().map(u16::to_string))
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("python is installed");
        let double = Double { server, home: tempfile::tempdir().unwrap(), ports };
        within_bounds("the double answers", async || {
            double.ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        })
        .await;
        double
    }

    /// How a control reaches its first port.
    pub fn reach(&self) -> AwsReach {
        reach_in(&self.home, self.ports[0])
    }

    /// Asks the port at `place` as anybody would.
    pub fn ask(&self, place: usize, head: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[place])).unwrap();
        let length = body.len();
        write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Says what goes wrong at the port at `place` from now on.
    pub fn fault(&self, place: usize, fault: &str) {
        self.ask(place, "POST /fault HTTP/1.0", fault);
    }

    /// What was asked at all ports, in order.
    pub fn all_asked(&self) -> Vec<Value> {
        self.ask(0, "GET /asked HTTP/1.0", "").as_array().unwrap().clone()
    }

    /// The calls of this name that it took.
    pub fn asked(&self, operation: &str) -> Vec<Value> {
        self.all_asked().into_iter().filter(|it| it["operation"] == operation).collect()
    }
}
