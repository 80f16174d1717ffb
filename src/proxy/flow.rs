//! One direction of a connection.
//!
//! Small exchanges go through a buffer that all connections of a thread share, bulk data through a
//! pipe in the kernel. Only what could not be written yet is kept, so an idle flow holds nothing.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::delay::Line;
use super::gate::{Degradation, Fault, Shared, State};
use super::pipe::{self, Pipe};
use super::toxic::{Chain, Ending, Out, Stream};

/// Reads and writes in one go, before the other connections of the thread have their turn.
const STEPS: u32 = 16;
const SCRATCH: usize = 64 * 1024;
/// So many full buffers in a row, and the flow is bulk data.
const FULL_READS_TO_BULK: u8 = 2;
/// A splice that moves less than this is not worth its two calls.
const SMALL_SPLICE: usize = 16 * 1024;
/// So many small splices in a row, and the flow is bulk data no more.
const SMALL_SPLICES_TO_CALM: u8 = 8;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Data from one socket to the other.
pub(super) struct Flow {
    stream: Stream,
    /// Read and not yet written; older than what the pipe holds.
    line: Option<Box<Line>>,
    pipe: Option<Pipe>,
    /// While there are toxics: holds all that was read and not yet written.
    chain: Option<Box<Chain>>,
    pace: Pace,
    /// Nothing more is read.
    ended: bool,
    /// What that means for the connection.
    ending: Ending,
    done: bool,
    last: bool,
}

#[derive(Clone, Copy)]
enum Pace {
    Calm { full: u8 },
    Bulk { small: u8 },
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::Calm { full: 0 }
    }
}

impl Flow {
    pub fn new(stream: Stream) -> Flow {
        Flow {
            stream,
            line: None,
            pipe: None,
            chain: None,
            pace: Pace::default(),
            ended: false,
            ending: Ending::Half,
            done: false,
            last: false,
        }
    }

    /// Whether the connection is to be closed, whatever the other direction has to say.
    pub fn closes(&self) -> bool {
        self.done && self.ending == Ending::Close
    }

    /// Whether the end has been passed on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Carries data until it would have to wait. Ready when the end has been passed on; if this is
    /// the `last` flow of the connection, closing the sockets does that, which saves a call.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        shared: &Shared,
        last: bool,
    ) -> Poll<io::Result<()>> {
        self.last = last;
        for _ in 0..STEPS {
            if self.done {
                return Poll::Ready(Ok(()));
            }
            // Held across this step: while we are in it, no cut is confirmed.
            let state = shared.pass();
            // Not even the readiness is asked for; the gate wakes us.
            if matches!(state.fault, Some(Fault::Blackhole | Fault::Reset)) {
                return Poll::Pending;
            }
            if !state.toxics.of(self.stream).is_empty() {
                ready!(self.treat(cx, from, to, shared, &state))?;
                continue;
            }
            if self.chain.is_some() {
                self.leave_chain();
            }
            match state.fault {
                Some(Fault::Degrade(how)) => {
                    ready!(self.degrade(cx, from, to, shared, &state, how))?;
                }
                _ => ready!(self.forward(cx, from, to, shared, &state))?,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One step: write what is left, or else read once and write it.
    fn forward(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        shared: &Shared,
        state: &State,
    ) -> Poll<io::Result<()>> {
        while let Some(line) = &mut self.line {
            match line.front() {
                Some(data) => {
                    let n = ready!(Pin::new(&mut *to).poll_write(cx, data))?;
                    shared.count(state, self.stream, n);
                    line.advance(n);
                }
                None => self.line = None,
            }
        }
        if let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            let n = ready!(pipe.poll_drain(cx, to))?;
            shared.count(state, self.stream, n);
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return self.pass_end(cx, to);
        }
        match self.pace {
            Pace::Calm { .. } => self.copy(cx, from, to, shared, state),
            Pace::Bulk { small } => self.splice(cx, from, shared, small),
        }
    }

    fn copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        shared: &Shared,
        state: &State,
    ) -> Poll<io::Result<()>> {
        self.give_pipe_back();
        BUFFER.with_borrow_mut(|buffer| {
            let n = ready!(self.read(cx, from, shared, buffer))?;
            let data = &buffer[..n];
            if data.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.pace = match self.pace {
                Pace::Calm { full } if data.len() == SCRATCH => match full + 1 {
                    FULL_READS_TO_BULK => Pace::Bulk { small: 0 },
                    full => Pace::Calm { full },
                },
                _ => Pace::Calm { full: 0 },
            };
            let written = match Pin::new(to).poll_write(cx, data) {
                Poll::Ready(result) => result?,
                Poll::Pending => 0,
            };
            shared.count(state, self.stream, written);
            if written < data.len() {
                self.line.get_or_insert_default().keep(&data[written..]);
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Reads once. 0 means the end, which is noted.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        shared: &Shared,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        self.ended = buffer.filled().is_empty();
        shared.received(self.stream, buffer.filled().len());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        shared: &Shared,
        small: u8,
    ) -> Poll<io::Result<()>> {
        if self.pipe.is_none() {
            self.pipe = pipe::take();
        }
        let Some(pipe) = &mut self.pipe else {
            self.pace = Pace::default(); // no pipe to be had: the buffer does it too
            return Poll::Ready(Ok(()));
        };
        match pipe.poll_fill(cx, from) {
            Poll::Pending => {
                self.give_pipe_back();
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                self.give_pipe_back();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(n)) if n < SMALL_SPLICE => {
                shared.received(self.stream, n);
                self.pace = match small + 1 {
                    SMALL_SPLICES_TO_CALM => Pace::default(),
                    small => Pace::Bulk { small },
                };
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(n)) => {
                shared.received(self.stream, n);
                self.pace = Pace::Bulk { small: 0 };
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn give_pipe_back(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe::give(pipe);
        }
    }

    fn pass_end(&mut self, cx: &mut Context<'_>, to: &mut TcpStream) -> Poll<io::Result<()>> {
        self.give_pipe_back();
        if self.ending == Ending::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !self.last && self.ending == Ending::Half {
            // It fails if the other side has closed, which ends the flow as well.
            let _ = ready!(Pin::new(to).poll_shutdown(cx));
        }
        self.done = true;
        Poll::Ready(Ok(()))
    }

    /// Write what is due and read what there is, until both have to wait.
    fn degrade(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        shared: &Shared,
        state: &State,
        how: Degradation,
    ) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let line = self.line.get_or_insert_default();
        if let Some(pipe) = &mut self.pipe {
            line.keep(&pipe.take_back()?);
        }
        line.begin(state.epoch, how, now);
        let mut unread = false;
        while let Some(data) = line.due(now) {
            let Poll::Ready(n) = Pin::new(&mut *to).poll_write(cx, data)? else {
                unread = true;
                break;
            };
            shared.count(state, self.stream, n);
            line.advance(n);
        }
        let room = if self.ended { 0 } else { line.room(unread) };
        self.give_pipe_back();
        if room > 0 && self.read_later(cx, from, shared, room, now)?.is_ready() {
            return Poll::Ready(Ok(())); // there may be more
        }
        let Some(line) = &mut self.line else { return Poll::Pending };
        if self.ended && line.is_over(now) {
            return self.pass_end(cx, to);
        }
        if unread {
            return Poll::Pending; // the receiver wakes us, not the clock
        }
        line.poll_due(cx, self.ended).map(Ok)
    }

    /// Reads once, for later.
    fn read_later(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        shared: &Shared,
        room: usize,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        BUFFER.with_borrow_mut(|buffer| {
            let n = ready!(self.read(cx, from, shared, &mut buffer[..room.min(SCRATCH)]))?;
            match (&mut self.chain, &mut self.line) {
                (Some(chain), _) if n == 0 => chain.end(Ending::Half, now),
                (Some(chain), _) => chain.push(&buffer[..n], now),
                (None, Some(line)) => line.schedule(&buffer[..n], now),
                (None, None) => {}
            }
            Poll::Ready(Ok(()))
        })
    }

    /// As [`Flow::degrade`], by way of the toxics.
    fn treat(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        shared: &Shared,
        state: &State,
    ) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let degradation = match state.fault {
            Some(Fault::Degrade(how)) => Some((state.epoch, how)),
            _ => None,
        };
        let is_new = self.chain.is_none();
        let chain = self.chain.get_or_insert_with(|| Box::new(Chain::new()));
        chain.sync(&state.toxics, self.stream, degradation, now);
        if is_new {
            self.enter_chain(now)?;
        }
        let Some(chain) = &mut self.chain else { return Poll::Pending };
        loop {
            chain.pump(now);
            match chain.front(now) {
                None => break,
                Some(Out::End(ending)) => {
                    (self.ended, self.ending) = (true, ending);
                    return self.pass_end(cx, to);
                }
                Some(Out::Data(data)) => {
                    let Poll::Ready(n) = Pin::new(&mut *to).poll_write(cx, data)? else { break };
                    shared.count(state, self.stream, n);
                    chain.advance(n);
                }
            }
        }
        let room = if self.ended { 0 } else { chain.room(now) };
        if room > 0 && self.read_later(cx, from, shared, room, now)?.is_ready() {
            return Poll::Ready(Ok(())); // there may be more
        }
        match &mut self.chain {
            Some(chain) => chain.poll_due(cx, now).map(Ok),
            None => Poll::Pending,
        }
    }

    /// Gives the toxics what was read before they came.
    fn enter_chain(&mut self, now: Instant) -> io::Result<()> {
        let line = self.line.take().map(|line| line.into_data());
        let piped = self.pipe.as_mut().map(Pipe::take_back).transpose()?;
        self.give_pipe_back();
        if let Some(chain) = &mut self.chain {
            line.into_iter()
                .flatten()
                .chain(piped)
                .filter(|data| !data.is_empty())
                .for_each(|data| chain.push(&data, now));
            if self.ended {
                chain.end(self.ending, now);
            }
        }
        Ok(())
    }

    /// Takes everything back from the toxics; they are gone.
    fn leave_chain(&mut self) {
        let Some(chain) = self.chain.take() else { return };
        let (data, ending) = chain.dissolve();
        for piece in data {
            self.line.get_or_insert_default().keep(&piece);
        }
        if let Some(ending) = ending {
            (self.ended, self.ending) = (true, ending);
        }
    }
}
