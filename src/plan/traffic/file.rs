//! `file`: which pieces of a file lead where, and how its server takes notice.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{
    FileEdit, FileRead, FileReload, FileServedBy, FileServing, FileSettings, FileSignal, ModeKind,
    ServedBySource, Text,
};
use crate::plan::address::url;
use crate::plan::command::command;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Fields, Label, Reader, Value};
use crate::plan::served_by;

use super::command_limit;

/// Reads the settings of a `file`.
pub(super) fn file(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<FileSettings> {
    const KEYS: &[&str] =
        &["path", "replace", "test", "reload", "signal", "read", "modes", "dir", "timeout"];
    let fields = reader.fields(value, Label("", "file"), KEYS)?;
    let path = fields.need(reader, "path", "/etc/nginx/upstreams.conf");
    let path = path.and_then(|value| Some(reader.text(value, false)?.value));
    let replace =
        fields.need(reader, "replace", EDITS).and_then(|value| edits(reader, value, datacenters));
    let test = match fields.get("test") {
        Some(value) => command(reader, value, "[nginx, -t]"),
        None => Some(Vec::new()),
    };
    let reload = reload(reader, &fields);
    let example = "{ url: \"http://shop.example/\", served_by: { header: x-datacenter } }";
    let read = fields.need(reader, "read", example);
    let read = read.and_then(|value| read_back(reader, value, datacenters));
    let modes = match fields.get("modes") {
        Some(value) => modes(reader, value),
        None => vec![ModeKind::Drain],
    };
    let dir = match fields.get("dir") {
        Some(value) => reader.text(value, false).map(|at| at.value),
        None => Some(Text::from(".")),
    };
    let timeout = command_limit(reader, &fields, Duration::from_secs(6));
    Some(FileSettings {
        path: path?,
        replace: replace?,
        test: test?,
        reload: reload?,
        read: read?,
        modes,
        dir: dir?,
        datacenters: datacenters.names.clone(),
        timeout,
    })
}

/// A piece of this many characters is shown in no report.
const LONG: usize = 1000;

const EDITS: &str =
    "[{ datacenter: east, find: \"server 10.1.0.1:80;\", with: \"server 10.1.0.1:80 down;\" }]";

fn edits(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<Vec<FileEdit>> {
    let items = reader.list(value, "a list of pieces of the file");
    if reader.is_empty_list(value) {
        let what = "`replace` names no piece of the file";
        reader.findings.error("missing-key", value.at, what, format!("write {EDITS}"));
    }
    let (mut edits, mut taken) = (Vec::new(), HashSet::new());
    let mut complete = !items.is_empty();
    for item in items {
        let edit = edit(reader, item, datacenters, &mut taken);
        complete &= edit.is_some();
        edits.extend(edit);
    }
    complete.then_some(edits)
}

fn edit(
    reader: &mut Reader,
    item: Value,
    datacenters: &Datacenters,
    taken: &mut HashSet<String>,
) -> Option<FileEdit> {
    const KEYS: &[&str] = &["datacenter", "find", "with"];
    let fields = reader.fields(item, Label("a piece of the file", ""), KEYS)?;
    let datacenter = fields.need(reader, "datacenter", "east");
    let datacenter = datacenter.and_then(|value| datacenters.refer(reader, value));
    let mut piece = |key: &str, example: &str| {
        let value = fields.need(reader, key, example)?;
        let text = reader.public(value, "text as it stands in the file")?.into_owned();
        // Blanks alone make no other piece: in a list of parts the two would look the same.
        let bare = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (what, hint) = match bare.chars().count() {
            0 => (format!("{} is empty", quote(key)), "what is not there cannot be found again"),
            LONG.. => (
                format!("{} is very long", quote(key)),
                "a few lines must be enough to tell it from the rest of the file",
            ),
            _ if !taken.insert(bare) => (
                format!("{} stands here twice", quote(&text)),
                "each `find` and each `with` must be a piece of its own: take in more of its line",
            ),
            _ => return Some(text),
        };
        reader.findings.error("bad-value", value.span(), what, hint);
        None
    };
    let find = piece("find", "\"server 10.1.0.1:80;\"");
    let with = piece("with", "\"server 10.1.0.1:80 down;\"");
    Some(FileEdit { datacenter: datacenter?, find: find?, with: with? })
}

fn reload(reader: &mut Reader, fields: &Fields) -> Option<FileReload> {
    if fields.get("reload").is_none() && fields.get("signal").is_none() {
        return Some(FileReload::Watched);
    }
    let chosen = fields.one_of(reader, &["reload", "signal"])?;
    if chosen.key == "reload" {
        return command(reader, chosen, "[nginx, -s, reload]").map(FileReload::Command);
    }
    let fields = reader.fields(chosen, Label("", "signal"), &["pid_file", "signal"])?;
    let words = FileSignal::ALL.map(|signal| (signal.word(), signal));
    let signal = match fields.get("signal") {
        Some(value) => reader.choice(value, &words),
        None => Some(FileSignal::Hup),
    };
    let pid_file = fields.need(reader, "pid_file", "/run/nginx.pid")?;
    let pid_file = reader.text(pid_file, false)?.value;
    Some(FileReload::Signal { pid_file, signal: signal? })
}

fn read_back(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Option<FileRead> {
    const KEYS: &[&str] = &["url", "times", "timeout", "served_by"];
    let fields = reader.fields(value, Label("", "read"), KEYS)?;
    let urls = fields.need(reader, "url", "\"http://shop.example/\"");
    let urls = urls.and_then(|value| {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let hint = "name what clients ask, such as `\"http://shop.example/\"`";
            reader.findings.error("missing-key", value.at, "`url` names none", hint);
        }
        let urls = items.into_iter().map(|item| {
            let text = reader.text(item, false)?;
            url(reader, &text).then_some(text.value)
        });
        urls.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()
    });
    let times = fields.get("times").map(|value| reader.count(value, 1..=200));
    let times = times.unwrap_or(Some(20)).and_then(|times| u32::try_from(times).ok());
    let timeout = command_limit(reader, &fields, Duration::from_secs(2));
    let by = fields.need(reader, "served_by", "{ header: x-datacenter }")?;
    let (by, values) = match served_by::source(reader, by, datacenters)? {
        ServedBySource::Header { name, values } => (FileServedBy::Header(name), values),
        ServedBySource::Json { pointer, values } => (FileServedBy::Json(pointer), values),
        ServedBySource::Peer(_) => {
            let what = "`peer` is the server that is steered, whoever stands behind it";
            let hint = "use `header` or `json`, which the datacenter itself sets";
            reader.findings.error("impossible", by.at, what, hint);
            return None;
        }
        ServedBySource::Answer { .. } => {
            let what = "`answer` is for probes of DNS, and this is asked over HTTP";
            let hint = "use `header` or `json`, which the datacenter itself sets";
            reader.findings.error("impossible", by.at, what, hint);
            return None;
        }
    };
    let values = values.0.into_iter();
    let values =
        values.map(|(datacenter, patterns)| FileServing { datacenter, patterns }).collect();
    Some(FileRead { urls: urls?, times: times?, timeout, by, values })
}

fn modes(reader: &mut Reader, value: Value) -> Vec<ModeKind> {
    const MODES: &[(&str, ModeKind)] = &[("drain", ModeKind::Drain), ("reset", ModeKind::Reset)];
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let hint = "name what a reload does, such as `[drain]`";
        reader.findings.error("missing-key", value.at, "`modes` names none", hint);
    }
    items.into_iter().filter_map(|item| reader.choice(item, MODES)).collect()
}
