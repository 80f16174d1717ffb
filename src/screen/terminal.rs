//! The terminal below the live view.
//!
//! indicatif fills every line up to the edge and lets the terminal wrap it. A terminal that becomes narrower takes
//! such lines for one long paragraph, and what was drawn cannot be found again. Here lines end where their text
//! ends, and what is to be erased is counted by the width that the terminal has at that moment.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use indicatif::TermLike;

/// Where lines go.
pub trait Output: std::fmt::Debug + Send + Sync {
    /// Columns and rows; as far as is known.
    fn size(&self) -> (u16, u16);

    /// Writes a whole picture at once.
    ///
    /// # Errors
    /// When nobody takes it.
    fn put(&self, bytes: &[u8]) -> io::Result<()>;
}

/// Standard error.
#[derive(Debug)]
pub struct Stderr;

impl Output for Stderr {
    fn size(&self) -> (u16, u16) {
        let known = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        // No terminal, or one that nobody has sized: as people are used to.
        let known = known.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        known.map_or((80, 24), |size| (size.ws_col, size.ws_row))
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        stderr.write_all(bytes)?;
        stderr.flush()
    }
}

/// A picture at the end of a terminal, and what scrolls above it.
#[derive(Debug, Clone)]
pub struct Terminal {
    output: Arc<dyn Output>,
    sheet: Arc<Mutex<Sheet>>,
    /// Lines of the picture that is drawn next.
    lines: Arc<AtomicUsize>,
}

/// A picture that is being put together.
#[derive(Debug, Default)]
struct Sheet {
    text: String,
    /// How wide its lines are.
    widths: Vec<usize>,
    /// How wide the lines of the picture are that stands on the terminal.
    drawn: Vec<usize>,
    erased: bool,
    /// Whether what comes next only fills a line up.
    filler: bool,
}

impl Terminal {
    /// The terminal behind `output`.
    pub fn new(output: Arc<dyn Output>) -> Terminal {
        Terminal { output, sheet: Arc::default(), lines: Arc::default() }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let (columns, rows) = self.output.size();
        (columns.into(), rows.into())
    }

    /// From now on so many lines are the picture, the last ones that are drawn; those before scroll.
    pub fn expect(&self, lines: usize) {
        self.lines.store(lines, Ordering::Relaxed);
    }

    fn with(&self, work: impl FnOnce(&mut Sheet)) {
        work(&mut self.sheet.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn erase(&self) -> io::Result<()> {
        let columns = usize::from(self.output.size().0).max(1);
        self.with(|sheet| sheet.erase(columns));
        Ok(())
    }
}

impl Sheet {
    /// Takes the picture away that stands there; once in a drawing.
    fn erase(&mut self, columns: usize) {
        if std::mem::replace(&mut self.erased, true) || self.drawn.is_empty() {
            return;
        }
        let rows: usize = self.drawn.drain(..).map(|width| width.div_ceil(columns).max(1)).sum();
        self.text.push_str(&format!("\x1b[{rows}A\r\x1b[J"));
    }

    fn line(&mut self, text: &str) {
        if std::mem::replace(&mut self.filler, true) {
            self.filler = false;
            return;
        }
        if !self.widths.is_empty() {
            self.text.push_str("\r\n");
        }
        self.widths.push(super::line::width(&without_tones(text)));
        self.text.push_str(text);
    }

    fn finish(&mut self, lines: usize) -> String {
        let scrolls = self.widths.len().saturating_sub(lines);
        self.drawn = self.widths.split_off(scrolls);
        if !self.drawn.is_empty() || scrolls > 0 {
            // Whatever else is written to the terminal, as by a watchdog, has a line of its own.
            self.text.push_str("\r\n");
        }
        (self.erased, self.filler) = (false, false);
        self.widths.clear();
        std::mem::take(&mut self.text)
    }
}

/// `text` without the sequences that colour it: there are no others.
pub fn without_tones(text: &str) -> String {
    let mut pieces = text.split('\x1b');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest)));
    plain
}

/// indicatif moves and clears only to take the last picture away, and that is done by our own count.
impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.output.size().0
    }

    fn height(&self) -> u16 {
        // What is drawn fits: it was made for this terminal.
        u16::MAX
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        self.erase()
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.with(|sheet| sheet.line(text));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.erase()
    }

    fn flush(&self) -> io::Result<()> {
        let mut bytes = String::new();
        self.with(|sheet| bytes = sheet.finish(self.lines.load(Ordering::Relaxed)));
        self.output.put(bytes.as_bytes())
    }
}
