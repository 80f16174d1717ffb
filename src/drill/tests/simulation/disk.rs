//! A simulated disk: what was written, what is safe, and what a crash makes of the rest.

use std::io;

use super::faults::{Fault, Who};
use super::setting::{Crash, DiskSetting};
use super::world::World;
use crate::journal::Disk;

/// A journal's file.
pub struct Paper {
    setting: DiskSetting,
    /// What a reader sees while the machine runs.
    written: Vec<u8>,
    /// As many of them survive a loss of power.
    synced: usize,
    /// A stretch that a failed sync has lost for good, though it is still seen.
    lost: Option<(usize, usize)>,
}

impl Paper {
    /// An empty one.
    pub fn new(setting: DiskSetting) -> Paper {
        Paper { setting, written: Vec::new(), synced: 0, lost: None }
    }

    /// What a reader sees.
    pub fn bytes(&self) -> &[u8] {
        &self.written
    }

    /// What would be read if the machine lost its power now, and nothing were torn.
    pub fn durable(&self) -> Vec<u8> {
        let mut bytes = self.written[..self.synced].to_vec();
        if let Some((from, to)) = self.lost {
            let to = to.min(bytes.len());
            bytes[from.min(to)..to].fill(0);
        }
        bytes
    }

    /// The power goes: of what was not synced this share stays, in percent, or its place is full of zeros.
    pub fn power_loss(&mut self, share: usize, zeros: bool) {
        let rest = self.written.len() - self.synced;
        // Never the whole of a line: that would be one more kind of luck, and no loss.
        let kept = rest.saturating_sub(1) * share / 100;
        let mut bytes = self.durable();
        if zeros {
            bytes.resize(self.synced + rest, 0);
        } else {
            bytes.extend_from_slice(&self.written[self.synced..self.synced + kept]);
        }
        self.synced = bytes.len();
        (self.written, self.lost) = (bytes, None);
    }

    /// The disk has room again.
    pub fn heal(&mut self) {
        self.setting = DiskSetting::default();
    }
}

/// The disk as a process uses it.
pub struct SimDisk {
    pub world: World,
    pub who: Who,
    /// Which journal.
    pub paper: usize,
}

impl SimDisk {
    /// One more operation; `Err` when its process is dead or dies here. The number is what the settings count.
    fn operation(&self, bytes: &[u8]) -> Result<u32, io::Error> {
        let at = self.world.clock.now();
        let mut inner = self.world.lock();
        let dead = || io::Error::from(io::ErrorKind::BrokenPipe);
        if inner.is_dead(self.who) {
            return Err(dead());
        }
        if self.who != Who::Drill {
            return Ok(u32::MAX);
        }
        inner.operations += 1;
        let number = inner.operations;
        if let Some(Crash::Disk(_, share)) =
            inner.crash.filter(|crash| matches!(crash, Crash::Disk(place, _) if *place == number))
        {
            let kept = bytes.len() * share as usize / 100;
            inner.papers[self.paper].written.extend_from_slice(&bytes[..kept]);
            inner.dies(at, self.who, Fault::CrashAtDisk);
            return Err(dead());
        }
        Ok(number)
    }
}

fn within(number: u32, span: Option<(u32, u32)>) -> bool {
    span.is_some_and(|(from, to)| (from..to).contains(&number))
}

impl Disk for SimDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let number = self.operation(bytes)?;
        let at = self.world.clock.now();
        let mut inner = self.world.lock();
        if within(number, inner.papers[self.paper].setting.full) {
            let kept = inner.rng.usize(0..bytes.len());
            inner.papers[self.paper].written.extend_from_slice(&bytes[..kept]);
            inner.counts.add(Fault::DiskFull);
            inner.log.add(at, self.who, "disk is full", None);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.papers[self.paper].written.extend_from_slice(bytes);
        let what = std::str::from_utf8(bytes).ok().and_then(name).unwrap_or("writes");
        inner.log.add(at, self.who, what, None);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let number = self.operation(&[])?;
        let at = self.world.clock.now();
        let mut inner = self.world.lock();
        let gone = inner.rng.bool();
        let paper = &mut inner.papers[self.paper];
        if within(number, paper.setting.unsynced) {
            // After a sync that failed, some systems forget what was to be written and call the next one good.
            if gone && paper.lost.is_none() {
                paper.lost = Some((paper.synced, paper.written.len()));
                paper.synced = paper.written.len();
            }
            inner.counts.add(Fault::SyncFails);
            inner.log.add(at, self.who, "sync fails", None);
            return Err(io::Error::other("input/output error"));
        }
        paper.synced = paper.written.len();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let number = self.operation(&[])?;
        let at = self.world.clock.now();
        let mut inner = self.world.lock();
        let paper = &mut inner.papers[self.paper];
        if number != u32::MAX && paper.setting.sticky && paper.written.len() as u64 > length {
            inner.counts.add(Fault::TruncateFails);
            inner.log.add(at, self.who, "truncate fails", None);
            return Err(io::Error::other("input/output error"));
        }
        paper.written.truncate(length as usize);
        paper.synced = paper.synced.min(paper.written.len());
        Ok(())
    }
}

/// What a line stands for.
fn name(line: &str) -> Option<&'static str> {
    let names = [
        ("{\"opened", "journal: opened"),
        ("{\"snapshot", "journal: snapshot"),
        ("{\"cut-intended", "journal: cut intended"),
        ("{\"cut-confirmed", "journal: cut confirmed"),
        ("{\"restore-intended", "journal: restore intended"),
        ("{\"restore-confirmed", "journal: restore confirmed"),
        ("{\"closed", "journal: closed"),
    ];
    let text = line.get(9..)?;
    names.iter().find(|(start, _)| text.starts_with(start)).map(|(_, name)| *name)
}
