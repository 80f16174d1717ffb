//! Controls made of gates of firedrill's own: those of the lab, and those of the `proxy` provider.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, Degrade, Mode, PartState, Passage,
    PathCounters, Provider, ProxyRoute,
};
use crate::proxy::{Degradation, Fault, Gate, Proxy};

/// The key of [`PartState::settings`]: the mode in force as JSON, or [`OPEN`].
const MODE: &str = "mode";
const OPEN: &str = "open";

/// Gates as a traffic control. Each is a part.
pub struct Gates {
    spec: ControlSpec,
    parts: BTreeMap<String, Part>,
    /// The parts that were cut last: their counters are the proof.
    cut: Mutex<Vec<String>>,
    survivors: Option<Box<Judge>>,
    /// The listeners that [`Gates::listen`] started; they end with it.
    _routes: Vec<Proxy>,
}

/// Who can tell [`TrafficControl::survivors`].
type Judge = dyn Fn(&CutOrder) -> Vec<Survivors> + Send + Sync;

#[derive(Debug)]
struct Part {
    datacenter: DatacenterId,
    gate: Gate,
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates")
            .field("spec", &self.spec)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Gates {
    /// A control over `gates`, each with the name of its part and where it leads.
    pub fn new(spec: ControlSpec, gates: Vec<(String, DatacenterId, Gate)>) -> Gates {
        let parts =
            gates.into_iter().map(|(name, datacenter, gate)| (name, Part { datacenter, gate }));
        let parts = parts.collect();
        Gates { spec, parts, cut: Mutex::default(), survivors: None, _routes: Vec::new() }
    }

    /// With somebody who can tell who serves on.
    pub fn judged_by(
        mut self,
        survivors: impl Fn(&CutOrder) -> Vec<Survivors> + Send + Sync + 'static,
    ) -> Gates {
        self.survivors = Some(Box::new(survivors));
        self
    }

    /// Starts the routes of a `proxy` control. The parts have the names of the addresses that they
    /// listen at. Dropping the control ends the routes and their connections.
    ///
    /// # Errors
    /// When `spec` is of another provider, or a route cannot listen; no route is left then.
    pub async fn listen(spec: ControlSpec) -> Result<Gates, ControlError> {
        let Provider::Proxy(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `proxy:`".into(),
            });
        };
        let (mut gates, mut routes) = (Vec::new(), Vec::new());
        for route in &settings.routes {
            let gate = Gate::new();
            let proxy = Proxy::listen(&gate, route.listen, route.to.reveal_plain())
                .await
                .map_err(|error| cannot_listen(&spec, route, &error))?;
            gates.push((proxy.address().to_string(), route.datacenter, gate));
            routes.push(proxy);
        }
        Ok(Gates { _routes: routes, ..Gates::new(spec, gates) })
    }

    async fn turn(&self, name: &str, to: Option<Fault>) -> Result<(), ControlError> {
        let gate = &self.part(name)?.gate;
        let done = match to {
            // Turned again, a gate would count anew, and its counters are the proof of the cut.
            same if same == gate.fault() => return Ok(()),
            Some(fault) => gate.cut(fault).await,
            None => gate.open().await,
        };
        done.map_err(|error| ControlError {
            what: format!("the gate `{name}` did not turn: {error}"),
            hint: "see whether file descriptors ran out, or another process took the address"
                .into(),
        })
    }

    fn part(&self, name: &str) -> Result<&Part, ControlError> {
        self.parts.get(name).ok_or_else(|| ControlError {
            what: format!("`{}` has no gate `{name}`", self.spec.name),
            hint: "gates live as long as the drill that made them; there is nothing to put back"
                .into(),
        })
    }
}

#[async_trait]
impl TrafficControl for Gates {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let parts = self.parts.iter().map(|(name, part)| {
            let fault = part.gate.fault();
            let mode = fault.map_or_else(|| OPEN.to_owned(), words);
            let state = PartState {
                datacenter: part.datacenter,
                passage: passage(fault),
                settings: BTreeMap::from([(MODE.to_owned(), mode)]),
            };
            (name.clone(), state)
        });
        Ok(ControlState { parts: parts.collect() })
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        Ok(self.survivors.as_ref().map(|survivors| survivors(order)).unwrap_or_default())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let all = snapshot.parts_of(order).map(|(name, _)| name.clone()).collect();
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = all;
        let fault = Some(fault(order.mode));
        let open = snapshot.parts_of(order).filter(|(_, before)| before.passage != Passage::Closed);
        let turns: Vec<_> = open.map(|(name, _)| self.turn(name, fault)).collect();
        join_all(turns).await.into_iter().collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let fault = fault(order.mode);
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = passage(Some(fault));
            part.settings.insert(MODE.to_owned(), words(fault));
        }
        state
    }

    /// Turns every gate that it can, whatever becomes of the others.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let turns = snapshot.parts.iter().map(|(name, before)| async move {
            let mode = before.settings.get(MODE).map_or(OPEN, String::as_str);
            self.turn(name, read(name, mode)?).await
        });
        join_all(turns).await.into_iter().collect()
    }

    fn by_hand(&self, _snapshot: &ControlState) -> Vec<String> {
        vec!["end the drill's process: its gates end with it".to_owned()]
    }

    /// The sum over the gates that were cut last; `None` before the first cut.
    fn path(&self) -> Option<PathCounters> {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if cut.is_empty() {
            return None;
        }
        let parts = cut.iter().filter_map(|name| self.parts.get(name));
        Some(parts.map(|part| part.gate.counters()).fold(
            PathCounters::default(),
            |sum, counters| PathCounters {
                connections: sum.connections + counters.connections,
                bytes: sum.bytes + counters.bytes,
            },
        ))
    }
}

fn passage(fault: Option<Fault>) -> Passage {
    match fault {
        None => Passage::Open,
        Some(Fault::Degrade(_)) => Passage::Degraded,
        Some(Fault::Blackhole | Fault::Reset | Fault::Drain) => Passage::Closed,
    }
}

fn fault(mode: Mode) -> Fault {
    match mode {
        Mode::Blackhole => Fault::Blackhole,
        Mode::Reset => Fault::Reset,
        Mode::Drain => Fault::Drain,
        Mode::Degrade(degrade) => Fault::Degrade(Degradation {
            latency: degrade.latency,
            jitter: degrade.jitter,
            loss: degrade.loss,
            bandwidth: degrade.bandwidth,
        }),
    }
}

fn cannot_listen(spec: &ControlSpec, route: &ProxyRoute, error: &io::Error) -> ControlError {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has it (`ss -ltnp` says which); end that or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine; see `ip address`",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or run with more rights",
        _ => "see `listen` and `to` of this route",
    };
    ControlError {
        what: format!(
            "`{}` cannot listen at {} for {}: {error}",
            spec.name, route.listen, route.to
        ),
        hint: hint.into(),
    }
}

fn words(fault: Fault) -> String {
    let mode = match fault {
        Fault::Blackhole => Mode::Blackhole,
        Fault::Reset => Mode::Reset,
        Fault::Drain => Mode::Drain,
        Fault::Degrade(degradation) => Mode::Degrade(Degrade {
            latency: degradation.latency,
            jitter: degradation.jitter,
            loss: degradation.loss,
            bandwidth: degradation.bandwidth,
        }),
    };
    serde_json::to_string(&mode).unwrap_or_else(|_| mode.kind().to_string())
}

fn read(name: &str, mode: &str) -> Result<Option<Fault>, ControlError> {
    if mode == OPEN {
        return Ok(None);
    }
    match serde_json::from_str(mode) {
        Ok(mode) => Ok(Some(fault(mode))),
        Err(_) => Err(ControlError {
            what: format!("`{mode}` is no state of the gate `{name}`"),
            hint: "see whether the journal was changed by hand".into(),
        }),
    }
}
