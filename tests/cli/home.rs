//! The one place that starts the binary: in a home of its own, with an empty environment.

#![allow(dead_code, reason = "several binaries share it, and each uses a part")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// No drill of these tests may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory to work in, with plans and the state directory.
pub struct Home {
    directory: TempDir,
    env: Vec<(String, String)>,
}

/// How the command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Whole outputs and the exit code, compared at once.
    #[track_caller]
    pub fn is(&self, code: i32, stdout: &str, stderr: &str) {
        let found = (self.code, self.stdout.as_str(), self.stderr.as_str());
        assert!(found == (code, stdout, stderr), "{self}\nwanted {code}\n{stdout}\n{stderr}");
    }

    /// The exit code, and text on either stream.
    #[track_caller]
    pub fn has(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self}");
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "no {text:?} in {self}"
            );
        }
    }
}

impl Ended {
    /// As [`Ended::has`], for sentences that the report may break into lines.
    #[track_caller]
    pub fn says(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self}");
        let flat = self.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(flat.contains(text), "no {text:?} in {self}");
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n-- stdout\n{}-- stderr\n{}--", self.code, self.stdout, self.stderr)
    }
}

impl Home {
    pub fn new() -> Home {
        Home { directory: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// With `name` in the environment, which is empty otherwise.
    pub fn with_env(mut self, name: &str, value: &str) -> Home {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and gives its name.
    pub fn file<'a>(&self, name: &'a str, contents: impl AsRef<[u8]>) -> &'a str {
        fs::write(self.path(name), contents).unwrap();
        name
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args);
        self.prepare(&mut command);
        command
    }

    /// Gives any command this home and its environment.
    pub fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("XDG_STATE_HOME", self.directory.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        end(self.command(args).spawn().unwrap())
    }

    /// Runs the binary as a user who may read only what everybody may: root reads everything.
    pub fn run_as_nobody(&self, args: &[&str]) -> Ended {
        match self.command_as(65534, args) {
            Some(mut command) => end(command.spawn().unwrap()),
            None => self.run(args),
        }
    }

    /// The command as another user; `None` where we may not be one.
    pub fn command_as(&self, user: u32, args: &[&str]) -> Option<Command> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let home = self.directory.path();
        if fs::metadata(home).unwrap().uid() != 0 {
            return None;
        }
        let copy = self.path("firedrill-copy");
        fs::copy(binary(), &copy).unwrap();
        for everybodys in [home, &copy] {
            fs::set_permissions(everybodys, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(copy);
        command.args(args).uid(user).gid(user);
        self.prepare(&mut command);
        Some(command)
    }

    /// The journals of all runs, as text.
    pub fn journals(&self) -> Vec<String> {
        let Ok(runs) = fs::read_dir(self.path("firedrill/runs")) else { return Vec::new() };
        // A run's directory is there a moment before its journal.
        runs.filter_map(|run| fs::read_to_string(run.unwrap().path().join("journal")).ok())
            .collect()
    }

    /// The journal of the only run.
    #[track_caller]
    pub fn journal(&self) -> String {
        let journals = self.journals();
        assert_eq!(journals.len(), 1);
        journals.concat()
    }

    /// The id of the only run.
    #[track_caller]
    pub fn only_run(&self) -> String {
        let mut runs = fs::read_dir(self.path("firedrill/runs")).unwrap();
        let run = runs.next().unwrap().unwrap();
        assert!(runs.next().is_none(), "more than one run");
        run.file_name().into_string().unwrap()
    }

    /// The id of the only run beside `other`.
    #[track_caller]
    pub fn only_run_but(&self, other: &str) -> String {
        let runs = fs::read_dir(self.path("firedrill/runs")).unwrap();
        let mut runs = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
        runs.find(|run| run != other).unwrap()
    }

    /// Everything that is in this home, as text.
    pub fn everything(&self) -> String {
        let (mut text, mut open) = (String::new(), vec![self.directory.path().to_owned()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false if path.is_file() => {
                        text += &path.display().to_string();
                        text += &String::from_utf8_lossy(&fs::read(&path).unwrap());
                    }
                    false => {}
                }
            }
        }
        text
    }

    /// Holds that no run was begun.
    #[track_caller]
    pub fn untouched(&self) {
        assert!(!self.path("firedrill").exists(), "{}", self.everything());
    }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_firedrill"))
}

/// Sends a signal to a process, or with a `-` in front to a group of them.
pub fn kill(signal: &str, whom: &str) {
    assert!(Command::new("kill").args(["-s", signal, "--", whom]).status().unwrap().success());
}

/// Waits for the end of `child`, with all that it wrote.
#[track_caller]
pub fn end(mut child: Child) -> Ended {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let code = code(&mut child);
    Ended { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.into_iter().for_each(|mut stream| drop(stream.read_to_end(&mut bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The exit code; one that a signal ended has none, and is a failure.
#[track_caller]
pub fn code(child: &mut Child) -> i32 {
    let begun = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| panic!("{status}"));
        }
        if begun.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("not ended after {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pipe that is full, and the reader who does not read it: as under a stopped pager.
pub fn stalled() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while std::io::Write::write(&mut writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

/// A drill under way, whose progress can be waited for.
pub struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    pub fn start(home: &Home, args: &[&str]) -> Running {
        // A group of its own, as a shell gives it.
        let mut child = home.command(args).process_group(0).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stderr, said: String::new() }
    }

    /// Reads its progress until a line holds `text`.
    #[track_caller]
    pub fn until(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "it never said {text:?}:\n{}", self.said);
            self.said += &line;
            if line.contains(text) {
                return;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        kill(name, &self.child.id().to_string());
    }

    /// Signals its process group.
    pub fn signal_group(&self, name: &str) {
        kill(name, &format!("-{}", self.child.id()));
    }

    /// The process of its watchdog.
    #[track_caller]
    pub fn watchdog(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(children).unwrap();
        let [watchdog] = children.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("children: {children:?}");
        };
        watchdog.to_owned()
    }

    /// The process of its watchdog, where it has started others too.
    #[track_caller]
    pub fn watchdog_among_others(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(children).unwrap();
        let is_watchdog = |pid: &&str| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|word| word == b"watchdog")
        };
        children.split_whitespace().find(is_watchdog).unwrap().to_owned()
    }

    /// Goes away as a reader of its stdout.
    pub fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    /// All that it and its watchdog say until both have ended, of a drill that a signal ended.
    #[track_caller]
    pub fn rest(mut self) -> String {
        let rest = drain(Some(self.stderr));
        let said = self.said + &rest.join().unwrap();
        self.child.wait().unwrap();
        said
    }

    #[track_caller]
    pub fn end(mut self) -> Ended {
        let stdout = drain(self.child.stdout.take());
        let rest = drain(Some(self.stderr));
        let code = code(&mut self.child);
        let stderr = self.said + &rest.join().unwrap();
        Ended { code, stdout: stdout.join().unwrap(), stderr }
    }
}
