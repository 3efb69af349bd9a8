//! Postings: for each term the rows filed under it, found by the hash of the term.
//!
//! The dictionary is sorted by hash and cut into pages of at most 256 terms; a sparse index of the
//! pages is kept in memory, so a lookup is one read of a page and for a long list one more. One row
//! and short lists stand in the page. Layout: `spec/segment.md` §5.

use std::ops::Range;

use indelible_disk::Disk;
use indelible_store::Result;
use roaring::RoaringBitmap;

use crate::bits::{pack, packed_bytes, unpacked, width_of};
use crate::bytes::{Reader, put_varint, to_u32};
use crate::container::{Container, FileFacts, Writer, end_page};

const MAGIC: [u8; 8] = *b"indl-pst";
const PAGES: u32 = 1;
const SPARSE: u32 = 2;
const PAGE_TERMS: usize = 256;
/// A list of at most this many bytes stands in the page.
const INLINE_BYTES: usize = 48;
/// The second bit of an entry: its list stands in the page.
const SHORT: u64 = 2;
/// The first byte of a list that is a bitmap; that of steps from row to row has 0.
const BITMAP: u8 = 1;
/// From this many rows on a list may be a bitmap.
const BITMAP_ROWS: usize = 256;

/// Writes postings, term by term in the order of their hashes.
pub(crate) struct PostingsWriter {
    writer: Writer,
    page: Vec<(u64, u64)>,
    /// The short lists of the page, and the long ones before it.
    short: Vec<u8>,
    lists: Vec<u8>,
    sparse: Vec<u8>,
    scratch: Vec<u8>,
}

impl PostingsWriter {
    pub(crate) fn create(disk: &dyn Disk, path: &str) -> Result<Self> {
        let mut writer = Writer::create(disk, path, MAGIC)?;
        writer.begin(PAGES);
        let (page, lists) = (Vec::with_capacity(PAGE_TERMS), Vec::new());
        Ok(Self {
            writer,
            page,
            short: Vec::new(),
            lists,
            sparse: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Adds a term: its hash, above all before, and its rows, ascending.
    pub(crate) fn term(&mut self, hash: u64, rows: &[u32]) -> Result<()> {
        let word = if let [row] = rows {
            u64::from(*row) << 1 | 1
        } else {
            self.scratch.clear();
            put_list(&mut self.scratch, rows);
            if self.scratch.len() <= INLINE_BYTES {
                self.short.extend_from_slice(&self.scratch);
                (self.scratch.len() as u64) << 2 | SHORT
            } else {
                end_page(&mut self.scratch);
                self.lists.extend_from_slice(&self.scratch);
                (self.scratch.len() as u64) << 2
            }
        };
        self.page.push((hash, word));
        if self.page.len() == PAGE_TERMS {
            self.end_page()
        } else {
            Ok(())
        }
    }

    /// The lists of a page stand before it, in the order of its terms.
    fn end_page(&mut self) -> Result<()> {
        let Some(&(first, _)) = self.page.first() else {
            return Ok(());
        };
        let lists_at = self.writer.at();
        self.writer.put(&self.lists)?;
        self.lists.clear();
        let mut before = first;
        for (hash, _) in &mut self.page {
            (before, *hash) = (*hash, *hash - before);
        }
        let hashes = width_of(self.page.iter().map(|(step, _)| *step).max().unwrap_or(0));
        let words = width_of(self.page.iter().map(|(_, word)| *word).max().unwrap_or(0));
        let mut bytes = to_u32(self.page.len()).to_le_bytes().to_vec();
        bytes.extend_from_slice(&lists_at.to_le_bytes());
        bytes.extend_from_slice(&[hashes, words]);
        pack(self.page.iter().map(|(step, _)| *step), hashes, &mut bytes);
        pack(self.page.iter().map(|(_, word)| *word), words, &mut bytes);
        bytes.append(&mut self.short);
        self.page.clear();
        end_page(&mut bytes);
        self.sparse.extend_from_slice(&first.to_le_bytes());
        self.sparse
            .extend_from_slice(&self.writer.at().to_le_bytes());
        self.sparse
            .extend_from_slice(&to_u32(bytes.len()).to_le_bytes());
        self.writer.put(&bytes)
    }

    pub(crate) fn finish(mut self) -> Result<FileFacts> {
        self.end_page()?;
        self.writer.section(SPARSE, &self.sparse)?;
        self.writer.finish()
    }
}

fn put_list(out: &mut Vec<u8>, rows: &[u32]) {
    out.push(0);
    let start = out.len();
    let mut before = 0;
    for &row in rows {
        put_varint(out, u64::from(row - before));
        before = row;
    }
    if rows.len() >= BITMAP_ROWS
        && let Ok(mut bitmap) = RoaringBitmap::from_sorted_iter(rows.iter().copied())
    {
        bitmap.optimize();
        if bitmap.serialized_size() < out.len() - start {
            out.truncate(start - 1);
            out.push(BITMAP);
            if bitmap.serialize_into(&mut *out).is_err() {
                out.truncate(start - 1);
            }
        }
    }
}

/// The rows of a term, as they are filed.
pub(crate) enum Filed {
    /// Few of a part, ascending.
    Few(Vec<u32>),
    /// Many.
    Many(RoaringBitmap),
}

impl Filed {
    /// The same as a set; nothing when they do not ascend.
    fn set(self) -> Option<RoaringBitmap> {
        match self {
            Self::Few(rows) => RoaringBitmap::from_sorted_iter(rows).ok(),
            Self::Many(rows) => Some(rows),
        }
    }
}

fn parse_list(bytes: &[u8]) -> Option<Filed> {
    if let Some((&BITMAP, packed)) = bytes.split_first() {
        return RoaringBitmap::deserialize_from(packed)
            .ok()
            .map(Filed::Many);
    }
    let mut rows = Vec::with_capacity(bytes.len());
    read_list(bytes, &mut rows)?;
    Some(Filed::Few(rows))
}

/// Appends the rows of a list, which ascend.
fn read_list(bytes: &[u8], out: &mut Vec<u32>) -> Option<()> {
    let (&tag, rest) = bytes.split_first()?;
    if tag == BITMAP {
        out.extend(RoaringBitmap::deserialize_from(rest).ok()?);
        return Some(());
    }
    let mut reader = Reader::new(rest);
    let mut row = 0_u32;
    while !reader.is_done() {
        row = row.checked_add(reader.varint_u32()?)?;
        out.push(row);
    }
    Some(())
}

/// A list of rows as a dictionary page has it.
enum Found<'a> {
    Row(u32),
    List(&'a [u8]),
    At(Range<u64>),
}

/// A list of rows that is read when it is wanted.
enum Pending {
    Here(Filed),
    At(Range<u64>),
}

impl Found<'_> {
    fn pending(self) -> Option<Pending> {
        Some(match self {
            Found::Row(row) => Pending::Here(Filed::Few(vec![row])),
            Found::List(bytes) => Pending::Here(parse_list(bytes)?),
            Found::At(range) => Pending::At(range),
        })
    }
}

/// Postings, open for reading.
pub(crate) struct Postings {
    file: Container,
    sparse: Vec<(u64, Range<u64>)>,
}

impl Postings {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let bytes = file.section(SPARSE)?;
        let mut reader = Reader::new(&bytes);
        let mut sparse = Vec::with_capacity(bytes.len() / 20);
        while let (Some(hash), Some(at), Some(count)) = (reader.u64(), reader.u64(), reader.u32()) {
            sparse.push((hash, at..at.saturating_add(u64::from(count))));
        }
        Ok(Self { file, sparse })
    }

    /// Rows filed under the term with this hash.
    pub(crate) fn rows(&self, hash: u64) -> Result<RoaringBitmap> {
        let rows = self.filed(hash)?.set();
        rows.ok_or_else(|| self.file.corrupt("has a list that does not ascend"))
    }

    /// The same as they are filed, for who goes through them once.
    pub(crate) fn filed(&self, hash: u64) -> Result<Filed> {
        let at = self.sparse.partition_point(|(first, _)| *first <= hash);
        let Some((_, range)) = at.checked_sub(1).and_then(|at| self.sparse.get(at)) else {
            return Ok(Filed::Few(Vec::new()));
        };
        let page = self.file.page(range.clone())?;
        let mut found = None;
        let first = self.sparse.get(at - 1).map_or(0, |(first, _)| *first);
        visit_page(&page, first, |term, list| {
            if term == hash {
                found = Some(list.pending()?);
            }
            Some(term < hash)
        })
        .ok_or_else(|| self.file.corrupt("has a page that cannot be read"))?;
        found.map_or_else(|| Ok(Filed::Few(Vec::new())), |list| self.resolve(list))
    }

    fn resolve(&self, found: Pending) -> Result<Filed> {
        match found {
            Pending::Here(rows) => Ok(rows),
            Pending::At(range) => {
                let list = self.file.page(range)?;
                parse_list(&list).ok_or_else(|| self.file.corrupt("has a list that cannot be read"))
            }
        }
    }

    /// All terms in the order of their hashes, page by page.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            postings: self,
            page: 0,
            rows: Vec::new(),
            ready: Vec::new(),
        }
    }
}

/// Rows of a term of the page that was read last.
enum Listed {
    /// In the rows of the page.
    Here(Range<usize>),
    /// In the file.
    At(Range<u64>),
}

/// Walks the dictionary in order. Most terms have one row, so none has an allocation of its own.
pub(crate) struct Terms<'a> {
    postings: &'a Postings,
    page: usize,
    rows: Vec<u32>,
    /// The terms still to come of the page, the next one last.
    ready: Vec<(u64, Listed)>,
}

impl Terms<'_> {
    /// The next term; `rows` becomes its rows, which ascend.
    pub(crate) fn next_term(&mut self, rows: &mut Vec<u32>) -> Result<Option<u64>> {
        rows.clear();
        while self.ready.is_empty() {
            let Some((first, range)) = self.postings.sparse.get(self.page) else {
                return Ok(None);
            };
            self.page += 1;
            self.rows.clear();
            let page = self.postings.file.page(range.clone())?;
            visit_page(&page, *first, |term, list| {
                let start = self.rows.len();
                let listed = match list {
                    Found::At(range) => Listed::At(range),
                    Found::Row(row) => {
                        self.rows.push(row);
                        Listed::Here(start..start + 1)
                    }
                    Found::List(bytes) => {
                        read_list(bytes, &mut self.rows)?;
                        Listed::Here(start..self.rows.len())
                    }
                };
                self.ready.push((term, listed));
                Some(true)
            })
            .ok_or_else(|| self.postings.file.corrupt("has a page that cannot be read"))?;
            self.ready.reverse();
        }
        let Some((term, listed)) = self.ready.pop() else {
            return Ok(None);
        };
        match listed {
            Listed::Here(range) => {
                rows.extend_from_slice(self.rows.get(range).unwrap_or_default());
            }
            Listed::At(range) => {
                let list = self.postings.file.page(range)?;
                read_list(&list, rows)
                    .ok_or_else(|| self.postings.file.corrupt("has a list that cannot be read"))?;
            }
        }
        Ok(Some(term))
    }
}

/// Calls `visit` for the terms of a page in order, as long as it wants more; `None` is damage.
fn visit_page<'a>(
    page: &'a [u8],
    first: u64,
    mut visit: impl FnMut(u64, Found<'a>) -> Option<bool>,
) -> Option<()> {
    let mut reader = Reader::new(page);
    let count = reader.u32()? as usize;
    let mut lists_at = reader.u64()?;
    let (hashes, words) = (reader.u8()?, reader.u8()?);
    if count > PAGE_TERMS || hashes > 64 || words > 64 {
        return None;
    }
    let steps = reader.take(packed_bytes(count, hashes))?;
    let entries = reader.take(packed_bytes(count, words))?;
    let mut hash = first;
    let all = unpacked(steps, hashes).zip(unpacked(entries, words));
    for (step, word) in all.take(count) {
        hash = hash.checked_add(step)?;
        let found = if word & 1 == 1 {
            Found::Row(u32::try_from(word >> 1).ok()?)
        } else if word & SHORT != 0 {
            Found::List(reader.take(usize::try_from(word >> 2).ok()?)?)
        } else {
            let end = lists_at.checked_add(word >> 2)?;
            let range = lists_at..end;
            lists_at = end;
            Found::At(range)
        };
        if !visit(hash, found)? {
            break;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(terms: &BTreeMap<u64, Vec<u32>>) {
        let disk = FaultyDisk::new(0);
        let mut writer = PostingsWriter::create(&disk, "f").unwrap();
        for (hash, rows) in terms {
            writer.term(*hash, rows).unwrap();
        }
        writer.finish().unwrap();
        let postings = Postings::open(&disk, "f").unwrap();
        let (mut walk, mut found) = (postings.terms(), Vec::new());
        for (hash, rows) in terms {
            assert_eq!(
                postings.rows(*hash).unwrap().iter().collect::<Vec<_>>(),
                *rows
            );
            let term = walk.next_term(&mut found).unwrap().unwrap();
            assert_eq!((term, &found), (*hash, rows));
            let other = hash ^ 1;
            if !terms.contains_key(&other) {
                assert!(postings.rows(other).unwrap().is_empty());
            }
        }
        assert!(walk.next_term(&mut found).unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn postings_come_back(
            terms in proptest::collection::btree_map(
                any::<u64>(),
                proptest::collection::btree_set(0_u32..1 << 20, 1..40), 0..700),
        ) {
            check(&terms.into_iter().map(|(h, rows)| (h, rows.into_iter().collect())).collect());
        }
    }

    #[test]
    fn long_lists_and_ranges_come_back() {
        let mut terms = BTreeMap::new();
        terms.insert(0, (0..100_000).collect());
        terms.insert(5, (0..100_000).step_by(3).collect());
        terms.insert(6, (0..255).map(|n| n * 1000).collect());
        terms.insert(u64::MAX, (0..256).map(|n| n * 1000).collect());
        check(&terms);
        check(&BTreeMap::new());
    }
}
