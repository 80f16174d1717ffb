//! Reads beside the writes of a ledger: by way of HAProxy, from whichever server of the store answers.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use firedrill::model::RunRecord;
use tempfile::TempDir;

use super::outage::{Process, until};
use super::ports::free_port;

/// HAProxy before the servers of a store. It takes out who does not answer.
pub struct Balancer {
    pub port: u16,
    _process: Process,
    _home: TempDir,
}

impl Balancer {
    /// Starts it with these servers, each with what its check needs beside its address, and with how they are checked.
    pub async fn start(servers: &[String], check: &str) -> Balancer {
        let home = tempfile::tempdir().unwrap();
        let port = free_port("127.0.0.1");
        let servers: Vec<String> = (0..)
            .zip(servers)
            .map(|(place, at)| format!("  server r{place} {at} check inter 100ms fall 2 rise 2\n"))
            .collect();
        let config = format!(
            "defaults\n  mode tcp\n  retries 1\n  option redispatch 1\n  timeout connect 200ms\n  timeout check 200ms\n  \
             timeout client 5s\n  timeout server 5s\n\
             listen reads\n  bind 127.0.0.1:{port}\n  balance roundrobin\n  {check}\n{}",
            servers.concat()
        );
        let file = home.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::new(command.spawn().expect("apt-get install haproxy"));
        until("the balancer listens", || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        Balancer { port, _process: process, _home: home }
    }

    /// The probe `look` of a plan, which asks this and is answered with `canary`.
    pub fn look(&self, send: &str) -> String {
        format!(
            "      look:
        tcp: {{ address: \"127.0.0.1:{}\", send: \"{send}\", expect: canary }}
        every: 20ms
        timeout: 1s
",
            self.port
        )
    }
}

/// How long users were without writes and without reads, of the probes `keep` and `look`: both came back, and reads no later.
pub fn holds_reads_beside_writes(record: &RunRecord) {
    let recovered = |name: &str| {
        let probe =
            record.services[0].probes.iter().find(|probe| probe.name.as_str() == name).unwrap();
        let recovery = probe.recovery.as_ref().unwrap_or_else(|| panic!("{:#?}", record.reasons));
        println!("{name}: recovered {:?}", recovery.bounds);
        recovery.bounds
    };
    let (writes, reads) = (recovered("keep"), recovered("look"));
    assert!(writes.high.is_some() && reads.high.is_some(), "{writes:?} {reads:?}");
    assert!(Some(reads.low) <= writes.high, "{reads:?} is after {writes:?}");
}
