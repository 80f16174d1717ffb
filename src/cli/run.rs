//! `firedrill run`: the drill.

use std::fs::DirBuilder;
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clap::Args;

use super::events::{self, Events, Listener};
use super::github;
use super::ground::{Ground, confirm};
use super::leash::Leash;
use super::output::{self, Asked, Reports};
use super::runs::{self, RECORD};
use super::signals::Stop;
use super::state::State;
use super::telling::Telling;
use super::whole::{self, Kind};
use super::{Exit, StateArgs, VarArgs, environment, input, seal, state};
use crate::archive;
use crate::drill::{Charge, closed_now, conduct, not_started};
use crate::model::{DrillEvent, Plan, PlanFile, RunRecord, SampleNames, Sampled, Verdict, Why};
use crate::report;
use crate::screen::{Mode, Screen, ScreenKind, Style};

/// Options of `firedrill run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// A report, to stdout or to a file: table, json, html, junit, markdown or openmetrics; repeatable
    #[arg(long = "report", value_name = "FORMAT[=PATH]", value_parser = output::report)]
    reports: Vec<Asked>,
    /// Each event of the drill as a line of JSON, as it happens: to stdout, in place of the table, or to PATH
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    events: Option<PathBuf>,
    /// Cut without asking; needed without a terminal for anything but the lab
    #[arg(long)]
    yes: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Runs the drill of a plan. Everything that can be refused is refused before the first change.
pub(super) fn run(args: &RunArgs) -> Exit {
    let Some(parsed) = input::read_aloud(&args.plan, &args.vars) else { return Exit::Usage };
    let (mut file, chosen) = (parsed.outcome.source, parsed.outcome.chosen);
    let Some(plan) = parsed.outcome.plan else { return Exit::Usage };
    let events_are_data = events::to_stdout(args.events.as_deref());
    let events_path = args.events.as_deref().filter(|_| !events_are_data);
    let paths = args.reports.iter().filter_map(Asked::path).chain(events_path);
    let opened = whole::distinct(paths)
        .and_then(|()| Reports::open(&args.reports, events_are_data))
        .and_then(|reports| Ok((reports, Events::open(args.events.as_deref())?)));
    let (reports, mut events) = match opened {
        Ok(opened) => opened,
        Err(error) => return refuse(&error),
    };
    let closed = closed_now(&plan);
    // Nobody is asked to confirm what the calendar forbids.
    if closed.is_none()
        && let Err(error) = confirm(&plan, args.yes)
    {
        return refuse(&error);
    }
    // Now: whoever confirms takes a while, and runs are told apart by when they began.
    let run = state::run_id();
    let telling = Telling::of(&plan, &run, args.state.state_dir.as_deref());
    file.env = seal::sealed(&args.state, &chosen);
    let mut record = match closed {
        Some(why) => not_started(&plan, file, run, why),
        None => {
            drill(args, &plan, &file, &run, events.listener(), &telling).unwrap_or_else(|error| {
                output::say(format_args!("error: {error}"));
                not_started(&plan, file, run, Why::new("not-ready", error))
            })
        }
    };
    record.environment = Some(environment::of(&record));
    events.end(record.verdict);
    record.notifications = telling.end(&record);
    // What cannot be written is said, and does not change the verdict.
    let _ = reports.write(&record);
    github::tell(&record);
    // Last: its disk may hang.
    keep(&args.state, &record);
    if let (Verdict::NotRestored, Some(state)) = (record.verdict, &args.state.state_dir) {
        let (run, state) = (&record.run, state.display());
        output::say(format_args!("firedrill restore {run} --state-dir {state}"));
    }
    record.verdict.into()
}

fn refuse(error: &str) -> Exit {
    output::say(format_args!("error: {error}"));
    Exit::Usage
}

/// Runs the drill.
fn drill(
    args: &RunArgs,
    plan: &Plan,
    file: &PlanFile,
    run: &str,
    events: Listener,
    telling: &Telling,
) -> Result<RunRecord, String> {
    raise_file_limit()?;
    let mut plan = plan.clone();
    let Ground { runtime, leases, unsure, journal, path } =
        Ground::take(&args.state, &mut plan, run)?;
    let directory = State::of(&args.state)?.run(run);
    let stop = Stop::new(path.clone());
    let (record, leash) = runtime.block_on(async {
        stop.on_signals().map_err(|error| format!("signals could not be caught: {error}"))?;
        stop.on_closed_stdout().map_err(|error| format!("stdout cannot be watched: {error}"))?;
        let (screen, shown, mode) = start_screen(args.quiet)?;
        let listener = each_of([screen, events, telling.listener()]);
        // Last, because it takes a drill that goes away without a word for one that died.
        let (leash, guardian) = Leash::start(&path, &plan, &leases, stop.clone())?;
        let names = SampleNames::of(&plan, run);
        let (mut feed, keeper) = archive::keep(directory.join(archive::FILE), names);
        let charge = Charge {
            plan: Arc::new(plan),
            file: file.clone(),
            run: run.to_owned(),
            host: state::host(),
            journal: Box::new(journal),
            stop: stop.why(),
            hurry: stop.hurry(),
            unsure,
            guardian,
            listener,
            sampled: Box::new(move |sampled: &Sampled| feed.push(sampled)),
        };
        let mut record = conduct(charge).await;
        // It is under way while the rest is waited for.
        telling.verdict(&record);
        record.samples = Some(keeper.end());
        // A screen that panicked has said so, and takes nothing away from the drill.
        let _ = shown.recv_timeout(LAST_SHOWN);
        // Its thread may hang on a stopped terminal.
        mode.put_back();
        Ok::<_, String>((record, leash))
    })?;
    // A look at a kill switch on a dead network disk may hang for ever: nobody waits for it.
    runtime.shutdown_background();
    leash.wait();
    Ok(record)
}

/// Tells each of `listeners`, in order.
fn each_of(mut listeners: [Listener; 3]) -> Listener {
    Box::new(move |event: &DrillEvent| listeners.iter_mut().for_each(|listener| listener(event)))
}

/// Events that may wait for a screen that is slow; more are not shown.
const WAITING: usize = 4096;

/// How long the end of a drill waits for what is still to be shown.
const LAST_SHOWN: Duration = Duration::from_secs(1);

/// How often a screen to which nothing is told shows that the drill lives.
const TICK: Duration = Duration::from_millis(100);

/// Shows events, and `None` now and then between them, in a thread of its own, which ends when the listener is dropped: a terminal that was
/// stopped (Ctrl-S), or a pipe that nobody reads, must not keep a drill from its restore, nor from its verdict.
/// Disconnected when all is shown.
fn aside(
    mut show: impl FnMut(Option<&DrillEvent>) + Send + 'static,
) -> io::Result<(Listener, Receiver<()>)> {
    let (tell, told) = sync_channel::<DrillEvent>(WAITING);
    let (end, ended) = sync_channel(1);
    let work = move || {
        let _end: SyncSender<()> = end;
        loop {
            match told.recv_timeout(TICK) {
                Ok(event) => show(Some(&event)),
                Err(RecvTimeoutError::Timeout) => show(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Before the word that all is shown: it clears what it drew.
        drop(show);
    };
    std::thread::Builder::new().name("screen".to_owned()).spawn(work)?;
    let listener = Box::new(move |event: &DrillEvent| {
        // Full or gone: the record has everything all the same.
        let _ = tell.try_send(event.clone());
    });
    Ok((listener, ended))
}

/// Starts the screen: who tells it, how to wait for the end of what it shows, and the terminal's mode.
fn start_screen(quiet: bool) -> Result<(Listener, Receiver<()>, Mode), String> {
    let mut screen = screen(quiet);
    let mode = screen.mode();
    let show = move |event: Option<&DrillEvent>| match event {
        Some(event) => screen.show(event),
        None => screen.tick(),
    };
    let (tell, shown) =
        aside(show).map_err(|error| format!("the screen could not be started: {error}"))?;
    Ok((tell, shown, mode))
}

fn screen(quiet: bool) -> Screen {
    let stderr = io::stderr();
    let kind = match (quiet, stderr.is_terminal()) {
        (true, _) => ScreenKind::Quiet,
        (false, true) => ScreenKind::Live,
        (false, false) => ScreenKind::Plain,
    };
    Screen::new(kind, Style { color: output::color(&stderr), ascii: output::ascii(&stderr) })
}

/// Keeps the run record, for later reports and for the gate: beside the journal, or alone where the drill was refused
/// before it had one. Without it the drill before would count as the last one.
fn keep(args: &StateArgs, record: &RunRecord) {
    let kept = State::of(args).and_then(|state| {
        let directory = state.run(&record.run);
        let place = |error| format!("{}: {error}", directory.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(place)?;
        let bytes = report::json(record).map_err(|error| place(error.into()))?;
        whole::write(&directory.join(RECORD), Kind::Private, &bytes).map_err(place)?;
        // Without it, it is made when it is needed.
        let _ = runs::index(&directory);
        Ok(())
    });
    if let Err(error) = kept {
        output::say(format_args!(
            "warning: the run record could not be kept in {error}; `gate` and `history` cannot see this run"
        ));
    }
}

/// Fewer file descriptors are not even enough for a drill of one probe.
const DESCRIPTORS: u64 = 128;

/// Every sample in flight needs a file descriptor, and the default soft limit is often 1024.
fn raise_file_limit() -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, samples that find no descriptor say so: they end as unknown.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    match getrlimit(Resource::Nofile).current {
        Some(few) if few < DESCRIPTORS => Err(format!(
            "only {few} file descriptors are allowed, and a drill needs at least {DESCRIPTORS}; raise the \
             limit with `ulimit -n`"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvError;

    use super::*;
    use crate::model::Offset;

    #[test]
    fn a_terminal_that_was_stopped_does_not_hold_the_drill_up() {
        let event = DrillEvent::Stopping { at: Offset::ZERO, why: Why::new("signal", "SIGINT") };
        let (resume, stopped) = std::sync::mpsc::channel::<()>();
        let (count, counted) = std::sync::mpsc::channel();
        let (mut listener, shown) = aside(move |event: Option<&DrillEvent>| {
            if event.is_none() {
                return;
            }
            let _ = stopped.recv();
            let _ = count.send(());
        })
        .unwrap();
        // With a screen in the drill's own thread, the first of them would never return.
        (0..2 * WAITING).for_each(|_| listener(&event));
        drop(listener);
        // Nor is its end waited for.
        let waited = shown.recv_timeout(Duration::from_millis(1));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
        drop(resume);
        assert!((WAITING..=WAITING + 1).contains(&counted.iter().count()));
    }

    #[test]
    fn a_screen_that_panics_does_not_end_the_drill() {
        let event = DrillEvent::Stopping { at: Offset::ZERO, why: Why::new("signal", "SIGINT") };
        let (mut listener, shown) = aside(|_| panic!("for a test")).unwrap();
        (0..2 * WAITING).for_each(|_| listener(&event));
        assert_eq!(shown.recv(), Err(RecvError));
    }
}
