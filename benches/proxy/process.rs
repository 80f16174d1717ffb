//! Child processes, and what they cost.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout};

/// A running process that serves at `address`. Ended when dropped.
pub struct Child {
    pub address: SocketAddr,
    pub process: std::process::Child,
    /// Files it needs while it runs.
    pub files: Option<tempfile::TempDir>,
    pub talk: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Child {
    /// Sends a command; [`Child::answer`] waits for the line that it answers.
    pub fn tell(&mut self, command: &str) {
        let (stdin, _) = self.talk.as_mut().expect("it takes commands");
        writeln!(stdin, "{command}").unwrap();
    }

    pub fn answer(&mut self) -> String {
        let (_, stdout) = self.talk.as_mut().expect("it takes commands");
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// CPU seconds of all processes and threads that belong to it.
    pub fn cpu(&self) -> f64 {
        self.pids().iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Resident bytes.
    pub fn memory(&self) -> f64 {
        self.pids().iter().map(|pid| memory_of(*pid)).sum()
    }

    /// Itself and its children, such as nginx's workers.
    fn pids(&self) -> Vec<u32> {
        let own = self.process.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(own).chain(children).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A soft signal first: nginx takes its workers along.
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

fn cpu_of(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanos = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(|thread| nanos(thread.path())).sum::<f64>() / 1e9
}

fn memory_of(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
