//! The key that values of the environment are sealed with: made once in each state directory, and never shown.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::state::State;
use super::{StateArgs, output};
use crate::model::{Sealed, printable};
use crate::plan::{self, Choices};

/// So many random bytes.
const LENGTH: usize = 32;

/// The values that choose what is drilled, for the record; `None` if there are none. Without a key they are not kept, which
/// is said.
pub(super) fn sealed(args: &StateArgs, chosen: &Choices) -> Option<Sealed> {
    if chosen.is_empty() {
        return None;
    }
    let key = State::of(args).and_then(|state| made(&state.key()).map_err(|e| e.to_string()));
    match key {
        Ok(key) => Some(plan::seal(&key, chosen)),
        Err(error) => {
            output::say(format_args!(
                "warning: no key to tell the values of ${{env:}} by later can be used: {}; no gate will open for this \
                 drill",
                printable(&error)
            ));
            None
        }
    }
}

/// The key at `path`.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(super) fn key(path: &Path) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let mut key = Vec::with_capacity(LENGTH + 1);
    let metadata = file.metadata()?;
    if metadata.is_file() {
        let us = rustix::process::geteuid().as_raw();
        if let Some(doubt) = exposed(path, metadata.mode(), metadata.uid(), us) {
            output::say(format_args!("warning: {doubt}"));
        }
        file.take(LENGTH as u64 + 1).read_to_end(&mut key)?;
    }
    match key.len() {
        LENGTH => Ok(key),
        _ => {
            let text = format!("{} is no key; remove it, and drill again", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// What is wrong with who may read or replace the key at `path`, of this mode and owner, for the user `us`; and what to type.
fn exposed(path: &Path, mode: u32, owner: u32, us: u32) -> Option<String> {
    let path = path.display();
    if owner != us {
        return Some(format!(
            "{path} belongs to user {owner}, who can read and replace the key that values of ${{env:}} are sealed \
             with, and this is user {us}; if that should not be, type `chown {us} '{path}'` and \
             `chmod 600 '{path}'`"
        ));
    }
    (mode & 0o077 != 0).then(|| {
        format!(
            "{path} has the mode {:03o}: others can use the key that values of ${{env:}} are sealed with, and try \
             values by it; type `chmod 600 '{path}'`",
            mode & 0o777
        )
    })
}

/// The key at `path`, which is made if there is none.
fn made(path: &Path) -> io::Result<Vec<u8>> {
    match key(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        known => return known,
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut random = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    // Linked when it is whole: of two drills that make one at once, both get the key that was first.
    let partial =
        directory.join(format!(".env.key.{}-{:08x}", std::process::id(), fastrand::u32(..)));
    let linked = write(&partial, &random).and_then(|()| fs::hard_link(&partial, path));
    let _ = fs::remove_file(&partial);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => key(path),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/env.key");
        let first = made(&path).unwrap();
        assert_eq!((first.len(), made(&path).unwrap()), (LENGTH, first.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let beside = fs::read_dir(home.path().join("state")).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");
        let other = made(&home.path().join("other/env.key")).unwrap();
        assert_ne!(first, other);
    }

    #[test]
    fn a_key_that_others_can_use_or_own_is_said_with_what_to_type() {
        let said = |mode, owner| exposed(Path::new("s/env.key"), mode, owner, 1000);
        assert_eq!((said(0o100_600, 1000), said(0o100_400, 1000)), (None, None));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            assert!(said(0o100_000 | mode, 1000).unwrap().contains("type `chmod 600 's/env.key'`"));
        }
        let foreign = said(0o100_600, 1001).unwrap();
        assert!(foreign.contains("user 1001") && foreign.contains("chown 1000"), "{foreign}");
    }

    #[test]
    fn what_is_no_key_is_none_and_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("env.key");
        for wrong in [LENGTH - 1, LENGTH + 1, 0] {
            fs::write(&path, vec![7; wrong]).unwrap();
            assert!(made(&path).unwrap_err().to_string().contains("is no key"), "{wrong}");
            assert_eq!(fs::read(&path).unwrap().len(), wrong);
        }
        fs::write(home.path().join("planted"), [7; LENGTH]).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("planted", &path).unwrap();
        assert!(made(&path).is_err(), "a link to a key that another knows");
    }
}
