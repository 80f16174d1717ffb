//! One proxy of the daemon: its gate, its listener while it is enabled, its toxics.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::net::lookup_host;

use super::answer::ApiError;
use super::cut;
use super::form::{ProxyForm, ToxicForm};
use super::toxic::Named;
use crate::proxy::{Fault, Gate, Proxy, Toxic};

/// A proxy that has a name.
pub(super) struct Entry {
    pub name: String,
    pub gate: Gate,
    /// One change at a time, so that none is half undone by another.
    listener: tokio::sync::Mutex<Listener>,
    shown: Mutex<Shown>,
    /// The last turn of the gate failed, or was not finished: it has to be made again.
    uneven: AtomicBool,
}

enum Listener {
    Off,
    On(Proxy),
    /// The proxy was deleted, and whoever still has it must not start it.
    Gone,
}

/// What is told of it at any time, also while it changes.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// As it was asked for; with the real address while it listens and since it did.
    pub listen: String,
    pub upstream: String,
    pub enabled: bool,
    pub toxics: Vec<Named>,
    /// The id of the next toxic.
    next: u64,
}

impl Entry {
    /// A proxy that does not listen yet. `gate` is that of its predecessor, if it had one: the cut stays.
    pub fn new(name: String, listen: String, upstream: String, gate: Gate) -> Entry {
        let shown = Shown { listen, upstream, enabled: false, toxics: Vec::new(), next: 1 };
        gate.set_toxics(Vec::new());
        Entry {
            name,
            gate,
            listener: tokio::sync::Mutex::new(Listener::Off),
            shown: Mutex::new(shown),
            uneven: AtomicBool::new(false),
        }
    }

    /// As Toxiproxy writes it; while it is cut, with the mode.
    pub fn json(&self) -> Value {
        let shown = self.shown();
        let toxics: Vec<Value> = shown.toxics.iter().map(Named::json).collect();
        let mut json = json!({
            "name": self.name,
            "listen": shown.listen,
            "upstream": shown.upstream,
            "enabled": shown.enabled,
            "toxics": toxics,
        });
        if self.gate.fault().is_some() {
            json["cut"] = cut::mode(&self.gate);
        }
        json
    }

    pub fn shown(&self) -> Shown {
        self.now().clone()
    }

    /// Starts to listen, if it does not yet.
    ///
    /// # Errors
    /// When the address cannot be listened at, or the proxy was deleted.
    pub async fn start(&self) -> Result<(), ApiError> {
        self.start_with(&mut *self.listener.lock().await).await
    }

    /// Stops to listen and ends all connections, and returns when that is true.
    pub async fn stop(&self) {
        self.stop_with(&mut *self.listener.lock().await).await;
    }

    /// Stops for ever.
    pub async fn remove(&self) {
        let mut listener = self.listener.lock().await;
        self.stop_with(&mut listener).await;
        *listener = Listener::Gone;
    }

    /// Takes up what `form` says. Another address or target ends all connections.
    ///
    /// # Errors
    /// As [`Entry::start`]; it is disabled then.
    pub async fn update(&self, form: ProxyForm) -> Result<(), ApiError> {
        let mut listener = self.listener.lock().await;
        let before = self.shown();
        let enabled = form.enabled.unwrap_or(before.enabled);
        let listen = form.listen.unwrap_or_else(|| before.listen.clone());
        let upstream = form.upstream.unwrap_or_else(|| before.upstream.clone());
        target(&upstream)?;
        if upstream != before.upstream || !same_address(&before.listen, &listen).await? {
            self.stop_with(&mut listener).await;
            let mut shown = self.now();
            (shown.listen, shown.upstream) = (listen, upstream);
        }
        match enabled {
            true => self.start_with(&mut listener).await,
            false => {
                self.stop_with(&mut listener).await;
                Ok(())
            }
        }
    }

    async fn start_with(&self, listener: &mut Listener) -> Result<(), ApiError> {
        match listener {
            Listener::On(_) => return Ok(()),
            Listener::Gone => return Err(ApiError::no_proxy()),
            Listener::Off => {}
        }
        let Shown { listen, upstream, .. } = self.shown();
        let (to, address) = (target(&upstream)?, resolve(&listen).await?);
        let proxy = Proxy::listen(&self.gate, address, to)
            .await
            .map_err(|error| ApiError::machine(format_args!("listen tcp {address}: {error}")))?;
        let mut shown = self.now();
        shown.listen = proxy.address().to_string();
        shown.enabled = true;
        *listener = Listener::On(proxy);
        Ok(())
    }

    async fn stop_with(&self, listener: &mut Listener) {
        self.now().enabled = false;
        if let Listener::On(proxy) = std::mem::replace(listener, Listener::Off) {
            proxy.close().await;
        }
    }

    /// Puts a toxic on.
    ///
    /// # Errors
    /// When there is one of this name.
    pub fn add(&self, form: ToxicForm) -> Result<Named, ApiError> {
        let mut shown = self.now();
        if shown.toxics.iter().any(|toxic| toxic.name == form.name) {
            return Err(ApiError::toxic_exists());
        }
        let named = shown.named(form);
        shown.toxics.push(named.clone());
        self.infect(&shown);
        Ok(named)
    }

    /// Changes the toxic `name` as `change` says.
    ///
    /// # Errors
    /// When there is none, or `change` fails.
    pub fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Toxic) -> Result<(), ApiError>,
    ) -> Result<Named, ApiError> {
        let mut shown = self.now();
        let found = shown.toxics.iter_mut().find(|toxic| toxic.name == name);
        let named = found.ok_or_else(ApiError::no_toxic)?;
        let mut toxic = named.toxic;
        change(&mut toxic)?;
        named.toxic = toxic;
        let changed = named.clone();
        self.infect(&shown);
        Ok(changed)
    }

    /// Takes the toxic `name` off.
    ///
    /// # Errors
    /// When there is none.
    pub fn take_off(&self, name: &str) -> Result<(), ApiError> {
        let mut shown = self.now();
        let before = shown.toxics.len();
        shown.toxics.retain(|toxic| toxic.name != name);
        if shown.toxics.len() == before {
            return Err(ApiError::no_toxic());
        }
        self.infect(&shown);
        Ok(())
    }

    /// Puts these toxics on and takes all others off. One that is there already, with other numbers or not, stays the same
    /// toxic.
    pub fn set(&self, forms: Vec<ToxicForm>) {
        let mut shown = self.now();
        let before = std::mem::take(&mut shown.toxics);
        let same = |form: &ToxicForm| {
            let kind = std::mem::discriminant(&form.kind);
            before.iter().find(|old| {
                old.name == form.name
                    && old.toxic.stream == form.stream
                    && std::mem::discriminant(&old.toxic.kind) == kind
            })
        };
        let mut last = 0;
        for form in forms {
            let known = same(&form).map(|old| old.toxic.id).filter(|id| *id > last);
            let mut named = shown.named(form);
            if let Some(id) = known {
                named.toxic.id = id;
            }
            last = named.toxic.id;
            shown.toxics.push(named);
        }
        self.infect(&shown);
    }

    fn infect(&self, shown: &Shown) {
        self.gate.set_toxics(shown.toxics.iter().map(|named| named.toxic).collect());
    }

    /// Puts `fault` in force, or opens, and returns when that is true. The same again changes nothing, so that what is
    /// counted during a cut is not counted anew.
    ///
    /// # Errors
    /// When the listener cannot be turned.
    pub async fn turn(&self, fault: Option<Fault>) -> Result<(), ApiError> {
        // Also so that no listener comes or goes meanwhile.
        let _turn = self.listener.lock().await;
        let again = self.uneven.swap(true, Ordering::AcqRel);
        let done = match fault {
            same if same == self.gate.fault() && !again => Ok(()),
            Some(fault) => self.gate.cut(fault).await,
            None => self.gate.open().await,
        };
        done.map_err(|error| {
            ApiError::machine(format_args!("the listener did not turn: {error}; try again"))
        })?;
        self.uneven.store(false, Ordering::Release);
        Ok(())
    }

    fn now(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn named(&mut self, form: ToxicForm) -> Named {
        let id = self.next;
        self.next += 1;
        let ToxicForm { name, kind, stream, toxicity } = form;
        Named { name, toxic: Toxic { id, stream, toxicity, kind } }
    }
}

/// Where a connection leads: `HOST:PORT`. Without a host it is this one, as in Go.
///
/// # Errors
/// When it is neither.
pub(super) fn target(upstream: &str) -> Result<String, ApiError> {
    let (host, port) = split(upstream)
        .ok_or_else(|| ApiError::body(format_args!("upstream {upstream:?} is not HOST:PORT")))?;
    Ok(match host {
        "" => format!("localhost:{port}"),
        _ => upstream.to_owned(),
    })
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

/// What `listen` says if that needs no look-up; `Err(host)` if it does.
fn parsed(listen: &str) -> Result<Result<SocketAddr, ()>, ApiError> {
    if listen.is_empty() {
        return Ok(Ok((Ipv4Addr::LOCALHOST, 0).into()));
    }
    if let Ok(address) = listen.parse() {
        return Ok(Ok(address));
    }
    match split(listen) {
        Some(("", port)) => Ok(Ok((Ipv6Addr::UNSPECIFIED, port).into())),
        Some(_) => Ok(Err(())),
        None => {
            let what = format!("listen {listen:?} is not HOST:PORT, such as 127.0.0.1:0");
            Err(ApiError::body(what))
        }
    }
}

/// Whether `listen` can be an address at all.
///
/// # Errors
/// When it cannot.
pub(super) fn is_address(listen: &str) -> Result<(), ApiError> {
    parsed(listen).map(drop)
}

/// The address that `listen` means: `HOST:PORT`; `:PORT` is every address of this machine; nothing is loopback and any port.
async fn resolve(listen: &str) -> Result<SocketAddr, ApiError> {
    if let Ok(address) = parsed(listen)? {
        return Ok(address);
    }
    let found: Vec<SocketAddr> = match lookup_host(listen).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(ApiError::machine(format_args!("listen tcp {listen}: {error}"))),
    };
    // IPv4 first, as Go does.
    let first = found.iter().find(|it| it.is_ipv4()).or(found.first()).copied();
    first.ok_or_else(|| ApiError::machine(format_args!("listen tcp {listen}: no such host")))
}

/// Whether `wanted` is where it listens already.
pub(super) async fn same_address(now: &str, wanted: &str) -> Result<bool, ApiError> {
    Ok(now == wanted || now == resolve(wanted).await?.to_string())
}
