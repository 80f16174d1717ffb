//! Lines as wide as they may be, whatever stands in them.

use unicode_width::UnicodeWidthChar;

use super::tell::Tone;
use crate::model::in_ascii;

/// A line of pieces, each in its tone. Whoever makes one gives printable text.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
}

impl Line {
    /// A line of one piece.
    pub fn of(tone: Tone, text: impl Into<String>) -> Line {
        Line { pieces: vec![(tone, text.into())] }
    }

    /// Adds a piece at its end.
    pub fn push(&mut self, tone: Tone, text: &str) {
        match self.pieces.last_mut() {
            Some((last, whole)) if *last == tone => whole.push_str(text),
            _ => self.pieces.push((tone, text.to_owned())),
        }
    }

    /// Adds another line at its end.
    pub fn extend(&mut self, other: &Line) {
        other.pieces.iter().for_each(|(tone, text)| self.push(*tone, text));
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line in exactly `columns`: filled up, or cut off.
    pub fn padded(self, columns: usize) -> Line {
        let mut line = self.fit(columns);
        let missing = columns.saturating_sub(line.width());
        line.push(Tone::Plain, &" ".repeat(missing));
        line
    }

    /// The line in at most `columns`.
    pub fn fit(self, columns: usize) -> Line {
        if self.width() <= columns {
            return self;
        }
        let mut room = columns.saturating_sub(1);
        let mut line = Line::default();
        for (tone, text) in self.pieces {
            let part = fitting(&text, room);
            room -= width(part);
            line.push(tone, part);
            if part.len() < text.len() {
                let rest = if columns > 0 { "…" } else { "" };
                line.push(tone, rest);
                break;
            }
        }
        line
    }

    /// The text for a terminal.
    pub fn paint(&self, color: bool, ascii: bool) -> String {
        let mut text = String::new();
        for (tone, piece) in &self.pieces {
            let piece = if ascii { in_ascii(piece) } else { piece.clone() };
            text.push_str(&tone.paint(&piece, color && !piece.trim().is_empty()));
        }
        // Spaces at its end are not painted, so they are at the end of the text.
        text.truncate(text.trim_end_matches(' ').len());
        text
    }
}

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The beginning of `text` that takes at most `columns`.
fn fitting(text: &str, columns: usize) -> &str {
    let mut room = columns;
    for (place, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        if wide > room {
            return &text[..place];
        }
        room -= wide;
    }
    text
}
