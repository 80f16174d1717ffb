//! A journal whose disk may hang without holding up the way back.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::{Append, Record};

/// A disk that takes longer to keep a record is taken to hang.
const LIMIT: Duration = Duration::from_secs(2);

/// Writes records in a thread of its own and waits for each only so long: a disk that hangs must not
/// keep traffic cut. Once it hung, every further record fails at once.
#[derive(Debug)]
pub struct Aside {
    give: SyncSender<Record>,
    written: Receiver<io::Result<()>>,
    hung: bool,
}

impl Aside {
    /// Writes to `journal`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(mut journal: impl Append + 'static) -> io::Result<Aside> {
        let (give, given) = sync_channel::<Record>(1);
        let (tell, written) = sync_channel(1);
        let work = move || {
            for record in given {
                if tell.send(journal.append(&record)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("journal".to_owned()).spawn(work)?;
        Ok(Aside { give, written, hung: false })
    }
}

impl Append for Aside {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let hangs = || io::Error::new(io::ErrorKind::TimedOut, "the disk hangs");
        if self.hung {
            return Err(hangs());
        }
        let gone = || io::Error::other("the journal's thread is gone");
        self.give.send(record.clone()).map_err(|_| gone())?;
        match self.written.recv_timeout(LIMIT) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                // What was given may still be written, after the act that it stands for was refused.
                self.hung = true;
                Err(hangs())
            }
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }
}
