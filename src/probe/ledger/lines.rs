//! What a command says, line by line, whatever it is.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The longest line that means anything.
const LONGEST: u64 = 64 << 10;

/// The lines of a stream.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole one, without its end; bytes that are no UTF-8 are replaced.
    Whole(String),
    /// One that is too long to mean anything.
    TooLong,
    /// The stream ended within it: it may be a part of anything.
    CutShort,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of `from`.
    pub(super) fn new(from: R) -> Lines<R> {
        Lines { from: BufReader::new(from), line: Vec::new() }
    }

    /// The next line; `None` when there are no more.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        if self.read().await? == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(Line::Whole(String::from_utf8_lossy(&self.line).into_owned())));
        }
        let too_long = self.line.len() as u64 == LONGEST;
        // Its rest is no line of its own.
        while self.line.last().is_some_and(|last| *last != b'\n') {
            if self.read().await? == 0 {
                return Ok(Some(Line::CutShort));
            }
        }
        Ok(Some(if too_long { Line::TooLong } else { Line::CutShort }))
    }

    async fn read(&mut self) -> std::io::Result<usize> {
        self.line.clear();
        (&mut self.from).take(LONGEST).read_until(b'\n', &mut self.line).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(from: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(from);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.to_owned())
    }

    #[tokio::test]
    async fn lines_are_whole_too_long_or_cut_short() {
        assert_eq!(all(b"").await, []);
        assert_eq!(all(b"a\n\nb\n").await, [whole("a"), whole(""), whole("b")]);
        assert_eq!(all(b"a\nb").await, [whole("a"), Line::CutShort]);
        assert_eq!(all(b"\xff\n").await, [whole("\u{fffd}")]);
        let longest = LONGEST as usize;
        for (length, expected) in [(longest - 1, false), (longest, true), (16 * longest + 3, true)]
        {
            let mut text = vec![b'x'; length];
            text.extend(b"\nok\n");
            let lines = all(&text).await;
            assert_eq!(lines.len(), 2, "{length}");
            assert_eq!(lines[0] == Line::TooLong, expected, "{length}");
            assert_eq!(lines[1], whole("ok"), "{length}");
        }
        assert_eq!(all(&vec![b'x'; 2 * longest]).await, [Line::CutShort]);
    }
}
