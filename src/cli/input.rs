//! Plans from files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::{VarArgs, output, source};
use crate::model::PlanFile;
use crate::plan::{self, Inputs, Outcome, Outline};

/// A plan larger than this is refused before it is read: room for some 100,000 probes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// A plan as it was found: its text, secrets masked, and what the parser says of it.
pub(super) struct Parsed {
    pub file: String,
    pub text: Vec<u8>,
    pub outcome: Outcome,
}

/// Reads and parses the plan in `path`. An error is a sentence for people.
pub(super) fn read(path: &Path, vars: &VarArgs) -> Result<Parsed, String> {
    let (file, text) = (path.display().to_string(), text(path, any)?);
    let vars = values(vars);
    let env = |name: &str| std::env::var(name).ok();
    let outcome = plan::parse(&file, &text, &Inputs { vars: &vars, env: &env });
    // Whatever is drawn of it from here on.
    let text = outcome.masked(&text);
    Ok(Parsed { file, text, outcome })
}

/// Reads as much of the plan in the file `path` as can be told without its secrets: records name files, and whatever
/// is there by now must neither hang nor go on for ever. An error is a sentence for people.
pub(super) fn outline(path: &Path, vars: &VarArgs) -> Result<(Vec<u8>, PlanFile, Outline), String> {
    let (file, text) =
        (path.display().to_string(), text(path, |path| source::bytes(path, LARGEST))?);
    let vars = values(vars);
    let env = |name: &str| std::env::var(name).ok();
    let (found, outline) = plan::outline(&file, &text, &Inputs { vars: &vars, env: &env })
        .ok_or_else(|| format!("{file} is no plan; `firedrill check {file}` says what is wrong"))?;
    Ok((text, found, outline))
}

fn values(vars: &VarArgs) -> BTreeMap<String, String> {
    vars.vars.iter().cloned().collect()
}

fn text(path: &Path, read: impl FnOnce(&Path) -> io::Result<Vec<u8>>) -> Result<Vec<u8>, String> {
    read(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; give the path of a plan, such as drills/quickstart.yaml",
            io::ErrorKind::IsADirectory => "; give the plans in it, such as DIR/*.yaml",
            _ => "",
        };
        format!("{}: {error}{hint}", path.display())
    })
}

/// What a person names may be a pipe too, as `<(envsubst < plan.yaml)`.
fn any(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than allowed, so that the parser sees that it is too large.
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// As [`read`], saying on stderr what is wrong; `None` where there was nothing to read.
pub(super) fn read_aloud(path: &Path, vars: &VarArgs) -> Option<Parsed> {
    match read(path, vars) {
        Ok(parsed) => {
            show_findings(&parsed);
            Some(parsed)
        }
        Err(error) => {
            output::say(format_args!("error: {error}"));
            None
        }
    }
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

/// Parses an age: a duration with its unit, in which a day has 24 hours.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "write it with a unit, as 30d, 12h or 2w".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    // How long a month is depends on which.
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(age).map_err(|_| "it must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit_whose_length_is_known() {
        let hours = |hours: u64| Ok(Duration::from_secs(hours * 3600));
        assert_eq!(age("30d"), hours(720));
        assert_eq!(age("2w"), hours(336));
        assert_eq!(age("1d 12h"), hours(36));
        for wrong in ["30", "", "1mo", "1y", "soon", "-1d", "99999999999999999999d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
