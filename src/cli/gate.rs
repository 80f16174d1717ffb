//! `firedrill gate`: whether the last drills let a release go out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::form::Form;
use super::history::say_left_out;
use super::runs::{self, Past};
use super::state::{self, Journals, State};
use super::{Exit, StateArgs, VarArgs, form, input, output, seal};
use crate::model::{LostRun, Name, Summary};
use crate::past::{self, Chosen, Known, Other, Rules, Wanted};
use crate::{plan, report};

/// Options of `firedrill gate`.
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// The plans: files, or names of plans that were drilled, in the file that they were drilled from [default: every
    /// plan that was ever drilled]
    #[arg(value_name = "PLAN")]
    plans: Vec<String>,
    /// The same, repeatable
    #[arg(long = "plan", value_name = "PLAN")]
    more: Vec<String>,
    /// The last drill of each plan is at most so old, as 30d
    #[arg(long, value_name = "AGE", value_parser = input::age)]
    max_age: Option<Duration>,
    /// Its recovery is not shown to be slower than the earlier drills like it that passed explain: beyond their 75th
    /// percentile by more than they vary
    #[arg(long)]
    within_p75: bool,
    /// Every service of the plans was measured in a drill that passed
    #[arg(long)]
    require_all: bool,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Decides, prints why, and ends with 0 if the release may go out and with 1 if not. Reads only, but for the summaries
/// beside the records.
pub(super) fn gate(args: &GateArgs) -> Exit {
    form::end(told(args))
}

fn told(args: &GateArgs) -> Result<Exit, String> {
    let state = State::of(&args.state)?;
    let Past { runs, lost } = runs::past(&state)?;
    lost.iter().for_each(say_left_out);
    let cut = traffic_cut(&state)?;
    // Without one nothing can be compared, which the gate says where it matters.
    let key = seal::key(&state.key());
    let plans = Plans { vars: &args.vars, key, runs: &runs, lost: &lost };
    let wanted = plans.wanted(args)?;
    let rules =
        Rules { max_age: args.max_age, within_p75: args.within_p75, require_all: args.require_all };
    let known = Known { runs: &runs, lost: &lost, cut: &cut };
    let gate = past::decide(&wanted, known, &rules, state::now());
    let printed = match args.format {
        Form::Json => form::json(report::pretty(&gate)),
        Form::Table => output::data(report::gate(&gate, output::style()).as_bytes()),
    };
    // A gate whose answer nobody could be given is not open; a closed one stays closed.
    let decided = if gate.open { Exit::Pass } else { Exit::Fail };
    Ok(decided.if_printed(printed))
}

/// What `firedrill status` would have a person do first: nothing is released into a world that is still cut.
fn traffic_cut(state: &State) -> Result<Vec<String>, String> {
    let Journals { found, shut } = state.journals_of_all()?;
    let status = state.command("status");
    let cut = found.iter().filter_map(|found| {
        let what = match (found.is_left(), found.is_being_restored()) {
            (true, _) => "may have left traffic cut",
            (_, true) => "lost its drill, and its traffic is still being put back",
            _ if found.is_at_work() => "is going on and has traffic cut; wait for its end",
            _ => return None,
        };
        Some(format!("{} {what}; `{status}` says more", found.id))
    });
    let unknown = shut.iter().map(ToString::to_string);
    Ok(cut.chain(unknown).collect())
}

/// What plans are read with.
struct Plans<'a> {
    vars: &'a VarArgs,
    /// What values of the environment are sealed with.
    key: io::Result<Vec<u8>>,
    runs: &'a [Summary],
    lost: &'a [LostRun],
}

impl Plans<'_> {
    /// The plans that were asked for, each once, as they are now.
    fn wanted(&self, args: &GateArgs) -> Result<Vec<Wanted>, String> {
        // A plan whose only drill died has left no more than its journal.
        let lost = self.lost.iter().filter(|lost| !lost.under_way);
        let lost = lost.filter_map(|lost| lost.plan.as_ref());
        let names: BTreeSet<&Name> = self.runs.iter().map(|run| &run.plan).chain(lost).collect();
        let asked: Vec<&String> = args.plans.iter().chain(&args.more).collect();
        let mut wanted: Vec<Wanted> = Vec::new();
        if asked.is_empty() {
            wanted.extend(names.iter().flat_map(|name| self.drilled(name)));
        }
        let mut seen = BTreeSet::new();
        for asked in asked.into_iter().filter(|asked| seen.insert(*asked)) {
            let path = Path::new(asked);
            match names.get(&Name::from(asked.as_str())) {
                Some(name) if !path.exists() => wanted.extend(self.drilled(name)),
                None if !path.exists() => {
                    return Err(format!(
                        "there is no plan file {asked}, and no run of a plan of that name"
                    ));
                }
                _ => wanted.push(self.read(path)?),
            }
        }
        self.tell_apart(&mut wanted);
        Ok(wanted)
    }

    /// The plans of that name as they are now, in the files that they were drilled from. A file that is gone, or holds
    /// another plan now, has none, unless it is so of all of them.
    fn drilled(&self, name: &Name) -> Vec<Wanted> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for run in self.by_file(name).into_values() {
            let path = Path::new(&run.file);
            if is_gone(path) {
                continue;
            }
            match self.read(path) {
                Ok(now) if now.plan != *name => {}
                Ok(now) if seen.insert(whereabouts(&now.file)) => found.push(now),
                Ok(_) => {}
                Err(error) => found.push(unread(run, &error)),
            }
        }
        let last = self.runs.iter().filter(|run| run.plan == *name);
        let last = last.max_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
        match last {
            _ if !found.is_empty() => {}
            Some(last) if was_handed_over(Path::new(&last.file)) => {
                found.push(unread(last, &format!("{} is no file that stays", last.file)));
            }
            Some(last) => {
                let error = match self.read(Path::new(&last.file)) {
                    Ok(now) => format!("{} now holds the plan {}", last.file, now.plan),
                    Err(error) => error,
                };
                found.push(unread(last, &error));
            }
            None => found.push(unknown(name)),
        }
        found
    }

    /// A run of each file that a plan of that name was drilled from.
    fn by_file(&self, name: &Name) -> BTreeMap<&str, &Summary> {
        let named = self.runs.iter().filter(|run| run.plan == *name);
        named.map(|run| (run.file.as_str(), run)).collect()
    }

    /// Says of each of `wanted` which other files hold a plan of its name now.
    fn tell_apart(&self, wanted: &mut [Wanted]) {
        let names: BTreeSet<Name> = wanted.iter().map(|wanted| wanted.plan.clone()).collect();
        let drilled = names.iter().flat_map(|name| self.by_file(name).into_keys());
        let mut there: Vec<Wanted> = drilled
            .map(Path::new)
            .filter(|file| !is_gone(file))
            .filter_map(|file| self.read(file).ok())
            .collect();
        there.extend(wanted.iter().cloned());
        for wanted in wanted {
            let here = whereabouts(&wanted.file);
            let others = there.iter().filter(|other| other.plan == wanted.plan);
            let others = others.filter(|other| whereabouts(&other.file) != here);
            let other = |other: &Wanted| {
                Some(Other { file: other.file.clone(), hash: other.hash.clone().ok()? })
            };
            wanted.others = others.filter_map(other).collect();
        }
    }

    fn read(&self, path: &Path) -> Result<Wanted, String> {
        let (text, file, outline) = input::outline(path, self.vars)?;
        let hash = file.hash.ok_or_else(|| format!("{} has no digest", file.path));
        let chosen = Chosen {
            names: outline.chosen.names().cloned().collect(),
            sealed: self.key.as_ref().ok().map(|key| plan::seal(key, &outline.chosen)),
            unusable: self.key.as_ref().err().and_then(unusable),
        };
        let (plan, services) = (outline.name, outline.services);
        let (file, vars) = (file.path, file.vars);
        let named = self.runs.iter().filter(|run| run.plan == plan && run.vars != vars);
        let others: BTreeSet<_> = named.map(|run| &run.vars).collect();
        let other_vars = others.into_iter().map(|vars| plan::hash(&text, vars)).collect();
        Ok(Wanted { plan, file, hash, vars, other_vars, chosen, services, others: Vec::new() })
    }
}

/// Whether nothing of a plan can be there any more.
fn is_gone(path: &Path) -> bool {
    was_handed_over(path) || matches!(path.try_exists(), Ok(false))
}

/// Whether a plan came through stdin or a pipe when it was drilled: what is there now is another one.
fn was_handed_over(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

/// Why a key that is there cannot be used.
fn unusable(error: &io::Error) -> Option<String> {
    (error.kind() != io::ErrorKind::NotFound).then(|| error.to_string())
}

/// Where a file is, however it is called.
fn whereabouts(file: &str) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| PathBuf::from(file))
}

/// The plan of a run whose file cannot be read any more.
fn unread(run: &Summary, error: &str) -> Wanted {
    Wanted {
        plan: run.plan.clone(),
        file: run.file.clone(),
        hash: Err(format!("{error}; give the gate the path of the plan")),
        vars: BTreeMap::new(),
        other_vars: BTreeSet::new(),
        chosen: Chosen::default(),
        services: run.measured.clone(),
        others: Vec::new(),
    }
}

/// A plan of which there is no more than the journal of a drill that was lost: that names no file.
fn unknown(plan: &Name) -> Wanted {
    Wanted {
        plan: plan.clone(),
        file: "?".to_owned(),
        hash: Err("no run of it left a record, which would name its file".to_owned()),
        vars: BTreeMap::new(),
        other_vars: BTreeSet::new(),
        chosen: Chosen::default(),
        services: Vec::new(),
        others: Vec::new(),
    }
}
