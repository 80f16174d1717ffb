//! Reports to files and streams.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Exit;
use super::whole::{Kind, Pending};
use crate::model::{RunRecord, printable_line};
use crate::report::{self, TableStyle};

/// A report that was asked for: `FORMAT` or `FORMAT=PATH`.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    format: Format,
    path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Html,
    Junit,
    Markdown,
    OpenMetrics,
}

/// Every format by its name.
const FORMATS: [(&str, Format); 6] = [
    ("table", Format::Table),
    ("json", Format::Json),
    ("html", Format::Html),
    ("junit", Format::Junit),
    ("markdown", Format::Markdown),
    ("openmetrics", Format::OpenMetrics),
];

impl Format {
    fn named(name: &str) -> Result<Format, String> {
        let found = FORMATS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        found.ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            format!("write {}, or FORMAT=PATH for a file", names.join(", "))
        })
    }

    /// The report in this format; a table as `style` says.
    fn draw(self, record: &RunRecord, style: TableStyle) -> Result<Vec<u8>, String> {
        match self {
            Format::Table => Ok(report::table(record, style).into_bytes()),
            Format::Json => report::json(record).map_err(|error| error.to_string()),
            Format::Html => Ok(report::html(record).into_bytes()),
            Format::Junit => report::junit(record).map_err(|error| error.to_string()),
            Format::Markdown => Ok(report::markdown(record).into_bytes()),
            Format::OpenMetrics => Ok(report::openmetrics(record).into_bytes()),
        }
    }
}

impl Asked {
    /// Where it goes, if not to stdout.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// Parses what `--report` takes.
pub(super) fn report(text: &str) -> Result<Asked, String> {
    let (format, path) = match text.split_once('=') {
        Some((_, "")) => return Err("a path is missing after the `=`".to_owned()),
        Some((format, path)) => (format, Some(PathBuf::from(path))),
        None => (text, None),
    };
    Ok(Asked { format: Format::named(format)?, path })
}

/// The stream of ours that `path` names, by its number, if it names one.
fn open_stream(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => {
            let number = ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|it| path.strip_prefix(it));
            number?.parse().ok()
        }
    }
}

/// The reports of a run, opened before anything is touched.
pub(super) struct Reports {
    open: Vec<(Format, Sink)>,
}

enum Sink {
    Stdout,
    /// A pipe or a device, such as `/dev/stderr`: written to, and never replaced by a file.
    Device(File),
    File(Pending),
}

impl Sink {
    fn open(path: &Path) -> Result<Sink, String> {
        let is_device = fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir());
        let sink = match open_stream(path) {
            Some(1) => return Ok(Sink::Stdout),
            // Whoever led it into a file wants what is in there to stay.
            Some(_) => OpenOptions::new().append(true).open(path).map(Sink::Device),
            None if is_device => OpenOptions::new().write(true).open(path).map(Sink::Device),
            None => Pending::create(path, Kind::Report).map(Sink::File),
        };
        sink.map_err(|error| {
            let path = path.display();
            format!("the report {path} could not be opened: {error}; nothing was touched")
        })
    }

    /// Writes what `fill` gives; to a file all of it or nothing.
    fn write(self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self {
            Sink::Stdout => stdout(fill),
            Sink::Device(mut device) => fill(&mut device),
            Sink::File(pending) => pending.finish(fill),
        }
    }
}

impl Reports {
    /// Opens every report. Without one for stdout, the table goes there, unless stdout `is_taken`.
    ///
    /// # Errors
    /// A sentence for people, naming the path.
    pub fn open(asked: &[Asked], is_taken: bool) -> Result<Reports, String> {
        if is_taken && asked.iter().any(|asked| asked.path.is_none()) {
            return Err(
                "both the events and a report would go to stdout; give one of them a path, as \
                        --events=PATH; nothing was touched"
                    .to_owned(),
            );
        }
        let Reports { mut open } = Reports::exactly(asked)?;
        if !is_taken && !open.iter().any(|(_, sink)| matches!(sink, Sink::Stdout)) {
            open.push((Format::Table, Sink::Stdout));
        }
        Ok(Reports { open })
    }

    /// Opens every report, and no other.
    ///
    /// # Errors
    /// As [`Reports::open`].
    pub fn exactly(asked: &[Asked]) -> Result<Reports, String> {
        let mut open = Vec::new();
        for asked in asked {
            let sink = match &asked.path {
                None => Sink::Stdout,
                Some(path) => Sink::open(path)?,
            };
            open.push((asked.format, sink));
        }
        Ok(Reports { open })
    }

    /// Writes every report. What cannot be written is said on stderr. False: there was such.
    pub fn write(self, record: &RunRecord) -> bool {
        let mut all = true;
        for (format, sink) in self.open {
            let to_stdout = matches!(sink, Sink::Stdout);
            let bytes = match format.draw(record, style_of(to_stdout)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    say(format_args!("error: the {format:?} report could not be made: {error}"));
                    all = false;
                    continue;
                }
            };
            if let Err(error) = sink.write(|out| out.write_all(&bytes)) {
                say(format_args!("error: a report could not be written: {error}"));
                all = false;
            }
        }
        all
    }
}

/// A report that is written piece by piece, opened before anything is.
pub(super) struct Export(Sink);

impl Export {
    /// Opens it; without a path, on stdout.
    ///
    /// # Errors
    /// A sentence for people, naming the path.
    pub fn open(path: Option<&Path>) -> Result<Export, String> {
        path.map_or(Ok(Sink::Stdout), Sink::open).map(Export)
    }

    /// Writes what `fill` gives; to a file all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written, or `fill` fails.
    pub fn write(self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.0.write(fill)
    }
}

/// Where lines go while they come.
pub(super) enum Stream {
    /// Stdout.
    Stdout,
    /// A file that grows, a pipe or a device.
    File(File),
}

impl Stream {
    /// Opens a file, pipe or device; a file begins empty.
    pub fn open(path: &Path) -> io::Result<Stream> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Stream::File(file))
    }

    /// Writes a line, so that its reader has it now.
    pub fn write(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Stream::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line).and_then(|()| out.flush())
            }
            Stream::File(file) => {
                let mut file = file;
                file.write_all(line)
            }
        }
    }
}

/// How a table on stdout is drawn.
pub(super) fn style() -> TableStyle {
    style_of(true)
}

fn style_of(to_stdout: bool) -> TableStyle {
    let stdout = io::stdout();
    if to_stdout && stdout.is_terminal() {
        // A terminal that nobody has sized, as in a container, says 0.
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|size| size.ws_col > 0);
        let width = size.map_or(80, |size| size.ws_col);
        return TableStyle { width, color: color(&stdout), ascii: ascii(&stdout) };
    }
    // The same whoever calls, so that a report drawn again is the same to the byte.
    TableStyle { ascii: ASCII.load(Relaxed), ..TableStyle::FILE }
}

/// Whether every table keeps to ASCII.
static ASCII: AtomicBool = AtomicBool::new(false);

/// Whether what goes to `stream` keeps to ASCII: it was asked for, or a terminal shows no more.
pub(super) fn ascii(stream: &impl IsTerminal) -> bool {
    ASCII.load(Relaxed) || (stream.is_terminal() && !locale_is_utf8())
}

/// From now on every table keeps to ASCII.
pub(super) fn be_ascii() {
    ASCII.store(true, Relaxed);
}

/// Whether the terminal shows UTF-8, by the variables that POSIX has for it.
fn locale_is_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether to colour what goes to `stream`: a terminal, and nobody said `NO_COLOR`.
pub(super) fn color(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !refused && !dumb
}

/// A reader who has seen enough is no error.
fn stdout(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match fill(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Lines that may wait for a stderr that is slow while traffic is cut; more are not said.
const WAITING: usize = 4096;

/// How long the end of a drill waits for what is still to be said.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether every line is said and waited for, however slow its reader is.
static PATIENT: AtomicBool = AtomicBool::new(false);

/// What the thread that talks is given.
enum Talk {
    Line(String),
    /// Everything before it has been said.
    Done(SyncSender<()>),
}

/// The way to the thread that talks.
struct Talker {
    talk: Sender<Talk>,
    /// Lines that were given and not said yet.
    waiting: Arc<AtomicUsize>,
    /// Lines that were not given since the last that was: too many were waiting.
    dropped: AtomicUsize,
}

static TALKER: OnceLock<Option<Talker>> = OnceLock::new();

/// From now on nothing is left out and the end waits for the reader: for a person's commands, which keep no traffic
/// cut while they talk.
pub(super) fn be_patient() {
    PATIENT.store(true, Relaxed);
}

/// Says something on stderr, in one line, from a thread of its own: a terminal that was stopped, or a pipe that nobody
/// reads, must not keep traffic cut. Nobody may be listening any more, which must not end a drill either. Whatever names
/// are in it, it steers no terminal and no CI runner.
pub(super) fn say(line: impl std::fmt::Display) {
    give(printable_line(&line.to_string()));
}

/// As [`say`], for a text whose line breaks are our own.
pub(super) fn say_lines(text: impl std::fmt::Display) {
    give(lines(&text.to_string()));
}

/// Whether [`say_lines`] says `text` just as it is.
pub(super) fn is_printable(text: &str) -> bool {
    lines(text) == text.strip_suffix('\n').unwrap_or(text)
}

/// As [`say`], for a line that is meant to steer a CI runner: what is in it has been escaped.
pub(super) fn command(line: impl std::fmt::Display) {
    give(line.to_string());
}

/// Each line of a text, made safe to show.
fn lines(text: &str) -> String {
    text.lines().map(printable_line).collect::<Vec<_>>().join("\n")
}

fn give(line: String) {
    let write = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    match TALKER.get_or_init(|| Talker::start(write).ok()) {
        Some(talker) => talker.give(line, PATIENT.load(Relaxed)),
        None => write(&line),
    }
}

/// Waits for what is still to be said; for long only where that was asked for.
pub(super) fn last_words() {
    if let Some(Some(talker)) = TALKER.get() {
        talker.end((!PATIENT.load(Relaxed)).then_some(LAST_WORDS));
    }
}

impl Talker {
    fn start(mut write: impl FnMut(&str) + Send + 'static) -> io::Result<Talker> {
        let (talk, told) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let said = waiting.clone();
        let work = move || {
            for what in told {
                match what {
                    Talk::Line(line) => {
                        write(&line);
                        said.fetch_sub(1, Relaxed);
                    }
                    Talk::Done(done) => drop(done.send(())),
                }
            }
        };
        std::thread::Builder::new().name("talk".to_owned()).spawn(work)?;
        Ok(Talker { talk, waiting, dropped: AtomicUsize::default() })
    }

    /// Gives a line to be said, unless too many wait already and the giver is not `patient`.
    fn give(&self, line: String, patient: bool) {
        if !patient && self.waiting.load(Relaxed) >= WAITING {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.own_up();
        self.line(line);
    }

    fn line(&self, line: String) {
        self.waiting.fetch_add(1, Relaxed);
        let _ = self.talk.send(Talk::Line(line));
    }

    /// Says how many lines are missing here.
    fn own_up(&self) {
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            self.line(format!(
                "warning: lines left out here, for nobody read them in time: {dropped}"
            ));
        }
    }

    /// Waits until all is said, for as long as `limit` allows.
    fn end(&self, limit: Option<Duration>) {
        self.own_up();
        let (done, said) = sync_channel(1);
        let _ = self.talk.send(Talk::Done(done));
        let _ = match limit {
            Some(limit) => said.recv_timeout(limit).is_ok(),
            None => said.recv().is_ok(),
        };
    }
}

/// Prints lines on stdout, in which names of others may be. As [`data`].
#[must_use]
pub(super) fn line(text: &str) -> Exit {
    data(format!("{}\n", lines(text)).as_bytes())
}

/// Prints data on stdout. What could not be printed is said, and is no success.
#[must_use]
pub(super) fn data(bytes: &[u8]) -> Exit {
    match stdout(|out| out.write_all(bytes)) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            say(format_args!("error: stdout could not be written: {error}"));
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// A reader that reads only what it is let.
    fn slow() -> (Talker, SyncSender<()>, Receiver<String>) {
        let (go_on, stopped) = sync_channel::<()>(0);
        let (tell, told) = channel();
        let write = move |line: &str| {
            let _ = stopped.recv();
            let _ = tell.send(line.to_owned());
        };
        (Talker::start(write).unwrap(), go_on, told)
    }

    fn give(talker: &Talker, patient: bool) {
        (0..2 * WAITING).for_each(|number| talker.give(number.to_string(), patient));
    }

    #[test]
    fn who_is_not_patient_is_not_held_up_and_says_what_was_left_out() {
        let (talker, go_on, told) = slow();
        give(&talker, false);
        talker.end(Some(Duration::from_millis(1)));
        drop(go_on);
        talker.end(None);
        let told: Vec<String> = told.try_iter().collect();
        let said = WAITING.to_string();
        assert_eq!(told.len(), WAITING + 1);
        assert!(
            told[WAITING].starts_with("warning: ") && told[WAITING].ends_with(&said),
            "{told:?}"
        );
    }

    #[test]
    fn who_is_patient_leaves_nothing_out() {
        let (talker, go_on, told) = slow();
        give(&talker, true);
        drop(go_on);
        talker.end(None);
        assert!(told.try_iter().eq((0..2 * WAITING).map(|number| number.to_string())));
    }
}
