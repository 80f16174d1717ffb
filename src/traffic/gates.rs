//! Controls made of gates of firedrill's own: those of the lab, and those of the `proxy` provider.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{ControlError, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, Mode, PartState, Passage, PathCounters,
    Provider, ProxyRoute,
};
use crate::proxy::{Degradation, Fault, Gate, Proxy};

/// The key of [`PartState::settings`]: the fault in force, or [`NONE`].
const FAULT: &str = "fault";
const NONE: &str = "none";

/// Gates as a traffic control. Each is a part.
#[derive(Debug)]
pub struct Gates {
    spec: ControlSpec,
    parts: BTreeMap<String, Part>,
    /// The listeners that [`Gates::listen`] started; they end with it.
    _routes: Vec<Proxy>,
}

#[derive(Debug)]
struct Part {
    datacenter: DatacenterId,
    gate: Gate,
}

impl Gates {
    /// A control over `gates`, each with the name of its part and where it leads.
    pub fn new(spec: ControlSpec, gates: Vec<(String, DatacenterId, Gate)>) -> Gates {
        let parts =
            gates.into_iter().map(|(name, datacenter, gate)| (name, Part { datacenter, gate }));
        Gates { spec, parts: parts.collect(), _routes: Vec::new() }
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

    fn state(&self) -> ControlState {
        let parts = self.parts.iter().map(|(name, part)| {
            let fault = part.gate.fault();
            let state = PartState {
                datacenter: part.datacenter,
                passage: passage(fault),
                settings: BTreeMap::from([(FAULT.to_owned(), words(fault))]),
            };
            (name.clone(), state)
        });
        ControlState { parts: parts.collect() }
    }

    async fn close(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let fault = fault(order.mode);
        for (name, before) in snapshot.parts_of(order.datacenter) {
            if before.passage == Passage::Closed {
                continue;
            }
            let part = self.part(name)?;
            // Cutting again would set the counters back, which are the proof of the cut.
            if part.gate.fault() != Some(fault) {
                part.gate.cut(fault).await.map_err(|error| failed(name, &error))?;
            }
        }
        Ok(())
    }

    async fn put_back(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let mut first = Ok(());
        for (name, before) in &snapshot.parts {
            let done = self.put_back_one(name, before).await;
            first = first.and(done);
        }
        first
    }

    async fn put_back_one(&self, name: &str, before: &PartState) -> Result<(), ControlError> {
        let part = self.part(name)?;
        let wanted = before.settings.get(FAULT).map_or(NONE, String::as_str);
        let Some(fault) = from_words(wanted) else {
            return Err(ControlError {
                what: format!("`{wanted}` is no state of the gate `{name}`"),
                hint: "see whether the journal was changed by hand".into(),
            });
        };
        if part.gate.fault() == fault {
            return Ok(());
        }
        let done = match fault {
            Some(fault) => part.gate.cut(fault).await,
            None => part.gate.open().await,
        };
        done.map_err(|error| failed(name, &error))
    }

    fn part(&self, name: &str) -> Result<&Part, ControlError> {
        self.parts.get(name).ok_or_else(|| ControlError {
            what: format!("`{}` has no gate `{name}`", self.spec.name),
            hint: "gates live as long as the drill that made them; there is nothing to put back"
                .into(),
        })
    }
}

impl TrafficControl for Gates {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    fn inspect(&self) -> BoxFuture<'_, Result<ControlState, ControlError>> {
        std::future::ready(Ok(self.state())).boxed()
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

    /// The sum over the gates that are cut; `None` while none is.
    fn path(&self) -> Option<PathCounters> {
        let cut = self.parts.values().filter(|part| part.gate.fault().is_some());
        cut.map(|part| part.gate.counters())
            .map(|counters| PathCounters {
                connections: counters.connections,
                bytes: counters.bytes,
            })
            .reduce(|sum, more| PathCounters {
                connections: sum.connections + more.connections,
                bytes: sum.bytes + more.bytes,
            })
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
        what: format!("`{}` cannot listen at {} for {}: {error}", spec.name, route.listen, route.to),
        hint: hint.into(),
    }
}

fn failed(name: &str, error: &io::Error) -> ControlError {
    ControlError {
        what: format!("the gate `{name}` did not turn: {error}"),
        hint: "see whether file descriptors or ports ran out, and try again".into(),
    }
}
