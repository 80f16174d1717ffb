//! Signals that stop a drill: it restores, and then ends.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::model::Why;

/// The drill's stop, set by the first SIGINT, SIGTERM or SIGHUP. Later ones change nothing: the restore
/// is under way and is not to be cut short.
///
/// # Errors
/// When the handlers cannot be installed; the drill must then not start.
pub(super) fn stop_on_signals() -> std::io::Result<watch::Receiver<Option<Why>>> {
    let (stop, stopped) = watch::channel(None);
    let kinds = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGHUP", SignalKind::hangup()),
    ];
    for (name, kind) in kinds {
        let mut signals = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                stop.send_if_modified(|why| {
                    let first = why.is_none();
                    why.get_or_insert_with(|| Why::new("signal", format!("{name} was received")));
                    first
                });
            }
        });
    }
    Ok(stopped)
}
