//! Pools of load balancers, and the origins in them. A pool that is disabled gets no traffic, and an origin that is disabled
//! gets none in its pool.
//!
//! Origins are written as a whole list, and Cloudflare has no tag for its version. So the list is read right before it is
//! written, never sent a second time as it was, and everything else in it goes back as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wildmatch::WildMatch;

use super::door::{Door, TOKEN};
use super::{Way, all, unknown};
use crate::model::{
    CloudflarePools, ControlState, CutCall, CutOrder, DatacenterId, PartState, Passage,
};
use crate::traffic::api::{Answer, Method, Request, again};
use crate::traffic::log::Asked;
use crate::traffic::{ControlError, Survivors};

/// Key of [`PartState::settings`], and of pools and origins.
const ENABLED: &str = "enabled";
/// The pool's id, by which a person changes it.
const ID: &str = "pool";

/// So often a pool is read and written anew when the answer was lost or Cloudflare was busy.
const TRIES: u32 = 3;

/// Without a word from Cloudflare, it is left alone for so long at first, and longer the next time.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// All pools of a cut or a restore share the time in which a pause may end, since a call has 15 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// The pools of an account.
pub(super) struct Pools<'c> {
    pub(super) door: &'c Door,
    pub(super) account: &'c str,
    pub(super) pools: &'c [CloudflarePools],
}

/// A pool, as far as we must know it.
#[derive(Deserialize)]
struct Pool {
    id: String,
    name: String,
    enabled: Option<bool>,
    monitor: Option<String>,
    monitor_group: Option<String>,
    minimum_origins: Option<usize>,
    /// Whole, since they are written back so.
    #[serde(default)]
    origins: Vec<Map<String, Value>>,
}

/// What becomes of a pool: of itself, and of its origins by their names.
#[derive(Default)]
struct Wanted<'p> {
    pool: Option<bool>,
    origins: BTreeMap<&'p str, bool>,
}

/// A part's name and datacenter, the name of the origin, if it is one, and whether it is enabled.
type Part<'p> = (String, DatacenterId, Option<&'p str>, bool);

fn name(origin: &Map<String, Value>) -> &str {
    origin.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn is_enabled(origin: &Map<String, Value>) -> bool {
    origin.get(ENABLED).and_then(Value::as_bool).unwrap_or(true)
}

impl Pool {
    fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    fn is_watched(&self) -> bool {
        let set = |it: &Option<String>| it.as_deref().is_some_and(|it| !it.is_empty());
        set(&self.monitor) || set(&self.monitor_group)
    }

    /// Holds that its origins can be told apart by their names.
    fn is_clear(&self) -> Result<(), ControlError> {
        let mut names = BTreeSet::new();
        match self.origins.iter().map(name).find(|name| name.is_empty() || !names.insert(*name)) {
            None => Ok(()),
            Some(name) => Err(ControlError {
                what: format!("the pool {} has several origins `{name}`", self.name),
                hint: "give each origin a name of its own".to_owned(),
            }),
        }
    }

    /// What must be written so that it is as `wanted`; `None` where nothing must. Also the names of origins that are gone.
    fn change<'w>(&self, wanted: &Wanted<'w>) -> (Option<Value>, Vec<&'w str>) {
        let mut body = Map::new();
        if wanted.pool.is_some_and(|pool| pool != self.is_enabled()) {
            body.insert(ENABLED.to_owned(), json!(wanted.pool));
        }
        let differs = |it: &Map<String, Value>| {
            wanted.origins.get(name(it)).is_some_and(|wanted| *wanted != is_enabled(it))
        };
        if self.origins.iter().any(differs) {
            let mut origins = self.origins.clone();
            for origin in &mut origins {
                // Since when it is disabled is Cloudflare's to say, and what is null is not set.
                origin.retain(|key, value| key != "disabled_at" && !value.is_null());
                if let Some(enabled) = wanted.origins.get(name(origin)) {
                    origin.insert(ENABLED.to_owned(), json!(enabled));
                }
            }
            body.insert("origins".to_owned(), json!(origins));
        }
        let is_gone = |wanted: &&str| !self.origins.iter().any(|it| name(it) == *wanted);
        let gone = wanted.origins.keys().copied().filter(is_gone).collect();
        ((!body.is_empty()).then_some(Value::Object(body)), gone)
    }
}

impl Pools<'_> {
    fn path(&self, rest: &str) -> String {
        format!("/accounts/{}/load_balancers/pools{rest}", self.account)
    }

    /// All pools of the account.
    async fn read(&self) -> Result<Vec<Pool>, ControlError> {
        let request = Request::get(self.path(""));
        let (pools, info): (Vec<Pool>, _) = self.door.result(&request).await?;
        if info.total_count.is_some_and(|all| all > pools.len() as f64) {
            return Err(ControlError {
                what: format!(
                    "Cloudflare lists {} pools, and says that there are more",
                    pools.len()
                ),
                hint: "tell firedrill's authors: Cloudflare did not page this list".to_owned(),
            });
        }
        Ok(pools)
    }

    /// Whether the plan names origins in it.
    fn is_named(&self, pool: &Pool) -> bool {
        let origins = |pattern: &String| {
            pattern.split_once('/').is_some_and(|(it, _)| WildMatch::new(it).matches(&pool.name))
        };
        self.pools.iter().any(|it| it.patterns.iter().any(origins))
    }

    /// The datacenter that a part leads to by the plan.
    fn datacenter(&self, part: &str) -> Result<Option<DatacenterId>, ControlError> {
        let matches = |pattern: &String| {
            pattern.contains('/') == part.contains('/') && WildMatch::new(pattern).matches(part)
        };
        let mut at = self.pools.iter().filter(|it| it.patterns.iter().any(matches));
        let (first, other) = (at.next().map(|it| it.datacenter), at.next());
        match other {
            None => Ok(first),
            Some(_) => Err(ControlError {
                what: format!("{part} leads to two datacenters by the plan's patterns"),
                hint: "make the patterns under `pools` narrower".into(),
            }),
        }
    }

    /// Holds that each part of a pool can be told from the others, and leads to one datacenter.
    fn is_sound(&self, pool: &Pool) -> Result<(), ControlError> {
        if self.is_named(pool) {
            pool.is_clear()?;
        }
        let origins = pool.origins.iter().map(|origin| format!("{}/{}", pool.name, name(origin)));
        let mut parts = origins.chain([pool.name.clone()]);
        parts.try_for_each(|part| self.datacenter(&part).map(drop))
    }

    /// The parts of a pool that the plan names. What another hand adds that cannot be told from others is left out: it must
    /// not keep us from what is ours.
    fn parts<'p>(&self, pool: &'p Pool) -> Vec<Part<'p>> {
        let mut parts = Vec::new();
        let at = |part: &str| self.datacenter(part).ok().flatten();
        if let Some(datacenter) = at(&pool.name) {
            parts.push((pool.name.clone(), datacenter, None, pool.is_enabled()));
        }
        for origin in pool.origins.iter().filter(|_| pool.is_clear().is_ok()) {
            let part = format!("{}/{}", pool.name, name(origin));
            if let Some(datacenter) = at(&part) {
                parts.push((part, datacenter, Some(name(origin)), is_enabled(origin)));
            }
        }
        parts
    }

    /// Makes every part what `state` says; goes on after a refusal.
    async fn set_all(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        let (mut wanted, mut errors) = (BTreeMap::<&str, Wanted>::new(), Vec::new());
        for (part, is) in &state.parts {
            let (pool, origin) = match part.split_once('/') {
                Some((pool, origin)) => (pool, Some(origin)),
                None => (&**part, None),
            };
            let enabled = is.settings.get(ENABLED).and_then(|it| it.parse().ok());
            match (self.datacenter(part), enabled, origin) {
                (Ok(Some(_)), Some(enabled), None) => {
                    wanted.entry(pool).or_default().pool = Some(enabled);
                }
                (Ok(Some(_)), Some(enabled), Some(origin)) => {
                    wanted.entry(pool).or_default().origins.insert(origin, enabled);
                }
                _ => errors.push(unknown(part)),
            }
        }
        if !wanted.is_empty() {
            let (begun, pools) = (Asked::now(), self.read().await?);
            for (name, wanted) in wanted {
                let set = match pools.iter().find(|it| it.name == name) {
                    Some(pool) => self.set(&pool.id, name, &wanted, begun).await,
                    None => Err(gone(name)),
                };
                errors.extend(set.err());
            }
        }
        all(problem, &errors)
    }

    async fn set(
        &self,
        id: &str,
        pool: &str,
        wanted: &Wanted<'_>,
        begun: Asked,
    ) -> Result<(), ControlError> {
        let path = self.path(&format!("/{}", crate::model::query_value(id)));
        let mut tries = 0;
        loop {
            let (now, _): (Pool, _) = self.door.result(&Request::get(&*path)).await?;
            now.is_clear()?;
            let (body, missing) = now.change(wanted);
            let Some(body) = body else {
                let gone_of = |origin: &&str| gone(&format!("{pool}/{origin}"));
                return missing.first().map_or(Ok(()), |origin| Err(gone_of(origin)));
            };
            tries += 1;
            let request = Request::once(Method::PATCH, &*path).json(&body);
            let asked = self.door.ask(&request).await;
            let answer = asked.as_ref().ok();
            let may_pass = answer.is_none_or(|it| it.status() == 429 || it.status() >= 500);
            let pause = again(answer, LEFT_ALONE.saturating_mul(tries), begun.left_of(PATIENCE));
            // Where nobody asked to be left alone, what was lost may have been done: that is looked at, however late it is.
            let is_named = answer.and_then(Answer::retry_after).is_some();
            let pause = pause.or_else(|| (!is_named).then_some(Duration::ZERO));
            if let Some(pause) = pause.filter(|_| may_pass && tries < TRIES) {
                tokio::time::sleep(pause).await;
                continue;
            }
            self.door.opened::<Value>(&request, &asked?).await?;
            let gone_of = |origin: &&str| gone(&format!("{pool}/{origin}"));
            return missing.first().map_or(Ok(()), |origin| Err(gone_of(origin)));
        }
    }

    /// How many origins of a pool serve on without `lost`. Where Cloudflare watches them, those that it finds ill everywhere
    /// do not.
    async fn left(&self, pool: &Pool, lost: &[Option<&str>]) -> Result<usize, ControlError> {
        if !pool.is_enabled() || lost.contains(&None) {
            return Ok(0);
        }
        let health = match pool.is_watched() {
            true => {
                let path = self.path(&format!("/{}/health", crate::model::query_value(&pool.id)));
                let (health, _): (Value, _) = self.door.result(&Request::get(path)).await?;
                health.get("pop_health").cloned().unwrap_or_default()
            }
            false => Value::Null,
        };
        let serves = |it: &&Map<String, Value>| {
            let has_weight = it.get("weight").and_then(Value::as_f64).is_none_or(|it| it > 0.0);
            let address = it.get("address").and_then(Value::as_str).unwrap_or_default();
            is_enabled(it)
                && has_weight
                && !lost.contains(&Some(name(it)))
                && !is_ill(&health, address)
        };
        let left = pool.origins.iter().filter(serves).count();
        // With fewer than it needs, a pool is ill as a whole.
        Ok(if left < pool.minimum_origins.unwrap_or(1) { 0 } else { left })
    }

    /// The load balancers that use a pool.
    async fn users(&self, pool: &Pool) -> Result<BTreeSet<String>, ControlError> {
        #[derive(Deserialize)]
        struct Reference {
            reference_type: Option<String>,
            resource_name: Option<String>,
        }
        let path = self.path(&format!("/{}/references", crate::model::query_value(&pool.id)));
        let (all, _): (Vec<Reference>, _) = self.door.result(&Request::get(path)).await?;
        let uses = |it: &Reference| it.reference_type.as_deref() != Some("referral");
        Ok(all.into_iter().filter(uses).filter_map(|it| it.resource_name).collect())
    }
}

/// Whether health checks found an origin ill wherever they asked. Cloudflare's documentation has `healthy` by region; its
/// models have it at once.
fn is_ill(health: &Value, address: &str) -> bool {
    let Value::Object(regions) = health else { return false };
    let regions: Vec<&Value> = match regions.contains_key("origins") {
        true => vec![health],
        false => regions.values().collect(),
    };
    let origins = regions.iter().filter_map(|it| it.get("origins")?.as_array()).flatten();
    let mut found = origins.filter_map(|it| it.get(address)?.get("healthy")?.as_bool()).peekable();
    found.peek().is_some() && found.all(|healthy| !healthy)
}

fn gone(part: &str) -> ControlError {
    ControlError {
        what: format!("{} is no longer there", crate::model::printable(part)),
        hint: "it was there before: see who changed the pool".into(),
    }
}

#[async_trait]
impl Way for Pools<'_> {
    async fn preflight(&self) -> Result<(), ControlError> {
        let mut found = BTreeSet::new();
        for pool in self.read().await? {
            self.is_sound(&pool)?;
            found.extend(self.parts(&pool).into_iter().map(|(_, datacenter, ..)| datacenter));
        }
        match self.pools.iter().find(|it| !found.contains(&it.datacenter)) {
            None => Ok(()),
            Some(missing) => Err(ControlError {
                what: format!("no pool or origin has the name `{}`", missing.patterns.join("`, `")),
                hint: "see `pools` in the plan: `POOL`, or `POOL/ORIGIN`".into(),
            }),
        }
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut state = ControlState::default();
        for pool in self.read().await? {
            for (part, datacenter, _, enabled) in self.parts(&pool) {
                let passage = if enabled { Passage::Open } else { Passage::Closed };
                let settings = [(ENABLED, enabled.to_string()), (ID, pool.id.clone())];
                let settings = settings.map(|(key, value)| (key.to_owned(), value)).into();
                state.parts.insert(part, PartState { datacenter, passage, settings });
            }
        }
        Ok(state)
    }

    /// A group is a load balancer that uses a pool which loses something. Only pools that the plan names are asked about.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let (mut left, mut hit) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
        for pool in self.read().await? {
            let parts = self.parts(&pool);
            if parts.is_empty() {
                continue;
            }
            let is_lost = |it: &&DatacenterId| order.datacenters.contains(*it);
            let lost = parts.iter().filter(|(_, datacenter, ..)| is_lost(&datacenter));
            let lost: Vec<Option<&str>> = lost.map(|(_, _, origin, _)| *origin).collect();
            let (serving, mut users) = (self.left(&pool, &lost).await?, self.users(&pool).await?);
            if users.is_empty() {
                users.insert(format!("pool {}", pool.name));
            }
            for user in users {
                if !lost.is_empty() {
                    hit.insert(user.clone());
                }
                *left.entry(user).or_default() += serving;
            }
        }
        left.retain(|user, _| hit.contains(user));
        Ok(left.into_iter().map(|(group, left)| Survivors { group, left }).collect())
    }

    async fn close(&self, parts: &ControlState) -> Result<(), ControlError> {
        let mut closed = parts.clone();
        closed.parts.values_mut().for_each(|part| self.closed(part));
        self.set_all(&closed, "not cut").await
    }

    async fn put_back(&self, parts: &ControlState) -> Result<(), ControlError> {
        self.set_all(parts, "not put back").await
    }

    fn closed(&self, part: &mut PartState) {
        part.settings.insert(ENABLED.to_owned(), "false".to_owned());
    }

    fn calls(&self, part: &str, is: &PartState) -> CutCall {
        let told =
            |enabled: &str| format!("PATCH load_balancers/pools {part}: {ENABLED} {enabled}");
        CutCall {
            call: told("false"),
            undone_by: is.settings.get(ENABLED).map(|enabled| told(enabled)),
        }
    }

    fn by_hand(&self, part: &str, is: &PartState) -> Option<String> {
        let (enabled, id) = (is.settings.get(ENABLED)?, is.settings.get(ID)?);
        let url = format!("{}{}", self.door.url(), self.path(&format!("/{id}")));
        let auth = format!("-H \"authorization: Bearer ${TOKEN}\"");
        let patch = format!("curl -X PATCH {auth} -H 'content-type: application/json'");
        Some(match part.split_once('/') {
            None => format!("{patch} -d '{{\"enabled\":{enabled}}}' '{url}'"),
            Some((_, origin)) => {
                let origin = json!(origin).to_string().replace('\'', "'\\''");
                format!(
                    "curl {auth} '{url}' | jq '{{origins: [.result.origins[] | del(.disabled_at) | \
                     if .name == {origin} then .enabled = {enabled} else . end]}}' | {patch} -d @- '{url}'"
                )
            }
        })
    }

    fn requests(&self) -> usize {
        1
    }
}
