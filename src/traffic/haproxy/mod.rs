//! HAProxy, steered through its runtime API.
//!
//! A cut sets servers to `maint`, not to `drain`: HAProxy's drain lets clients with a sticky
//! cookie go on reaching the datacenter. Open connections live on under `maint`, so that is what
//! firedrill calls a drain; `reset` ends them with `shutdown sessions` afterwards.
//!
//! HAProxy keeps this state in memory. After a reload the cut is gone unless the state is saved
//! and loaded by its configuration, and [`TrafficControl::inspect`] says so.

mod servers;
mod socket;
mod state;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use self::servers::{all_match, placed, select, survivors};
use self::socket::Socket;
use self::state::{AGENT, STATE, Server, WEIGHT, is_plain};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, HaproxyServers, ModeKind, PartState,
    Passage, Provider,
};

/// A HAProxy as a traffic control. Its parts are servers, named `BACKEND/SERVER`.
#[derive(Debug)]
pub struct Haproxy {
    spec: ControlSpec,
    servers: Vec<HaproxyServers>,
    socket: Socket,
}

impl Haproxy {
    /// The HAProxy of `spec`. Nothing is connected yet.
    ///
    /// # Errors
    /// When `spec` is of another provider, or names no servers.
    pub fn new(spec: &ControlSpec) -> Result<Haproxy, ControlError> {
        let Provider::Haproxy(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `haproxy:`".into(),
            });
        };
        if settings.servers.iter().all(|servers| servers.patterns.is_empty()) {
            return Err(ControlError {
                what: format!("`{}` names no servers", spec.name),
                hint: "list them under `servers:` as DATACENTER: [BACKEND/SERVER]".into(),
            });
        }
        Ok(Haproxy {
            servers: settings.servers.clone(),
            socket: Socket::new(settings.socket.clone(), settings.timeout),
            spec: spec.clone(),
        })
    }

    async fn table(&self) -> Result<Vec<Server>, ControlError> {
        let command = "show servers state";
        let answer = self.socket.ask(command).await?;
        state::parse(&answer).map_err(|problem| ControlError {
            what: format!("{} made no sense to `{command}`: {problem}", self.socket),
            hint: "see that this is HAProxy's runtime API, version 1.8 or later".into(),
        })
    }

    /// A socket that may read and not write would fail only at the cut; ask before it.
    async fn check_level(&self) -> Result<(), ControlError> {
        let command = "show cli level";
        let answer = self.socket.ask(command).await?;
        match answer.trim() {
            "operator" | "user" => Err(ControlError {
                what: format!("{} allows only `level {}`", self.socket, answer.trim()),
                hint: "put `level admin` on its `stats socket` line".into(),
            }),
            "admin" => Ok(()),
            _ => Err(self.socket.refused(command, &answer)),
        }
    }

    /// Gives all of `commands`, whatever becomes of one of them, and says what was refused.
    async fn order(&self, commands: Vec<String>, problem: &str) -> Result<(), ControlError> {
        let refusals = self.socket.order(&commands).await?;
        let Some(first) = refusals.first() else { return Ok(()) };
        let all: Vec<&str> = refusals.iter().map(|refusal| refusal.what.as_str()).collect();
        Err(ControlError {
            what: format!("{problem}: {}", all.join("; ")),
            hint: first.hint.clone(),
        })
    }
}

/// The words of a command, and of the one that undoes it.
type Step<'s> = (Vec<&'s str>, Option<Vec<&'s str>>);

/// The commands that cut, in three steps.
struct WayThere<'s> {
    /// An agent that says `ready` would put its server back, so it is paused first.
    pause: Vec<Step<'s>>,
    close: Vec<Step<'s>>,
    /// Only when no server takes new sessions, or clients would just come back to the next.
    end: Vec<Step<'s>>,
}

impl<'s> WayThere<'s> {
    fn of(order: &'s CutOrder, snapshot: &'s ControlState) -> WayThere<'s> {
        let open: Vec<(&String, &PartState)> =
            snapshot.parts_of(order).filter(|(_, part)| part.passage == Passage::Open).collect();
        let agents = open.iter().filter(|(_, part)| setting(part, AGENT) == Some("enabled"));
        let pause = agents.map(|(server, _)| {
            (vec!["disable agent", server.as_str()], Some(vec!["enable agent", server.as_str()]))
        });
        let close = open.iter().map(|(server, part)| {
            let back =
                setting(part, STATE).map(|it| vec!["set server", server.as_str(), "state", it]);
            (vec!["set server", server.as_str(), "state maint"], back)
        });
        let ended = open.iter().filter(|_| order.mode.kind() == ModeKind::Reset);
        let end =
            ended.map(|(server, _)| (vec!["shutdown sessions server", server.as_str()], None));
        WayThere { pause: pause.collect(), close: close.collect(), end: end.collect() }
    }
}

fn commands(steps: Vec<Step<'_>>) -> Result<Vec<String>, ControlError> {
    steps.iter().map(|(words, _)| command(words)).collect()
}

/// The commands that put `snapshot` back.
///
/// # Errors
/// Of those that are no commands, and the rest is still there.
fn way_back(snapshot: &ControlState) -> (Vec<String>, Result<(), ControlError>) {
    let mut commands = Vec::new();
    for (server, part) in &snapshot.parts {
        if let Some(state) = setting(part, STATE) {
            commands.push(command(&["set server", server, "state", state]));
        }
        if let Some(weight) = setting(part, WEIGHT) {
            commands.push(command(&["set server", server, "weight", weight]));
        }
        match setting(part, AGENT) {
            Some("enabled") => commands.push(command(&["enable agent", server])),
            Some(_) => commands.push(command(&["disable agent", server])),
            None => {}
        }
    }
    let (good, bad): (Vec<_>, Vec<_>) = commands.into_iter().partition(Result::is_ok);
    (good.into_iter().flatten().collect(), bad.into_iter().collect::<Result<Vec<_>, _>>().map(drop))
}

/// A command of `words`, some of which may come from a journal.
///
/// # Errors
/// When a word could end the command and begin another.
fn command(words: &[&str]) -> Result<String, ControlError> {
    let plain = words.iter().all(|word| word.split(' ').all(is_plain));
    let command = words.join(" ");
    if plain {
        return Ok(command);
    }
    Err(ControlError {
        what: format!("`{command}` is no command for HAProxy"),
        hint: "see whether the journal was changed by hand".into(),
    })
}

fn setting<'a>(part: &'a PartState, key: &str) -> Option<&'a str> {
    part.settings.get(key).map(String::as_str)
}

#[async_trait]
impl TrafficControl for Haproxy {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn identity(&self) -> Result<Option<String>, ControlError> {
        Ok(state::process(&self.socket.ask("show info").await?))
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        self.check_level().await?;
        let all = self.table().await?;
        select(&self.servers, &all)?;
        all_match(&self.servers, &all)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let all = self.table().await?;
        let parts = placed(&self.servers, &all).into_iter();
        let parts = parts.map(|(server, at)| (server.name.clone(), server.part(at)));
        Ok(ControlState { parts: parts.collect() })
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        survivors(&self.servers, &self.table().await?, &order.datacenters)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("HAProxy cannot cut in mode `{mode}`"),
                hint: "take `reset` or `drain`, or put a `proxy` between it and its servers".into(),
            });
        }
        let way = WayThere::of(order, snapshot);
        self.order(commands([way.pause, way.close].concat())?, "not cut").await?;
        self.order(commands(way.end)?, "sessions not ended").await?;
        Ok(())
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let way = WayThere::of(order, snapshot);
        let calls = [way.pause, way.close, way.end].concat().into_iter();
        calls
            .map(|(call, back)| CutCall {
                call: call.join(" "),
                undone_by: back.map(|it| it.join(" ")),
            })
            .collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(STATE.to_owned(), "maint".to_owned());
            if let Some(agent) = part.settings.get_mut(AGENT) {
                *agent = "disabled".to_owned();
            }
        }
        state
    }

    /// Goes on after a refusal, so that one server that is gone keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let (commands, bad) = way_back(snapshot);
        self.order(commands, "not put back").await?;
        bad
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.socket.log.take()
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let to = self.socket.socat();
        way_back(snapshot)
            .0
            .iter()
            .map(|command| format!("echo '{command}' | socat - {to}"))
            .collect()
    }
}
