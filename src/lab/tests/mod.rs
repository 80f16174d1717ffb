//! The lab on real sockets. Nothing here sleeps to be in step: tests wait for the log of changes.

mod balancer;
mod calls;
mod load;
mod stores;
mod switching;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::upstream::ask;
use super::{Lab, LabFaults};
use crate::clock::Clock;
use crate::model::{
    BalancerSpec, DatacenterId, LabChange, LabService, LabServiceTruth, LabSpec, LabTruth, Marks,
    Name, Offset, Spread,
};
use crate::proxy::{Fault, Gate};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);
const EVERY: Duration = Duration::from_millis(100);
/// For what a busy machine adds to a schedule.
const SLACK: Duration = Duration::from_secs(1);
/// No test waits longer for something that must come.
const AT_MOST: Duration = Duration::from_secs(20);

fn spec(fall: u32, rise: u32) -> LabSpec {
    let balancer = BalancerSpec {
        check_every: EVERY,
        check_timeout: EVERY,
        fall,
        rise,
        spread: Spread::RoundRobin,
    };
    let replicas = BTreeMap::from([(EAST, 2), (WEST, 2)]);
    LabSpec {
        balancer,
        services: BTreeMap::from([("talk".into(), replicas.into())]),
        ..LabSpec::default()
    }
}

/// A lab with the clock and the marks of a drill.
struct Drill {
    lab: Lab,
    clock: Clock,
    marks: Marks,
}

impl Drill {
    async fn start(spec: LabSpec) -> Drill {
        Drill::start_with(spec, LabFaults::default()).await
    }

    async fn start_with(spec: LabSpec, faults: LabFaults) -> Drill {
        let clock = Clock::start();
        let names = [Name::from("east"), Name::from("west")];
        let lab = Lab::start_with(&spec, &names, clock, faults).await.unwrap();
        Drill { lab, clock, marks: Marks::default() }
    }

    /// The gate of `DATACENTER/NAME`.
    fn gate(&self, name: &str) -> Gate {
        let gates = self.lab.gates();
        let gate = gates.into_iter().find(|(of, _, _)| of == name);
        gate.unwrap_or_else(|| panic!("no gate {name}")).2
    }

    /// All gates of `datacenter`.
    fn gates(&self, datacenter: DatacenterId) -> Vec<Gate> {
        let gates = self.lab.gates().into_iter();
        gates.filter(|(_, id, _)| *id == datacenter).map(|(_, _, gate)| gate).collect()
    }

    async fn cut(&mut self, fault: Fault) {
        let gates = self.gates(EAST);
        self.cut_at(&gates, fault).await;
    }

    async fn cut_at(&mut self, gates: &[Gate], fault: Fault) {
        self.marks.cut_issued = Some(self.clock.now());
        for gate in gates {
            gate.cut(fault).await.unwrap();
        }
        self.marks.cut_confirmed = Some(self.clock.now());
    }

    async fn restore(&mut self) {
        self.marks.restore_issued = Some(self.clock.now());
        for gate in self.gates(EAST) {
            gate.open().await.unwrap();
        }
        self.marks.restore_confirmed = Some(self.clock.now());
    }

    /// Waits until the log of changes of `name` satisfies `enough`.
    async fn until(
        &self,
        name: &str,
        enough: impl FnMut(&Vec<LabChange>) -> bool,
    ) -> Vec<LabChange> {
        let mut changes = self.lab.changes(name).unwrap();
        let seen = timeout(AT_MOST, changes.wait_for(enough)).await;
        seen.expect("the changes come").unwrap().clone()
    }

    /// Waits for the last replica of east to go out, or the first to come back.
    async fn east_out(&self) -> Vec<LabChange> {
        self.until("talk", |changes| count(changes, "east", false) == 2).await
    }

    async fn east_in(&self) -> Vec<LabChange> {
        self.until("talk", |changes| count(changes, "east", true) == 2).await
    }

    /// Waits until `datacenter` was made active in `name` for the `nth` time.
    async fn active(&self, name: &str, datacenter: &str, nth: usize) {
        self.until(name, |changes| count(changes, datacenter, true) == nth).await;
    }

    fn all_truth(&self) -> LabTruth {
        self.lab.truth(&[EAST], &self.marks)
    }

    fn truth_of(&self, name: &str) -> LabServiceTruth {
        let mut truth = self.all_truth();
        let name = Name::from(name);
        let store = truth.stores.remove(&name).map(|store| store.serving);
        truth.services.remove(&name).or(store).unwrap()
    }

    fn truth(&self) -> LabServiceTruth {
        self.truth_of("talk")
    }

    /// Status, datacenter and body of one answer of `name`. Gives up after a second, as a client
    /// would.
    async fn ask(
        &self,
        name: &str,
        method: Method,
        path: &str,
    ) -> Option<(StatusCode, String, String)> {
        let address = self.lab.address(name).unwrap();
        let to = address.strip_prefix("http://").unwrap().parse().unwrap();
        let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new());
        let answer =
            timeout(Duration::from_secs(1), ask(to, request.unwrap())).await.ok()?.unwrap();
        let datacenter = answer.headers().get("x-datacenter");
        let datacenter = datacenter.map_or("", |value| value.to_str().unwrap()).to_owned();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Some((status, datacenter, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn status(&self, name: &str, method: Method, path: &str) -> u16 {
        self.ask(name, method, path).await.map_or(0, |(status, _, _)| status.as_u16())
    }

    async fn get(&self) -> Option<(StatusCode, String)> {
        let (status, datacenter, _) = self.ask("talk", Method::GET, "/send?x=1").await?;
        Some((status, datacenter))
    }

    async fn served_by(&self) -> String {
        let (status, datacenter) = self.get().await.expect("an answer");
        assert_eq!(status, StatusCode::OK);
        datacenter
    }
}

fn count(changes: &[LabChange], datacenter: &str, is_in: bool) -> usize {
    let of =
        |change: &&LabChange| change.datacenter.as_str() == datacenter && change.is_in == is_in;
    changes.iter().filter(of).count()
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

/// A service with as many replicas in east as in west.
fn twin(replicas: u32) -> LabService {
    BTreeMap::from([(EAST, replicas), (WEST, replicas)]).into()
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|&name| Name::from(name)).collect()
}

/// A request that a client sent.
struct Sent {
    at: Offset,
    /// Who answered it with 200, if anybody.
    served_by: Option<String>,
    /// When it was answered, or given up.
    done: Offset,
}

/// Sends a request every 20 ms whatever became of the others, until told to stop.
async fn send_on(address: String, clock: Clock, mut stop: oneshot::Receiver<()>) -> Vec<Sent> {
    let to = address.strip_prefix("http://").unwrap().parse().unwrap();
    let mut requests = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(20));
    while stop.try_recv().is_err() {
        ticks.tick().await;
        requests.spawn(async move {
            let at = clock.now();
            let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
            let answer = timeout(SLACK, ask(to, request)).await;
            let good = answer.ok().and_then(Result::ok).filter(|answer| answer.status() == 200);
            let served_by =
                good.map(|good| good.headers()["x-datacenter"].to_str().unwrap().into());
            Sent { at, served_by, done: clock.now() }
        });
    }
    requests.join_all().await
}

/// Holds `sent` to what the lab knows: from the recovery to the restore everything is served by
/// west, and before it something failed.
fn is_what_clients_saw(recovery: Duration, marks: &Marks, sent: Vec<Sent>, context: &str) {
    let recovered = marks.cut_issued.unwrap().plus(recovery);
    let confirmed = marks.cut_confirmed.unwrap();
    let back = marks.restore_issued.unwrap();
    let (mut failed_before, mut served_after) = (0, 0);
    for sent in sent {
        let by = sent.served_by.as_deref();
        // What had no answer when traffic came back may be answered by either then; what waited for long should have had one.
        let answered_cut = sent.done < back;
        if answered_cut && sent.at >= confirmed {
            assert_ne!(by, Some("east"), "{context}: a leak at {}", sent.at);
        }
        let decided = answered_cut || sent.at.plus(EVERY) < back;
        if (recovered..back).contains(&sent.at) && decided {
            assert_eq!(by, Some("west"), "{context}: recovered at {recovered}, {}", sent.at);
            served_after += 1;
        }
        let in_vain = by.is_none() || sent.done >= recovered;
        failed_before += usize::from((confirmed..recovered).contains(&sent.at) && in_vain);
    }
    assert!(failed_before > 0 && served_after > 0, "{context}: {failed_before}, {served_after}");
}
