//! The file itself: read within bounds, and replaced as a whole.
//!
//! It is replaced by renaming a new one over it in its own directory: a server that reads it meanwhile, or watches the
//! directory, sees the old one or the new one, and never half of it. A link is followed, and stays what it is.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, Gid, Uid, access, fchown, unlink};
use rustix::process::geteuid;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::Text;
use crate::traffic::ControlError;

/// A file that is larger is none that people steer a server with.
const MOST: u64 = 1 << 20;

/// A file as it was read.
pub(super) struct Read {
    /// As the plan has it: its path may hold secrets.
    shown: String,
    /// Where it lies, without links.
    pub(super) real: PathBuf,
    pub(super) bytes: Vec<u8>,
    owner: (u32, u32),
    links: u64,
}

/// Reads the file at `path`.
pub(super) async fn read(path: &Text) -> Result<Read, ControlError> {
    let unreadable = |error: &dyn fmt::Display| ControlError {
        what: format!("the file {path} cannot be read: {error}"),
        hint: "see that it is there, and that whoever runs firedrill may read it".to_owned(),
    };
    let real = real(path).await?;
    let about = fs::metadata(&real).await.map_err(|error| unreadable(&error))?;
    // Asked before it is opened: whoever opens a pipe waits for somebody at its other end.
    if !about.is_file() {
        return Err(ControlError {
            what: format!("{path} is no ordinary file"),
            hint: "name the file itself: a directory, a pipe or a device cannot be replaced"
                .to_owned(),
        });
    }
    let file = fs::File::open(&real).await.map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    let whole = file.take(MOST + 1).read_to_end(&mut bytes).await;
    whole.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MOST {
        return Err(ControlError {
            what: format!("the file {path} is larger than {} MiB", MOST >> 20),
            hint: "keep what steers traffic in a file of its own, and include that".to_owned(),
        });
    }
    let shown = path.to_string();
    Ok(Read { shown, real, bytes, owner: (about.uid(), about.gid()), links: about.nlink() })
}

/// Where the file at `path` lies, without links.
pub(super) async fn real(path: &Text) -> Result<PathBuf, ControlError> {
    fs::canonicalize(path.reveal_plain()).await.map_err(|error| ControlError {
        what: format!("the file {path} cannot be found: {error}"),
        hint: "see that it is there, and that whoever runs firedrill may look into its directory"
            .to_owned(),
    })
}

impl Read {
    /// Holds that it can be replaced, without trying.
    pub(super) fn prove(&self) -> Result<(), ControlError> {
        let at = &self.shown;
        let refuse = |what: String, hint: &str| Err(ControlError { what, hint: hint.to_owned() });
        if self.links > 1 {
            let what = format!("the file {at} has {} names (hard links)", self.links);
            return refuse(what, "the others would keep the old text: use a symbolic link instead");
        }
        if let Err(error) = access(directory(&self.real), Access::WRITE_OK | Access::EXEC_OK) {
            let what = format!(
                "the file {at} cannot be replaced: its directory may not be written: {error}"
            );
            return refuse(
                what,
                "run firedrill as somebody who may, or take a file that lies elsewhere",
            );
        }
        let own = geteuid();
        if !own.is_root() && own.as_raw() != self.owner.0 {
            let what =
                format!("the file {at} belongs to user {}, and would not any more", self.owner.0);
            return refuse(what, "run firedrill as that user, or as root");
        }
        Ok(())
    }

    /// Writes a file with these bytes beside it, of the same mode and owner, that can take its place.
    pub(super) async fn stage(&self, bytes: &[u8]) -> Result<Staged, ControlError> {
        let staged = Staged { at: beside(&self.real) };
        let written = staged.write(self, bytes).await;
        written.map_err(|error| ControlError {
            what: format!("no new file can be written beside {}: {error}", self.shown),
            hint: "nothing was changed; see the rights and the free space of its directory"
                .to_owned(),
        })?;
        Ok(staged)
    }
}

/// A new file that has not taken the place of the old one yet. Dropped before, it is removed.
pub(super) struct Staged {
    at: PathBuf,
}

impl Staged {
    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.at
    }

    async fn write(&self, old: &Read, bytes: &[u8]) -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        // Nobody else's until it is as the old one is.
        let mut file = options.write(true).create_new(true).mode(0o600).open(&self.at).await?;
        file.write_all(bytes).await?;
        file.flush().await?;
        let about = file.metadata().await?;
        if (about.uid(), about.gid()) != old.owner {
            let (user, group) = (Uid::from_raw(old.owner.0), Gid::from_raw(old.owner.1));
            // The file itself, for its name may lead elsewhere by now.
            fchown(&file, Some(user), Some(group))?;
        }
        // Behind `fchown`, which takes some bits of the mode away.
        file.set_permissions(fs::metadata(&old.real).await?.permissions()).await?;
        file.sync_all().await
    }

    /// Puts it in the place of `old`. False: that is not what it was any more, and nothing was changed.
    pub(super) async fn commit(self, old: &Read) -> Result<bool, ControlError> {
        let failed = |error: &dyn fmt::Display| {
            ControlError {
            what: format!("the file {} cannot be replaced: {error}", old.shown),
            hint: "nothing was changed; a file that is mounted by itself cannot be: mount its directory"
                .to_owned(),
        }
        };
        let now = fs::read(&old.real).await.map_err(|error| failed(&error))?;
        if now != old.bytes {
            return Ok(false);
        }
        fs::rename(&self.at, &old.real).await.map_err(|error| failed(&error))?;
        // The new file stands, whatever comes of this; it is only not certain to outlive a loss of power.
        if let Ok(directory) = fs::File::open(directory(&old.real)).await {
            let _ = directory.sync_all().await;
        }
        Ok(true)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit it is not there any more.
        let _ = unlink(&self.at);
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// A name in the directory of `file` that servers which read all of `*.conf` or `*.yaml` there pass over.
fn beside(file: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(
        ".firedrill-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    file.with_file_name(name)
}
