//! `firedrill report`: a past run drawn again.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{self, Asked, Export, Reports};
use super::state::State;
use super::{Exit, StateArgs, runs, source, whole};
use crate::archive::{self, Damage, Reader};
use crate::model::{RunRecord, SampleNames, Verdict};
use crate::report::Csv;

/// Options of `firedrill report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Which run: its id or the beginning of it, the path of its record or directory, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// A format of `run --report`, or csv for the samples, to stdout or to a file; repeatable [default: table]
    #[arg(long = "format", value_name = "FORMAT[=PATH]", value_parser = wanted)]
    formats: Vec<Wanted>,
    #[command(flatten)]
    state: StateArgs,
}

/// What is to be drawn.
#[derive(Debug, Clone)]
enum Wanted {
    Report(Asked),
    Samples(Option<PathBuf>),
}

impl Wanted {
    /// Where it goes, if not to stdout.
    fn path(&self) -> Option<&Path> {
        match self {
            Wanted::Report(report) => report.path(),
            Wanted::Samples(path) => path.as_deref(),
        }
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    match text.split_once('=') {
        None if text == "csv" => Ok(Wanted::Samples(None)),
        Some(("csv", path)) if !path.is_empty() => Ok(Wanted::Samples(Some(path.into()))),
        _ => output::report(text).map(Wanted::Report).map_err(|hint| format!("{hint}; or csv")),
    }
}

/// Draws a kept record again. Everything is opened before anything is written.
pub(super) fn report(args: &ReportArgs) -> Exit {
    match draw(args) {
        Ok(exit) => exit,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            Exit::Usage
        }
    }
}

fn draw(args: &ReportArgs) -> Result<Exit, String> {
    let path = runs::resolve(&State::of(&args.state)?, &args.run)?;
    let bytes = source::bytes(&path, runs::LARGEST).map_err(|error| broken(&path, error))?;
    let record = RunRecord::read(&bytes).map_err(|error| broken(&path, error))?;
    whole::distinct(args.formats.iter().filter_map(Wanted::path))?;
    let (mut asked, mut exports) = (Vec::new(), Vec::new());
    for wanted in &args.formats {
        match wanted {
            Wanted::Report(report) => asked.push(report.clone()),
            Wanted::Samples(to) => {
                let from = Samples::open(&path.with_file_name(archive::FILE), &record)?;
                exports.push((from, Export::open(to.as_deref())?));
            }
        }
    }
    let reports = match args.formats.is_empty() {
        true => Reports::open(&[], false),
        false => Reports::exactly(&asked),
    }?;
    let mut all = reports.write(&record);
    for (samples, out) in exports {
        let place = samples.path.clone();
        match samples.write(&record, out) {
            Ok(damage) => warn(&place, damage),
            Err(error) => {
                output::say(format_args!("error: the samples could not be written: {error}"));
                all = false;
            }
        }
    }
    Ok(if all { Exit::Pass } else { Exit::Usage })
}

fn broken(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Says what of the samples is missing in what was written.
fn warn(path: &Path, damage: Damage) {
    if !damage.is_any() {
        return;
    }
    let end = if damage.torn { "; its end is missing, so there may have been more" } else { "" };
    output::say(format_args!(
        "warning: {} is damaged: {} bytes of it and at least {} samples in them are left out{end}",
        path.display(),
        damage.bytes,
        damage.samples
    ));
}

/// Whether the drill did not even begin to probe.
fn was_refused(record: &RunRecord) -> bool {
    record.verdict == Verdict::NotStarted && record.samples.is_none() && record.services.is_empty()
}

/// The samples of a run, open.
struct Samples {
    path: PathBuf,
    reader: Reader<File>,
}

impl Samples {
    /// Opens the samples at `path`, which must be those of `record`.
    fn open(path: &Path, record: &RunRecord) -> Result<Samples, String> {
        let file = match source::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && was_refused(record) => {
                return Err(format!(
                    "{} was refused before a sample was sent: it has none",
                    crate::model::printable(&record.run)
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let place = path.parent().unwrap_or(path).display();
                return Err(format!(
                    "no samples are kept in {place}: give the run by its id or directory, and note that older \
                     versions kept none"
                ));
            }
            Err(error) => return Err(broken(path, error)),
        };
        let reader = Reader::new(file).map_err(|error| broken(path, error))?;
        match reader.names() {
            Some(names) if names.run != record.run => {
                let other = crate::model::printable(&names.run);
                Err(broken(path, format!("it holds the samples of another run, {other}")))
            }
            _ => Ok(Samples { path: path.to_owned(), reader }),
        }
    }

    /// Writes them as CSV and says what was damaged; of what nobody wanted to read to its end, nothing.
    fn write(mut self, record: &RunRecord, out: Export) -> io::Result<Damage> {
        let unnamed = SampleNames::default();
        let mut csv = Csv::new(record, self.reader.names().unwrap_or(&unnamed));
        let mut damage = Damage::default();
        out.write(|out| {
            let mut out = BufWriter::with_capacity(1 << 16, out);
            out.write_all(Csv::HEAD.as_bytes())?;
            while let Some(samples) = self.reader.block()? {
                for sampled in &samples {
                    out.write_all(csv.row(sampled).as_bytes())?;
                }
            }
            damage = self.reader.damage();
            out.flush()
        })?;
        Ok(damage)
    }
}
