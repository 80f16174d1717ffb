//! Requests of one's own: any API is a provider without code.
//!
//! The plan writes a request each to read a part, to close it and to put it back, with places for values. What was read
//! before the cut is kept, so that the restore writes exactly that.

mod fill;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use self::fill::{Filled, Values, pointer, shell};
use self::secret::Secrets;
use super::api::answer::shortened;
use super::api::{Answer, Api, Method, Reach, Request};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, HttpCall, HttpPart, HttpSettings,
    ModeKind, PartState, Passage, Text,
};

/// So many parts are asked for at a time.
const AT_ONCE: usize = 8;

/// Of a value that is not as expected, as many characters are told.
const SHOWN: usize = 80;

/// Keys of [`PartState::settings`]: what stands where it is read whether the part is open, and what a restore puts back.
const STATE: &str = "state";
const BEFORE: &str = "before";

/// An API as a traffic control. Its parts are those that the plan names.
pub struct Http {
    spec: ControlSpec,
    settings: HttpSettings,
    api: Api,
    secrets: Secrets,
}

impl Http {
    /// The API of `settings`, which are those of `spec`. Nothing is connected yet.
    ///
    /// # Errors
    /// When its URL, a header, a method or the authorities cannot be used.
    pub fn new(spec: &ControlSpec, settings: &HttpSettings) -> Result<Http, ControlError> {
        let texts = spec.provider.texts();
        let ca = settings.ca.as_ref().map(Text::reveal_plain);
        let headers = settings.headers.iter();
        let reach = Reach {
            headers: headers.map(|(name, text)| (name.as_str(), text.clone())).collect(),
            secrets: texts.iter().flat_map(Text::secrets).collect(),
            ca: ca.as_deref().map(Path::new),
            limit: settings.timeout,
            ..Reach::default()
        };
        let api = Api::new(&settings.url, &reach)?;
        let secrets = Secrets::of(&texts);
        Ok(Http { spec: spec.clone(), settings: settings.clone(), api, secrets })
    }

    fn values<'a>(&'a self, part: &'a HttpPart) -> Values<'a> {
        let datacenter = self.settings.datacenters.get(part.datacenter.index());
        Values {
            part: &part.name,
            datacenter: datacenter.map_or("?", |name| name.as_str()),
            mode: None,
            before: None,
        }
    }

    fn request(&self, call: &HttpCall, filled: &Filled) -> Result<Request, ControlError> {
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|_| ControlError {
            what: format!("{} has a request with the method `{}`", self.spec.name, call.method),
            hint: "write `GET`, `PATCH`, `PUT`, `POST` or `DELETE`".to_owned(),
        })?;
        let request = match call.repeatable {
            true => Request::repeatable(method, &filled.path),
            false => Request::once(method, &filled.path),
        };
        Ok(match &filled.body {
            Some(body) => request
                .body("application/json", body)
                .header("content-type", call.content_type.clone()),
            None => request,
        })
    }

    /// A part as it may be written down.
    fn hidden(&self, mut part: PartState) -> PartState {
        for text in part.settings.values_mut() {
            *text = self.secrets.hide(text);
        }
        part
    }

    /// Whether an answer is the one that says that it was done.
    fn judged(
        &self,
        call: &HttpCall,
        request: &Request,
        answer: &Answer,
    ) -> Result<(), ControlError> {
        let expect = &call.expect;
        if !expect.allows(answer.status()) {
            return Err(self.api.refused(request, answer));
        }
        let senseless = |why: String| Err(self.api.senseless(request, &why));
        if let Some(text) = &expect.body
            && !answer.text().is_ok_and(|body| body.contains(&text.reveal_plain()))
        {
            return senseless(format!("a body without `{text}`, which `expect` names"));
        }
        if expect.json.is_empty() {
            return Ok(());
        }
        let body: Value = answer.json().map_err(|why| self.api.senseless(request, &why))?;
        let wrong = expect.json.iter().find(|(at, wanted)| body.pointer(at) != Some(wanted));
        match wrong {
            None => Ok(()),
            Some((at, wanted)) => {
                let found = body.pointer(at).map_or("nothing".to_owned(), short);
                senseless(format!("{found} at `{at}`, where `expect` has {}", short(wanted)))
            }
        }
    }

    /// Every part as it is now, with whatever secrets the API says; `None` for one that is gone.
    async fn read(&self) -> Result<BTreeMap<String, Option<PartState>>, ControlError> {
        let call = &self.settings.inspect.call;
        let mut asked: BTreeMap<Filled, Vec<&HttpPart>> = BTreeMap::new();
        for part in &self.settings.parts {
            // Where no part stands in the request, one answer tells of all.
            let filled = self.values(part).fill(call)?;
            asked.entry(filled).or_default().push(part);
        }
        let reads = asked.iter().map(|(filled, parts)| self.read_parts(filled, parts));
        let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE);
        let mut state = BTreeMap::new();
        while let Some(read) = reads.next().await {
            state.extend(read?);
        }
        Ok(state)
    }

    async fn read_parts(
        &self,
        filled: &Filled,
        parts: &[&HttpPart],
    ) -> Result<Vec<(String, Option<PartState>)>, ControlError> {
        let call = &self.settings.inspect.call;
        let request = self.request(call, filled)?;
        let answer = self.api.ask(&request).await?;
        if answer.status() == 404 && !call.expect.allows(404) {
            return Ok(parts.iter().map(|part| (part.name.clone(), None)).collect());
        }
        self.judged(call, &request, &answer)?;
        let body: Value = answer.json().map_err(|why| self.api.senseless(&request, &why))?;
        let part =
            |part: &&HttpPart| Ok((part.name.clone(), Some(self.part(part, &request, &body)?)));
        parts.iter().map(part).collect()
    }

    /// What an answer says of a part.
    fn part(
        &self,
        part: &HttpPart,
        request: &Request,
        body: &Value,
    ) -> Result<PartState, ControlError> {
        let inspect = &self.settings.inspect;
        let at = |place: &str| {
            let place = pointer(place, &self.values(part));
            body.pointer(&place).ok_or_else(|| {
                self.api.senseless(request, &format!("nothing at `{place}`, of {}", part.name))
            })
        };
        let state = at(&inspect.read)?;
        let mut settings = BTreeMap::from([(STATE.to_owned(), state.to_string())]);
        let passage = match *state == inspect.closed {
            true => Passage::Closed,
            false => Passage::Open,
        };
        // While it is closed, what is kept may be gone with it.
        if let (Passage::Open, Some(keep)) = (passage, &inspect.keep) {
            settings.insert(BEFORE.to_owned(), at(keep)?.to_string());
        }
        Ok(PartState { datacenter: part.datacenter, passage, settings })
    }

    /// What a restore puts back, as JSON in which secrets are hidden.
    fn kept<'s>(&self, part: &'s PartState) -> Option<&'s String> {
        part.settings.get(if self.settings.inspect.keep.is_some() { BEFORE } else { STATE })
    }

    /// What a restore puts back, with the secrets in it.
    ///
    /// # Errors
    /// When it is not known, or has a secret in it whose variable has another value now.
    fn before(&self, name: &str, part: &PartState) -> Result<Value, ControlError> {
        let kept = self.kept(part).map(|text| self.secrets.reveal(text));
        if let Some(variable) = kept.as_deref().and_then(|text| self.secrets.left(text)) {
            return Err(ControlError {
                what: format!("{variable} has another value than when the drill read it"),
                hint: format!("set {variable} as it was for the drill, then run it again"),
            });
        }
        kept.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| ControlError {
            what: format!("what is known of {name} does not say what it was before"),
            hint: "see whether the journal was changed by hand".to_owned(),
        })
    }

    /// Every part of `state` that is not closed, with what it was before.
    fn open<'s>(
        &'s self,
        state: &'s ControlState,
    ) -> impl Iterator<Item = (&'s HttpPart, &'s PartState)> {
        let known = self.settings.parts.iter();
        let there = known.filter_map(|part| Some((part, state.parts.get(&part.name)?)));
        there.filter(|(_, state)| state.passage != Passage::Closed)
    }

    /// Holds that every request of a cut and of its way back can be made of what was read.
    fn can_be_asked(
        &self,
        state: &BTreeMap<String, Option<PartState>>,
    ) -> Result<(), ControlError> {
        let (cut, restore) = (&self.settings.cut, &self.settings.restore);
        for part in &self.settings.parts {
            let Some(Some(was)) = state.get(&part.name) else { continue };
            if was.passage == Passage::Closed {
                continue;
            }
            if was.settings.values().any(|text| !self.secrets.can_hide(text)) {
                return Err(ControlError {
                    what: format!("what is read of {} has the place of a secret in it", part.name),
                    hint: "let `read` and `keep` of `inspect` name less of the answer".to_owned(),
                });
            }
            let before = self.before(&part.name, &self.hidden(was.clone()))?;
            for (call, mode) in [(cut, self.settings.modes.first().copied()), (restore, None)] {
                let values = Values { before: Some(&before), mode, ..self.values(part) };
                self.api.can_ask(&self.request(call, &values.fill(call)?)?)?;
            }
        }
        Ok(())
    }

    /// Asks `call` for one part.
    async fn ask(
        &self,
        call: &HttpCall,
        part: &HttpPart,
        (was, mode): (&PartState, Option<ModeKind>),
    ) -> Result<(), ControlError> {
        let before = self.before(&part.name, was)?;
        let values = Values { before: Some(&before), mode, ..self.values(part) };
        let request = self.request(call, &values.fill(call)?)?;
        let answer = self.api.ask(&request).await?;
        self.judged(call, &request, &answer)
    }

    /// A request as a plan has it, secrets left out.
    fn shown(
        &self,
        call: &HttpCall,
        (part, was): (&HttpPart, &PartState),
        mode: Option<ModeKind>,
    ) -> Filled {
        let before = self.kept(was).and_then(|text| serde_json::from_str(text).ok());
        let values = Values { before: before.as_ref(), mode, ..self.values(part) };
        values.shown(call)
    }

    fn curl(&self, call: &HttpCall, filled: &Filled) -> String {
        let mut line = format!("curl -X {}", call.method);
        let kind = filled.body.as_ref().map(|_| format!("content-type: {}", call.content_type));
        let headers = self.settings.headers.iter().map(|(name, text)| format!("{name}: {text}"));
        for header in headers.chain(kind) {
            line += &format!(" -H {}", shell(&header));
        }
        if let Some(ca) = &self.settings.ca {
            line += &format!(" --cacert {}", shell(&ca.to_string()));
        }
        if let Some(body) = &filled.body {
            line += &format!(" --data-raw {}", shell(body));
        }
        let url = self.settings.url.to_string();
        format!("{line} {}", shell(&format!("{}{}", url.trim_end_matches('/'), filled.path)))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It knows secrets.
        f.debug_struct("Http").field("api", &self.api).finish_non_exhaustive()
    }
}

fn short(value: &Value) -> String {
    shortened(&value.to_string(), SHOWN)
}

/// The first error, and how many there are beside it.
fn first(results: Vec<Result<(), ControlError>>) -> Result<(), ControlError> {
    let mut errors = results.into_iter().filter_map(Result::err);
    let Some(mut error) = errors.next() else { return Ok(()) };
    let more = errors.count();
    if more > 0 {
        error.what += &format!(" (and {more} more parts)");
    }
    Err(error)
}

#[async_trait]
impl TrafficControl for Http {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Every part that the plan names is there.
    async fn preflight(&self) -> Result<(), ControlError> {
        let state = self.read().await?;
        let gone: Vec<&str> =
            state.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| &**name).collect();
        match gone.is_empty() {
            true => self.can_be_asked(&state),
            false => Err(ControlError {
                what: format!(
                    "{} has no {}: the answer is 404",
                    self.settings.url,
                    gone.join(", ")
                ),
                hint: "see the names under `parts`, and the `path` of `inspect`".to_owned(),
            }),
        }
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let state = self.read().await?;
        // Another hand takes one away. All of them at once: that is the way to the API.
        if state.values().all(Option::is_none) {
            return Err(ControlError {
                what: format!("{} answers 404 for every part", self.settings.url),
                hint: "see whether the API is up, and the `path` of `inspect`".to_owned(),
            });
        }
        let parts = state.into_iter();
        let parts = parts.filter_map(|(name, part)| Some((name, self.hidden(part?))));
        Ok(ControlState { parts: parts.collect() })
    }

    /// Whether those that are left are well is not known to what is read.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let others = self.settings.parts.iter();
        let others: Vec<_> =
            others.filter(|part| !order.datacenters.contains(&part.datacenter)).collect();
        if !self.settings.survivors || others.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.inspect().await?;
        let left = self.open(&state).filter(|(part, _)| others.contains(part)).count();
        Ok(vec![Survivors { group: "parts".to_owned(), left }])
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let ours = snapshot.cuttable(order);
        let open: Vec<_> = self.open(&ours).collect();
        let mode = Some(order.mode.kind());
        // Where some are refused, the rest is not even asked for.
        for parts in open.chunks(AT_ONCE) {
            let cut =
                parts.iter().map(|(part, was)| self.ask(&self.settings.cut, part, (was, mode)));
            first(futures_util::future::join_all(cut).await)?;
        }
        Ok(())
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let call = |part| CutCall {
            call: self
                .shown(&self.settings.cut, part, Some(order.mode.kind()))
                .line(&self.settings.cut),
            undone_by: Some(
                self.shown(&self.settings.restore, part, None).line(&self.settings.restore),
            ),
        };
        self.open(&ours).map(call).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            let closed = self.secrets.hide(&self.settings.inspect.closed.to_string());
            part.settings = [(STATE.to_owned(), closed)].into();
        }
        state
    }

    /// One that is refused holds up no other.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let open: Vec<_> = self.open(snapshot).collect();
        let back =
            open.iter().map(|(part, was)| self.ask(&self.settings.restore, part, (was, None)));
        first(stream::iter(back.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let call = &self.settings.restore;
        self.open(snapshot).map(|part| self.curl(call, &self.shown(call, part, None))).collect()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.api.exchanges()
    }
}
