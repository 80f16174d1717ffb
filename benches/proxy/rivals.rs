//! HAProxy and nginx, as processes with two threads or workers, and our own daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::api::Api;
use crate::process::Child;

/// HAProxy in TCP mode. None if it is not installed.
pub fn haproxy(backend: SocketAddr, splice: bool) -> Option<Child> {
    let address = free_address();
    let files = tempfile::tempdir().unwrap();
    let socket = files.path().join("admin.sock");
    let options = if splice { "option splice-request\n    option splice-response" } else { "" };
    let config = format!(
        "global
    nbthread 2
    maxconn 7000
    stats socket {} mode 600 level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    {options}
listen front
    bind {address} backlog 4096
    server one {backend}
",
        socket.display()
    );
    fs::write(files.path().join("config"), config).unwrap();
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(files.path().join("config"));
    spawn(command, address, files)
}

/// nginx's stream module. None if it is not installed.
pub fn nginx(backend: SocketAddr) -> Option<Child> {
    let address = free_address();
    let files = tempfile::tempdir().unwrap();
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    if !fs::exists(module).unwrap_or(false) {
        return None;
    }
    let path = files.path().display();
    let config = format!(
        "load_module {module};
daemon off;
worker_processes 2;
pid {path}/pid;
error_log {path}/error.log;
events {{ worker_connections 14000; }}
stream {{
    server {{
        listen {address} backlog=4096 so_keepalive=off;
        proxy_pass {backend};
        tcp_nodelay on;
        access_log off;
    }}
}}
"
    );
    fs::write(files.path().join("config"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(files.path().join("config"));
    spawn(command, address, files)
}

fn spawn(mut command: Command, address: SocketAddr, files: tempfile::TempDir) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().ok()?;
    let child = Child { address, process, files: Some(files), talk: None };
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("{command:?} does not listen");
    None
}

/// Only these two need to be told a port that is free; ours picks one.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// `firedrill proxy`, at whose API [`Child::address`] leads.
pub fn daemon() -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["proxy", "--listen", "127.0.0.1:0"])
        .env_remove("FIREDRILL_PROXY_TOKEN")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
    let address = address.and_then(|it| it.parse().ok()).expect("it says where it listens");
    // Somebody has to take what it says in the end.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Child { address, process, files: None, talk: None }
}

/// A daemon with one proxy, at which [`Child::address`] leads.
pub fn daemon_proxy(backend: SocketAddr) -> Child {
    let mut child = daemon();
    let mut api = Api::new(child.address);
    let form = format!(r#"{{"name":"one","listen":"127.0.0.1:0","upstream":"{backend}"}}"#);
    let made = api.ask("POST", "/proxies", &form);
    let listen = made.split(r#""listen":""#).nth(1).and_then(|rest| rest.split('"').next());
    child.address = listen.and_then(|it| it.parse().ok()).expect("it listens");
    child
}
