//! Origins of a Front Door profile (Standard and Premium).
//!
//! A change is an operation that takes Azure seconds to minutes. It is waited for within limits, and what takes longer shows
//! in the readings: an origin that is still being updated is not cut yet.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};
use wildmatch::WildMatch;

use super::{Azure, DISABLED, ENABLED, Read, Wanted};
use crate::model::AzureBy;
use crate::traffic::ControlError;
use crate::traffic::api::{Answer, Method, Request, again};
use crate::traffic::log::Asked;

const VERSION: &str = "api-version=2026-10-01";

/// The field of an origin's `properties` that is steered.
pub(super) const STATE: &str = "enabledState";

/// For so long all changes of a cut or a restore are asked for and waited for, and the pause between two looks where Azure
/// names none.
const OPERATIONS: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(1));

/// So many pages are read of one list.
const PAGES: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(default = "Vec::new")]
    value: Vec<T>,
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Origin {
    name: String,
    properties: OriginProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OriginProperties {
    #[serde(default)]
    enabled_state: Option<String>,
    #[serde(default)]
    provisioning_state: Option<String>,
}

#[derive(Deserialize)]
struct Operation {
    status: String,
    error: Option<OperationError>,
}

#[derive(Deserialize)]
struct OperationError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A change that was accepted, and where to look how it goes.
struct Accepted {
    origin: String,
    /// With a status in its body; or else one that is answered by 202 until it is done.
    tells: bool,
    at: String,
}

/// What came of asking for a change.
enum Told {
    Done,
    Accepted(Accepted),
    /// Azure makes another change of the profile, and says so with this answer; the refusal, if it is not asked again.
    Busy(Answer, ControlError),
}

/// What became of changes that were asked for.
#[derive(Default)]
struct Asking {
    accepted: Vec<Accepted>,
    refused: Vec<ControlError>,
    /// Refused, since Azure wants to be left alone for longer than there was time.
    busy: Vec<ControlError>,
}

impl Azure {
    async fn list<T: DeserializeOwned>(&self, path: String) -> Result<Vec<T>, ControlError> {
        let (mut all, mut next) = (Vec::new(), Some(format!("{path}?{VERSION}")));
        for _ in 0..PAGES {
            let Some(path) = next else { return Ok(all) };
            let page: Page<T> = self.manager().await?.json(&Request::get(path)).await?;
            all.extend(page.value);
            next = page.next_link.filter(|it| !it.is_empty());
        }
        Err(ControlError {
            what: format!("{path} has more pages than firedrill reads"),
            hint: "see the profile in Azure's portal".to_owned(),
        })
    }

    /// The origins of every group that the plan means.
    pub(super) async fn origins(&self) -> Result<Vec<Read>, ControlError> {
        let AzureBy::FrontDoor { profile, origins } = &self.settings.by else {
            return Ok(Vec::new());
        };
        let patterns = || origins.iter().flat_map(|it| &it.patterns);
        let is_meant = |group: &str| {
            let mut groups = patterns().filter_map(|it| Some(it.split_once('/')?.0));
            groups.any(|pattern| WildMatch::new(pattern).matches(group))
        };
        let base = format!("{}/originGroups", self.settings.path());
        let groups: Vec<Named> = self.list(base.clone()).await?;
        let mut all = Vec::new();
        for Named { name: group } in groups.into_iter().filter(|it| is_meant(&it.name)) {
            let origins: Vec<Origin> = self.list(format!("{base}/{group}/origins")).await?;
            for Origin { name, properties } in origins {
                let part = format!("{group}/{name}");
                let is = |word: &Option<String>, due: &str| {
                    word.as_deref().is_none_or(|word| word.eq_ignore_ascii_case(due))
                };
                all.push(Read {
                    leads: self.leads(&part),
                    part,
                    group: format!("origin group {group} of {profile}"),
                    is_enabled: is(&properties.enabled_state, ENABLED),
                    is_done: is(&properties.provisioning_state, "Succeeded"),
                    // Azure tells the health of origins only in its metrics.
                    is_up: true,
                });
            }
        }
        Ok(all)
    }

    pub(super) async fn set_origins(&self, wanted: &[Wanted<'_>]) -> Vec<ControlError> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let read = match self.origins().await {
            Ok(read) => read,
            Err(error) => return vec![error],
        };
        // What comes first may keep Azure busy for what comes next, so that they share the time.
        let begun = Asked::now();
        let (due, mut errors) = due(wanted, &read);
        let Asking { accepted, refused, busy } = self.ask_for(due, begun).await;
        let is_busy = !busy.is_empty();
        errors.extend(refused.into_iter().chain(busy));
        let mut looks: FuturesUnordered<_> =
            accepted.iter().map(|operation| self.done(operation, begun)).collect();
        let wait = async {
            while let Some(done) = looks.next().await {
                errors.extend(done.err());
            }
            if is_busy {
                // Who calls again at once would cut short what Azure asked for.
                sleep(OPERATIONS.0).await;
            }
        };
        // What is not done yet was accepted: readings say when it is in force.
        timeout(begun.left_of(OPERATIONS.0), wait).await.unwrap_or(());
        errors
    }

    /// Asks for all changes, and again for those that Azure was too busy for, as long as the pauses that it names fit into the
    /// time since `begun`. One that has to wait, or cannot, holds up no other.
    async fn ask_for(&self, mut due: Vec<Wanted<'_>>, begun: Asked) -> Asking {
        let mut asking = Asking::default();
        loop {
            let (mut busy, mut refusals, mut wake) = (Vec::new(), Vec::new(), Duration::ZERO);
            for change in due {
                match self.set_origin(change).await {
                    Ok(Told::Done) => {}
                    Ok(Told::Accepted(operation)) => asking.accepted.push(operation),
                    Ok(Told::Busy(answer, refusal)) => match pause(&answer, begun) {
                        Some(pause) => {
                            busy.push(change);
                            refusals.push(refusal);
                            wake = wake.max(begun.elapsed() + pause);
                        }
                        None => asking.busy.push(refusal),
                    },
                    Err(error) => asking.refused.push(error),
                }
            }
            if busy.is_empty() || begun.left_of(OPERATIONS.0).is_zero() {
                asking.busy.extend(refusals);
                return asking;
            }
            sleep(wake.saturating_sub(begun.elapsed())).await;
            due = busy;
        }
    }

    async fn set_origin(&self, change: Wanted<'_>) -> Result<Told, ControlError> {
        let ((group, name), word) = change;
        let manager = self.manager().await?;
        let path =
            format!("{}/originGroups/{group}/origins/{name}?{VERSION}", self.settings.path());
        let body = json!({ "properties": { STATE: word } });
        let request = Request::repeatable(Method::PATCH, path).json(&body);
        let answer = manager.ask(&request).await?;
        match answer.status() {
            202 => {}
            409 => {
                let refusal = ControlError {
                    hint: "Azure makes one change of a profile after another: see what else changes it"
                        .to_owned(),
                    ..manager.refused(&request, &answer)
                };
                return Ok(Told::Busy(answer, refusal));
            }
            _ if answer.is_good() => return Ok(Told::Done),
            _ => return Err(manager.refused(&request, &answer)),
        }
        let at = |name: &str| answer.header(name).map(str::to_owned);
        let origin = format!("{group}/{name}");
        Ok(match (at("azure-asyncoperation"), at("location")) {
            (Some(at), _) => Told::Accepted(Accepted { origin, tells: true, at }),
            (None, Some(at)) => Told::Accepted(Accepted { origin, tells: false, at }),
            (None, None) => Told::Done,
        })
    }

    /// Looks at an operation until it is done. Where Azure wants to be left alone for longer than there is time since `begun`,
    /// that is longer than anybody waits.
    async fn done(&self, accepted: &Accepted, begun: Asked) -> Result<(), ControlError> {
        let manager = self.manager().await?;
        let request = Request::get(&*accepted.at);
        loop {
            let answer = manager.ask(&request).await?;
            if !answer.is_good() {
                return Err(manager.refused(&request, &answer));
            }
            let is_under_way = match accepted.tells {
                false => answer.status() == 202,
                true => {
                    let operation: Operation =
                        answer.json().map_err(|why| manager.senseless(&request, &why))?;
                    match operation.status.to_ascii_lowercase().as_str() {
                        "succeeded" => false,
                        "failed" | "canceled" => return Err(failed(&accepted.origin, &operation)),
                        _ => true,
                    }
                }
            };
            if !is_under_way {
                return Ok(());
            }
            sleep(pause(&answer, begun).unwrap_or(OPERATIONS.0)).await;
        }
    }
}

/// Of what is wanted, what is not so yet; and what can never be, since it is gone.
fn due<'w>(wanted: &[Wanted<'w>], read: &[Read]) -> (Vec<Wanted<'w>>, Vec<ControlError>) {
    let (mut due, mut gone) = (Vec::new(), Vec::new());
    for change in wanted {
        let ((group, name), word) = change;
        let part = format!("{group}/{name}");
        match read.iter().find(|it| it.part == part) {
            Some(is) if is.is_done && is.is_enabled != (*word == DISABLED) => {}
            Some(_) => due.push(*change),
            None => gone.push(ControlError {
                what: format!("{part} is no longer there"),
                hint: "it was there before: see who changed the profile".to_owned(),
            }),
        }
    }
    (due, gone)
}

/// How long to leave Azure alone after `answer`; `None` where that is for longer than there is time.
fn pause(answer: &Answer, begun: Asked) -> Option<Duration> {
    again(Some(answer), OPERATIONS.1, begun.left_of(OPERATIONS.0))
}

fn failed(origin: &str, operation: &Operation) -> ControlError {
    let why = operation.error.as_ref().map_or_else(
        || operation.status.clone(),
        |error| format!("{} {}", error.code, error.message),
    );
    ControlError {
        what: crate::model::printable(&format!(
            "Azure took the change of {origin} and could not make it: {why}"
        )),
        hint: "see the activity log of the profile".to_owned(),
    }
}
