//! The ground that whoever cuts stands on: nothing else is cut, the controls are its own, and its journal is open.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StateArgs;
use super::state::{self, Found, Journals, State};
use crate::journal::{self, Aside, Journal};
use crate::lease::Lease;
use crate::model::{Guardrail, GuardrailCheck, Name, Part, Plan, Provider, Text, Why};
use crate::traffic;

/// What is held before anything is cut, and for as long as it may be.
pub(super) struct Ground {
    /// Where all of it runs.
    pub runtime: tokio::runtime::Runtime,
    /// The controls, for this run alone.
    pub leases: Vec<Box<dyn Lease>>,
    /// Why it is not known whether another drill has them.
    pub unsure: Option<Why>,
    /// The journal.
    pub journal: Aside,
    /// Its file.
    pub path: PathBuf,
}

impl Ground {
    /// Takes the ground for `run` of `plan`, which gets its paths and the machine's own kill switch.
    ///
    /// # Errors
    /// A sentence for people: nothing was touched.
    pub fn take(args: &StateArgs, plan: &mut Plan, run: &str) -> Result<Ground, String> {
        let state = State::of(args)?;
        refuse_while_cut(&state)?;
        absolute(plan);
        plan.guardrails.extend(machine_wide_kill_switch());
        let directory = state.run(run);
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| format!("the runtime could not be started: {error}"))?;
        let (places, unsure) = runtime.block_on(places(plan));
        let leases = state.take(&places, run, &plan.name).map_err(|refused| refused.to_string())?;
        // Once more: whoever had them until now may have died in between, and left traffic cut.
        refuse_while_cut(&state)?;
        let journal = Journal::create(&directory).and_then(Aside::new).map_err(|error| {
            format!(
                "the journal could not be created in {}: {error}; without it a crash could leave \
                 traffic cut; give a writable directory with --state-dir",
                directory.display()
            )
        })?;
        let path = directory.join(journal::FILE);
        Ok(Ground { runtime, leases, unsure, journal, path })
    }
}

/// Asks a person, unless `--yes` was given or only the lab is cut.
///
/// # Errors
/// A sentence for people, when nobody may be asked or says so.
pub(super) fn confirm(plan: &Plan, yes: bool) -> Result<(), String> {
    let through = || plan.cut_through();
    if yes || through().all(|control| control.provider == Provider::Lab) {
        return Ok(());
    }
    let (mut stderr, stdin) = (io::stderr(), io::stdin());
    let datacenter = plan.lost();
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(format!(
            "this plan cuts traffic to {datacenter} outside of the lab, and there is no terminal to \
             ask at; give --yes"
        ));
    }
    let names: Vec<&str> = through().map(|control| control.name.as_str()).collect();
    let _ = write!(
        stderr,
        "This cuts {datacenter} ({}) through {}, for at most {}.\nType {datacenter} to go on: ",
        plan.cut.mode.kind(),
        names.join(", "),
        crate::model::Shown(plan.timing.at_most),
    );
    let _ = stderr.flush();
    let mut answer = String::new();
    match stdin.lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == datacenter => Ok(()),
        _ => Err("not confirmed; nothing was touched".to_owned()),
    }
}

/// Holds that no earlier run left traffic cut: what a drill measures then is not the plan's world, and its
/// snapshot would make the cut permanent.
fn refuse_while_cut(state: &State) -> Result<(), String> {
    let Journals { found, shut } = state.journals()?;
    if let Some(journal) = shut.first() {
        return Err(journal.to_string());
    }
    let all = |is: fn(&Found) -> bool| {
        let of: Vec<_> = found.iter().filter(|found| is(found)).map(|found| &*found.id).collect();
        of.join(", ")
    };
    let (left, under_way) = (all(Found::is_left), all(Found::is_being_restored));
    let (status, restore) = (state.command("status"), state.command("restore"));
    if !left.is_empty() {
        return Err(format!(
            "an earlier run left traffic cut: {left}; `{status}` says what, `{restore}` puts it back"
        ));
    }
    if !under_way.is_empty() {
        return Err(format!(
            "an earlier run's traffic is still being put back: {under_way}; wait until `{status}` says that \
             nothing is cut"
        ));
    }
    Ok(())
}

/// What `plan` is to be cut through, for the leases. Where a control does not say who it is, another drill may steer it by
/// another name, and this one must not cut: why comes with it.
async fn places(plan: &Plan) -> (Vec<(Name, String)>, Option<Why>) {
    let through = plan.cut_through();
    let places = state::places(through.map(|control| (control, traffic::reach(control)))).await;
    let unknown: Vec<String> = places.unknown.iter().map(ToString::to_string).collect();
    let unsure = (!unknown.is_empty()).then(|| Why::new("control-unreadable", unknown.join("; ")));
    (places.known, unsure)
}

/// The file that stops every drill on this machine, whatever their plans say.
const KILL_SWITCH: &str = "/etc/firedrill.stop";

fn machine_wide_kill_switch() -> Option<Guardrail> {
    let path = PathBuf::from(KILL_SWITCH);
    // Where there is no such directory, nobody can set it, and no plan asked for it.
    path.parent().is_some_and(Path::is_dir).then(|| Guardrail {
        name: Name::from("machine-kill-switch"),
        check: GuardrailCheck::KillSwitchFile(path),
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        lasting: Duration::ZERO,
        grace: Duration::from_secs(10),
    })
}

/// Makes the paths of sockets absolute: the watchdog and `firedrill restore` may stand elsewhere.
fn absolute(plan: &mut Plan) {
    let Ok(here) = std::env::current_dir() else { return };
    for control in &mut plan.traffic {
        for path in control.provider.paths_mut() {
            if Path::new(&path.reveal_plain()).is_absolute() {
                continue;
            }
            let mut parts = vec![Part::Plain(format!("{}/", here.display()))];
            parts.extend_from_slice(path.parts());
            *path = Text::new(parts);
        }
    }
}
