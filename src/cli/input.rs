//! Plans from files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::{VarArgs, output};
use crate::plan::{self, Inputs, Outcome};

/// A plan larger than this is refused before it is read: room for some 100,000 probes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// A plan as it was found: its text, and what the parser says of it.
pub(super) struct Parsed {
    pub file: String,
    pub text: Vec<u8>,
    pub outcome: Outcome,
}

/// Reads and parses the plan in `path`. An error is a sentence for people.
pub(super) fn read(path: &Path, vars: &VarArgs) -> Result<Parsed, String> {
    let file = path.display().to_string();
    let text = bytes(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; give the path of a plan, such as drills/quickstart.yaml",
            io::ErrorKind::IsADirectory => "; give the plans in it, such as DIR/*.yaml",
            _ => "",
        };
        format!("{file}: {error}{hint}")
    })?;
    let vars: BTreeMap<String, String> = vars.vars.iter().cloned().collect();
    let env = |name: &str| std::env::var(name).ok();
    let outcome = plan::parse(&file, &text, &Inputs { vars: &vars, env: &env });
    Ok(Parsed { file, text, outcome })
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than allowed, so that the parser sees that it is too large.
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Prints the findings of a plan on stderr.
pub(super) fn show_findings(parsed: &Parsed) {
    let color = output::color(&io::stderr());
    let text = plan::render(&parsed.file, &parsed.text, &parsed.outcome.findings, color);
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Parses `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// Parses a duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "write it with a unit, as 90s or 2m".to_owned())?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}
