//! The live view: drawn again and again at the end of the terminal, and what happened above it.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::draw::{Look, draw, room};
use super::keys::{Keys, Mode, scrolled};
use super::tell::plain_line;
use super::terminal::{Output, Terminal};
use super::view::View;
use super::{Style, services};
use crate::model::{DrillEvent, in_ascii};

/// At most so many pictures a second: enough for the eye, little over ssh.
const PICTURES: u8 = 15;

/// The live view of a drill.
pub struct Live {
    picture: ProgressBar,
    terminal: Terminal,
    view: View,
    style: Style,
    tick: usize,
    /// `None`: keys are nobody's business here.
    keys: Option<Keys>,
    from: Option<usize>,
}

impl Live {
    /// A view on the terminal behind `output`.
    pub fn new(output: Arc<dyn Output>, style: Style, keys: Option<Keys>) -> Live {
        let terminal = Terminal::new(output);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), PICTURES);
        let picture = ProgressBar::with_draw_target(None, target);
        // The template is a constant and a test draws it, so the fallback is never seen.
        let template = ProgressStyle::with_template("{msg}");
        picture.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Live { picture, terminal, view: View::default(), style, tick: 0, keys, from: None }
    }

    /// Shows what happened: above the view if it is to stay, in the view if it will change.
    pub fn show(&mut self, event: &DrillEvent) {
        self.view.take(event);
        if !matches!(event, DrillEvent::Entered { .. })
            && let Some((tone, line)) = plain_line(event)
        {
            self.set();
            let line = if self.style.ascii { in_ascii(&line) } else { line };
            self.picture.println(tone.paint(&line, self.style.color));
        }
        self.draw();
    }

    /// Draws it anew, at the size that the terminal has by now.
    pub fn draw(&mut self) {
        self.set();
    }

    fn set(&mut self) {
        let (columns, rows) = self.terminal.size();
        let Style { color, ascii } = self.style;
        let keys = self.read_keys(rows);
        let look = Look { columns, rows, ascii, color, from: self.from, keys, tick: self.tick };
        let lines = draw(&self.view, &look);
        self.terminal.expect(lines.len());
        self.picture.set_message(lines.join("\n"));
    }

    /// Follows the keys, where there is more to see than there is room for. False: none can be had.
    fn read_keys(&mut self, rows: usize) -> bool {
        let (all, room) = (self.view.services.len(), room(&self.view, rows));
        let Some(keys) = self.keys.as_ref().filter(|_| all > room) else { return false };
        if !keys.are_read() {
            return false;
        }
        let page = services::page(all, room);
        for key in keys.take() {
            self.from = scrolled(self.from, key, page, all);
        }
        true
    }

    /// The terminal's mode, for whoever puts it back where this cannot.
    pub fn mode(&self) -> Mode {
        self.keys.as_ref().map(Keys::mode).unwrap_or_default()
    }

    /// Shows that the drill lives while nothing is told, as in a call that takes long.
    pub fn tick(&mut self) {
        self.tick = self.tick.wrapping_add(1);
        self.draw();
    }

    /// Clears the view; what was printed above it stays.
    pub fn clear(&mut self) {
        self.keys = None;
        self.terminal.expect(0);
        self.picture.finish_and_clear();
    }
}
