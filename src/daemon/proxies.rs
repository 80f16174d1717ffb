//! All proxies of the daemon, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::join_all;

use super::answer::ApiError;
use super::entry::{self, Entry, same_address};
use super::form::ProxyForm;
use crate::proxy::Gate;

/// The proxies of a daemon. They end with it.
#[derive(Default)]
pub struct Proxies {
    all: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Held by whatever makes or removes proxies, so that two of them do not mix.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// A proxy to be: what every one needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub name: String,
    pub listen: String,
    pub upstream: String,
    pub enabled: bool,
}

impl Wanted {
    /// What `form` asks for; `missing` says how a field that it lacks is called.
    ///
    /// # Errors
    /// When a name or an upstream is missing, or an address is none.
    pub fn of(form: ProxyForm, missing: impl Fn(&str) -> String) -> Result<Wanted, ApiError> {
        let there = |text: Option<String>, field: &str| {
            let text = text.filter(|text| !text.is_empty());
            text.ok_or_else(|| ApiError::missing(&missing(field)))
        };
        let name = there(form.name, "name")?;
        let upstream = there(form.upstream, "upstream")?;
        let listen = form.listen.unwrap_or_default();
        entry::target(&upstream)?;
        entry::is_address(&listen)?;
        Ok(Wanted { name, listen, upstream, enabled: form.enabled.unwrap_or(true) })
    }
}

impl Proxies {
    /// The proxy `name`.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Entry>, ApiError> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned().ok_or_else(ApiError::no_proxy)
    }

    /// All of them, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes a proxy.
    ///
    /// # Errors
    /// When there is one of this name, or it cannot listen; there is none then.
    pub(super) async fn create(&self, wanted: Wanted) -> Result<Arc<Entry>, ApiError> {
        let _turn = self.changing.lock().await;
        if self.get(&wanted.name).is_ok() {
            return Err(ApiError::proxy_exists());
        }
        self.make(wanted, Gate::new()).await
    }

    /// Makes a proxy at `gate` in place of one that is gone.
    pub(super) async fn make(&self, wanted: Wanted, gate: Gate) -> Result<Arc<Entry>, ApiError> {
        let Wanted { name, listen, upstream, enabled } = wanted;
        let entry = Arc::new(Entry::new(name.clone(), listen, upstream, gate));
        if enabled {
            entry.start().await?;
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(name, Arc::clone(&entry));
        Ok(entry)
    }

    /// Removes a proxy, and returns when its connections have ended.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn delete(&self, name: &str) -> Result<(), ApiError> {
        let _turn = self.changing.lock().await;
        self.remove(name).await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ApiError> {
        let gone = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        gone.ok_or_else(ApiError::no_proxy)?.remove().await;
        Ok(())
    }

    /// Makes all of `wanted`. One that is there at the same addresses stays as it is, enabled or not as is wanted; at others
    /// it is replaced, and a cut stays. Gives those that were done, and what stopped it.
    pub(super) async fn populate(
        &self,
        wanted: Vec<Wanted>,
    ) -> (Vec<Arc<Entry>>, Option<ApiError>) {
        let _turn = self.changing.lock().await;
        let mut done = Vec::new();
        for wanted in wanted {
            match self.replace(wanted).await {
                Ok(entry) => done.push(entry),
                Err(error) => return (done, Some(error)),
            }
        }
        (done, None)
    }

    async fn replace(&self, wanted: Wanted) -> Result<Arc<Entry>, ApiError> {
        let Ok(entry) = self.get(&wanted.name) else {
            return self.make(wanted, Gate::new()).await;
        };
        let shown = entry.shown();
        if shown.upstream == wanted.upstream && same_address(&shown.listen, &wanted.listen).await? {
            match wanted.enabled {
                true => entry.start().await?,
                false => entry.stop().await,
            }
            return Ok(entry);
        }
        self.remove(&wanted.name).await?;
        let off = Wanted { enabled: false, ..wanted.clone() };
        match self.make(wanted, entry.gate.clone()).await {
            Ok(made) => Ok(made),
            Err(error) => {
                // It stays, off, and with its cut: that is a drill's.
                self.make(off, entry.gate.clone()).await?;
                Err(error)
            }
        }
    }

    /// Enables every proxy and takes every toxic off. Cuts stay: they are a drill's, which opens them itself.
    ///
    /// # Errors
    /// When one cannot listen; all others are done.
    pub(super) async fn reset(&self) -> Result<(), ApiError> {
        let _turn = self.changing.lock().await;
        let all = self.all();
        let results = join_all(all.iter().map(async |entry| {
            entry.set(Vec::new());
            entry.start().await
        }));
        results.await.into_iter().collect()
    }

    /// How many there are, and how many of them are cut.
    pub fn count(&self) -> (usize, usize) {
        let all = self.all();
        (all.len(), all.iter().filter(|entry| entry.gate.fault().is_some()).count())
    }

    /// Ends all proxies and their connections.
    pub async fn end(&self) {
        let _turn = self.changing.lock().await;
        let all = std::mem::take(&mut *self.all.write().unwrap_or_else(PoisonError::into_inner));
        join_all(all.values().map(|entry| entry.remove())).await;
    }
}
