//! `exec`: commands of one's own.

use std::time::Duration;

use crate::model::{ExecSettings, ModeKind, Text};
use crate::plan::command::command;
use crate::plan::draft::Datacenters;
use crate::plan::read::{Label, Reader, Value};

/// Reads the settings of an `exec`.
pub(super) fn exec(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ExecSettings> {
    const KEYS: &[&str] = &["inspect", "cut", "restore", "modes", "dir", "timeout"];
    let fields = reader.fields(value, Label("", "exec"), KEYS)?;
    let mut named = |key: &str| {
        let example = format!("[./traffic, {key}]");
        let value = fields.need(reader, key, &example)?;
        command(reader, value, &example)
    };
    let (inspect, cut, restore) = (named("inspect"), named("cut"), named("restore"));
    let modes = fields.need(reader, "modes", "[drain]").map(|value| modes(reader, value));
    let dir = match fields.get("dir") {
        Some(value) => reader.text(value, false).map(|at| at.value),
        None => Some(Text::from(".")),
    };
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    Some(ExecSettings {
        inspect: inspect?,
        cut: cut?,
        restore: restore?,
        dir: dir?,
        modes: modes?,
        datacenters: datacenters.names.clone(),
        timeout: timeout.map_or(Duration::from_secs(10), |at| at.value),
    })
}

pub(super) fn modes(reader: &mut Reader, value: Value) -> Vec<ModeKind> {
    let words = ModeKind::ALL.map(|kind| (kind.to_string(), kind));
    let choices: Vec<(&str, ModeKind)> =
        words.iter().map(|(word, kind)| (&**word, *kind)).collect();
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let hint = "name those that the commands can do, such as `[drain]`";
        reader.findings.error("missing-key", value.at, "`modes` names none", hint);
    }
    items.into_iter().filter_map(|item| reader.choice(item, &choices)).collect()
}
