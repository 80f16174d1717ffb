//! A switch-over controller: it lives in some datacenters, watches what is active, and decides
//! where it moves. Balancers ask it; it cannot tell anybody who cannot ask.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::answer::{Identity, in_query};
use super::balancer::Balancer;
use super::serve::serve;
use super::upstream::ask;
use crate::clock::Clock;
use crate::model::{DatacenterId, LabActor, LabController, LabPromotion, Name, Offset};

/// A controller. Its servers, one in each of its datacenters, share what it decided.
#[derive(Debug)]
pub(super) struct Controller {
    spec: LabController,
    datacenters: Vec<Name>,
    /// Its servers, through their gates.
    doors: Vec<SocketAddr>,
    /// How long one of them may take to answer.
    timeout: Duration,
    clock: Clock,
    /// Which datacenter is to be active, of each thing that it switches.
    words: Mutex<BTreeMap<Name, DatacenterId>>,
    promotions: Mutex<Vec<LabPromotion>>,
}

impl Controller {
    /// A controller whose servers stand behind `doors`.
    pub(super) fn new(
        spec: LabController,
        datacenters: Vec<Name>,
        doors: Vec<SocketAddr>,
        timeout: Duration,
        clock: Clock,
        words: BTreeMap<Name, DatacenterId>,
    ) -> Controller {
        let (words, promotions) = (Mutex::new(words), Mutex::default());
        Controller { spec, datacenters, doors, timeout, clock, words, promotions }
    }

    /// What it decided so far.
    pub(super) fn promotions(&self) -> MutexGuard<'_, Vec<LabPromotion>> {
        self.promotions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn word(&self, of: &Name) -> Option<DatacenterId> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).get(of).copied()
    }

    /// Serves it in one datacenter for ever.
    pub(super) async fn serve(self: Arc<Self>, identity: Identity, listener: TcpListener) {
        let identity = Arc::new(identity);
        serve(listener, move |request| {
            let (controller, identity) = (self.clone(), identity.clone());
            async move {
                let of = in_query(request.uri().query(), "of").map(Name::from);
                match of.map(|of| controller.word(&of)) {
                    None => identity.answer(StatusCode::OK),
                    Some(None) => identity.answer(StatusCode::NOT_FOUND),
                    Some(Some(id)) => {
                        let active = controller.datacenters.get(id.index());
                        identity.answer_with(StatusCode::OK, &json!({ "active": active }))
                    }
                }
            }
        })
        .await;
    }

    /// Asks its servers which datacenter is to be active; `None` when none of them answers.
    pub(super) async fn ask(&self, of: &Name) -> Option<DatacenterId> {
        let path = format!("/active?of={of}");
        let answers = join_all(self.doors.iter().map(|door| self.get(*door, &path))).await;
        let answer = answers.into_iter().flatten().next()?;
        let active = answer.get("active")?.as_str()?;
        let place = self.datacenters.iter().position(|name| name.as_str() == active)?;
        u16::try_from(place).ok().map(DatacenterId)
    }

    /// Whether anybody can ask it.
    pub(super) async fn is_reachable(&self) -> bool {
        let answers = self.doors.iter().map(|door| self.get(*door, "/"));
        join_all(answers).await.iter().any(Option::is_some)
    }

    async fn get(&self, door: SocketAddr, path: &str) -> Option<serde_json::Value> {
        let request = Request::get(path).body(Empty::<Bytes>::new()).ok()?;
        let answer = timeout(self.timeout, ask(door, request)).await.ok()?.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let Ok(body) = answer.into_body().collect().await;
        serde_json::from_slice(&body.to_bytes()).ok()
    }

    /// Watches `balancer` for ever and decides where it is to be active. Cut off from everybody, it
    /// knows that it is, and decides nothing.
    pub(super) async fn watch(self: Arc<Self>, of: Name, balancer: Arc<Balancer>) {
        let (mut down, mut home_up) = (Lasting::default(), Lasting::default());
        let mut ticks = ticks(balancer.every());
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            let (Some(active), Some(home)) = (self.word(&of), balancer.pool().home()) else {
                return;
            };
            let reachable = self.is_reachable().await;
            let is_down = reachable && !balancer.reaches(active).await;
            let is_home_up = reachable && active != home && balancer.reaches(home).await;
            let down_for = down.lasts(is_down, now, self.clock.now());
            let home_up_for = home_up.lasts(is_home_up, now, self.clock.now());
            let to = match self.spec.detect {
                detect if home_up_for.is_some_and(|lasted| lasted >= detect) => Some(home),
                detect if down_for.is_some_and(|lasted| lasted >= detect) => {
                    balancer.next_reachable(active).await
                }
                _ => None,
            };
            if let Some(to) = to {
                self.promote(&of, to).await;
                (down, home_up) = Default::default();
            }
        }
    }

    async fn promote(&self, of: &Name, to: DatacenterId) {
        self.clock.sleep_until(self.clock.now().plus(self.spec.promote)).await;
        if !self.is_reachable().await {
            return;
        }
        let name = self.datacenters.get(to.index()).cloned().unwrap_or_else(|| Name::from("?"));
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.insert(of.clone(), to);
        let at = self.clock.now();
        self.promotions().push(LabPromotion { at, of: of.clone(), datacenter: name });
    }
}

/// Does what the controller says, for ever; while it says nothing, nothing.
pub(super) async fn obey(controller: Arc<Controller>, of: Name, balancer: Arc<Balancer>) {
    let mut ticks = ticks(balancer.every());
    loop {
        ticks.tick().await;
        if let Some(active) = controller.ask(&of).await
            && !balancer.is_by_hand()
        {
            balancer.activate(active, LabActor::Controller).await;
        }
    }
}

/// Activates `balancer`'s standby by hand, for ever, when neither its active datacenter nor its
/// controller could be reached for `after`; gives it back to the controller when that can be asked
/// again, and the datacenter that it names can be reached.
pub(super) async fn operate(
    controller: Arc<Controller>,
    of: Name,
    balancer: Arc<Balancer>,
    after: Duration,
    clock: Clock,
) {
    let mut helpless = Lasting::default();
    let mut ticks = ticks(balancer.every());
    loop {
        ticks.tick().await;
        let now = clock.now();
        let Some(active) = balancer.pool().active() else { return };
        let word = controller.ask(&of).await;
        if let Some(word) = word {
            if balancer.is_by_hand()
                && balancer.reaches(word).await
                && balancer.activate(word, LabActor::Operator).await
            {
                balancer.set_by_hand(false);
            }
            helpless = Lasting::default();
            continue;
        }
        let is_helpless = !balancer.reaches(active).await;
        if helpless.lasts(is_helpless, now, clock.now()).is_some_and(|lasted| lasted >= after)
            && let Some(next) = balancer.next_reachable(active).await
        {
            balancer.set_by_hand(true);
            balancer.activate(next, LabActor::Operator).await;
            helpless = Lasting::default();
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How long something has been so.
#[derive(Debug, Default)]
struct Lasting(Option<Offset>);

impl Lasting {
    /// Takes in whether it is so, as found by a look from `began` to `ended`; how long it has been.
    fn lasts(&mut self, is_so: bool, began: Offset, ended: Offset) -> Option<Duration> {
        let since = is_so.then(|| self.0.unwrap_or(began));
        self.0 = since;
        since.map(|since| ended.since(since))
    }
}
