//! The kill switch: a file or a URL that stops the drill.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Guardrail, GuardrailCheck, HttpExpect, HttpProbe, Name};

use super::address;
use super::guardrail::pace;
use super::probe::{self, SUCCESS};
use super::read::{Label, Reader, Value};

/// How often it is looked at, if the plan says nothing else.
const EVERY: Duration = Duration::from_secs(1);

/// Reads `kill_switch`.
pub(super) fn read(reader: &mut Reader, value: Value) -> Option<Guardrail> {
    const KEYS: &[&str] = &["file", "url", "headers", "ca", "every", "timeout", "grace"];
    let fields = reader.fields(value, Label("", "kill_switch"), KEYS)?;
    let grace = fields.get("grace").and_then(|value| reader.duration(value, true));
    let (every, timeout, grace) = pace(reader, &fields, EVERY, grace);
    let headers = fields.get("headers").map(|value| probe::headers(reader, value));
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    let chosen = fields.one_of(reader, &["file", "url"])?;
    let check = if chosen.key == "file" {
        for other in ["headers", "ca"].iter().filter_map(|key| fields.get(key)) {
            let what = format!("`{}` has no meaning beside `file`", other.key);
            reader.findings.error("impossible", other.at, what, "take it out, or write `url`");
        }
        GuardrailCheck::KillSwitchFile(path(reader, chosen)?)
    } else {
        // It is asked before the lab stands.
        let url = reader.text(chosen, false)?;
        if !address::url(reader, &url) {
            return None;
        }
        GuardrailCheck::KillSwitchUrl(HttpProbe {
            url: url.value,
            method: "GET".to_owned(),
            headers: headers.unwrap_or_default(),
            body: None,
            ca,
            expect: HttpExpect { status: vec![SUCCESS], body: None, json: Vec::new() },
        })
    };
    let name = Name::from("kill-switch");
    Some(Guardrail { name, check, every, timeout, lasting: Duration::ZERO, grace })
}

/// A path that reports show, so that nothing in it is secret.
fn path(reader: &mut Reader, value: Value) -> Option<PathBuf> {
    let path = reader.shown(value, "the path of a file")?;
    if path.trim().is_empty() {
        let what = "`file` names no file";
        reader.findings.error("bad-value", value.span(), what, "write `/etc/firedrill.stop`");
        return None;
    }
    if !path.starts_with('/') {
        let what =
            format!("`{path}` is another file in every directory that a drill is started from");
        reader.findings.error("bad-value", value.span(), what, "write the whole path, from `/` on");
        return None;
    }
    Some(PathBuf::from(path.into_owned()))
}
