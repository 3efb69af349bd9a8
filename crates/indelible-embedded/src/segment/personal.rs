//! The find index of a segment: which personal rows hold a value, by its keyed hash.
//!
//! Made from the ciphertexts with a [`indelible_store::RowOpener`]; rows that it could not open are
//! not in it. It stands apart from the records, so that it can be rewritten without them. Of a find
//! hash its first eight bytes are kept, which tell values apart; reading gives the rest.

use std::ops::Range;

use indelible_disk::Disk;
use indelible_store::{FindHash, Result};

use crate::bits::{pack, packed_bytes, unpacked, width_of};
use crate::bytes::{Reader, to_u32};
use crate::container::{Container, FileFacts, Writer, end_page};
use crate::frame::FILE_ROWS_MAX;

const MAGIC: [u8; 8] = *b"indl-per";
const PAGES: u32 = 1;
const SPARSE: u32 = 2;
const COUNTS: u32 = 3;
const PAGE_PAIRS: usize = 256;

/// The part of a find hash that is kept.
pub(crate) fn key_of(find: &FindHash) -> u64 {
    find.0
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

/// Writes the index; `finds` has an element per personal row.
pub(crate) fn write(disk: &dyn Disk, path: &str, finds: &[Option<u64>]) -> Result<FileFacts> {
    let known = |(row, find): (usize, &Option<u64>)| Some(((*find)?, to_u32(row)));
    let mut pairs: Vec<(u64, u32)> = finds.iter().enumerate().filter_map(known).collect();
    pairs.sort_unstable();
    let mut writer = Writer::create(disk, path, MAGIC)?;
    let mut sparse = Vec::new();
    writer.begin(PAGES);
    for page in pairs.chunks(PAGE_PAIRS) {
        let first = page.first().map_or(0, |(key, _)| *key);
        let before = std::iter::once(first).chain(page.iter().map(|(key, _)| *key));
        let steps: Vec<u64> = page
            .iter()
            .zip(before)
            .map(|((key, _), before)| key - before)
            .collect();
        let keys = width_of(steps.iter().copied().max().unwrap_or(0));
        let rows = width_of(
            page.iter()
                .map(|(_, row)| u64::from(*row))
                .max()
                .unwrap_or(0),
        );
        let mut bytes = to_u32(page.len()).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[keys, rows]);
        pack(steps.into_iter(), keys, &mut bytes);
        pack(
            page.iter().map(|(_, row)| u64::from(*row)),
            rows,
            &mut bytes,
        );
        end_page(&mut bytes);
        sparse.extend_from_slice(&first.to_le_bytes());
        sparse.extend_from_slice(&writer.at().to_le_bytes());
        sparse.extend_from_slice(&to_u32(bytes.len()).to_le_bytes());
        writer.put(&bytes)?;
    }
    writer.section(SPARSE, &sparse)?;
    let counts = [to_u32(finds.len()), to_u32(pairs.len())];
    writer.section(COUNTS, counts.map(u32::to_le_bytes).as_flattened())?;
    writer.finish()
}

/// The find index, open for reading.
pub(crate) struct Personal {
    file: Container,
    sparse: Vec<(u64, Range<u64>)>,
    /// Personal rows of the segment, and those of them that are in the index.
    rows: u32,
    known: u32,
}

impl Personal {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let bytes = file.section(SPARSE)?;
        let mut reader = Reader::new(&bytes);
        let mut sparse = Vec::with_capacity(bytes.len() / 20);
        while let (Some(key), Some(at), Some(count)) = (reader.u64(), reader.u64(), reader.u32()) {
            sparse.push((key, at..at.saturating_add(u64::from(count))));
        }
        let counts = file.section(COUNTS)?;
        let mut reader = Reader::new(&counts);
        let counts = reader.u32().zip(reader.u32());
        let fit = |(rows, known): &(u32, u32)| known <= rows && *rows <= FILE_ROWS_MAX;
        let Some((rows, known)) = counts.filter(fit) else {
            return Err(file.corrupt("does not say how many rows there are"));
        };
        Ok(Self {
            file,
            sparse,
            rows,
            known,
        })
    }

    fn visit(&self, number: usize, visit: &mut dyn FnMut(u64, u32)) -> Result<()> {
        let Some((first, range)) = self.sparse.get(number) else {
            return Ok(());
        };
        let bytes = self.file.page(range.clone())?;
        parse(&bytes, *first, visit)
            .ok_or_else(|| self.file.corrupt("has a page that cannot be read"))
    }

    /// Adds the rows that hold the value to `out`.
    pub(crate) fn rows(&self, find: &FindHash, out: &mut Vec<u32>) -> Result<()> {
        let wanted = key_of(find);
        let after = self.sparse.partition_point(|(first, _)| *first <= wanted);
        let from = self
            .sparse
            .partition_point(|(first, _)| *first < wanted)
            .saturating_sub(1);
        for number in from..after {
            self.visit(number, &mut |key, row| {
                if key == wanted {
                    out.push(row);
                }
            })?;
        }
        Ok(())
    }

    /// The keys of all rows.
    pub(crate) fn all(&self) -> Result<Vec<Option<u64>>> {
        let mut finds = vec![None; self.rows as usize];
        for number in 0..self.sparse.len() {
            self.visit(number, &mut |key, row| {
                if let Some(place) = finds.get_mut(row as usize) {
                    *place = Some(key);
                }
            })?;
        }
        Ok(finds)
    }

    /// Whether every row could be opened when the index was made.
    pub(crate) fn is_complete(&self) -> bool {
        self.known == self.rows
    }
}

fn parse(bytes: &[u8], first: u64, visit: &mut dyn FnMut(u64, u32)) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let count = reader.u32()? as usize;
    let (keys, rows) = (reader.u8()?, reader.u8()?);
    if count > PAGE_PAIRS || keys > 64 || rows > 32 {
        return None;
    }
    let steps = reader.take(packed_bytes(count, keys))?;
    let packed = reader.take(packed_bytes(count, rows))?;
    let mut key = first;
    for (step, row) in unpacked(steps, keys)
        .zip(unpacked(packed, rows))
        .take(count)
    {
        key = key.wrapping_add(step);
        visit(key, u32::try_from(row).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;

    #[test]
    fn counts_that_cannot_be_are_damage() {
        for (counts, fit) in [([2, 1], true), ([1, 2], false), ([u32::MAX, 1], false)] {
            let disk = FaultyDisk::new(0);
            let mut writer = Writer::create(&disk, "f", MAGIC).unwrap();
            let counts = counts.map(u32::to_le_bytes);
            writer.section(COUNTS, counts.as_flattened()).unwrap();
            writer.finish().unwrap();
            let all = Personal::open(&disk, "f").and_then(|file| file.all());
            assert_eq!(all.is_ok(), fit);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn values_are_found_by_hash(
            finds in proptest::collection::vec(proptest::option::of(0_u8..40), 0..1000),
        ) {
            let finds: Vec<_> = finds.into_iter().map(|n| n.map(|n| FindHash([n; 16]))).collect();
            let keys: Vec<_> = finds.iter().map(|find| find.as_ref().map(key_of)).collect();
            let disk = FaultyDisk::new(0);
            write(&disk, "f", &keys).unwrap();
            let file = Personal::open(&disk, "f").unwrap();
            prop_assert_eq!(file.all().unwrap(), keys);
            prop_assert_eq!(file.is_complete(), finds.iter().all(Option::is_some));
            for n in 0..42 {
                let find = FindHash([n; 16]);
                let mut rows = Vec::new();
                file.rows(&find, &mut rows).unwrap();
                let expected: Vec<_> =
                    (0..finds.len()).filter(|&row| finds[row] == Some(find)).map(to_u32).collect();
                prop_assert_eq!(rows, expected);
            }
        }
    }
}
