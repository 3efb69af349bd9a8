//! The find index of a segment: which personal rows hold a value, by its keyed hash.
//!
//! Made from the ciphertexts with a [`indelible_store::RowOpener`]; rows that it could not open are
//! not in it. It stands apart from the records, so that it can be rewritten without them.

use std::ops::Range;

use indelible_disk::Disk;
use indelible_store::{FindHash, Result};

use crate::bytes::{Reader, to_u32};
use crate::container::{Container, FileFacts, Writer, end_page};

const MAGIC: [u8; 8] = *b"indl-per";
const PAIRS: u32 = 1;
const SPARSE: u32 = 2;
const RANKS: u32 = 3;
const PAGE_PAIRS: usize = 128;
const PAIR_BYTES: u64 = 20;
const PAGE_BYTES: u64 = PAGE_PAIRS as u64 * PAIR_BYTES + 4;
/// The rank of a row that is not in the index.
const UNKNOWN: u32 = u32::MAX;

/// Writes the index; `finds` has an element per personal row.
pub(crate) fn write(disk: &dyn Disk, path: &str, finds: &[Option<FindHash>]) -> Result<FileFacts> {
    let mut pairs: Vec<(FindHash, u32)> = Vec::with_capacity(finds.len());
    pairs.extend(
        finds
            .iter()
            .enumerate()
            .filter_map(|(row, find)| Some(((*find)?, to_u32(row)))),
    );
    pairs.sort_unstable();
    let mut writer = Writer::create(disk, path, MAGIC)?;
    let mut sparse = Vec::new();
    let mut ranks = vec![UNKNOWN; finds.len()];
    writer.begin(PAIRS);
    for (number, page) in pairs.chunks(PAGE_PAIRS).enumerate() {
        let mut bytes = Vec::with_capacity(page.len() * 20 + 4);
        for (at, (find, row)) in page.iter().enumerate() {
            bytes.extend_from_slice(&find.0);
            bytes.extend_from_slice(&row.to_le_bytes());
            if let Some(rank) = ranks.get_mut(*row as usize) {
                *rank = to_u32(number * PAGE_PAIRS + at);
            }
        }
        sparse.extend(page.first().map(|(find, _)| find.0).into_iter().flatten());
        end_page(&mut bytes);
        writer.put(&bytes)?;
    }
    writer.section(SPARSE, &sparse)?;
    let ranks: Vec<_> = ranks.into_iter().flat_map(u32::to_le_bytes).collect();
    writer.section(RANKS, &ranks)?;
    writer.finish()
}

/// The find index, open for reading.
pub(crate) struct Personal {
    file: Container,
    sparse: Vec<FindHash>,
    ranks: Vec<u32>,
}

impl Personal {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let sparse = file
            .section(SPARSE)?
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(FindHash)
            .collect();
        let ranks = file.section(RANKS)?;
        let ranks = ranks
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(u32::from_le_bytes)
            .collect();
        Ok(Self {
            file,
            sparse,
            ranks,
        })
    }

    fn page(&self, number: usize) -> Result<Vec<(FindHash, u32)>> {
        let all = self.file.range(PAIRS);
        let from = all.start + number as u64 * PAGE_BYTES;
        let range: Range<u64> = from..all.end.min(from + PAGE_BYTES);
        let bytes = self.file.page(range)?;
        let mut reader = Reader::new(&bytes);
        let mut pairs = Vec::with_capacity(PAGE_PAIRS);
        while let (Some(find), Some(row)) = (reader.array(), reader.u32()) {
            pairs.push((FindHash(find), row));
        }
        Ok(pairs)
    }

    /// Adds the rows that hold the value to `out`.
    pub(crate) fn rows(&self, find: &FindHash, out: &mut Vec<u32>) -> Result<()> {
        let after = self.sparse.partition_point(|first| first <= find);
        let from = self
            .sparse
            .partition_point(|first| first < find)
            .saturating_sub(1);
        for number in from..after {
            let page = self.page(number)?;
            out.extend(
                page.into_iter()
                    .filter(|(found, _)| found == find)
                    .map(|(_, row)| row),
            );
        }
        Ok(())
    }

    /// The hash by which a row is found, where it is known.
    pub(crate) fn find(&self, row: u32) -> Result<Option<FindHash>> {
        let rank = self.ranks.get(row as usize).copied().unwrap_or(UNKNOWN);
        if rank == UNKNOWN {
            return Ok(None);
        }
        let page = self.page(rank as usize / PAGE_PAIRS)?;
        Ok(page.get(rank as usize % PAGE_PAIRS).map(|(find, _)| *find))
    }

    /// Whether every row could be opened when the index was made.
    pub(crate) fn is_complete(&self) -> bool {
        !self.ranks.contains(&UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn values_are_found_by_hash_and_hashes_by_row(
            finds in proptest::collection::vec(proptest::option::of(0_u8..40), 0..1000),
        ) {
            let finds: Vec<_> = finds.into_iter().map(|n| n.map(|n| FindHash([n; 16]))).collect();
            let disk = FaultyDisk::new(0);
            write(&disk, "f", &finds).unwrap();
            let file = Personal::open(&disk, "f").unwrap();
            prop_assert_eq!(file.is_complete(), finds.iter().all(Option::is_some));
            for n in 0..42 {
                let find = FindHash([n; 16]);
                let mut rows = Vec::new();
                file.rows(&find, &mut rows).unwrap();
                let expected: Vec<_> =
                    (0..finds.len()).filter(|&row| finds[row] == Some(find)).map(to_u32).collect();
                prop_assert_eq!(rows, expected);
            }
            for (row, find) in finds.iter().enumerate() {
                prop_assert_eq!(file.find(to_u32(row)).unwrap(), *find);
            }
        }
    }
}
