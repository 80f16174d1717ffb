//! What Redis says, in words that say what to do; and what it means for a write.

use crate::model::{Outcome, Reason};
use crate::probe::ledger::wire::Failed;

/// What stands for a Sentinel that does not know the master, in the form of an error of Redis.
pub(super) const UNKNOWN_MASTER: &str = "NOMASTER";

/// What stands for Sentinels of which no majority names the same master.
pub(super) const NO_MAJORITY: &str = "NOMAJORITY";

/// What stands for a Sentinel that does not let us in.
pub(super) const SENTINEL_LOGIN: &str = "SENTINELAUTH";

/// By the first word of an error: the command was not carried out, and why.
const REFUSALS: &[(&str, &str)] = &[
    ("READONLY", "it is a read-only replica: name the address that writes go to"),
    ("NOAUTH", "it wants a password: give `password`, and `user` if there are users"),
    ("WRONGPASS", "user or password are wrong: see `user` and `password`"),
    (
        "NOPERM",
        "the user may not do what a ledger does: allow it `+rpush +expire +lrange +llen +unlink +info +wait +select \
         ~firedrill:*`",
    ),
    ("MISCONF", "it takes no writes because it cannot save to its disk: see its log"),
    ("OOM", "it takes no writes because its memory is full (`maxmemory`)"),
    ("LOADING", "it is still loading its data: begin when it is done"),
    ("CLUSTERDOWN", "its cluster is down: see `CLUSTER INFO`"),
    ("MOVED", "it is a node of Redis Cluster, of which this ledger does not follow the shards"),
    ("ASK", "it is a node of Redis Cluster, of which this ledger does not follow the shards"),
    ("TRYAGAIN", "it is a node of Redis Cluster that moves its data"),
    ("MASTERDOWN", "it is a replica without a master"),
    (
        "NOREPLICAS",
        "it takes no writes because too few replicas follow it (`min-replicas-to-write`)",
    ),
    ("DENIED", "it serves its own machine only (protected mode): set a password or `bind`"),
    ("BUSY", "it runs a script that does not end: see `SCRIPT KILL`"),
    (
        "WRONGTYPE",
        "under the drill's key there is something that is no list: it is somebody else's",
    ),
    (UNKNOWN_MASTER, "the Sentinels do not know a master of this name: see `master`"),
    (
        NO_MAJORITY,
        "fewer than half of the Sentinels that the plan names agree who the master is: see `SENTINEL master`, or name all \
         that there are",
    ),
    (SENTINEL_LOGIN, "a Sentinel does not let us in: see `sentinel_password`"),
];

/// What `said` means, for people; `quoted` is what of it may be shown.
pub(super) fn meant(said: &str, quoted: &str) -> String {
    match refusal(said) {
        Some(words) => words.to_owned(),
        None if said.contains("without any password configured") => {
            "it has no password: leave `password` out".to_owned()
        }
        None if said.contains("max number of clients") => {
            "it has as many clients as it may (`maxclients`)".to_owned()
        }
        None if said.contains("unknown command") => {
            format!("it does not know a command that a ledger needs: {quoted}")
        }
        None => format!("it said {quoted}"),
    }
}

/// Whether an error is about user and password.
pub(super) fn is_about_login(said: &str) -> bool {
    let first = said.split(' ').next().unwrap_or_default();
    matches!(first, "NOAUTH" | "WRONGPASS" | "NOPERM") || said.contains("without any password")
}

/// What is said of a server that takes no writes because of its role.
pub(super) fn replica() -> String {
    refusal("READONLY").unwrap_or_default().to_owned()
}

/// What it makes of a write that had left.
pub(super) fn outcome(failed: Failed) -> Outcome {
    match failed {
        Failed::Broken(outcome) => outcome,
        Failed::Said(said) if refusal(&said).is_some() => Outcome::Bad(Reason::Rejected),
        // A proxy in between may say anything, also of a write that it passed on.
        Failed::Said(_) | Failed::Garbage => Outcome::Bad(Reason::Protocol),
    }
}

fn refusal(said: &str) -> Option<&'static str> {
    let first = said.split(' ').next()?;
    REFUSALS.iter().find(|(code, _)| *code == first).map(|(_, words)| *words)
}
