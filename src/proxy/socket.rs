//! What the proxy does to sockets beyond reading and writing.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

/// Connections that the kernel keeps for us until we accept them; it lowers this to its own limit.
const BACKLOG: i32 = 4096;
/// How often received data is thrown away before a close; somebody who sends on for ever does not hold it up.
const UNREAD_STEPS: u32 = 64;

/// A socket bound to `address` that does not listen yet.
///
/// Its port is asked for by number in any case. Linux takes a port that it chose itself back when
/// the socket stops listening, and then anyone could take it during a cut.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.port() != 0 {
        return bind_exactly(address).map(TcpListener::from);
    }
    // The anchor holds the port that the kernel chose until the second socket has it as well.
    let anchor = bind_exactly(address)?;
    let chosen = anchor.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    bind_exactly(chosen).map(TcpListener::from)
}

fn bind_exactly(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens, for the first time or again after [`pause`].
pub(super) fn listen(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // Connections that are still open hold the port as well; both sides must agree to share it.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)
}

/// Stops listening; the port stays ours, and nobody else can bind it.
pub(super) fn pause(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.shutdown(Shutdown::Read)?;
    socket.set_reuse_address(false)
}

/// Makes everything that arrives at a socket vanish, before the kernel answers it.
pub(super) fn vanish(socket: &impl AsFd) -> io::Result<()> {
    // A classic BPF program of one instruction: "return 0", keep nothing of the packet.
    SockRef::from(socket).attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])
}

/// Ends [`vanish`]; does nothing to a socket that is not in it.
pub(super) fn appear(socket: &impl AsFd) -> io::Result<()> {
    match SockRef::from(socket).detach_filter() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lets the close of `socket` send a RST instead of a FIN, and drop what is not sent.
pub(super) fn reset_on_close(socket: &impl AsFd) {
    // It fails only for a socket that is closed already, which is what we want.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Lets the close of `stream` send a FIN: what is unsent still goes, and what was received is thrown away, because with that
/// unread the kernel would send a RST.
pub(super) fn close_gently(stream: &TcpStream) {
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    let mut unread = [0; 16 * 1024];
    for _ in 0..UNREAD_STEPS {
        if !matches!(stream.try_read(&mut unread), Ok(1..)) {
            return;
        }
    }
}
