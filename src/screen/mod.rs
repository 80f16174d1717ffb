//! Live progress of a drill on stderr. Shows what the conductor tells; decides nothing.

mod live;
mod tell;
#[cfg(test)]
mod tests;

use std::io::Write;

use indicatif::ProgressDrawTarget;

use crate::model::DrillEvent;
use live::Live;
use tell::Teller;
pub use tell::{Tone, plain_line};

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

/// Shows a drill while it runs. What it drew over is cleared when it is dropped.
pub struct Screen {
    shown: Shown,
    color: bool,
    closed: bool,
}

enum Shown {
    Live(Box<Live>),
    Plain { teller: Teller, out: Box<dyn Write + Send> },
    Quiet,
}

impl Screen {
    /// A screen on stderr.
    pub fn new(kind: ScreenKind, color: bool) -> Screen {
        match kind {
            ScreenKind::Live => {
                // At most 15 times a second: enough for the eye, little over ssh.
                let target = ProgressDrawTarget::stderr_with_hz(15);
                // No terminal, or a dumb one: it would show nothing at all.
                if target.is_hidden() {
                    return Screen::new(ScreenKind::Plain, color);
                }
                Screen::live(target, color)
            }
            ScreenKind::Plain => Screen::plain(Box::new(std::io::stderr()), color),
            ScreenKind::Quiet => Screen { shown: Shown::Quiet, color, closed: false },
        }
    }

    fn live(target: ProgressDrawTarget, color: bool) -> Screen {
        Screen { shown: Shown::Live(Box::new(Live::new(target, color))), color, closed: false }
    }

    fn plain(out: Box<dyn Write + Send>, color: bool) -> Screen {
        Screen { shown: Shown::Plain { teller: Teller::default(), out }, color, closed: false }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: &DrillEvent) {
        match &mut self.shown {
            Shown::Live(live) => live.show(event),
            Shown::Plain { teller, out } => {
                for (tone, line) in teller.tell(event) {
                    // A closed stderr must not end a drill while traffic is cut.
                    let _ = writeln!(out, "{}", tone.paint(&line, self.color));
                }
            }
            Shown::Quiet => {}
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
