//! Leases as lock files.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::FdFlags;

use super::{Holder, Lease, Leases, NotTaken};

/// Lock files in a directory. They are never removed, or two could hold one of the same name.
#[derive(Debug)]
pub struct LockFiles {
    directory: PathBuf,
}

impl LockFiles {
    /// Lock files in `directory`, which is made when the first is taken.
    pub fn new(directory: PathBuf) -> LockFiles {
        LockFiles { directory }
    }

    fn open(&self, place: &str) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // A place may hold a secret, so its name is not used. Should two ever meet, a drill is refused that could run.
        let name = format!("{:08x}.lock", crc32fast::hash(place.as_bytes()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // What a link leads to is not ours to write to.
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        options.open(self.directory.join(name))
    }
}

impl Leases for LockFiles {
    fn take(&self, place: &str, holder: &Holder) -> Result<Box<dyn Lease>, NotTaken> {
        let mut file = self.open(place).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.directory.display()))
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who has just taken it may not have written down who it is.
                let _ = file.read_to_string(&mut text);
                return Err(NotTaken::Held(serde_json::from_str(&text).ok()));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let text = serde_json::to_vec(holder).map_err(io::Error::from)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&text)?;
        Ok(Box::new(LockFile(file)))
    }
}

/// A lock that ends with the last process that has this file open.
#[derive(Debug)]
struct LockFile(File);

impl Lease for LockFile {
    fn share(&self, with_children: bool) -> io::Result<()> {
        let flags = if with_children { FdFlags::empty() } else { FdFlags::CLOEXEC };
        Ok(rustix::io::fcntl_setfd(&self.0, flags)?)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn holder(run: &str) -> Holder {
        Holder { run: run.into(), plan: "p".into(), host: "h".into(), pid: 7 }
    }

    #[test]
    fn a_second_one_is_told_who_has_the_first() {
        let home = tempfile::tempdir().unwrap();
        let leases = LockFiles::new(home.path().join("locks"));
        let first = leases.take("haproxy unix /run/a", &holder("one")).unwrap();
        let other = leases.take("haproxy unix /run/b", &holder("two")).unwrap();
        match leases.take("haproxy unix /run/a", &holder("two")).err().unwrap() {
            NotTaken::Held(Some(found)) => assert_eq!(found, holder("one")),
            other => panic!("{other}"),
        }
        drop((first, other));
        let again = leases.take("haproxy unix /run/a", &holder("three"));
        assert!(again.is_ok());
    }

    #[test]
    fn a_process_that_shares_it_holds_it_after_us() {
        let home = tempfile::tempdir().unwrap();
        let leases = LockFiles::new(home.path().to_owned());
        let lease = leases.take("place", &holder("one")).unwrap();
        lease.share(true).unwrap();
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        lease.share(false).unwrap();
        drop(lease);
        assert!(leases.take("place", &holder("two")).is_err());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(leases.take("place", &holder("two")).is_ok());
    }
}
