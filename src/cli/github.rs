//! What GitHub Actions is told by itself: the job's summary, and annotations.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::output;
use crate::model::RunRecord;
use crate::report;

/// GitHub takes no larger summary of a step; a larger one it throws away whole.
const LARGEST: u64 = 1024 * 1024;

/// Tells GitHub Actions of the run, if that is where it was.
///
/// Annotations go to stderr: its runner reads commands from both streams, and stdout may be a report that somebody
/// parses.
pub(super) fn tell(record: &RunRecord) {
    let Some(summary) = summary(|name| std::env::var_os(name)) else { return };
    report::annotations(record).iter().for_each(output::command);
    let Some(path) = summary else { return };
    let added = add(&path, report::markdown(record).as_bytes(), LARGEST);
    if let Err(error) = added {
        let path = path.display();
        output::say(format_args!("warning: the job summary {path} could not be written: {error}"));
    }
}

/// Under GitHub Actions, the file for the job's summary, if there is one.
fn summary(env: impl Fn(&str) -> Option<OsString>) -> Option<Option<PathBuf>> {
    let here = env("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let path = || env("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    here.then(|| path().map(PathBuf::from))
}

/// Adds `text` to the summary, unless it would become larger than `largest` bytes: earlier steps wrote there too.
fn add(path: &Path, text: &[u8], largest: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let before = file.metadata()?.len();
    if before + 1 + text.len() as u64 > largest {
        let full = format!("it has {before} bytes, and more than {largest} are not shown");
        return Err(io::Error::other(full));
    }
    // Whoever wrote there before may have left a line open.
    file.write_all(&[b"\n", text].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn github_is_told_only_where_it_is() {
        let env = |of: &'static [(&str, &str)]| {
            move |name: &str| of.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).into())
        };
        assert_eq!(summary(env(&[("GITHUB_STEP_SUMMARY", "x")])), None);
        assert_eq!(summary(env(&[("GITHUB_ACTIONS", "false")])), None);
        assert_eq!(summary(env(&[("GITHUB_ACTIONS", "true")])), Some(None));
        let both = &[("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "x")];
        assert_eq!(summary(env(both)), Some(Some("x".into())));
    }

    #[test]
    fn a_summary_grows_up_to_its_limit_and_not_beyond() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.md");
        add(&path, b"one\n", 10).unwrap();
        add(&path, b"two\n", 10).unwrap();
        let error = add(&path, b"three\n", 10).unwrap_err().to_string();
        assert!(error.contains("it has 10 bytes"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\none\n\ntwo\n");
    }
}
