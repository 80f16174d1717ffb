//! What a server sends, held to the form of PostgreSQL's messages before the client library believes it.
//!
//! Each message says its length first, and the library makes room for all of it at once: the first bytes of another protocol
//! would be gigabytes. (`HTTP/1.1` announces 1.4 GB.)

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// No message to a ledger is longer: rows of one number, and what a server has to say.
const LONGEST: u32 = 1 << 20;

/// A reader whose bytes are messages, each a letter, its length in four bytes, and the rest of that length.
pub(super) struct Frames<R> {
    inner: R,
    place: Place,
}

/// Where in a message the next byte is.
#[derive(Clone, Copy)]
enum Place {
    /// In front of one.
    Letter,
    /// In its length, of which so many bytes came and say this so far.
    Length(u8, u32),
    /// So many bytes before its end.
    Body(u32),
}

impl<R> Frames<R> {
    pub(super) fn of(inner: R) -> Frames<R> {
        Frames { inner, place: Place::Letter }
    }
}

impl Place {
    /// The place behind `bytes`; `None` if they are no messages.
    fn after(mut self, mut bytes: &[u8]) -> Option<Place> {
        while let [first, rest @ ..] = bytes {
            (self, bytes) = match self {
                Place::Letter => (Place::Length(0, 0), rest),
                Place::Length(came, said) if came < 3 => {
                    (Place::Length(came + 1, said << 8 | u32::from(*first)), rest)
                }
                Place::Length(_, said) => match said << 8 | u32::from(*first) {
                    // The length counts itself.
                    4 => (Place::Letter, rest),
                    length @ 5..=LONGEST => (Place::Body(length - 4), rest),
                    _ => return None,
                },
                Place::Body(left) => {
                    let now = bytes.len().min(left as usize);
                    let left = left - now as u32;
                    (if left == 0 { Place::Letter } else { Place::Body(left) }, &bytes[now..])
                }
            };
        }
        Some(self)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Frames<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        match self.place.after(&into.filled()[before..]) {
            Some(place) => {
                self.place = place;
                Poll::Ready(Ok(()))
            }
            None => {
                let what = "what answers there is no PostgreSQL";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_however_they_are_cut_and_other_bytes_do_not() {
        let good = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x07a\0bZ\0\0\0\x05I1\0\0\0\x04";
        for piece in 1..good.len() {
            let mut place = Some(Place::Letter);
            for bytes in good.chunks(piece) {
                place = place.and_then(|place| place.after(bytes));
            }
            assert!(matches!(place, Some(Place::Letter)), "in pieces of {piece}");
        }
        assert!(matches!(Place::Letter.after(b"D\0\x10\0\0"), Some(Place::Body(_))), "1 MiB");
        for bad in
            [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"D\0\x10\0\x01", b"Z\0\0\0\x03", b"Z\0\0\0\0"]
        {
            assert!(Place::Letter.after(bad).is_none(), "{bad:?}");
        }
    }
}
