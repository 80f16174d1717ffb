//! Ports for servers that take no port 0 that they would tell.

#![allow(dead_code, reason = "each of the binaries that share it uses a part")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// A port of `ip` that nobody listens at; no other call has it. It is none of those that the kernel gives to connections, from
/// 32768 on: one of them could take it before the server does, or before somebody finds that nobody is there.
pub fn free_port(ip: &str) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = fastrand::u16(10_000..32_000);
        let is_free = TcpListener::bind((ip, port)).is_ok();
        if is_free && GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// An address of this machine at which nobody listens.
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port("127.0.0.1")).into()
}
