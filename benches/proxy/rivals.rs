//! HAProxy and nginx, as processes with two threads or workers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

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
