//! Kernel pipes that bulk data is spliced through, without coming to user space.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// More than a pipe can take, so that its size is the limit.
const AS_MUCH_AS_FITS: usize = 1 << 20;
/// What a pipe shall hold, if the system lets it.
const ROOMY: usize = 256 * 1024;
/// Idle pipes kept per thread. Each is two descriptors.
const SPARE: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// An empty pipe, or none if the system has none left.
pub(super) fn take() -> Option<Pipe> {
    POOL.with_borrow_mut(Vec::pop).or_else(Pipe::new)
}

/// Keeps `pipe` for the next flow of this thread, if it is worth it.
pub(super) fn give(pipe: Pipe) {
    POOL.with_borrow_mut(|pool| {
        if pipe.is_empty() && pool.len() < SPARE {
            pool.push(pipe);
        }
    });
}

/// A pipe and how much is in it.
pub(super) struct Pipe {
    outlet: OwnedFd,
    inlet: OwnedFd,
    held: usize,
}

impl Pipe {
    fn new() -> Option<Pipe> {
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Fewer calls for the same data; an unprivileged user may have some hundred that large.
        let _ = rustix::pipe::fcntl_setpipe_size(&inlet, ROOMY);
        Some(Pipe { outlet, inlet, held: 0 })
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what has arrived at `from` into the pipe, which must be empty: otherwise "the socket
    /// has nothing" and "the pipe is full" look the same. 0 means the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || move_data(from, &self.inlet, AS_MUCH_AS_FITS))
            {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(n) => {
                    self.held += n;
                    return Poll::Ready(Ok(n));
                }
            }
        }
    }

    /// Moves what is in the pipe to `to`, once, as far as it goes.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || move_data(&self.outlet, to, self.held)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(n) => {
                    self.held = self.held.saturating_sub(n);
                    return Poll::Ready(Ok(n));
                }
            }
        }
    }

    /// Reads what is in the pipe, which is empty afterwards.
    pub fn take_back(&mut self) -> io::Result<Vec<u8>> {
        let mut data = vec![0; self.held];
        let mut filled = 0;
        while filled < data.len() {
            match rustix::io::read(&self.outlet, &mut data[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        self.held = 0;
        Ok(data)
    }
}

fn move_data(from: &impl AsFd, to: &impl AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}
