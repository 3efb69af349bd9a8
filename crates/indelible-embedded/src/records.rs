//! Reading a file of records: blocks, personal rows, and the frames one after the other.
//!
//! [`Scanner`] is the one that knows what is damage and what is a torn end: a bad frame with a
//! valid frame behind it is damage and everything is kept; a bad frame with none is the end.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indelible_disk::{Disk, DiskFile, Open};
use indelible_store::{Error, Handle, Kind, Result, SealedValue};
use memchr::memmem;
use parking_lot::Mutex;

use crate::block::Block;
use crate::bytes::Reader;
use crate::directory::BlockPlace;
use crate::failure::{corrupt, from_disk};
use crate::frame::{
    FILE_HEADER_BYTES, FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_MAGIC, FileHeader,
    FrameHeader,
};
use crate::room::Room;

const CACHED_BLOCKS: usize = 32;
const CACHED_PERSONAL: usize = 1 << 16;
/// What is read at once of a personal row: nearly all are shorter.
const PERSONAL_GUESS_BYTES: usize = 256;
/// Personal rows that lie closer than this are read at once.
const PERSONAL_SPAN_BYTES: u64 = 16 << 10;
/// A row that says to be longer is damaged.
const PERSONAL_ROW_BYTES_MAX: usize = 1 << 24;
const HANDLE_BYTES: usize = 16;
const CRC_BYTES: usize = 4;
const SEARCH_BYTES: usize = 1 << 20;

/// A block of a file: the file's number and the byte it begins at.
type BlockKey = (u64, u64);

/// Unpacked blocks and opened personal rows that were used last, of all files.
#[derive(Default)]
pub(crate) struct Caches {
    files: AtomicU64,
    /// By file and byte, last used last.
    blocks: Mutex<VecDeque<(BlockKey, Arc<Block>)>>,
    personal: Mutex<HashMap<(u64, u32), CachedRow, RandomState>>,
    /// For the marks of ids.
    pub(crate) marks: Arc<Room>,
}

/// A personal row as it was read, and whether it was tried to open it.
#[derive(Clone)]
pub(crate) struct CachedRow {
    pub(crate) value: SealedValue,
    pub(crate) tried: bool,
}

impl Caches {
    /// The personal row `key` (file, number), if it is here.
    pub(crate) fn personal(&self, key: (u64, u32)) -> Option<CachedRow> {
        self.personal.lock().get(&key).cloned()
    }

    /// Forgets what was read of files of records.
    pub(crate) fn clear(&self) {
        self.blocks.lock().clear();
        self.personal.lock().clear();
    }

    /// Keeps a personal row.
    pub(crate) fn keep_personal(&self, key: (u64, u32), row: CachedRow) {
        let mut kept = self.personal.lock();
        if kept.len() >= CACHED_PERSONAL {
            kept.clear();
        }
        kept.insert(key, row);
    }
}

/// An open file of records.
#[derive(Clone)]
pub(crate) struct RecordFile {
    /// A number of its own in this process, for the caches.
    pub(crate) number: u64,
    pub(crate) path: String,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl RecordFile {
    pub(crate) fn open(disk: &dyn Disk, path: &str, how: Open, caches: &Caches) -> Result<Self> {
        let file = disk.open(path, how).map_err(from_disk)?.into();
        let number = caches.files.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            number,
            path: path.to_owned(),
            file,
        })
    }

    /// The block at `place`, unpacked.
    pub(crate) fn block(&self, caches: &Caches, place: &BlockPlace) -> Result<Arc<Block>> {
        let key = (self.number, place.at);
        if let Some((_, block)) = caches.blocks.lock().iter().find(|(k, _)| *k == key) {
            return Ok(Arc::clone(block));
        }
        let damaged = || {
            let (path, at) = (&self.path, place.at);
            corrupt(format!("{path} has a damaged block at byte {at}"))
        };
        if place.end() > self.file.len().map_err(from_disk)? {
            return Err(damaged());
        }
        let mut bytes = vec![0; place.bytes as usize];
        self.file
            .read_exact_at(&mut bytes, place.at)
            .map_err(from_disk)?;
        let (block, _) = Block::parse(&bytes).ok_or_else(damaged)?;
        let block = Arc::new(block);
        let mut kept = caches.blocks.lock();
        if kept.len() >= CACHED_BLOCKS {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&block)));
        Ok(block)
    }

    /// The personal row that starts at byte `at`.
    pub(crate) fn personal(&self, at: u64) -> Result<(Handle, Arc<[u8]>)> {
        let row = self.personal_rows(&[at])?.pop();
        let whole = row.and_then(|read| Some((read.handle, read.row?)));
        let said = || format!("{} has a damaged personal row at byte {at}", self.path);
        whole.ok_or_else(|| corrupt(said()))
    }

    /// The personal rows that start at these bytes, which ascend; those that lie far behind the
    /// first are left out.
    pub(crate) fn personal_rows(&self, places: &[u64]) -> Result<Vec<ReadRow>> {
        let first = places.first().copied().unwrap_or(0);
        // Rows of frames that cannot be read stand nowhere: not behind the first.
        let near = |at: &&u64| (first..first.saturating_add(PERSONAL_SPAN_BYTES)).contains(*at);
        let places: Vec<u64> = places.iter().take_while(near).copied().collect();
        let span = places.last().map_or(0, |last| last - first);
        let mut bytes = vec![0; usize::try_from(span).unwrap_or(0) + PERSONAL_GUESS_BYTES];
        let count = self.file.read_at(&mut bytes, first).map_err(from_disk)?;
        bytes.truncate(count);
        let mut rows = Vec::with_capacity(places.len());
        for at in places {
            let from = usize::try_from(at - first).unwrap_or(usize::MAX);
            rows.push(self.read_row(at, bytes.get(from..).unwrap_or_default())?);
        }
        Ok(rows)
    }

    /// The row at byte `at` of the file, of which `bytes` were read.
    fn read_row(&self, at: u64, bytes: &[u8]) -> Result<ReadRow> {
        let Some(length) = row_bytes(bytes).filter(|length| *length > bytes.len()) else {
            return Ok(ReadRow::parse(at, bytes));
        };
        let mut longer = vec![0; length];
        let count = self.file.read_at(&mut longer, at).map_err(from_disk)?;
        longer.truncate(count);
        Ok(ReadRow::parse(at, &longer))
    }
}

/// A personal row as it was read.
pub(crate) struct ReadRow {
    /// Whose key opens it; zero where that cannot be read.
    pub(crate) handle: Handle,
    /// The ciphertext, if it is what was written.
    pub(crate) row: Option<Arc<[u8]>>,
    /// The bytes of the file it takes.
    pub(crate) bytes: Range<u64>,
}

impl ReadRow {
    /// Takes apart what begins at byte `at` of the file.
    fn parse(at: u64, bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let handle = Handle(reader.array().unwrap_or_default());
        let row = reader.chunk();
        let end = reader.at();
        let whole = row.is_some() && reader.u32() == bytes.get(..end).map(crc32c::crc32c);
        let length = row_bytes(bytes).unwrap_or(HANDLE_BYTES + 1);
        Self {
            handle,
            row: row.filter(|_| whole).map(Into::into),
            bytes: at..at.saturating_add(length as u64),
        }
    }
}

/// How long the row is that begins here, as it says itself.
fn row_bytes(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    reader.take(HANDLE_BYTES)?;
    let length = reader.varint_usize()?;
    (length < PERSONAL_ROW_BYTES_MAX).then(|| reader.at() + length + CRC_BYTES)
}

/// What a scan meets next.
pub(crate) enum Step {
    /// A frame that is what was written.
    Frame {
        at: u64,
        header: FrameHeader,
        body: Vec<u8>,
    },
    /// Bytes that are not what was written, with a valid frame behind them.
    Damaged(Range<u64>),
    /// The rest of the file holds no valid frame: the beginning of one that was never finished, or,
    /// when it is not `clean`, something else.
    Torn { bytes: Range<u64>, clean: bool },
    /// The end, behind a valid frame.
    End,
}

/// Walks the frames of a file.
pub(crate) struct Scanner {
    file: Arc<dyn DiskFile>,
    end: u64,
    at: u64,
    link: Option<u32>,
    number: u32,
    row: u32,
    /// The file's header, if it can be read.
    pub(crate) header: Option<FileHeader>,
}

impl Scanner {
    /// A scan of the first `limit` bytes (all without one).
    pub(crate) fn new(file: Arc<dyn DiskFile>, limit: Option<u64>) -> Result<Self> {
        let end = file
            .len()
            .map_err(from_disk)?
            .min(limit.unwrap_or(u64::MAX));
        let mut bytes = [0; FILE_HEADER_BYTES];
        let count = file.read_at(&mut bytes, 0).map_err(from_disk)?;
        let parsed = FileHeader::parse(bytes.get(..count).unwrap_or_default());
        let at = end.min(FILE_HEADER_BYTES as u64);
        let (header, link) = parsed.map_or((None, None), |(h, crc)| (Some(h), Some(crc)));
        Ok(Self {
            file,
            end,
            at,
            link,
            number: 0,
            row: 0,
            header,
        })
    }

    /// Where the valid frames so far end.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The checksum of the last header, which the next frame names.
    pub(crate) fn link(&self) -> Option<u32> {
        self.link
    }

    /// The number of the next frame.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// A frame with fitting checksums at `at`.
    fn frame_at(&self, at: u64) -> Result<Option<(FrameHeader, u32, Vec<u8>)>> {
        let mut fixed = [0; FRAME_HEADER_BYTES];
        if at + fixed.len() as u64 > self.end {
            return Ok(None);
        }
        self.file.read_exact_at(&mut fixed, at).map_err(from_disk)?;
        let Some((header, crc)) = FrameHeader::parse(&fixed) else {
            return Ok(None);
        };
        let from = at + fixed.len() as u64;
        let length = header.body_bytes as usize;
        if length > FRAME_BODY_BYTES_MAX || from + length as u64 > self.end {
            return Ok(None);
        }
        let mut body = vec![0; length];
        self.file
            .read_exact_at(&mut body, from)
            .map_err(from_disk)?;
        Ok(header.fits(&body).then_some((header, crc, body)))
    }

    /// The next valid frame that begins after `at`.
    fn search(&self, mut at: u64) -> Result<Option<u64>> {
        let mut window = vec![0; SEARCH_BYTES];
        while at < self.end {
            let count = self.file.read_at(&mut window, at).map_err(from_disk)?;
            let part = window.get(..count).unwrap_or_default();
            for found in memmem::find_iter(part, &FRAME_MAGIC) {
                if self.frame_at(at + found as u64)?.is_some() {
                    return Ok(Some(at + found as u64));
                }
            }
            if count < SEARCH_BYTES {
                break;
            }
            at += (SEARCH_BYTES - FRAME_MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Whether the bytes from `at` to the end are the beginning of a frame, as an interrupted write
    /// leaves it.
    fn is_unfinished(&self, at: u64) -> Result<bool> {
        let mut fixed = [0; FRAME_HEADER_BYTES];
        let count = usize::try_from(self.end - at)
            .unwrap_or(usize::MAX)
            .min(fixed.len());
        let part = fixed.get_mut(..count).unwrap_or_default();
        self.file.read_exact_at(part, at).map_err(from_disk)?;
        if count < FRAME_HEADER_BYTES {
            let magic = FRAME_MAGIC.len().min(count);
            return Ok(fixed.get(..magic) == FRAME_MAGIC.get(..magic));
        }
        let body = self.end - at - FRAME_HEADER_BYTES as u64;
        Ok(FrameHeader::parse(&fixed)
            .is_some_and(|(header, _)| u64::from(header.body_bytes) > body))
    }

    /// What comes next.
    pub(crate) fn step(&mut self) -> Result<Step> {
        let at = self.at;
        if at >= self.end {
            return Ok(Step::End);
        }
        if let Some((header, crc, body)) = self.frame_at(at)? {
            let after = at + (FRAME_HEADER_BYTES + body.len()) as u64;
            let linked = self.link.is_none_or(|link| link == header.link);
            if linked && header.number >= self.number && header.first_row >= self.row {
                self.at = after;
                self.link = Some(crc);
                self.number = header.number.saturating_add(1);
                self.row = header.first_row.saturating_add(header.records);
                return Ok(Step::Frame { at, header, body });
            }
            // Valid in itself, but not the one that belongs here.
            self.link = None;
            if header.number < self.number || header.first_row < self.row {
                self.at = after;
                return Ok(Step::Damaged(at..after));
            }
            return Ok(Step::Damaged(at..at));
        }
        if let Some(next) = self.search(at + 1)? {
            self.at = next;
            self.link = None;
            return Ok(Step::Damaged(at..next));
        }
        let clean = self.is_unfinished(at)?;
        let bytes = at..self.end;
        self.end = at;
        Ok(Step::Torn { bytes, clean })
    }
}

/// The error for a file that is not of the ledger which `FORMAT` names: either may be of another.
pub(crate) fn foreign(path: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("either {path} or FORMAT is of another ledger: put the right one back"),
    )
}

/// The error for a file that begins with another record than its name says.
pub(crate) fn misplaced(path: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{path} has the name of another file: give it back its own"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_room_is_made_for_a_block_that_is_longer_than_the_file() {
        let file = RecordFile {
            number: 0,
            path: "f".to_owned(),
            file: Arc::new(crate::container::tests::Ten),
        };
        for (at, bytes) in [(0, 10), (4, 6), (0, 11), (4, u32::MAX), (u64::MAX, 1)] {
            let place = BlockPlace { row: 0, at, bytes };
            let read = file.block(&Caches::default(), &place);
            assert!(read.is_err_and(|error| error.kind() == Kind::Corrupt));
        }
    }

    proptest! {
        #[test]
        fn rows_of_any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let read = ReadRow::parse(7, &bytes);
            prop_assert!(read.row.is_none() && read.bytes.start == 7 && read.bytes.end > 7);
        }

        #[test]
        fn a_row_comes_back_unless_a_bit_of_it_changed(
            row in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            behind in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut frame = crate::frame::FrameWriter::default();
            frame.personal(&Handle([5; 16]), &row);
            let mut out = Vec::new();
            frame.finish(crate::replay::next_header(0, 0, 0, 0), &mut out);
            // Without the header and the count before it, and the counts of runs and blocks.
            let mut bytes = out.split_off(FRAME_HEADER_BYTES + 1);
            bytes.truncate(bytes.len() - 2);
            let length = bytes.len();
            bytes.extend(behind);
            let read = ReadRow::parse(0, &bytes);
            prop_assert_eq!(read.handle, Handle([5; 16]));
            prop_assert_eq!(read.row.as_deref(), Some(&row[..]));
            prop_assert_eq!(read.bytes, 0..length as u64);
            bytes[at.index(length)] ^= 0x10;
            prop_assert!(ReadRow::parse(0, &bytes).row.is_none());
        }
    }
}
