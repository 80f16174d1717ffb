//! Files that appear under their name only when they are whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// So many links are followed to a file that is not there yet, as the kernel does to one that is.
const LINKS: usize = 40;

/// So many names are tried before it is given up to find one that is free.
const TRIES: usize = 16;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A report, a plan or a page, where a person wants it. What a link leads to is replaced, not the link; who may
    /// read a file before may read it afterwards.
    Report,
    /// A part of a run's directory, for the eyes of its user alone. A link is replaced, wherever it leads.
    Private,
    /// As [`Kind::Private`]; one that a crash tore is made anew, so that no disk is waited for.
    Index,
}

/// A file under way, under a name of its own until it is finished.
#[derive(Debug)]
pub(super) struct Pending {
    kind: Kind,
    path: PathBuf,
    partial: PathBuf,
    file: File,
    finished: bool,
}

impl Pending {
    /// Begins the file at `path`, which stays as it is until the new one is finished.
    ///
    /// # Errors
    /// When it could not be written, or names no file.
    pub fn create(path: &Path, kind: Kind) -> io::Result<Pending> {
        let (path, old) = match kind {
            Kind::Report => replaced(path)?,
            Kind::Private | Kind::Index => (path.to_owned(), None),
        };
        if path.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it names no file"));
        }
        let mode = if kind == Kind::Report && old.is_none() { 0o666 } else { 0o600 };
        let (file, partial) = partial(&path, mode)?;
        let pending = Pending { kind, path, partial, file, finished: false };
        if let Some(old) = old {
            keep_access(&pending.file, &old)?;
        }
        Ok(pending)
    }

    /// Writes what `fill` gives, and puts the file where it belongs.
    ///
    /// # Errors
    /// When it could not be written, or `fill` fails. What was there before is there still.
    pub fn finish(mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        fill(&mut self.file)?;
        if self.kind != Kind::Index {
            self.file.sync_all()?;
        }
        fs::rename(&self.partial, &self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing was promised under this name; a leftover would only puzzle.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The file that a report to `path` replaces, through all links; and what is there now.
fn replaced(path: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    let Ok(path) = fs::canonicalize(path) else { return Ok((led(path)?, None)) };
    let old = fs::metadata(&path)?;
    if old.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    // Who may not write to it must not replace it either.
    OpenOptions::new().write(true).open(&path)?;
    Ok((path, Some(old)))
}

/// The file that `path` leads to through links, the last of which may lead to nothing yet.
fn led(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::from(rustix::io::Errno::LOOP))
}

/// A new file beside `path`. What somebody has put under its name is not opened, least of all through a link; by
/// chance alone nobody knows the name before.
fn partial(path: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let partial = path.with_file_name(format!(".firedrill-{:016x}", fastrand::u64(..)));
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial) {
            Ok(file) => return Ok((file, partial)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Lets those use `file` who may use the `old` one, and nobody else.
fn keep_access(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    // Only root may give files away; the next best is the group.
    if new.uid() != old.uid() {
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), None);
    }
    let same_group =
        new.gid() == old.gid() || std::os::unix::fs::fchown(file, None, Some(old.gid())).is_ok();
    // What one group might do is not for another one.
    let kept = if same_group { 0o777 } else { 0o707 };
    file.set_permissions(Permissions::from_mode(old.mode() & kept))
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// As [`Pending`].
pub(super) fn write(path: &Path, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    Pending::create(path, kind)?.finish(|out| out.write_all(bytes))
}

/// Holds that no two of `paths` are one file, however they are written: each would be the other's end.
///
/// # Errors
/// A sentence for people, naming the path.
pub(super) fn distinct<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), String> {
    let mut taken = Vec::new();
    for path in paths {
        // A terminal or /dev/null takes from many.
        if fs::metadata(path).is_ok_and(|it| it.file_type().is_char_device()) {
            continue;
        }
        let place = place(path);
        if taken.contains(&place) {
            return Err(format!(
                "two things would be written to {}; give each a path of its own; nothing was touched",
                path.display()
            ));
        }
        taken.push(place);
    }
    Ok(())
}

/// Where a file at `path` is, or would be, without links on the way.
fn place(path: &Path) -> PathBuf {
    let beside = || {
        let path = led(path).ok()?;
        let directory = path.parent().filter(|directory| *directory != Path::new(""));
        let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok()?;
        Some(directory.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn whoever_might_read_a_report_before_may_read_the_new_one_and_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        for kept in [0o600, 0o640, 0o666, 0o700] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
            write(&path, Kind::Report, b"new").unwrap();
            assert_eq!((mode(&path), fs::read(&path).unwrap()), (kept, b"new".to_vec()));
        }
    }

    #[test]
    fn a_link_that_leads_to_nothing_yet_is_followed_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::create_dir(path("kept")).unwrap();
        symlink("kept/report.html", path("second")).unwrap();
        symlink("second", path("first")).unwrap();
        let both = [path("first"), path("kept/../kept/report.html")];
        distinct(both.iter().map(PathBuf::as_path)).unwrap_err();
        write(&path("first"), Kind::Report, b"new").unwrap();
        assert_eq!(fs::read(path("kept/report.html")).unwrap(), b"new");
        assert!(path("first").is_symlink() && path("second").is_symlink());
        symlink("round", path("round")).unwrap();
        write(&path("round"), Kind::Report, b"new").unwrap_err();
        assert!(path("round").is_symlink());
    }

    #[test]
    fn what_lies_in_a_run_is_for_its_user_alone_and_replaces_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        let other = directory.path().join("other");
        fs::write(&other, "precious").unwrap();
        for kind in [Kind::Private, Kind::Index] {
            let _ = fs::remove_file(&path);
            symlink(&other, &path).unwrap();
            write(&path, kind, b"new").unwrap();
            assert!(!path.is_symlink() && mode(&path) == 0o600);
            // One that others could read is no reason to let them.
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            write(&path, kind, b"newer").unwrap();
            assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"newer".to_vec()));
        }
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn what_somebody_puts_in_the_place_of_a_file_under_way_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("report"), directory.path().join("other"));
        fs::write(&other, "precious").unwrap();
        let pending = Pending::create(&path, Kind::Report).unwrap();
        fs::remove_file(&pending.partial).unwrap();
        symlink(&other, &pending.partial).unwrap();
        pending.finish(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn a_name_that_is_taken_is_never_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("report"), directory.path().join("other"));
        fs::write(&other, "precious").unwrap();
        // The same chance again: the first name that is tried is a link by now.
        fastrand::seed(7);
        let name = format!(".firedrill-{:016x}", fastrand::u64(..));
        symlink(&other, directory.path().join(&name)).unwrap();
        fastrand::seed(7);
        write(&path, Kind::Report, b"new").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        assert_eq!(names(directory.path()), [name, "other".to_owned(), "report".to_owned()]);
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        write(&path, Kind::Report, b"old").unwrap();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        Pending::create(&path, Kind::Report).unwrap().finish(|_| full()).unwrap_err();
        drop(Pending::create(&path, Kind::Report).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(directory.path()), ["report"]);
        write(directory.path(), Kind::Report, b"x").unwrap_err();
    }
}
