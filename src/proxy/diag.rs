//! Asks the kernel how many packets a socket dropped (`sock_diag`, as `ss` does; needs no rights).
//!
//! It is the only trace of clients that try to connect while their packets vanish.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_SKMEMINFO: u16 = 7;
const STATE_LISTEN: u32 = 1 << 10;
/// `SK_MEMINFO_DROPS`, the ninth number of the attribute.
const DROPS_AT: usize = 8 * 4;
const MESSAGE_HEADER: usize = 16;
/// `struct inet_diag_msg`, whose last field is the inode.
const DIAG_HEADER: usize = 72;
const INODE_AT: usize = 68;

/// The number by which the kernel knows a socket; 0 if it has none.
pub(super) fn inode(socket: &impl AsFd) -> u64 {
    rustix::fs::fstat(socket).map_or(0, |stat| stat.st_ino)
}

/// How many packets the listening socket has dropped in its life. None where the system cannot say.
pub(super) fn drops(address: SocketAddr, inode: u64) -> Option<u64> {
    let netlink = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(rustix::net::netlink::SOCK_DIAG),
    )
    .ok()?;
    rustix::net::send(&netlink, &request(address), SendFlags::empty()).ok()?;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&netlink, &mut buffer[..], RecvFlags::empty()).ok()?;
        match find(buffer.get(..length)?, inode) {
            Found::Drops(drops) => return Some(drops),
            Found::NothingMore => return None,
            Found::NotHere => {}
        }
    }
}

fn request(address: SocketAddr) -> Vec<u8> {
    let family = if address.is_ipv4() { 2u8 } else { 10 };
    let mut body = vec![family, IPPROTO_TCP, 1 << (INET_DIAG_SKMEMINFO - 1), 0];
    body.extend(STATE_LISTEN.to_ne_bytes());
    body.extend(address.port().to_be_bytes());
    body.extend([0; 2 + 16 + 16 + 4]); // any other port, address and interface
    body.extend([0xff; 8]); // any cookie
    let mut message = Vec::new();
    message.extend(((MESSAGE_HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: ours is the only request
    message.extend(body);
    message
}

enum Found {
    Drops(u64),
    NotHere,
    NothingMore,
}

fn find(mut messages: &[u8], inode: u64) -> Found {
    while let Some(length) = u32_at(messages, 0) {
        let length = length as usize;
        let kind = u16_at(messages, 4).unwrap_or(NLMSG_DONE);
        let Some(message) = messages.get(MESSAGE_HEADER..length) else { return Found::NothingMore };
        if kind != SOCK_DIAG_BY_FAMILY {
            return Found::NothingMore; // done, or an error
        }
        if u32_at(message, INODE_AT).map(u64::from) == Some(inode) {
            let attributes = message.get(DIAG_HEADER..).unwrap_or(&[]);
            return drops_in(attributes).map_or(Found::NothingMore, Found::Drops);
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Found::NotHere
}

fn drops_in(mut attributes: &[u8]) -> Option<u64> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        if u16_at(attributes, 2)? == INET_DIAG_SKMEMINFO {
            return u32_at(attributes.get(4..length)?, DROPS_AT).map(u64::from);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}
