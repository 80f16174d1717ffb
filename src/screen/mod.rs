//! Live progress of a drill on stderr. Shows what the conductor tells; decides nothing.

mod draw;
mod keys;
mod line;
mod live;
mod services;
mod tell;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::io::Write;
use std::sync::Arc;

use indicatif::ProgressDrawTarget;

use crate::model::{DrillEvent, in_ascii};
use keys::Keys;
pub use keys::Mode;
use live::Live;
use tell::Teller;
pub use tell::{Tone, plain_line};
use terminal::{Output, Stderr};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenKind {
    /// A few lines at the bottom of a terminal, drawn again and again, and what happened above them.
    /// Where stderr is no terminal, or a dumb one, this is [`ScreenKind::Plain`].
    Live,
    /// A line for each event that matters, as for the log of a CI run.
    Plain,
    /// Nothing.
    Quiet,
}

/// What the screen may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours, which say nothing that is not said in words too.
    pub color: bool,
    /// ASCII alone.
    pub ascii: bool,
}

/// Shows a drill while it runs. What it drew over is cleared when it is dropped.
pub struct Screen {
    shown: Shown,
    style: Style,
    closed: bool,
}

enum Shown {
    Live(Box<Live>),
    Plain { teller: Teller, out: Box<dyn Write + Send> },
    Quiet,
}

impl Screen {
    /// A screen on stderr.
    pub fn new(kind: ScreenKind, style: Style) -> Screen {
        match kind {
            // No terminal, or a dumb one: it would show nothing at all.
            ScreenKind::Live if ProgressDrawTarget::stderr().is_hidden() => {
                Screen::new(ScreenKind::Plain, style)
            }
            ScreenKind::Live => Screen::live(Arc::new(Stderr), style, Some(Keys::default())),
            ScreenKind::Plain => Screen::plain(Box::new(std::io::stderr()), style),
            ScreenKind::Quiet => Screen { shown: Shown::Quiet, style, closed: false },
        }
    }

    fn live(output: Arc<dyn Output>, style: Style, keys: Option<Keys>) -> Screen {
        let live = Live::new(output, style, keys);
        Screen { shown: Shown::Live(Box::new(live)), style, closed: false }
    }

    fn plain(out: Box<dyn Write + Send>, style: Style) -> Screen {
        Screen { shown: Shown::Plain { teller: Teller::default(), out }, style, closed: false }
    }

    /// The terminal's mode, which the screen may change. To be put back by whoever does not wait for the screen.
    pub fn mode(&self) -> Mode {
        match &self.shown {
            Shown::Live(live) => live.mode(),
            Shown::Plain { .. } | Shown::Quiet => Mode::default(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &DrillEvent) {
        match &mut self.shown {
            Shown::Live(live) => live.show(event),
            Shown::Plain { teller, out } => {
                for (tone, line) in teller.tell(event) {
                    let line = if self.style.ascii { in_ascii(&line) } else { line };
                    // A closed stderr must not end a drill while traffic is cut.
                    let _ = writeln!(out, "{}", tone.paint(&line, self.style.color));
                }
            }
            Shown::Quiet => {}
        }
    }

    /// Says that some time has passed in which nothing happened.
    pub fn tick(&mut self) {
        if let Shown::Live(live) = &mut self.shown {
            live.tick();
        }
    }

    /// Clears what is drawn again and again; what was printed above it stays. Idempotent.
    pub fn finish(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        match &mut self.shown {
            Shown::Live(live) => live.clear(),
            Shown::Plain { out, .. } => {
                let _ = out.flush();
            }
            Shown::Quiet => {}
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.finish();
    }
}
