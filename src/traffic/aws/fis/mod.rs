//! FIS: experiments that take a datacenter down, by templates that somebody wrote and answers for.
//!
//! A cut starts the experiment of a template, a restore stops it and waits until it has ended: what its actions did they
//! undo themselves, as long as each of them has an end ([`template`]). If nobody stops it, it ends when its time is up.
//!
//! Ours are told from others by a tag. While the same template runs by another hand, none is started.

mod template;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_fis::Client;
use aws_sdk_fis::types::{
    Experiment, ExperimentActionStatus as ActionStatus, ExperimentStatus as Status,
};
use tokio::sync::OnceCell;

use super::Session;
use super::failed::failed;
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, FisSettings, FisTemplate, PartState,
    Passage,
};
use crate::traffic::all_of;
use crate::traffic::{ControlError, TrafficControl};

/// The setting of a part: whose experiment is under way.
const EXPERIMENT: &str = "experiment";
/// There is none.
const NONE: &str = "none";
/// Ours; and the tag that ours have.
const OURS: &str = "firedrill";
/// An API that is asked by few, with a limit on calls.
const PAUSE: Duration = Duration::from_secs(1);
/// An experiment that never was.
const NO_EXPERIMENT: &str = "EXP000000000000000";
/// The action that does nothing.
const WAIT: &str = "aws:fis:wait";

/// Experiment templates of FIS as a traffic control. Its parts are named by the templates' ids.
#[derive(Debug)]
pub struct Fis {
    spec: ControlSpec,
    settings: FisSettings,
    session: Session,
    client: OnceCell<Client>,
    pause: Duration,
    /// What was asked to be started by this process, by template: a list may not show it yet.
    asked: Mutex<BTreeMap<String, Asked>>,
}

/// An experiment that was asked for.
#[derive(Debug, Clone)]
struct Asked {
    /// Who asks twice with it gets one experiment. It is another for each cut.
    token: String,
    /// Its id, once it is known.
    id: Option<String>,
}

impl Fis {
    /// The templates of `settings`. Nothing is connected yet.
    pub fn new(spec: &ControlSpec, settings: &FisSettings) -> Fis {
        Fis {
            spec: spec.clone(),
            settings: settings.clone(),
            session: Session::new(spec, &settings.reach, &settings.region),
            client: OnceCell::new(),
            pause: PAUSE,
            asked: Mutex::default(),
        }
    }

    /// The same, with so long between two readings.
    pub fn pausing(self, pause: Duration) -> Fis {
        Fis { pause, ..self }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(async || Client::new(self.session.config().await)).await
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn experiment(&self, id: &str) -> Result<Experiment, ControlError> {
        let answer = self.client().await.get_experiment().id(id).send().await;
        let answer = answer.map_err(|error| failed("fis:GetExperiment", &error))?;
        answer.experiment.ok_or_else(|| ControlError {
            what: format!("FIS told nothing of the experiment {id}"),
            hint: "see that the endpoint is that of FIS".to_owned(),
        })
    }

    /// Whether an experiment could be followed, asked of one that never was.
    async fn may_follow(&self) -> Result<(), ControlError> {
        let answer = self.client().await.get_experiment().id(NO_EXPERIMENT).send().await;
        match answer {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(|it| it.is_resource_not_found_exception()) =>
            {
                Err(failed("fis:GetExperiment", &error))
            }
            _ => Ok(()),
        }
    }

    /// That one template at least is there. Another account has none, and no experiment of any.
    async fn any_is_there(&self) -> Result<(), ControlError> {
        let mut unread = None;
        for FisTemplate { id, .. } in &self.settings.templates {
            match self.client().await.get_experiment_template().id(id).send().await {
                Ok(answer) if answer.experiment_template.is_some() => return Ok(()),
                Ok(_) => {}
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|it| it.is_resource_not_found_exception()) => {}
                Err(error) => unread = Some(failed("fis:GetExperimentTemplate", &error)),
            }
        }
        Err(unread.unwrap_or_else(none_there))
    }

    /// The experiments of a template that have not ended.
    async fn under_way(&self, template: &str) -> Result<Vec<Experiment>, ControlError> {
        self.listed(template).await.map(|listed| listed.under_way)
    }

    async fn listed(&self, template: &str) -> Result<Listed, ControlError> {
        let mut ids: Vec<String> =
            self.asked().get(template).and_then(|it| it.id.clone()).into_iter().collect();
        let (mut page, mut are_any) = (None, false);
        loop {
            let call = self.client().await.list_experiments().experiment_template_id(template);
            let answer = call.max_results(100).set_next_token(page).send().await;
            let answer = answer.map_err(|error| failed("fis:ListExperiments", &error))?;
            let found = answer.experiments.unwrap_or_default().into_iter();
            let of_it = found.filter(|it| it.experiment_template_id.as_deref() == Some(template));
            let of_it: Vec<_> = of_it.collect();
            are_any |= !of_it.is_empty();
            let running = { of_it.into_iter() }
                .filter(|it| !has_ended(it.state.as_ref().and_then(|it| it.status.as_ref())));
            ids.extend(running.filter_map(|it| it.id));
            page = answer.next_token;
            if page.is_none() {
                break;
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let mut experiments = Vec::new();
        for id in ids {
            experiments.push(self.experiment(&id).await?);
        }
        experiments.retain(|it| !has_ended(status(it)));
        are_any |= !experiments.is_empty();
        Ok(Listed { under_way: experiments, are_any })
    }

    /// Starts an experiment, if none of ours is under way: its id.
    async fn start(&self, template: &str) -> Result<String, ControlError> {
        let under_way = self.under_way(template).await?;
        if let Some(other) = under_way.iter().find(|it| !is_ours(it)) {
            return Err(runs_already(template, other));
        }
        match under_way.into_iter().find_map(|it| it.id) {
            Some(id) => Ok(id),
            None => self.start_one(template).await,
        }
    }

    /// Waits until an experiment is past its beginning.
    async fn has_begun(&self, template: &str, id: &str) -> Result<(), ControlError> {
        loop {
            let experiment = self.experiment(id).await?;
            let status = status(&experiment);
            if has_ended(status) {
                let how = how_it_is(&experiment);
                return Err(ControlError {
                    what: format!("the experiment {id} of {template} ended at once: {how}"),
                    hint: "see the role of the template, and whether its targets are there: `aws fis get-experiment`"
                        .to_owned(),
                });
            }
            if !matches!(status, Some(Status::Pending | Status::Initiating)) {
                return Ok(());
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    async fn start_one(&self, template: &str) -> Result<String, ControlError> {
        let token = {
            let mut asked = self.asked();
            // That of a start that was answered belongs to an experiment that is over.
            asked.retain(|it, asked| it != template || asked.id.is_none());
            let fresh =
                || Asked { token: format!("firedrill-{:032x}", fastrand::u128(..)), id: None };
            asked.entry(template.to_owned()).or_insert_with(fresh).token.clone()
        };
        let call = self.client().await.start_experiment().experiment_template_id(template);
        let call = call.client_token(&token).tags(OURS, self.spec.name.as_str());
        let answer = call.tags("Name", format!("firedrill {}", self.spec.name)).send().await;
        let answer = answer.map_err(|error| failed("fis:StartExperiment", &error))?;
        let id = answer.experiment.and_then(|it| it.id).ok_or_else(|| ControlError {
            what: format!("FIS started {template} and does not say as which experiment"),
            hint: "see `aws fis list-experiments`".to_owned(),
        })?;
        self.asked().insert(template.to_owned(), Asked { token, id: Some(id.clone()) });
        Ok(id)
    }

    /// Stops ours, or whatever runs if none is: it was decided then that it has to. The ids of those that have to end.
    async fn stop(&self, template: &str) -> Result<Vec<String>, ControlError> {
        let mut under_way = self.under_way(template).await?;
        if under_way.iter().any(is_ours) {
            under_way.retain(is_ours);
        }
        for experiment in &under_way {
            if let Some(id) = experiment.id.as_deref()
                && status(experiment) != Some(&Status::Stopping)
            {
                self.stop_one(id).await?;
            }
        }
        // One whose start was never answered is stopped by now, if it was in a list.
        self.asked().retain(|it, asked| it != template || asked.id.is_some());
        Ok(under_way.into_iter().filter_map(|it| it.id).collect())
    }

    /// Waits until all of `left` have ended, which are taken from it one by one.
    async fn have_ended(&self, left: &mut Vec<String>) -> Result<(), ControlError> {
        while let Some(id) = left.last() {
            match has_ended(status(&self.experiment(id).await?)) {
                true => drop(left.pop()),
                false => tokio::time::sleep(self.pause).await,
            }
        }
        Ok(())
    }

    /// One that ended by itself meanwhile need not be stopped.
    async fn stop_one(&self, id: &str) -> Result<(), ControlError> {
        let answer = self.client().await.stop_experiment().id(id).send().await;
        let Err(error) = answer else { return Ok(()) };
        match self.experiment(id).await {
            Ok(experiment) if has_ended(status(&experiment)) => Ok(()),
            Ok(experiment) if status(&experiment) == Some(&Status::Stopping) => Ok(()),
            _ => Err(failed("fis:StopExperiment", &error)),
        }
    }

    fn template(&self, part: &str) -> Result<&FisTemplate, ControlError> {
        let found = self.settings.templates.iter().find(|it| it.id == part);
        found.ok_or_else(|| ControlError {
            what: format!("`{part}` is none of the parts of this control"),
            hint: "see whether the journal was changed by hand".to_owned(),
        })
    }

    /// `aws fis …`, as a person types it.
    fn command(&self, call: &str) -> String {
        let command = self.session.command("fis", call);
        format!("{command} --region {}", quoted(&self.settings.region))
    }
}

/// The experiments of a template.
struct Listed {
    under_way: Vec<Experiment>,
    /// Whether there are any, be it that they ended.
    are_any: bool,
}

fn none_there() -> ControlError {
    ControlError {
        what: "FIS has none of the experiment templates that the plan names".to_owned(),
        hint: "see whether these are credentials of the right account, and `region` and `templates` in the plan"
            .to_owned(),
    }
}

fn status(experiment: &Experiment) -> Option<&Status> {
    experiment.state.as_ref().and_then(|it| it.status.as_ref())
}

/// What has no status is not known to have ended.
fn has_ended(status: Option<&Status>) -> bool {
    let ends = [Status::Completed, Status::Stopped, Status::Failed, Status::Cancelled];
    status.is_some_and(|status| ends.contains(status))
}

fn is_ours(experiment: &Experiment) -> bool {
    experiment.tags.as_ref().is_some_and(|tags| tags.contains_key(OURS))
}

/// `failed (no targets were found)`.
fn how_it_is(experiment: &Experiment) -> String {
    let status = status(experiment).map_or("in no known state", Status::as_str);
    let reason = experiment.state.as_ref().and_then(|it| it.reason.as_deref());
    match reason.filter(|it| !it.is_empty()) {
        Some(reason) => format!("{status} ({})", crate::model::printable(reason)),
        None => status.to_owned(),
    }
}

fn runs_already(template: &str, experiment: &Experiment) -> ControlError {
    let id = experiment.id.as_deref().unwrap_or_default();
    ControlError {
        what: format!("the template {template} runs already: {id} is {}", how_it_is(experiment)),
        hint: format!(
            "wait until it ends, or stop it if it is a left-over: `aws fis stop-experiment --id {id}`"
        ),
    }
}

/// Whether anything is down by it: an action is under way that does more than wait.
fn is_in_effect(experiment: &Experiment) -> bool {
    let at_work = [ActionStatus::Running, ActionStatus::Stopping];
    let actions = experiment.actions.iter().flat_map(|actions| actions.values());
    let mut acting = actions.filter(|it| it.action_id.as_deref() != Some(WAIT));
    acting.any(|it| {
        let status = it.state.as_ref().and_then(|it| it.status.as_ref());
        status.is_some_and(|status| at_work.contains(status))
    })
}

fn part(template: &FisTemplate, under_way: &[Experiment]) -> PartState {
    let whose = match under_way {
        [] => NONE,
        all if all.iter().any(is_ours) => OURS,
        [other, ..] => other.id.as_deref().unwrap_or("another"),
    };
    PartState {
        datacenter: template.datacenter,
        passage: match under_way.iter().any(is_in_effect) {
            true => Passage::Closed,
            false => Passage::Open,
        },
        settings: [(EXPERIMENT.to_owned(), whose.to_owned())].into(),
    }
}

fn open(state: &ControlState) -> impl Iterator<Item = &String> {
    let open = state.parts.iter().filter(|(_, part)| part.passage != Passage::Closed);
    open.map(|(name, _)| name)
}

#[async_trait]
impl TrafficControl for Fis {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let mut failures = Vec::new();
        for FisTemplate { id, .. } in &self.settings.templates {
            let answer = self.client().await.get_experiment_template().id(id).send().await;
            let answer = answer.map_err(|error| failed("fis:GetExperimentTemplate", &error))?;
            let actions = answer.experiment_template.and_then(|it| it.actions);
            let actions = actions.unwrap_or_default();
            failures.extend(template::judged(id, &actions, self.settings.at_most).err());
            let under_way = self.under_way(id).await?;
            failures.extend(under_way.first().map(|it| runs_already(id, it)));
        }
        failures.extend(self.may_follow().await.err());
        all_of("AWS FIS", failures)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let (mut parts, mut are_any) = (BTreeMap::new(), false);
        for template in &self.settings.templates {
            let listed = self.listed(&template.id).await?;
            are_any |= listed.are_any;
            parts.insert(template.id.clone(), part(template, &listed.under_way));
        }
        // A list without experiments is what every account gives: it must not read as restored.
        if !are_any {
            self.any_is_there().await?;
        }
        Ok(ControlState { parts })
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let (mut failures, mut started) = (Vec::new(), Vec::new());
        for name in open(&snapshot.cuttable(order)) {
            match self.template(name) {
                Ok(template) => match self.start(&template.id).await {
                    Ok(id) => started.push((&template.id, id)),
                    Err(failure) => failures.push(failure),
                },
                Err(failure) => failures.push(failure),
            }
        }
        let begun = async {
            let mut failures = Vec::new();
            for (template, id) in &started {
                failures.extend(self.has_begun(template, id).await.err());
            }
            failures
        };
        // What has not begun by then is looked at by whoever reads the state.
        let begun = tokio::time::timeout(self.settings.reach.timeout, begun).await;
        failures.extend(begun.unwrap_or_default());
        all_of("not cut", failures)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let calls = open(&ours).map(|name| CutCall {
            call: format!("StartExperiment {name}"),
            undone_by: Some(format!("StopExperiment, of the experiment of {name}")),
        });
        calls.collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(EXPERIMENT.to_owned(), OURS.to_owned());
        }
        state
    }

    /// Goes on after a refusal, so that one template that is gone keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let (mut failures, mut left) = (Vec::new(), Vec::new());
        for name in open(snapshot) {
            match self.template(name) {
                Ok(template) => match self.stop(&template.id).await {
                    Ok(ids) => left.extend(ids),
                    Err(failure) => failures.push(failure),
                },
                Err(failure) => failures.push(failure),
            }
        }
        let ended = self.have_ended(&mut left);
        let ended = tokio::time::timeout(self.settings.reach.timeout, ended).await;
        match ended {
            Ok(ended) => failures.extend(ended.err()),
            Err(_) => failures.push(ControlError {
                what: format!("FIS has not ended {} yet", left.join(", ")),
                hint: "it undoes first what the actions did: wait for it".to_owned(),
            }),
        }
        all_of("not put back", failures)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let lines = open(snapshot).flat_map(|name| {
            let list = format!("list-experiments --experiment-template-id {}", quoted(name));
            let stop = self.command("stop-experiment --id ID");
            [self.command(&list), format!("{stop}   # ID: the one with the tag `{OURS}`")]
        });
        lines.collect()
    }

    fn pause(&self) -> Duration {
        self.pause
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.exchanges()
    }
}
