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

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use self::servers::select;
use self::socket::{Failure, Socket};
use self::state::{AGENT, STATE, WEIGHT, is_plain};
use super::{ControlError, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutOrder, HaproxyServers, ModeKind, PartState, Passage, Provider,
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

    async fn read(&self) -> Result<ControlState, ControlError> {
        self.check_level().await?;
        let command = "show servers state";
        let answer = self.socket.ask(command).await?;
        let all = state::parse(&answer).map_err(|problem| ControlError {
            what: format!("{} made no sense to `{command}`: {problem}", self.socket),
            hint: "see that this is HAProxy's runtime API, version 1.8 or later".into(),
        })?;
        let parts = select(&self.servers, &all)?;
        let parts: BTreeMap<String, PartState> = parts
            .into_iter()
            .map(|(server, datacenter)| (server.name.clone(), server.part(datacenter)))
            .collect();
        Ok(ControlState { parts })
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
            _ => Err(self.socket.refused(command, &answer).into()),
        }
    }

    async fn close(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("HAProxy cannot cut in mode `{mode}`"),
                hint: "take `reset` or `drain`, or put a `proxy` between it and its servers".into(),
            });
        }
        let open: Vec<(&String, &PartState)> = snapshot
            .parts_of(order.datacenter)
            .filter(|(_, part)| part.passage == Passage::Open)
            .collect();
        // An agent that says `ready` would put its server back, so it is paused first.
        let agents = open.iter().filter(|(_, part)| setting(part, AGENT) == Some("enabled"));
        for (server, _) in agents {
            self.order(server, |server| format!("disable agent {server}")).await?;
        }
        for (server, _) in &open {
            self.order(server, |server| format!("set server {server} state maint")).await?;
        }
        // Only when no server takes new sessions, or the clients would just come back to the next.
        if mode == ModeKind::Reset {
            for (server, _) in &open {
                self.order(server, |server| format!("shutdown sessions server {server}")).await?;
            }
        }
        Ok(())
    }

    /// Goes on after a refusal, so that one server that is gone keeps no other cut.
    async fn put_back(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let mut refusals: Vec<ControlError> = Vec::new();
        for (server, part) in &snapshot.parts {
            match self.put_back_one(server, part).await {
                Ok(()) => {}
                Err(Failure::Refused(error)) => refusals.push(error),
                Err(lost) => return Err(lost.into()),
            }
        }
        let Some(first) = refusals.first() else { return Ok(()) };
        let all: Vec<&str> = refusals.iter().map(|refusal| refusal.what.as_str()).collect();
        Err(ControlError {
            what: format!("not put back: {}", all.join("; ")),
            hint: first.hint.clone(),
        })
    }

    async fn put_back_one(&self, server: &str, part: &PartState) -> Result<(), Failure> {
        if let Some(state) = setting(part, STATE) {
            self.order(server, |server| format!("set server {server} state {state}")).await?;
        }
        if let Some(weight) = setting(part, WEIGHT) {
            self.order(server, |server| format!("set server {server} weight {weight}")).await?;
        }
        match setting(part, AGENT) {
            Some("enabled") => self.order(server, |server| format!("enable agent {server}")).await,
            Some(_) => self.order(server, |server| format!("disable agent {server}")).await,
            None => Ok(()),
        }
    }

    /// Gives the command that `text` makes for `server`, whose name may come from a journal.
    async fn order(&self, server: &str, text: impl Fn(&str) -> String) -> Result<(), Failure> {
        let command = text(server);
        let arguments = command.split(' ').all(is_plain);
        if !arguments || !is_plain(server) {
            return Err(Failure::Refused(ControlError {
                what: format!("`{command}` is not a command for HAProxy"),
                hint: "see whether the journal was changed by hand".into(),
            }));
        }
        self.socket.order(&command).await
    }
}

fn setting<'a>(part: &'a PartState, key: &str) -> Option<&'a str> {
    part.settings.get(key).map(String::as_str)
}

impl TrafficControl for Haproxy {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    fn inspect(&self) -> BoxFuture<'_, Result<ControlState, ControlError>> {
        self.read().boxed()
    }

    fn cut<'a>(
        &'a self,
        order: &'a CutOrder,
        snapshot: &'a ControlState,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        self.close(order, snapshot).boxed()
    }

    fn restore<'a>(
        &'a self,
        snapshot: &'a ControlState,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        self.put_back(snapshot).boxed()
    }
}
