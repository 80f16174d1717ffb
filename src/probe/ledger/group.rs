//! A command with all that it starts: none of it outlives us.

use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A running command in a process group of its own. Dropped, the whole group is killed.
pub(super) struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Starts `command`.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Group> {
        // Not of our group, either: a Ctrl-C is for the drill, which ends the command when it is done with it.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, leader })
    }

    /// The command itself.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the command has ended, and ends what it left behind.
    pub(super) async fn end(mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Nobody is left, mostly.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
