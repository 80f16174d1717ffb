//! The kill switch: a file or a URL that stops every drill whose plan names it.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::no_answer;
use crate::model::GuardrailReading;
use crate::probe::Fetcher;

/// A file that stops the drill by being there.
#[derive(Debug)]
pub(super) struct KillSwitchFile {
    path: PathBuf,
    /// A look that did not come back in time.
    pending: Mutex<Option<Look>>,
}

type Look = JoinHandle<io::Result<Metadata>>;

impl KillSwitchFile {
    pub(super) fn new(path: &Path) -> Self {
        KillSwitchFile { path: path.to_owned(), pending: Mutex::default() }
    }

    /// Looks for it. A look at a network disk may hang, so it has a thread and a time-out; there is one at a time.
    pub(super) async fn read(&self, timeout: Duration) -> GuardrailReading {
        let pending = self.pending().take();
        let mut look = pending.unwrap_or_else(|| {
            let path = self.path.clone();
            tokio::task::spawn_blocking(move || look(&path))
        });
        let shown = self.path.display();
        match tokio::time::timeout(timeout, &mut look).await {
            Ok(Ok(Ok(_))) => {
                GuardrailReading::Beyond { value: Some(1.0), what: format!("{shown} exists") }
            }
            Ok(Ok(Err(error))) if error.kind() == io::ErrorKind::NotFound => clear(),
            Ok(Ok(Err(error))) => GuardrailReading::Unreadable(format!("{shown}: {error}")),
            Ok(Err(_)) => GuardrailReading::Unreadable(format!("{shown}: the look at it failed")),
            Err(_) => {
                *self.pending() = Some(look);
                GuardrailReading::Unreadable(format!("{shown}: the look at it hangs"))
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Option<Look>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The link itself counts: one that leads nowhere was put there too. Where the place of the file is missing, such
/// as a disk that is not mounted, nobody could set it.
fn look(path: &Path) -> io::Result<Metadata> {
    let found = std::fs::symlink_metadata(path);
    let missing = matches!(&found, Err(error) if error.kind() == io::ErrorKind::NotFound);
    match path.parent().filter(|_| missing).map(std::fs::metadata) {
        Some(Err(error)) => Err(io::Error::other(format!("its directory: {error}"))),
        _ => found,
    }
}

/// Asks the URL. Success is clear; any other answer is set: a switch that was taken away or broken must not
/// let drills run.
pub(super) async fn read_url(fetcher: &Fetcher) -> GuardrailReading {
    match fetcher.fetch().await {
        Ok(answer) if (200..300).contains(&answer.status) => clear(),
        Ok(answer) => GuardrailReading::Beyond {
            value: Some(1.0),
            what: format!("its URL answers with status {}", answer.status),
        },
        Err(outcome) => GuardrailReading::Unreadable(no_answer(outcome)),
    }
}

fn clear() -> GuardrailReading {
    GuardrailReading::Within { value: Some(0.0) }
}
