//! Ids: which row may have an audit id.
//!
//! Entries are sorted by the time in the id and its last four bytes, and cut into pages with a
//! sparse index in memory: a lookup of a time no page covers costs nothing, another one page. What
//! is found is a candidate; the caller compares the whole id, which stands beside the record.

use indelible_disk::Disk;
use indelible_event::ids::AuditId;
use indelible_store::Result;

use crate::bytes::{Reader, put_varint, to_u32, unzigzag, zigzag};
use crate::container::{Container, FileFacts, Writer, end_page};

const MAGIC: [u8; 8] = *b"indl-ids";
const PAGES: u32 = 1;
const SPARSE: u32 = 2;
const PAGE_IDS: usize = 256;

/// What of an id the index sorts by: its 48 bits of time, and its last four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdKey {
    pub(crate) unix_ms: u64,
    pub(crate) mark: u32,
}

impl IdKey {
    pub(crate) fn of(id: &AuditId) -> Self {
        let [.., a, b, c, d] = *id.bytes();
        Self {
            unix_ms: id.unix_ms(),
            mark: u32::from_be_bytes([a, b, c, d]),
        }
    }
}

/// Writes the ids of a segment; `entries` need not be sorted.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &str,
    entries: &mut [(IdKey, u32)],
) -> Result<FileFacts> {
    entries.sort_unstable();
    let mut writer = Writer::create(disk, path, MAGIC)?;
    writer.begin(PAGES);
    let mut sparse = Vec::new();
    for page in entries.chunks(PAGE_IDS) {
        let mut bytes = to_u32(page.len()).to_le_bytes().to_vec();
        let first = page.first().map_or(0, |(key, _)| key.unix_ms);
        let last = page.last().map_or(0, |(key, _)| key.unix_ms);
        let (mut time, mut row) = (first, 0_i64);
        for (key, at) in page {
            put_varint(&mut bytes, key.unix_ms - time);
            bytes.extend_from_slice(&key.mark.to_le_bytes());
            put_varint(&mut bytes, zigzag(i64::from(*at) - row));
            (time, row) = (key.unix_ms, i64::from(*at));
        }
        end_page(&mut bytes);
        for number in [first, last, writer.at()] {
            sparse.extend_from_slice(&number.to_le_bytes());
        }
        sparse.extend_from_slice(&to_u32(bytes.len()).to_le_bytes());
        writer.put(&bytes)?;
    }
    writer.section(SPARSE, &sparse)?;
    writer.finish()
}

/// A page: first and last time in it, where it is, its bytes.
#[derive(Clone, Copy, Debug)]
struct Page {
    first: u64,
    last: u64,
    at: u64,
    bytes: u32,
}

/// The ids of a segment, open for reading.
pub(crate) struct Ids {
    file: Container,
    pages: Vec<Page>,
}

impl Ids {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let bytes = file.section(SPARSE)?;
        let mut reader = Reader::new(&bytes);
        let mut pages = Vec::with_capacity(bytes.len() / 28);
        while let (Some(first), Some(last), Some(at), Some(bytes)) =
            (reader.u64(), reader.u64(), reader.u64(), reader.u32())
        {
            pages.push(Page {
                first,
                last,
                at,
                bytes,
            });
        }
        Ok(Self { file, pages })
    }

    /// Rows whose id may be `id`.
    pub(crate) fn candidates(&self, id: &AuditId, out: &mut Vec<u32>) -> Result<()> {
        let key = IdKey::of(id);
        let from = self.pages.partition_point(|page| page.last < key.unix_ms);
        for page in self
            .pages
            .iter()
            .skip(from)
            .take_while(|page| page.first <= key.unix_ms)
        {
            self.visit(page, &mut |found, row| {
                if found == key {
                    out.push(row);
                }
            })?;
        }
        Ok(())
    }

    /// All entries, sorted.
    pub(crate) fn all(&self) -> Result<Vec<(IdKey, u32)>> {
        let mut all = Vec::with_capacity(self.pages.len() * PAGE_IDS);
        for page in &self.pages {
            self.visit(page, &mut |key, row| all.push((key, row)))?;
        }
        Ok(all)
    }

    fn visit(&self, page: &Page, visit: &mut dyn FnMut(IdKey, u32)) -> Result<()> {
        let bytes = self.file.page(page.at..page.at + u64::from(page.bytes))?;
        parse(&bytes, page.first, visit)
            .ok_or_else(|| self.file.corrupt("has a page that cannot be read"))
    }
}

fn parse(bytes: &[u8], first: u64, visit: &mut dyn FnMut(IdKey, u32)) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let (mut unix_ms, mut row) = (first, 0_i64);
    for _ in 0..reader.u32()? {
        unix_ms = unix_ms.checked_add(reader.varint()?)?;
        let mark = reader.u32()?;
        row = row.checked_add(unzigzag(reader.varint()?))?;
        visit(IdKey { unix_ms, mark }, u32::try_from(row).ok()?);
    }
    Some(())
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
        fn every_id_is_found_and_no_other(
            times in proptest::collection::vec((0_u64..40, any::<[u8; 10]>()), 0..900),
        ) {
            let ids: Vec<_> =
                times.iter().map(|(time, random)| AuditId::mint(1000 + time, *random)).collect();
            let mut entries: Vec<_> =
                ids.iter().enumerate().map(|(n, id)| (IdKey::of(id), to_u32(n))).collect();
            let disk = FaultyDisk::new(0);
            write(&disk, "f", &mut entries).unwrap();
            let file = Ids::open(&disk, "f").unwrap();
            prop_assert_eq!(file.all().unwrap(), entries);
            for (n, id) in ids.iter().enumerate() {
                let mut found = Vec::new();
                file.candidates(id, &mut found).unwrap();
                prop_assert!(found.contains(&to_u32(n)));
                let alike = |&row: &u32| IdKey::of(&ids[row as usize]) == IdKey::of(id);
                prop_assert!(found.iter().all(alike));
            }
            for time in [0, 999, 1040, 1 << 47] {
                let mut found = Vec::new();
                file.candidates(&AuditId::mint(time, [1; 10]), &mut found).unwrap();
                prop_assert!(found.is_empty());
            }
        }
    }
}
