//! The ends of cuts, moved on while the drill's process lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::interval;

use super::host::Host;

/// So many attempts at one table may wait for their answers: more are only made by a host that answers none.
const AT_ONCE: usize = 8;

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Renewal(AbortHandle);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Renewal {
    /// Has `host` carry out each of `scripts`, one a table, every so often.
    pub fn start(host: Host, scripts: Vec<String>, every: Duration) -> Renewal {
        let (host, scripts) = (Arc::new(host), scripts.into_iter().map(Arc::<str>::from));
        let scripts: Vec<Arc<str>> = scripts.collect();
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            // The first is now, when nothing is to be moved on yet.
            ticks.tick().await;
            let mut under_way = JoinSet::new();
            loop {
                ticks.tick().await;
                while under_way.try_join_next().is_some() {}
                // Neither one that hangs nor one that another hand broke holds up the others, or the next attempt.
                if under_way.len() >= AT_ONCE * scripts.len() {
                    continue;
                }
                for script in &scripts {
                    let (host, script) = (host.clone(), script.clone());
                    under_way.spawn(async move {
                        // One that fails is noted, and the next one may not. A cut that is over is seen when it is read.
                        let _ = host.nft(&["-f", "-"], &script).await;
                    });
                }
            }
        });
        Renewal(task.abort_handle())
    }
}
