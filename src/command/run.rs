//! A command that is asked something, and ends.

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Group;

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub said: Vec<u8>,
    /// The beginning of its standard error.
    pub complained: Vec<u8>,
}

/// Runs `command` with `input` on its standard input, until it ends; what it leaves behind is killed then, and all of it if
/// the result is dropped before. Of each of its outputs `most` bytes are kept.
///
/// # Errors
/// When it cannot be started or waited for.
pub async fn run(command: &mut Command, input: &[u8], most: usize) -> io::Result<Ran> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command)?;
    let child = group.child();
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(io::Error::other("it has no pipes"));
    };
    let told = async {
        // A command that does not listen to the end has its reasons, and says how it ended.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    // All at once: a command that says much must not wait for us to listen, nor we for it.
    let ((), said, complained, status) =
        tokio::join!(told, beginning(stdout, most), beginning(stderr, most), group.end());
    Ok(Ran { status: status?, said, complained })
}

/// The first `most` bytes of what a command says, which is read to its end.
async fn beginning(mut from: impl AsyncRead + Unpin, most: usize) -> Vec<u8> {
    let mut said = Vec::new();
    // What cannot be read was not said.
    let _ = (&mut from).take(most as u64).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    said
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn shell(script: &str, input: &[u8], most: usize) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ran = run(&mut command, input, most);
        tokio::time::timeout(Duration::from_secs(20), ran).await.expect("it ends").unwrap()
    }

    #[tokio::test]
    async fn what_a_command_is_told_and_says_passes_whole() {
        let long = vec![b'x'; 1 << 20];
        let ran = shell("cat; echo no >&2; exit 3", &long, 2 << 20).await;
        assert_eq!((ran.said, ran.complained), (long, b"no\n".to_vec()));
        assert_eq!(ran.status.code(), Some(3));
    }

    #[tokio::test]
    async fn of_an_endless_tale_the_beginning_is_kept() {
        let ran = shell("head -c 300000 /dev/zero", b"", 1000).await;
        assert_eq!(ran.said.len(), 1000);
    }

    #[tokio::test]
    async fn one_that_does_not_listen_or_leaves_somebody_behind_ends_all_the_same() {
        let ran = shell("sleep 1000 & echo done", &vec![b'x'; 1 << 20], 1000).await;
        assert_eq!((&*ran.said, ran.status.success()), (&b"done\n"[..], true));
    }
}
