//! Ports for servers that take no port 0 that they would tell.

#![allow(dead_code, reason = "each of the binaries that share it uses a part")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// Where ports are kept for those who were given them: no server of a test is at this address.
const KEPT_AT: Ipv4Addr = Ipv4Addr::new(127, 255, 0, 1);

/// A port of `ip` that nobody listens at. No other test is given it, in whatever process, while this process lives. It is none
/// of those that the kernel gives to connections, from 32768 on: one of them could take it before the server does.
pub fn free_port(ip: &str) -> u16 {
    static GIVEN: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    loop {
        let port = fastrand::u16(10_000..32_000);
        let Ok(kept) = TcpListener::bind((KEPT_AT, port)) else { continue };
        if TcpListener::bind((ip, port)).is_ok() {
            GIVEN.lock().unwrap().push(kept);
            return port;
        }
    }
}

/// An address of this machine at which nobody listens.
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port("127.0.0.1")).into()
}
