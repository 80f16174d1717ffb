//! From one config to the next, with as little as possible ended.

use std::sync::Arc;

use super::config::{Config, Configured};
use super::entry::Entry;
use super::form::ProxyForm;
use super::proxies::Proxies;
use crate::proxy::Gate;

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Names of proxies that were made.
    pub added: Vec<String>,
    /// Names of proxies that were changed.
    pub changed: Vec<String>,
    /// Names of proxies that ended.
    pub removed: Vec<String>,
    /// What went wrong, by proxy.
    pub failed: Vec<String>,
}

impl Proxies {
    /// Goes from the file `old` to the file `new`. A proxy that both have alike stays untouched, and so does one that
    /// neither has: what the API did to them is kept. Cuts are nobody's but a drill's, and stay in any case.
    pub async fn reload(&self, old: &Config, new: &Config) -> Reloaded {
        let _turn = self.changing.lock().await;
        let mut done = Reloaded::default();
        // First what ends, for its address may be another's next.
        for name in old.proxies.keys().filter(|name| !new.proxies.contains_key(*name)) {
            if self.remove(name).await.is_ok() {
                done.removed.push(name.clone());
            }
        }
        let moved: Vec<&Configured> = new
            .proxies
            .values()
            .filter(|it| old.proxies.get(&it.wanted.name) != Some(*it))
            .collect();
        let mut stopped = Vec::new();
        // Those that move let go of their addresses before any other takes one.
        for it in &moved {
            if let (Some(before), Ok(entry)) =
                (old.proxies.get(&it.wanted.name), self.get(&it.wanted.name))
                && before.wanted.listen != it.wanted.listen
                && entry.shown().enabled
            {
                entry.stop().await;
                stopped.push(it.wanted.name.clone());
            }
        }
        for it in moved {
            let name = &it.wanted.name;
            let known = self.get(name).ok();
            let again = stopped.contains(name);
            let result = match &known {
                Some(entry) => change(entry, old.proxies.get(name), it, again).await,
                None => self.add(it).await,
            };
            match result {
                Err(error) => done.failed.push(format!("{name}: {error}")),
                Ok(()) if known.is_some() => done.changed.push(name.clone()),
                Ok(()) => done.added.push(name.clone()),
            }
        }
        done
    }

    async fn add(&self, it: &Configured) -> Result<(), String> {
        let gate = Gate::new();
        let wanted = it.wanted.clone();
        // Its toxics first, so that no connection escapes them.
        let (enabled, wanted) =
            (wanted.enabled, super::proxies::Wanted { enabled: false, ..wanted });
        let entry: Arc<Entry> = self.make(wanted, gate).await.map_err(|it| it.what)?;
        entry.set(it.toxics.clone());
        if enabled {
            entry.start().await.map_err(|error| format!("{error}; it is disabled"))?;
        }
        Ok(())
    }
}

/// Takes up what the file says now and did not say before. With `again` it was stopped for that, and starts unless the file
/// says otherwise.
async fn change(
    entry: &Entry,
    old: Option<&Configured>,
    it: &Configured,
    again: bool,
) -> Result<(), String> {
    if old.is_none_or(|old| old.toxics != it.toxics) {
        entry.set(it.toxics.clone());
    }
    let (old, new) = (old.map(|old| &old.wanted), &it.wanted);
    let form = ProxyForm {
        name: None,
        listen: old.is_none_or(|old| old.listen != new.listen).then(|| new.listen.clone()),
        upstream: old.is_none_or(|old| old.upstream != new.upstream).then(|| new.upstream.clone()),
        enabled: match old {
            Some(old) if old.enabled == new.enabled => again.then_some(true),
            _ => Some(new.enabled),
        },
    };
    entry.update(form).await.map_err(|error| format!("{error}; it is disabled"))
}
