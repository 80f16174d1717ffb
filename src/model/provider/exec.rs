//! Settings of `exec`: commands of one's own.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Name, Text, millis};

/// Settings of the `exec` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecSettings {
    /// Tells the state of all parts: a program and its arguments.
    pub inspect: Vec<Text>,
    /// Cuts the parts that it is told.
    pub cut: Vec<Text>,
    /// Puts back the parts that it is told.
    pub restore: Vec<Text>,
    /// Where the commands run.
    pub dir: Text,
    /// What they can do.
    pub modes: Vec<ModeKind>,
    /// The plan's datacenters in its order: what the commands call them.
    pub datacenters: Vec<Name>,
    /// How long one command may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

impl ExecSettings {
    fn commands(&self) -> [&Vec<Text>; 3] {
        [&self.inspect, &self.cut, &self.restore]
    }
}

impl Settings for ExecSettings {
    fn key(&self) -> &'static str {
        "exec"
    }

    fn modes(&self) -> &[ModeKind] {
        &self.modes
    }

    fn parts(&self) -> &'static str {
        "parts"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        None
    }

    fn place(&self) -> String {
        format!("the command {}", shown(&self.inspect))
    }

    fn places(&self) -> Vec<String> {
        let whole = |command: &[Text]| {
            command.iter().map(Text::reveal_plain).collect::<Vec<_>>().join("\0")
        };
        vec![format!("exec {}\0{}", self.dir.reveal_plain(), whole(&self.inspect))]
    }

    fn needs(&self) -> Vec<String> {
        let commands: Vec<String> = self.commands().map(|command| shown(command)).into();
        let programs: BTreeSet<String> = commands.into_iter().collect();
        programs.into_iter().map(|program| format!("run {program}")).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let ExecSettings { inspect, cut, restore, dir, .. } = self;
        inspect.iter_mut().chain(cut).chain(restore).chain([dir]).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        vec![&mut self.dir]
    }

    fn is_of_one_host(&self) -> bool {
        true
    }

    fn has_states_between(&self) -> bool {
        true
    }

    /// What a tool steers may have a provider behind it.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A command as a plan has it, in one line.
fn shown(command: &[Text]) -> String {
    command.iter().map(Text::to_string).collect::<Vec<_>>().join(" ")
}
