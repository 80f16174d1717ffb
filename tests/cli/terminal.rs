//! The live view on a real terminal: keys scroll, and the terminal's mode is put back however the drill ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::home::{Home, binary, code, kill};

/// Waits no longer for the terminal.
const LIMIT: Duration = Duration::from_secs(20);

/// More services than a terminal of ten rows has room for.
fn plan() -> String {
    let names = ["a", "b", "c", "d", "e", "f"];
    let each = |of: fn(&str) -> String| names.map(of).concat();
    let lab = each(|name| format!("    {name}: {{ east: 1, west: 1 }}\n"));
    let services = each(|name| {
        format!(
            "  {name}: {{ probes: {{ get: {{ http: {{ url: \"${{lab:{name}}}/\" }}, every: 200ms, \
             timeout: 1s }} }}, promises: {{ recover_within: 5s }} }}\n"
        )
    });
    format!(
        "version: 1\nname: many\ndatacenters: [east, west]\nlab:\n  services:\n{lab}traffic:\n  wan: {{ lab: {{}} }}\n\
         services:\n{services}cut: {{ datacenter: east, mode: reset, through: [wan] }}\n\
         timing: {{ baseline: 2s, stable_for: 50s, at_most: 10m }}\n"
    )
}

/// A drill in a session of its own on a terminal of its own.
struct Terminal {
    ours: File,
    theirs: OwnedFd,
    drill: Child,
    seen: String,
}

impl Terminal {
    fn new(home: &Home) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 10, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).unwrap();
        let file = home.file("plan.yaml", plan());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(binary()).args(["run", file]);
        home.prepare(&mut command);
        let end = || theirs.try_clone().unwrap();
        command.env("TERM", "xterm").env("LANG", "C.UTF-8");
        let drill = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Terminal { ours: File::from(ours), theirs, drill, seen: String::new() }
    }

    /// Reads until `text` was drawn.
    #[track_caller]
    fn until(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.seen.contains(text) {
            let mut ends = [PollFd::new(&self.ours, PollFlags::IN)];
            let limit = Timespec::try_from(LIMIT).unwrap();
            let count = poll(&mut ends, Some(&limit)).unwrap();
            assert!(count > 0, "not drawn: {text:?}\n{}", self.seen);
            let count = self.ours.read(&mut bytes).unwrap();
            self.seen += &String::from_utf8_lossy(&bytes[..count]);
        }
        self.seen.clear();
    }

    /// What a terminal is left with: whether it takes whole lines, and shows what is typed.
    fn mode(&self) -> LocalModes {
        tcgetattr(&self.theirs).unwrap().local_modes
    }

    /// Reads on in the background: nobody waits for a terminal that is not read.
    fn let_go(&mut self) {
        let mut ours = self.ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while ours.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
    }
}

/// A drill on a terminal whose keys it reads, and the mode that the terminal had before.
fn scrolling(home: &Home) -> (Terminal, LocalModes) {
    let mut terminal = Terminal::new(home);
    let whole = LocalModes::ICANON | LocalModes::ECHO;
    let before = terminal.mode();
    assert!(before.contains(whole), "{before:?}");
    terminal.until("j and k scroll");
    assert!(!terminal.mode().intersects(whole), "{:?}", terminal.mode());
    assert!(terminal.mode().contains(LocalModes::ISIG), "Ctrl-C has to be a signal");
    (terminal, before)
}

#[test]
fn keys_scroll_and_a_signal_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let (mut terminal, before) = scrolling(&home);
    terminal.ours.write_all(b"G").unwrap();
    terminal.until("of 6 (w: the worst)");
    // The terminal makes a signal of it, as ever.
    terminal.ours.write_all(b"\x03").unwrap();
    terminal.let_go();
    assert_eq!(code(&mut terminal.drill), 5);
    assert_eq!(terminal.mode(), before);
}

#[test]
fn a_drill_that_is_killed_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let (mut terminal, before) = scrolling(&home);
    terminal.let_go();
    kill("KILL", &terminal.drill.id().to_string());
    terminal.drill.wait().unwrap();
    let begun = Instant::now();
    while terminal.mode() != before {
        assert!(begun.elapsed() < LIMIT, "{:?}", terminal.mode());
        // The watchdog puts it back, and a terminal tells nobody of that: it is looked at until it is so.
        std::thread::sleep(Duration::from_millis(5));
    }
}
