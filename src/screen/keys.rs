//! Keys while the view runs, and the terminal's mode, which is always put back.
//!
//! Keys come one by one, and without an echo, only in another mode than a shell leaves behind. Who ends: the view
//! puts the mode back; where its thread hangs on a stopped terminal, the drill does; and where the drill was killed,
//! its watchdog does, if nobody else has changed the mode since.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A line on, or back.
    Lines(isize),
    /// A page on, or back.
    Pages(isize),
    /// The first line.
    First,
    /// The last line.
    Last,
    /// The worst services again.
    Worst,
}

/// The mode of the terminal on stderr, as it was.
#[derive(Clone, Default)]
pub struct Mode {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    before: Option<Termios>,
    /// It was put back, and is not changed again: whoever did so may not be the one who reads keys.
    closed: bool,
}

impl Mode {
    /// The mode of the terminal on stderr as it is now, to be put back with [`Mode::put_back_ours`].
    pub fn remember() -> Mode {
        let stderr = io::stderr();
        let now = if isatty(&stderr) { tcgetattr(&stderr).ok() } else { None };
        Mode { known: Arc::new(Mutex::new(Known { before: now, closed: false })) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever changes the mode: nobody puts it back as long as this is held; `None`: somebody did.
    fn open(&self) -> Option<MutexGuard<'_, Known>> {
        Some(self.known()).filter(|known| !known.closed)
    }

    /// What it was before, for the last time.
    fn close(&self) -> Option<Termios> {
        let mut known = self.known();
        known.closed = true;
        known.before.take()
    }

    /// Lets keys come one by one, without echo. False: they cannot be had, because stdin is not the terminal that
    /// is drawn on, or because we are in the background, where whoever touches it is stopped.
    fn change(&self) -> bool {
        if !is_one_terminal() || !is_foreground() {
            return false;
        }
        let Some(mut known) = self.open() else { return false };
        let Ok(now) = tcgetattr(io::stderr()) else { return false };
        let ours = for_keys(&now);
        if is_same(&now, &ours) {
            return true;
        }
        known.before.get_or_insert(now);
        tcsetattr(io::stderr(), OptionalActions::Now, &ours).is_ok()
    }

    /// Puts the mode back as it was; idempotent. In the background nothing is done: the shell has set its own.
    pub fn put_back(&self) {
        let before = self.close();
        if let Some(before) = before.filter(|_| is_foreground()) {
            let _ = tcsetattr(io::stderr(), OptionalActions::Now, &before);
        }
    }

    /// Puts the mode back that was remembered, if the present one is what the keys made of it. For a process in
    /// another session, which the terminal does not stop.
    pub fn put_back_ours(&self) {
        let Some((before, now)) = self.close().zip(tcgetattr(io::stderr()).ok()) else { return };
        if is_same(&now, &for_keys(&before)) && !is_same(&now, &before) {
            let _ = tcsetattr(io::stderr(), OptionalActions::Now, &before);
        }
    }
}

/// Keys as they come. The mode is put back when it is dropped.
#[derive(Default)]
pub struct Keys {
    mode: Mode,
}

impl Keys {
    /// The mode that it changes.
    pub fn mode(&self) -> Mode {
        self.mode.clone()
    }

    /// Whether keys can be had. Begins to take them, again where somebody else has set the mode meanwhile, as a shell
    /// does between Ctrl-Z and `fg`.
    pub fn are_read(&self) -> bool {
        self.mode.change()
    }

    /// The keys that came since it was called last. Does not wait.
    pub fn take(&self) -> Vec<Key> {
        if !is_foreground() {
            return Vec::new();
        }
        let stdin = io::stdin();
        let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_there = poll(&mut ends, Some(&at_once)).is_ok_and(|count| count > 0);
        if !is_there || !ends[0].revents().contains(PollFlags::IN) {
            return Vec::new();
        }
        let mut bytes = [0; 64];
        let count = rustix::io::read(&stdin, &mut bytes).unwrap_or(0);
        keys(&bytes[..count])
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.mode.put_back();
    }
}

/// The mode in which keys come one by one: signals (Ctrl-C) and the rest stay as they are.
fn for_keys(mode: &Termios) -> Termios {
    let mut mode = mode.clone();
    mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}

fn is_same(one: &Termios, other: &Termios) -> bool {
    one.local_modes == other.local_modes
        && one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
}

/// Whether stdin and stderr are one terminal.
fn is_one_terminal() -> bool {
    let (stdin, stderr) = (io::stdin(), io::stderr());
    let device = |of: &dyn AsFd| fstat(of.as_fd()).ok().map(|known| known.st_rdev);
    isatty(&stdin) && isatty(&stderr) && device(&stdin) == device(&stderr)
}

fn is_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp())
}

/// What `bytes` ask for; those that mean nothing are left out.
fn keys(bytes: &[u8]) -> Vec<Key> {
    const KEYS: [(&[u8], Key); 21] = [
        (b"\x1b[A", Key::Lines(-1)),
        (b"\x1bOA", Key::Lines(-1)),
        (b"k", Key::Lines(-1)),
        (b"\x1b[B", Key::Lines(1)),
        (b"\x1bOB", Key::Lines(1)),
        (b"j", Key::Lines(1)),
        (b"\x1b[5~", Key::Pages(-1)),
        (b"b", Key::Pages(-1)),
        (b"\x1b[6~", Key::Pages(1)),
        (b" ", Key::Pages(1)),
        (b"\x1b[H", Key::First),
        (b"\x1bOH", Key::First),
        (b"\x1b[1~", Key::First),
        (b"g", Key::First),
        (b"\x1b[F", Key::Last),
        (b"\x1bOF", Key::Last),
        (b"\x1b[4~", Key::Last),
        (b"G", Key::Last),
        (b"w", Key::Worst),
        (b"q", Key::Worst),
        (b"\x1b", Key::Worst),
    ];
    let (mut found, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        match KEYS.iter().find(|(sent, _)| rest.starts_with(sent)) {
            Some((sent, Key::Worst)) if *sent == b"\x1b" && rest.len() > 1 => {
                // Another sequence than ours, to its end.
                let end = rest.iter().skip(2).position(|byte| (0x40..0x7f).contains(byte));
                rest = &rest[end.map_or(rest.len(), |end| end + 3)..];
            }
            Some((sent, key)) => {
                found.push(*key);
                rest = &rest[sent.len()..];
            }
            None => rest = &rest[1..],
        }
    }
    found
}

/// The first service that is shown after `key`, with `page` of `all` in sight; `None`: the worst are shown.
pub fn scrolled(from: Option<usize>, key: Key, page: usize, all: usize) -> Option<usize> {
    let last = all.saturating_sub(page);
    let here = from.unwrap_or(0).min(last);
    let by = |lines: isize| Some(here.saturating_add_signed(lines).min(last));
    match key {
        Key::Worst => None,
        // The first key shows the beginning of the list, whatever it is.
        Key::Lines(1..) | Key::Pages(1..) if from.is_none() => Some(0),
        Key::Lines(lines) => by(lines),
        Key::Pages(pages) => by(pages.saturating_mul(page.max(1) as isize)),
        Key::First => Some(0),
        Key::Last => Some(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_was_put_back_is_not_changed_again() {
        let keys = Keys::default();
        assert!(keys.mode().open().is_some());
        keys.mode().put_back();
        // The view's thread hung, and goes on when the drill has ended.
        assert!(keys.mode.open().is_none() && !keys.are_read());
    }

    #[test]
    fn keys_are_told_from_what_means_nothing() {
        assert_eq!(keys(b"jk"), [Key::Lines(1), Key::Lines(-1)]);
        assert_eq!(keys(b"\x1b[B\x1bOA\x1b[6~"), [Key::Lines(1), Key::Lines(-1), Key::Pages(1)]);
        assert_eq!(keys(b"\x1b"), [Key::Worst]);
        // Another sequence, as of a mouse or of F5, is none of the keys that it holds.
        assert_eq!(keys(b"\x1b[15~g\xff\0\x1b[1;5C"), [Key::First]);
        assert_eq!(keys(b"\x1b["), []);
        for byte in 0..=255 {
            keys(&[0x1b, byte]);
            keys(&[0x1b, 0x1b, byte]);
        }
    }

    #[test]
    fn scrolling_ends_at_both_ends() {
        let all = 100;
        assert_eq!(scrolled(None, Key::Lines(1), 10, all), Some(0));
        assert_eq!(scrolled(Some(0), Key::Lines(1), 10, all), Some(1));
        assert_eq!(scrolled(Some(85), Key::Pages(1), 10, all), Some(90));
        assert_eq!(scrolled(Some(5), Key::Pages(-1), 10, all), Some(0));
        assert_eq!(scrolled(Some(5), Key::Last, 10, all), Some(90));
        // The terminal grew meanwhile.
        assert_eq!(scrolled(Some(90), Key::Lines(-1), 50, all), Some(49));
        assert_eq!(scrolled(Some(90), Key::Lines(1), 200, all), Some(0));
        assert_eq!(scrolled(Some(5), Key::Worst, 10, all), None);
    }
}
