//! One part of the ledger as searching and reading see it: a sealed segment or a tail.

use std::ops::Range;
use std::sync::Arc;

use indelible_proof::finding::Place as Damage;
use indelible_store::{Column, FindHash, Result};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::directory::Directory;
use crate::failure::is_lost;
use crate::frame::FILE_HEADER_BYTES;
use crate::records::{Caches, RecordFile};
use crate::segment::Segment;
use crate::segment::column::CHUNK_ROWS;
use crate::segment::ids::IdKey;
use crate::segment::postings::Filed;
use crate::tail::{PersonalPlace, Tail};

/// Personal rows that are read at once: they are mostly asked for in the order of the file.
pub(crate) const PERSONAL_AT_ONCE: usize = 64;

/// What a search asks of a part.
pub(crate) trait Part {
    /// The position of the first record.
    fn first(&self) -> u64;
    fn directory(&self) -> Result<&Directory>;
    /// Rows filed under the term with this hash.
    fn term(&self, hash: u64) -> Result<RoaringBitmap>;
    /// The same as they are filed.
    fn filed(&self, hash: u64) -> Result<Filed>;
    /// Personal rows that hold the value.
    fn personal_with(&self, find: &FindHash) -> Result<Vec<u32>>;
    /// Calls `visit` with (row, value) of a typed column.
    fn numbers(&self, column: Column, visit: &mut dyn FnMut(u32, f64)) -> Result<()>;
    /// Rows with this audit id, of any tenant.
    fn with_id(&self, key: &IdKey, out: &mut Vec<u32>) -> Result<()>;
    /// Minimum and maximum of `occurred_at` in a chunk of rows.
    fn zone(&self, chunk: usize) -> Result<(i64, i64)>;
    /// `occurred_at` of the rows of a chunk.
    fn occurred(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()>;
    /// `ingested_at` of the rows of a chunk.
    fn ingested(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()>;
    /// The position of a row.
    fn position(&self, row: u32) -> Result<u64>;
    /// Rows that an index made again from damaged records lacks: anything may hold for them.
    fn unfiled(&self) -> Option<&RoaringBitmap>;
}

impl Part for Segment {
    fn first(&self) -> u64 {
        self.facts.first
    }

    fn directory(&self) -> Result<&Directory> {
        Ok(&self.columns()?.directory)
    }

    fn term(&self, hash: u64) -> Result<RoaringBitmap> {
        self.postings()?.rows(hash)
    }

    fn filed(&self, hash: u64) -> Result<Filed> {
        self.postings()?.filed(hash)
    }

    fn personal_with(&self, find: &FindHash) -> Result<Vec<u32>> {
        let mut rows = Vec::new();
        self.personal()?.rows(find, &mut rows)?;
        Ok(rows)
    }

    fn numbers(&self, column: Column, visit: &mut dyn FnMut(u32, f64)) -> Result<()> {
        self.columns()?.numbers(column, visit)
    }

    fn with_id(&self, key: &IdKey, out: &mut Vec<u32>) -> Result<()> {
        let (first, last) = self.facts.ids;
        if !(first..=last).contains(&key.id.unix_ms()) {
            return Ok(());
        }
        let mut candidates = Vec::new();
        self.ids()?.candidates(key.hash, &mut candidates)?;
        let unfiled = self.unfiled.iter().map(|row| (row, false));
        for (row, filed) in candidates.into_iter().map(|row| (row, true)).chain(unfiled) {
            let Some((_, place)) = self.directory()?.block_of(row) else {
                continue;
            };
            let block = self
                .records()
                .and_then(|records| records.block(self.caches(), place));
            let is_it = match block {
                Ok(block) => block.audit_id((row - place.row) as usize) == Some(key.id),
                // So that whoever reads it is told what cannot be read.
                Err(error) if is_lost(&error) => filed,
                Err(error) => return Err(error),
            };
            if is_it {
                out.push(row);
            }
        }
        Ok(())
    }

    fn zone(&self, chunk: usize) -> Result<(i64, i64)> {
        let chunks = &self.columns()?.occurred.chunks;
        Ok(chunks
            .get(chunk)
            .map_or((0, 0), |chunk| (chunk.min, chunk.max)))
    }

    fn occurred(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()> {
        let columns = self.columns()?;
        columns.occurred.read(&columns.file, chunk, out)
    }

    fn ingested(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()> {
        let columns = self.columns()?;
        columns.ingested.read(&columns.file, chunk, out)
    }

    fn position(&self, row: u32) -> Result<u64> {
        self.columns()?.position(self.facts.first, row)
    }

    fn unfiled(&self) -> Option<&RoaringBitmap> {
        Some(&self.unfiled).filter(|rows| !rows.is_empty())
    }
}

/// A file of records that is not sealed yet.
pub(crate) struct OpenTail {
    /// The position of its first record.
    pub(crate) first: u64,
    pub(crate) records: RecordFile,
    pub(crate) index: RwLock<Tail>,
    /// Bytes of the file that could not be read when it was opened.
    pub(crate) damaged: Vec<Range<u64>>,
}

/// A tail whose index is locked for reading.
pub(crate) struct TailPart<'a> {
    pub(crate) first: u64,
    pub(crate) tail: &'a Tail,
}

impl Part for TailPart<'_> {
    fn first(&self) -> u64 {
        self.first
    }

    fn directory(&self) -> Result<&Directory> {
        Ok(&self.tail.directory)
    }

    fn term(&self, hash: u64) -> Result<RoaringBitmap> {
        Ok(self.tail.term(hash))
    }

    fn filed(&self, hash: u64) -> Result<Filed> {
        Ok(Filed::Many(self.tail.term(hash)))
    }

    fn personal_with(&self, find: &FindHash) -> Result<Vec<u32>> {
        Ok(self.tail.personal_with(find).to_vec())
    }

    fn numbers(&self, column: Column, visit: &mut dyn FnMut(u32, f64)) -> Result<()> {
        let all = self.tail.numbers.iter();
        all.filter(|(of, ..)| *of == column)
            .for_each(|(_, row, value)| visit(*row, *value));
        Ok(())
    }

    fn with_id(&self, key: &IdKey, out: &mut Vec<u32>) -> Result<()> {
        self.tail.with_id(&key.id, out);
        Ok(())
    }

    fn zone(&self, chunk: usize) -> Result<(i64, i64)> {
        Ok(self.tail.zones().get(chunk).copied().unwrap_or((0, 0)))
    }

    fn occurred(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()> {
        chunk_of(&self.tail.occurred, chunk, out);
        Ok(())
    }

    fn ingested(&self, chunk: usize, out: &mut Vec<i64>) -> Result<()> {
        chunk_of(&self.tail.ingested, chunk, out);
        Ok(())
    }

    fn position(&self, row: u32) -> Result<u64> {
        Ok(self.first + u64::from(row))
    }

    fn unfiled(&self) -> Option<&RoaringBitmap> {
        None
    }
}

fn chunk_of(values: &[i64], chunk: usize, out: &mut Vec<i64>) {
    out.clear();
    out.extend(values.chunks(CHUNK_ROWS).nth(chunk).unwrap_or_default());
}

/// A part, whichever it is.
#[derive(Clone)]
pub(crate) enum PartRef {
    Segment(Arc<Segment>),
    Tail(Arc<OpenTail>),
}

impl PartRef {
    /// Calls `act` with the part, a tail's index being locked for reading meanwhile.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&dyn Part) -> T) -> T {
        match self {
            Self::Segment(segment) => act(&**segment),
            Self::Tail(tail) => {
                let index = tail.index.read();
                act(&TailPart {
                    first: tail.first,
                    tail: &index,
                })
            }
        }
    }

    /// The file its records are in.
    pub(crate) fn records(&self) -> Result<&RecordFile> {
        match self {
            Self::Segment(segment) => segment.records(),
            Self::Tail(tail) => Ok(&tail.records),
        }
    }

    /// Its file of records, and the bytes of it that may be damaged when nothing closer is known.
    pub(crate) fn damage(&self) -> Damage {
        match self {
            Self::Segment(segment) => {
                let bytes = segment.facts.file("records").map_or(0, |file| file.bytes);
                Damage {
                    file: segment.records_path(),
                    bytes: 0..bytes,
                }
            }
            Self::Tail(tail) => {
                let all = tail.damaged.iter().cloned();
                let bytes = all.reduce(|a, b| a.start..b.end).unwrap_or(0..0);
                Damage {
                    file: tail.records.path.clone(),
                    bytes,
                }
            }
        }
    }

    /// Stretches of its file that held records, or may have, and that were not read when it was
    /// opened, in order. In a segment they reach from block to block.
    pub(crate) fn unreadable(&self) -> Result<Vec<Range<u64>>> {
        let segment = match self {
            Self::Segment(segment) => segment,
            Self::Tail(tail) => {
                let bytes = tail.damaged.iter().filter(|bytes| !bytes.is_empty());
                return Ok(bytes.cloned().collect());
            }
        };
        let kept = segment.facts.file("records").map_or(0, |file| file.bytes);
        let directory = &segment.columns()?.directory;
        let holes = directory.holes();
        let mut stretches = Vec::new();
        let (mut end, mut row) = (FILE_HEADER_BYTES as u64, 0);
        for block in &directory.blocks {
            if holes.range_cardinality(row..block.row) > 0 {
                stretches.push(end..block.at);
            }
            (end, row) = (block.end(), block.row);
        }
        if end < kept {
            stretches.push(end..kept);
        }
        Ok(stretches)
    }

    /// What of [`PartRef::unreadable`] lies in `range`, from the first to the last.
    pub(crate) fn unreadable_in(&self, range: Range<u64>) -> Result<Option<Range<u64>>> {
        let inside = |bytes: &Range<u64>| range.start <= bytes.start && bytes.end <= range.end;
        let all = self.unreadable()?.into_iter().filter(inside);
        Ok(all.reduce(|a, b| a.start..b.end))
    }

    /// Where the personal rows from `row` on start in the file, and what finds them where that is
    /// at hand; some of them, at least the first.
    pub(crate) fn personal(&self, row: u32) -> Result<Vec<PersonalPlace>> {
        match self {
            Self::Segment(segment) => {
                let places = segment.columns()?.personal_from(row)?;
                Ok(places
                    .into_iter()
                    .map(|at| PersonalPlace { at, find: None })
                    .collect())
            }
            Self::Tail(tail) => {
                let index = tail.index.read();
                let rows = index.personal.iter().skip(row as usize);
                Ok(rows.take(PERSONAL_AT_ONCE).copied().collect())
            }
        }
    }
}

/// All parts in the order of their positions.
#[derive(Clone, Default)]
pub(crate) struct View {
    pub(crate) parts: Vec<PartRef>,
}

impl Segment {
    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }
}
