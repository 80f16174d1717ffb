//! Frames in a file: written so that what is whole can be told, and read past whatever is not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::FORMAT;
use super::block::{Block, samples};
use crate::model::{SampleNames, Sampled};

/// How a file of samples begins; its version follows.
const MAGIC: &[u8; 7] = b"fdrillS";

/// How a frame begins: to be found again behind damage.
const MARKER: &[u8; 4] = b"\xfdFRM";

/// Bytes of a frame before its payload.
const FRAME: usize = 25;

/// No frame of samples is longer: twice what the worst samples need.
const LONGEST: usize = 4 << 20;

/// Nor one with names: a plan is no longer.
const LONGEST_NAMES: usize = 64 << 20;

/// So many bytes may be looked at in vain, in what begins as frames do and is none, before the rest counts as damaged:
/// this many, and [`IN_VAIN_EACH`] for each byte that is left out. A disk does less harm; a file that was made to be
/// slow to read would have every byte looked at a million times.
const IN_VAIN: u64 = 64 << 20;
const IN_VAIN_EACH: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Names = 1,
    Samples = 2,
    End = 3,
}

/// What samples need of a file.
pub trait Disk: Write + Seek {
    /// Makes what was written survive a crash of the machine.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file off behind its first `length` bytes.
    ///
    /// # Errors
    /// When it cannot.
    fn cut_off(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for File {
    fn cut_off(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Samples on their way into a file.
#[derive(Debug)]
pub struct Writer<D> {
    out: D,
    block: Block,
    /// Bytes that are whole: where the next frame begins.
    whole: u64,
    kept: u64,
}

impl<D: Disk> Writer<D> {
    /// Begins the file of what `names` says.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: D, names: &SampleNames) -> io::Result<Writer<D>> {
        out.write_all(MAGIC)?;
        out.write_all(&[FORMAT])?;
        let whole = MAGIC.len() as u64 + 1;
        let mut writer = Writer { out, block: Block::default(), whole, kept: 0 };
        writer.frame(Kind::Names, 0, &names.to_bytes()?)?;
        Ok(writer)
    }

    /// Samples in frames that are written.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Adds a sample, and writes the block before it when that is full.
    ///
    /// # Errors
    /// When the block could not be written. Its samples are lost; more may be added, for there may be room again.
    pub fn push(&mut self, sampled: &Sampled) -> io::Result<()> {
        let written = if self.block.is_full(sampled) { self.flush() } else { Ok(()) };
        self.block.push(sampled);
        written
    }

    /// Writes what has been added.
    ///
    /// # Errors
    /// As [`Writer::push`].
    pub fn flush(&mut self) -> io::Result<()> {
        let count = self.block.count();
        if count == 0 {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let written = self.frame(Kind::Samples, count, block.bytes());
        self.block = block;
        self.block.clear();
        written.map(|()| self.kept += u64::from(count))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it is not certain that the file survives a crash of the machine.
    pub fn end(&mut self) -> io::Result<()> {
        self.frame(Kind::End, 0, &[])?;
        self.out.sync()
    }

    fn frame(&mut self, kind: Kind, count: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(FRAME + payload.len());
        frame.extend_from_slice(MARKER);
        frame.push(kind as u8);
        frame.extend_from_slice(&count.to_le_bytes());
        frame.extend_from_slice(&self.kept.to_le_bytes());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&checksum(&frame[MARKER.len()..], payload).to_le_bytes());
        frame.extend_from_slice(payload);
        match self.out.write_all(&frame) {
            Ok(()) => {
                self.whole += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                // The next frame goes over what there is of this one, and if it is shorter nothing may stand behind it.
                // If that fails, a reader finds it all the same.
                let _ = self.out.seek(SeekFrom::Start(self.whole));
                let _ = self.out.cut_off(self.whole);
                Err(error)
            }
        }
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// Why a file holds no samples that can be read.
#[derive(Debug, thiserror::Error)]
pub enum NotSamples {
    /// It cannot be read at all.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It begins with something else.
    #[error("it does not begin as samples of firedrill do")]
    Other,
    /// It was written by another version.
    #[error(
        "it has the format {0}, and this firedrill reads {FORMAT}; use the firedrill that wrote it"
    )]
    OtherFormat(u8),
}

/// What of a file was not read, because it is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Samples that were kept and are gone, as far as later frames tell.
    pub samples: u64,
    /// Bytes that are no part of a whole frame, or stand behind the end.
    pub bytes: u64,
    /// Its end is missing: how many samples there were nobody knows.
    pub torn: bool,
}

impl Damage {
    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        *self != Damage::default()
    }
}

/// Samples on their way out of a file, a frame in memory at a time.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// What was read and not used; `at` is the first byte of it.
    ahead: Vec<u8>,
    at: usize,
    names: Option<SampleNames>,
    /// The samples of a frame that was read to find the names.
    first: Option<Vec<Sampled>>,
    read: u64,
    /// Bytes that were looked at as a frame, and were none.
    in_vain: u64,
    damage: Damage,
    /// The file has no more than what is ahead.
    ended: bool,
    over: bool,
}

struct Frame {
    kind: u8,
    count: u32,
    before: u64,
    payload: std::ops::Range<usize>,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When it does not begin as samples do.
    pub fn new(from: R) -> Result<Reader<R>, NotSamples> {
        let mut reader = Reader {
            from,
            ahead: Vec::new(),
            at: 0,
            names: None,
            first: None,
            read: 0,
            in_vain: 0,
            damage: Damage { torn: true, ..Damage::default() },
            ended: false,
            over: false,
        };
        if !reader.have(MAGIC.len() + 1)? || reader.ahead[..MAGIC.len()] != MAGIC[..] {
            return Err(NotSamples::Other);
        }
        if reader.ahead[MAGIC.len()] != FORMAT {
            return Err(NotSamples::OtherFormat(reader.ahead[MAGIC.len()]));
        }
        reader.at = MAGIC.len() + 1;
        reader.first = reader.more()?;
        Ok(reader)
    }

    /// What the samples are of; `None` if that is damaged.
    pub fn names(&self) -> Option<&SampleNames> {
        self.names.as_ref()
    }

    /// What was damaged so far; complete when there are no more samples.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// The samples of the next whole frame, in the order in which their outcomes were known; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn block(&mut self) -> io::Result<Option<Vec<Sampled>>> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.more(),
        }
    }

    fn more(&mut self) -> io::Result<Option<Vec<Sampled>>> {
        while !self.over {
            let Some(frame) = self.frame()? else {
                let patience =
                    self.damage.bytes.saturating_mul(IN_VAIN_EACH).saturating_add(IN_VAIN);
                if self.in_vain > patience {
                    self.leave_out_the_rest()?;
                } else if !self.skip()? {
                    self.over = true;
                }
                continue;
            };
            let end = frame.payload.end;
            let payload = &self.ahead[frame.payload];
            let block = match frame.kind {
                kind if kind == Kind::Samples as u8 => samples(payload, frame.count),
                kind if kind == Kind::Names as u8 => {
                    self.names = SampleNames::from_bytes(payload);
                    None
                }
                kind if kind == Kind::End as u8 => {
                    (self.over, self.damage.torn) = (true, false);
                    None
                }
                // A kind that a later version may add.
                _ => None,
            };
            self.at = end;
            let missing = frame.before.saturating_sub(self.read);
            self.damage.samples = self.damage.samples.saturating_add(missing);
            self.read = self.read.max(frame.before);
            if self.over {
                // Whatever stands behind the end was not written by a drill.
                self.leave_out_the_rest()?;
            }
            if let Some(block) = block {
                self.read = self.read.saturating_add(block.len() as u64);
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// The frame that begins here; `None` if none does that is whole.
    fn frame(&mut self) -> io::Result<Option<Frame>> {
        if !self.have(FRAME)? {
            return Ok(None);
        }
        let head = &self.ahead[self.at..self.at + FRAME];
        let (kind, longest) =
            (head[4], if head[4] == Kind::Names as u8 { LONGEST_NAMES } else { LONGEST });
        let (count, before, length) =
            (number(&head[5..9]), number(&head[9..17]), number(&head[17..21]));
        let sum = number(&head[21..25]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if head[..4] != MARKER[..] || length > longest || !self.have(FRAME + length)? {
            return Ok(None);
        }
        let (head, payload) =
            (self.at + MARKER.len()..self.at + 21, self.at + FRAME..self.at + FRAME + length);
        let is_whole = u64::from(checksum(&self.ahead[head], &self.ahead[payload.clone()])) == sum;
        if !is_whole {
            self.in_vain = self.in_vain.saturating_add(length as u64);
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(is_whole.then_some(Frame { kind, count, before, payload }))
    }

    /// Goes on to what may be the next frame. False: there is none.
    fn skip(&mut self) -> io::Result<bool> {
        // What begins here is none.
        let step = usize::from(self.have(1)?);
        self.pass(step);
        loop {
            let rest = &self.ahead[self.at..];
            if let Some(place) = rest.windows(MARKER.len()).position(|at| at == MARKER) {
                self.pass(place);
                return Ok(true);
            }
            // A marker may lie across what is here and what comes.
            let left = rest.len().min(MARKER.len() - 1);
            self.pass(rest.len() - left);
            if !self.have(left + 1)? {
                self.pass(left);
                return Ok(false);
            }
        }
    }

    /// Leaves out all that there is.
    fn leave_out_the_rest(&mut self) -> io::Result<()> {
        self.over = true;
        while self.have(1)? {
            self.pass(self.ahead.len() - self.at);
        }
        Ok(())
    }

    /// Leaves out bytes that are no part of a whole frame.
    fn pass(&mut self, bytes: usize) {
        self.damage.bytes += bytes as u64;
        self.at += bytes;
    }

    /// Reads until `count` bytes are ahead. False: the file has no more.
    fn have(&mut self, count: usize) -> io::Result<bool> {
        const PIECE: u64 = 256 << 10;
        if self.ahead.len() - self.at >= count {
            return Ok(true);
        }
        // Only when that moves less than was used: each byte is moved a few times, however often somebody asks.
        if self.at >= self.ahead.len() - self.at {
            self.ahead.drain(..self.at);
            self.at = 0;
        }
        while !self.ended && self.ahead.len() - self.at < count {
            self.ended = self.from.by_ref().take(PIECE).read_to_end(&mut self.ahead)? == 0;
        }
        Ok(self.ahead.len() - self.at >= count)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
