//! Toxiproxy, or `firedrill proxy`, steered through the API that both have.
//!
//! `firedrill proxy` is cut in its own way, which does what the built-in proxies do. A Toxiproxy is cut by toxics, or, for
//! `reset`, by not listening. Both go on when firedrill is gone, and forget everything when they are started anew.

mod proxy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use wildmatch::WildMatch;

use self::proxy::{CUT, Proxy, Toxic, toxics};
use super::api::{Api, Method, Reach, Request};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, Mode, Part, PartState,
    Passage, Text, ToxiproxySettings, query_value,
};
use crate::traffic::all_done;

/// The proxies of a server as a traffic control. Its parts are proxies, by their names.
pub struct Toxiproxy {
    spec: ControlSpec,
    settings: ToxiproxySettings,
    api: Api,
    /// Whether it is `firedrill proxy`.
    has_cuts: OnceCell<bool>,
}

impl Toxiproxy {
    /// The server of `settings`, which are those of `spec`. Nothing is connected yet.
    ///
    /// # Errors
    /// When its URL or token cannot be used.
    pub fn new(
        spec: &ControlSpec,
        settings: &ToxiproxySettings,
    ) -> Result<Toxiproxy, ControlError> {
        let token = settings.token.as_ref().map(|token| {
            let parts =
                std::iter::once(Part::Plain("Bearer ".into())).chain(token.parts().to_vec());
            ("authorization", Text::new(parts.collect()))
        });
        let headers = token.into_iter().collect();
        let reach = Reach { headers, limit: settings.timeout, ..Reach::default() };
        Ok(Toxiproxy {
            spec: spec.clone(),
            api: Api::new(&settings.url, &reach)?,
            settings: settings.clone(),
            has_cuts: OnceCell::new(),
        })
    }

    async fn has_cuts(&self) -> Result<bool, ControlError> {
        let ask = async || {
            let answer = self.api.good(&Request::get("/version")).await?;
            // Old ones answer with the bare number.
            let version: Value = answer.json().unwrap_or_default();
            Ok(version.get("firedrill").is_some())
        };
        self.has_cuts.get_or_try_init(ask).await.copied()
    }

    /// Every proxy there, in order.
    async fn all(&self) -> Result<Vec<Proxy>, ControlError> {
        let all: BTreeMap<String, Proxy> = self.api.json(&Request::get("/proxies")).await?;
        Ok(all.into_values().map(Proxy::sorted).collect())
    }

    /// Those of the plan, with where they lead. What another hand makes that stands in two datacenters must not keep us from
    /// what is ours.
    async fn ours(&self) -> Result<Vec<(Proxy, DatacenterId)>, ControlError> {
        let all = self.all().await?.into_iter();
        let ours = all.filter_map(|proxy| {
            let datacenter = self.place(&proxy).ok()??;
            Some((proxy, datacenter))
        });
        Ok(ours.collect())
    }

    /// Where a proxy leads by the plan.
    fn place(&self, proxy: &Proxy) -> Result<Option<DatacenterId>, ControlError> {
        let takes = |pattern: &String| WildMatch::new(pattern).matches(&proxy.name);
        let all = self.settings.proxies.iter().filter(|it| it.patterns.iter().any(takes));
        let mut at = all.map(|it| it.datacenter).collect::<BTreeSet<_>>().into_iter();
        match (at.next(), at.next()) {
            (at, None) => Ok(at),
            _ => Err(ControlError {
                what: format!("the proxy {} stands in two datacenters", shown(&proxy.name)),
                hint: "narrow the patterns under `proxies:`".into(),
            }),
        }
    }

    async fn cut_one(&self, before: &Proxy, mode: &Mode) -> Result<(), ControlError> {
        if self.has_cuts().await? {
            return self.turn(&before.name, Some(mode)).await;
        }
        // What others have changed since it was looked at stays, and shows as theirs.
        let now = self.read(&before.name).await?;
        self.become_as(&now, &now.cut_by(mode, false)).await
    }

    /// Cuts a proxy of `firedrill proxy` in its own way, or opens it.
    async fn turn(&self, name: &str, mode: Option<&Mode>) -> Result<(), ControlError> {
        let path = format!("{}/cut", path(name));
        let request = match mode {
            Some(mode) => Request::repeatable(Method::PUT, path).json(&json!({ "mode": mode })),
            None => Request::repeatable(Method::DELETE, path),
        };
        self.api.good(&request).await.map(drop)
    }

    /// Makes a proxy what `wanted` is, by as few changes as that needs. It listens again when all else is done.
    async fn become_as(&self, now: &Proxy, wanted: &Proxy) -> Result<(), ControlError> {
        let name = &wanted.name;
        if now.cut != wanted.cut {
            self.turn(name, wanted.cut.as_ref()).await?;
        }
        let missing = |toxic: &&Toxic, of: &[Toxic]| !of.iter().any(|it| it == *toxic);
        for toxic in now.toxics.iter().filter(|it| missing(it, &wanted.toxics)) {
            let request = Request::repeatable(Method::DELETE, toxic_path(name, toxic));
            let answer = self.api.ask(&request).await?;
            if !answer.is_good() && answer.status() != 404 {
                return Err(self.api.refused(&request, &answer));
            }
        }
        for toxic in wanted.toxics.iter().filter(|it| missing(it, &now.toxics)) {
            self.api.good(&add(name, toxic)).await?;
        }
        if now.enabled != wanted.enabled {
            self.api.good(&enable(name, wanted.enabled)).await?;
        }
        Ok(())
    }

    async fn restore_one(&self, name: &str, part: &PartState) -> Result<(), ControlError> {
        let wanted = Proxy::of(name, &part.settings).ok_or_else(|| ControlError {
            what: format!("what is known of the proxy {} is no state of one", shown(name)),
            hint: "see whether the journal was changed by hand".into(),
        })?;
        self.become_as(&self.read(name).await?, &wanted).await
    }

    async fn read(&self, name: &str) -> Result<Proxy, ControlError> {
        self.api.json(&Request::get(path(name))).await.map(Proxy::sorted)
    }

    /// Holds that the server can cut in `mode`.
    async fn can(&self, mode: &Mode) -> Result<(), ControlError> {
        if self.has_cuts().await? || toxics(mode).is_some() {
            return Ok(());
        }
        let what = match mode {
            Mode::Degrade(_) => "a Toxiproxy loses no data, so it cannot degrade with `loss`",
            _ => {
                "a Toxiproxy cannot let old connections go on and refuse new ones, so it cannot drain"
            }
        };
        Err(ControlError {
            what: what.into(),
            hint: "take another mode, or `firedrill proxy` in its place".into(),
        })
    }

    /// A command that does `request`.
    fn command(&self, (method, path, body): (&str, String, Option<Value>)) -> String {
        let token = match self.settings.token {
            Some(_) => " -H \"authorization: Bearer $TOKEN\"",
            None => "",
        };
        let body = body.map_or_else(String::new, |it| {
            format!(" -d '{}'", it.to_string().replace('\'', "'\\''"))
        });
        let url = self.settings.url.to_string();
        format!("curl -X {method}{token}{body} '{}{path}'", url.trim_end_matches('/'))
    }
}

/// Text of the provider's in an error.
fn shown(text: &str) -> String {
    crate::model::printable(text).to_string()
}

fn path(name: &str) -> String {
    format!("/proxies/{}", query_value(name))
}

fn toxic_path(name: &str, toxic: &Toxic) -> String {
    format!("{}/toxics/{}", path(name), query_value(&toxic.name))
}

/// It is refused when it is there already, so it is not asked for twice.
fn add(name: &str, toxic: &Toxic) -> Request {
    Request::once(Method::POST, format!("{}/toxics", path(name))).json(&json!(toxic))
}

fn enable(name: &str, enabled: bool) -> Request {
    Request::repeatable(Method::POST, path(name)).json(&json!({ "enabled": enabled }))
}

/// What a change from `before` to `after` takes, as method, path and body.
fn steps(before: &Proxy, after: &Proxy) -> Vec<(&'static str, String, Option<Value>)> {
    let name = &before.name;
    let mut steps = Vec::new();
    if before.cut != after.cut {
        let path = format!("{}/cut", path(name));
        steps.push(match after.cut {
            Some(mode) => ("PUT", path, Some(json!({ "mode": mode }))),
            None => ("DELETE", path, None),
        });
    }
    for toxic in before.toxics.iter().filter(|it| !after.toxics.contains(it)) {
        steps.push(("DELETE", toxic_path(name, toxic), None));
    }
    for toxic in after.toxics.iter().filter(|it| !before.toxics.contains(it)) {
        steps.push(("POST", format!("{}/toxics", path(name)), Some(json!(toxic))));
    }
    if before.enabled != after.enabled {
        steps.push(("POST", path(name), Some(json!({ "enabled": after.enabled }))));
    }
    steps
}

/// The proxy that a part of a state is, if it is one.
fn known((name, part): (&String, &PartState)) -> Option<(Proxy, bool)> {
    Proxy::of(name, &part.settings).map(|proxy| (proxy, part.settings.contains_key(CUT)))
}

#[async_trait]
impl TrafficControl for Toxiproxy {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Whoever may read the API may also change it.
    async fn preflight(&self) -> Result<(), ControlError> {
        self.has_cuts().await?;
        let all = self.all().await?;
        for pattern in self.settings.proxies.iter().flat_map(|it| &it.patterns) {
            if !all.iter().any(|proxy| WildMatch::new(pattern).matches(&proxy.name)) {
                let names: Vec<String> = all.iter().take(5).map(|it| shown(&it.name)).collect();
                let more = if all.len() > names.len() { ", …" } else { "" };
                return Err(ControlError {
                    what: format!("no proxy matches `{pattern}`"),
                    hint: match names.is_empty() {
                        true => "it has no proxies at all; make them first".into(),
                        false => format!("it has {}{more}", names.join(", ")),
                    },
                });
            }
        }
        all.iter().try_for_each(|proxy| self.place(proxy).map(drop))
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let has_cuts = self.has_cuts().await?;
        let part = |(proxy, datacenter): (Proxy, DatacenterId)| {
            let (passage, settings) = (proxy.passage(), proxy.settings(has_cuts));
            (proxy.name, PartState { datacenter, passage, settings })
        };
        Ok(ControlState { parts: self.ours().await?.into_iter().map(part).collect() })
    }

    /// Which proxies stand in for each other is not known here; whether they can be cut so at all is.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        self.can(&order.mode).await.map(|()| Vec::new())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.can(&order.mode).await?;
        let ours = snapshot.cuttable(order);
        let before: Vec<Proxy> = ours.parts.iter().filter_map(known).map(|(it, _)| it).collect();
        let cuts = before.iter().map(|proxy| self.cut_one(proxy, &order.mode));
        all_done("", join_all(cuts).await)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let calls = ours.parts.iter().filter_map(known).flat_map(|(before, has_cuts)| {
            let after = before.cut_by(&order.mode, has_cuts);
            let told = |(method, path, body): (&str, String, Option<Value>)| match body {
                Some(body) => format!("{method} {path} {body}"),
                None => format!("{method} {path}"),
            };
            let back: Vec<String> = steps(&after, &before).into_iter().map(told).collect();
            let there = steps(&before, &after).into_iter().map(told);
            there
                .zip(back)
                .map(|(call, undone_by)| CutCall { call, undone_by: Some(undone_by) })
                .collect::<Vec<_>>()
        });
        calls.collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for (name, part) in &mut state.parts {
            let Some((before, has_cuts)) = known((name, part)) else { continue };
            let after = before.cut_by(&order.mode, has_cuts);
            (part.passage, part.settings) = (after.passage(), after.settings(has_cuts));
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let back = snapshot.parts.iter().map(|(name, part)| self.restore_one(name, part));
        all_done("", join_all(back).await)
    }

    /// As if it were cut in every way that firedrill knows, for which it was is not in the snapshot.
    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let open = snapshot.parts.iter().filter(|(_, part)| part.passage != Passage::Closed);
        let lines = open.filter_map(known).flat_map(|(before, has_cuts)| {
            if has_cuts {
                let undo = ("DELETE", format!("{}/cut", path(&before.name)), None);
                return vec![self.command(undo)];
            }
            let mut lines = vec![self.command(("GET", path(&before.name), None))];
            let after = before.cut_by(&Mode::Blackhole, false);
            let after = after.cut_by(&Mode::Reset, false);
            lines.extend(steps(&after, &before).into_iter().map(|step| self.command(step)));
            lines
        });
        lines.collect()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.api.exchanges()
    }
}
