//! Settings of `file`: a server that is steered by a file.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Name, Text, millis, printable};

/// Settings of the `file` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSettings {
    /// The file.
    pub path: Text,
    /// What a cut changes in it.
    pub replace: Vec<FileEdit>,
    /// Says whether the server would take the file: a program and its arguments. Empty where there is none.
    pub test: Vec<Text>,
    /// How the server takes notice.
    pub reload: FileReload,
    /// How it is told from outside who serves.
    pub read: FileRead,
    /// What a cut looks like to clients of this server.
    pub modes: Vec<ModeKind>,
    /// Where the commands run.
    pub dir: Text,
    /// The plan's datacenters in its order.
    pub datacenters: Vec<Name>,
    /// How long one command may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// A piece of the file that leads to a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileEdit {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// What stands in the file once, on an ordinary day.
    pub find: String,
    /// What stands in its place while the datacenter is cut.
    pub with: String,
}

impl FileEdit {
    /// The name of the part: what is found, in one line.
    pub fn name(&self) -> String {
        printable(&self.find.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// How a server takes notice of a changed file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileReload {
    /// It watches the file by itself.
    Watched,
    /// By a program and its arguments.
    Command(Vec<Text>),
    /// By a signal to the process whose number stands in a file.
    Signal {
        /// That file.
        pid_file: Text,
        /// The signal.
        signal: FileSignal,
    },
}

/// A signal that servers take for the wish to reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileSignal {
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
}

impl FileSignal {
    /// Every one.
    pub const ALL: [FileSignal; 3] = [FileSignal::Hup, FileSignal::Usr1, FileSignal::Usr2];

    /// As `kill` calls it.
    pub fn word(self) -> &'static str {
        match self {
            FileSignal::Hup => "HUP",
            FileSignal::Usr1 => "USR1",
            FileSignal::Usr2 => "USR2",
        }
    }
}

/// How it is told from outside who serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileRead {
    /// What is asked, as clients ask it.
    pub urls: Vec<Text>,
    /// How often each is asked for one reading.
    pub times: u32,
    /// How long one answer may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
    /// What names the datacenter in an answer.
    pub by: FileServedBy,
    /// What the names mean: patterns with `*` and `?` by datacenter.
    pub values: Vec<FileServing>,
}

/// What names the datacenter in an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileServedBy {
    /// A header field of this name.
    Header(String),
    /// What stands at this pointer (RFC 6901) in a JSON body.
    Json(String),
}

/// What a datacenter is called in answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileServing {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// Patterns of its names.
    pub patterns: Vec<String>,
}

impl Settings for FileSettings {
    fn key(&self) -> &'static str {
        "file"
    }

    fn modes(&self) -> &[ModeKind] {
        &self.modes
    }

    fn parts(&self) -> &'static str {
        "pieces"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.replace.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        format!("the file {}", self.path)
    }

    fn places(&self) -> Vec<String> {
        vec![format!("file {}", self.path.reveal_plain())]
    }

    fn needs(&self) -> Vec<String> {
        let mut needs = vec![format!("read {}, and replace it in its directory", self.path)];
        if !self.test.is_empty() {
            needs.push(format!("run {}", shown(&self.test)));
        }
        match &self.reload {
            FileReload::Watched => {}
            FileReload::Command(command) => needs.push(format!("run {}", shown(command))),
            FileReload::Signal { pid_file, signal } => {
                needs.push(format!("read {pid_file}, and send SIG{} to its process", signal.word()))
            }
        }
        needs.extend(self.read.urls.iter().map(|url| format!("GET {url}")));
        needs
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let FileSettings { path, test, reload, read, dir, .. } = self;
        let reload = match reload {
            FileReload::Watched => Vec::new(),
            FileReload::Command(command) => command.iter_mut().collect(),
            FileReload::Signal { pid_file, .. } => vec![pid_file],
        };
        [path, dir].into_iter().chain(test).chain(reload).chain(&mut read.urls).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        let FileSettings { path, reload, dir, .. } = self;
        let pid_file = match reload {
            FileReload::Signal { pid_file, .. } => Some(pid_file),
            _ => None,
        };
        [path, dir].into_iter().chain(pid_file).collect()
    }

    fn is_of_one_host(&self) -> bool {
        true
    }
}

/// A command as a plan has it, in one line.
fn shown(command: &[Text]) -> String {
    command.iter().map(Text::to_string).collect::<Vec<_>>().join(" ")
}
