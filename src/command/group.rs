//! A command with all that it starts: none of it outlives us.

use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// A running command in a process group of its own. Dropped, the whole group is killed.
pub struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> std::io::Result<Group> {
        // Not of our group, either: a Ctrl-C is for the drill, which ends the command when it is done with it.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, leader })
    }

    /// The command itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the command has ended, and ends what it left behind.
    pub async fn end(mut self) -> std::io::Result<ExitStatus> {
        if let Some(leader) = self.leader {
            exited(leader).await?;
        }
        self.kill();
        self.child.wait().await
    }

    /// Kills whoever is in the group, once. Its leader must not have been waited for: until then the number is nobody else's.
    fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            // Nobody is left, mostly.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `child` has ended, and leaves it as it is: a zombie that keeps its number.
async fn exited(child: Pid) -> std::io::Result<()> {
    let mut signals = signal(SignalKind::child())?;
    let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while waitid(WaitId::Pid(child), how)?.is_none() {
        signals.recv().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::test_kill_process_group;

    use super::*;

    #[tokio::test]
    async fn an_ended_command_keeps_its_number_until_its_group_is_killed() {
        let mut command = Command::new("true");
        let mut group = Group::start(&mut command).unwrap();
        let leader = group.leader.unwrap();
        exited(leader).await.unwrap();
        exited(leader).await.expect("it is still there");
        test_kill_process_group(leader).expect("its number is nobody else's");
        group.kill();
        assert!(group.leader.is_none(), "it is killed once");
        assert!(group.end().await.unwrap().success());
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_ends_with_it() {
        let mut command = Command::new("sh");
        // The pipe is open for as long as the one that stays behind lives.
        command.args(["-c", "sleep 1000 & exit 3"]).stdout(std::process::Stdio::piped());
        let mut group = Group::start(&mut command).unwrap();
        let mut stdout = group.child().stdout.take().unwrap();
        assert_eq!(group.end().await.unwrap().code(), Some(3));
        let mut said = Vec::new();
        let closed = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut said);
        let at_most = std::time::Duration::from_secs(20);
        tokio::time::timeout(at_most, closed).await.expect("it was killed").unwrap();
    }
}
