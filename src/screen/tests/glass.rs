//! A terminal that does what a live screen asks of it, and takes lines anew when it becomes narrower.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::screen::line::width;

/// What stands on it: lines as they were written, however many rows each takes.
#[derive(Debug)]
pub struct Glass {
    seen: Mutex<(usize, Vec<String>)>,
}

impl Glass {
    pub fn new(columns: usize) -> Arc<Glass> {
        Arc::new(Glass { seen: Mutex::new((columns, vec![String::new()])) })
    }

    pub fn resize(&self, columns: usize) {
        self.seen.lock().unwrap().0 = columns;
    }

    pub fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().1.clone()
    }
}

/// Takes the last `rows` rows away, down to the beginning of the first of them.
fn take_away(lines: &mut Vec<String>, columns: usize, mut rows: usize) {
    while let Some(line) = lines.pop() {
        let high = width(&line).div_ceil(columns).max(1);
        if high >= rows {
            lines.push(line.chars().take((high - rows) * columns).collect());
            return;
        }
        rows -= high;
    }
}

impl Output for Glass {
    fn size(&self) -> (u16, u16) {
        (self.seen.lock().unwrap().0 as u16, 24)
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let (columns, lines) = &mut *self.seen.lock().unwrap();
        let mut rest = std::str::from_utf8(bytes).unwrap();
        if let Some((up, drawn)) = rest.split_once("\r\x1b[J") {
            let up = up.strip_prefix("\x1b[").and_then(|up| up.strip_suffix('A'));
            take_away(lines, *columns, up.map_or(0, |rows| rows.parse().unwrap()) + 1);
            rest = drawn;
        }
        let mut drawn = rest.split("\r\n");
        lines.last_mut().unwrap().push_str(drawn.next().unwrap());
        lines.extend(drawn.map(str::to_owned));
        Ok(())
    }
}
