//! Ids: which row may have an audit id.
//!
//! Entries are sorted by a keyed hash of the whole id, so that nobody who chooses ids chooses where
//! they come to lie. The hash is cut into a bucket, a mark and a check. The marks of a segment that
//! is asked often are held in memory, two bytes an id: a new id costs nothing but a look at some
//! thirty marks, one in two thousand one read of a page. Without room in memory, or for few
//! lookups, the page with the bucket's marks is read instead. What is found is a candidate; the
//! caller compares the whole id, which stands beside the record. Layout: `spec/segment.md` §4.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use indelible_disk::Disk;
use indelible_event::ids::AuditId;
use indelible_store::Result;

use crate::bits::{number_at, pack, packed_bytes, width_of};
use crate::bytes::{Reader, put_varint, to_u32};
use crate::container::{Container, FileFacts, Writer, end_page};
use crate::frame::FILE_ROWS_MAX;
use crate::hashing::{Hashing, ID_HASH_BITS};
use crate::room::{Room, Taken};

const MAGIC: [u8; 8] = *b"indl-ids";
const MARKS: u32 = 1;
const SPARSE: u32 = 2;
const ENTRIES: u32 = 3;
const SHAPE: u32 = 4;
const PAGE_BUCKETS: usize = 32;
const PAGE_ENTRIES: usize = 256;
/// Ids of a bucket, on average, at most; and half of that at least.
const BUCKET_IDS: u64 = 32;
const BUCKET_BITS_MAX: u8 = 24;
const MARK_BITS: u8 = 16;
/// From this many lookups on it is cheaper to have read all marks.
const LOOKUPS_BEFORE_HOLDING: u32 = 256;

/// An id and its hash, as lookups need both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdKey {
    pub(crate) id: AuditId,
    pub(crate) hash: u64,
}

impl IdKey {
    pub(crate) fn of(hashing: &Hashing, id: &AuditId) -> Self {
        let hash = hashing.id(id);
        Self { id: *id, hash }
    }
}

/// How the hashes of a file are cut, and how many entries it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    entries: u32,
    bucket_bits: u8,
    row_bits: u8,
}

/// The parts of a hash.
struct Cut {
    bucket: usize,
    mark: u16,
    check: u64,
}

impl Shape {
    fn of(entries: &[(u64, u32)]) -> Self {
        let row = entries.iter().map(|(_, row)| *row).max().unwrap_or(0);
        let full = (entries.len() as u64).div_ceil(BUCKET_IDS).max(1);
        Self {
            entries: to_u32(entries.len()),
            bucket_bits: width_of(full - 1).min(BUCKET_BITS_MAX),
            row_bits: width_of(u64::from(row)),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (entries, bucket_bits, row_bits) = (reader.u32()?, reader.u8()?, reader.u8()?);
        let shape = Self {
            entries,
            bucket_bits,
            row_bits,
        };
        let fits = entries <= FILE_ROWS_MAX && bucket_bits <= BUCKET_BITS_MAX && row_bits <= 32;
        fits.then_some(shape)
    }

    fn encode(self) -> [u8; 6] {
        let [a, b, c, d] = self.entries.to_le_bytes();
        [a, b, c, d, self.bucket_bits, self.row_bits]
    }

    fn buckets(self) -> usize {
        1 << self.bucket_bits
    }

    /// Bits of a hash that are neither bucket nor mark.
    fn check_bits(self) -> u8 {
        ID_HASH_BITS - MARK_BITS - self.bucket_bits
    }

    /// Bits of an entry: the check above the row.
    fn entry_bits(self) -> u8 {
        self.check_bits() + self.row_bits
    }

    fn cut(self, hash: u64) -> Cut {
        let check = self.check_bits();
        let mark = (hash >> check) & u64::from(u16::MAX);
        Cut {
            bucket: usize::try_from(hash >> (check + MARK_BITS)).unwrap_or(0),
            mark: u16::try_from(mark).unwrap_or(0),
            check: hash & ((1 << check) - 1),
        }
    }

    fn join(self, cut: &Cut) -> u64 {
        let check = self.check_bits();
        (cut.bucket as u64) << (check + MARK_BITS) | u64::from(cut.mark) << check | cut.check
    }
}

/// Writes the ids of a segment: hash and row of each; `entries` need not be sorted.
pub(crate) fn write(disk: &dyn Disk, path: &str, entries: &mut [(u64, u32)]) -> Result<FileFacts> {
    entries.sort_unstable();
    let shape = Shape::of(entries);
    let mut writer = Writer::create(disk, path, MAGIC)?;
    writer.begin(MARKS);
    let mut sparse = Vec::new();
    let mut rest = &*entries;
    for page in 0..shape.buckets().div_ceil(PAGE_BUCKETS) {
        let first = to_u32(entries.len() - rest.len());
        let (mut bytes, mut marks) = (Vec::new(), Vec::new());
        for bucket in (page * PAGE_BUCKETS..shape.buckets()).take(PAGE_BUCKETS) {
            let count = rest.partition_point(|(hash, _)| shape.cut(*hash).bucket <= bucket);
            let (these, after) = rest.split_at(count);
            rest = after;
            put_varint(&mut bytes, count as u64);
            let all = these.iter().map(|(hash, _)| shape.cut(*hash).mark);
            marks.extend(all.flat_map(u16::to_le_bytes));
        }
        bytes.append(&mut marks);
        end_page(&mut bytes);
        sparse.extend_from_slice(&writer.at().to_le_bytes());
        sparse.extend_from_slice(&to_u32(bytes.len()).to_le_bytes());
        sparse.extend_from_slice(&first.to_le_bytes());
        writer.put(&bytes)?;
    }
    writer.section(SPARSE, &sparse)?;
    writer.begin(ENTRIES);
    for page in entries.chunks(PAGE_ENTRIES) {
        let mut bytes = Vec::new();
        let entry =
            |(hash, row): &(u64, u32)| shape.cut(*hash).check << shape.row_bits | u64::from(*row);
        pack(page.iter().map(entry), shape.entry_bits(), &mut bytes);
        end_page(&mut bytes);
        writer.put(&bytes)?;
    }
    writer.section(SHAPE, &shape.encode())?;
    writer.finish()
}

/// The marks of consecutive buckets.
#[derive(Debug, Default)]
struct Marks {
    /// Where each bucket begins in `marks`.
    starts: Vec<u32>,
    marks: Vec<u16>,
    /// The entry of the first mark.
    first: u32,
}

impl Marks {
    /// Adds a page with this many buckets; `None` is damage.
    fn add(&mut self, page: &[u8], buckets: usize) -> Option<()> {
        let mut reader = Reader::new(page);
        let mut end = self.marks.len() as u64;
        for _ in 0..buckets {
            self.starts.push(u32::try_from(end).ok()?);
            end = end.checked_add(reader.varint()?)?;
        }
        let (pairs, _) = page.get(reader.at()..)?.as_chunks();
        self.marks
            .extend(pairs.iter().map(|pair| u16::from_le_bytes(*pair)));
        (self.marks.len() as u64 == end).then_some(())
    }

    /// The first entry of a bucket, and the marks of all its entries.
    fn bucket(&self, number: usize) -> (u32, &[u16]) {
        let start = |at: usize| self.starts.get(at).map(|start| *start as usize);
        let from = start(number).unwrap_or(self.marks.len());
        let until = start(number + 1).unwrap_or(self.marks.len());
        let marks = self.marks.get(from..until).unwrap_or_default();
        (self.first.saturating_add(to_u32(from)), marks)
    }
}

/// A page of marks: where it is, its bytes, the entry of its first mark.
#[derive(Clone, Copy, Debug)]
struct Page {
    at: u64,
    bytes: u32,
    first: u32,
}

/// The ids of a segment, open for reading.
pub(crate) struct Ids {
    file: Container,
    shape: Shape,
    pages: Vec<Page>,
    entries_at: u64,
    room: Arc<Room>,
    lookups: AtomicU32,
    held: OnceLock<Option<(Marks, Taken)>>,
}

impl Ids {
    /// Opens the file; `room` is what all marks in memory share.
    pub(crate) fn open(disk: &dyn Disk, path: &str, room: &Arc<Room>) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let bytes = file.section(SPARSE)?;
        let mut reader = Reader::new(&bytes);
        let mut pages = Vec::with_capacity(bytes.len() / 16);
        while let (Some(at), Some(bytes), Some(first)) = (reader.u64(), reader.u32(), reader.u32())
        {
            pages.push(Page { at, bytes, first });
        }
        let shape = Shape::parse(&file.section(SHAPE)?)
            .filter(|shape| pages.len() == shape.buckets().div_ceil(PAGE_BUCKETS))
            .ok_or_else(|| file.corrupt("does not say how it is arranged"))?;
        let entries_at = file.place(ENTRIES).map_or(0, |range| range.start);
        Ok(Self {
            file,
            shape,
            pages,
            entries_at,
            room: Arc::clone(room),
            lookups: AtomicU32::new(0),
            held: OnceLock::new(),
        })
    }

    /// Rows whose id may have this hash.
    pub(crate) fn candidates(&self, hash: u64, out: &mut Vec<u32>) -> Result<()> {
        let cut = self.shape.cut(hash);
        if let Some(marks) = self.held()? {
            return self.matching(marks.bucket(cut.bucket), &cut, out);
        }
        let page = self.page(cut.bucket / PAGE_BUCKETS)?;
        self.matching(page.bucket(cut.bucket % PAGE_BUCKETS), &cut, out)
    }

    /// All hashes with their rows, sorted.
    pub(crate) fn all(&self) -> Result<Vec<(u64, u32)>> {
        let mut all = Vec::with_capacity(self.shape.entries as usize);
        let mut page = (u32::MAX, Vec::new());
        for number in 0..self.pages.len() {
            let marks = self.page(number)?;
            for at in 0..marks.starts.len() {
                let (first, marks) = marks.bucket(at);
                for (entry, &mark) in (first..).zip(marks) {
                    let (check, row) = self.entry(entry, &mut page)?;
                    let bucket = number * PAGE_BUCKETS + at;
                    let cut = Cut {
                        bucket,
                        mark,
                        check,
                    };
                    all.push((self.shape.join(&cut), row));
                }
            }
        }
        Ok(all)
    }

    /// All marks, once it pays and as long as there is room for them.
    fn held(&self) -> Result<Option<&Marks>> {
        if let Some(held) = self.held.get() {
            return Ok(held.as_ref().map(|(marks, _)| marks));
        }
        if self.lookups.fetch_add(1, Ordering::Relaxed) < LOOKUPS_BEFORE_HOLDING {
            return Ok(None);
        }
        let bytes = 2 * u64::from(self.shape.entries) + 4 * self.shape.buckets() as u64;
        let held = match Room::take(&self.room, bytes) {
            Some(taken) => Some((self.read_marks(0..self.pages.len())?, taken)),
            None => None,
        };
        Ok(self.held.get_or_init(|| held).as_ref().map(|(m, _)| m))
    }

    fn page(&self, number: usize) -> Result<Marks> {
        self.read_marks(number..number + 1)
    }

    fn read_marks(&self, pages: std::ops::Range<usize>) -> Result<Marks> {
        let mut marks = Marks::default();
        let from = pages.start;
        for (number, page) in self.pages.iter().enumerate().take(pages.end).skip(from) {
            if number == from {
                marks.first = page.first;
            }
            let left = self.shape.buckets() - number * PAGE_BUCKETS;
            let end = page.at.saturating_add(u64::from(page.bytes));
            let bytes = self.file.page(page.at..end)?;
            let entries = self.shape.entries.checked_sub(marks.first);
            marks
                .add(&bytes, left.min(PAGE_BUCKETS))
                .filter(|()| entries.is_some_and(|left| marks.marks.len() <= left as usize))
                .ok_or_else(|| self.file.corrupt("has a page that cannot be read"))?;
        }
        Ok(marks)
    }

    /// Adds the rows of those entries that have the mark and the check.
    fn matching(&self, (first, marks): (u32, &[u16]), cut: &Cut, out: &mut Vec<u32>) -> Result<()> {
        if !marks.contains(&cut.mark) {
            return Ok(());
        }
        let mut page = (u32::MAX, Vec::new());
        for (entry, _) in (first..).zip(marks).filter(|(_, m)| **m == cut.mark) {
            let (check, row) = self.entry(entry, &mut page)?;
            if check == cut.check {
                out.push(row);
            }
        }
        Ok(())
    }

    /// Check and row of an entry; `page` is the page read last.
    fn entry(&self, number: u32, page: &mut (u32, Vec<u8>)) -> Result<(u64, u32)> {
        let count = to_u32(PAGE_ENTRIES);
        if page.0 != number / count {
            page.1 = self.entries_page(number / count)?;
            page.0 = number / count;
        }
        let found = number_at(&page.1, (number % count) as usize, self.shape.entry_bits());
        let parts = found.and_then(|entry| {
            let row = entry & ((1 << self.shape.row_bits) - 1);
            Some((entry >> self.shape.row_bits, u32::try_from(row).ok()?))
        });
        parts.ok_or_else(|| self.file.corrupt("has a page that is too short"))
    }

    fn entries_page(&self, number: u32) -> Result<Vec<u8>> {
        let whole = packed_bytes(PAGE_ENTRIES, self.shape.entry_bits()) as u64 + 4;
        let left = (self.shape.entries as usize).saturating_sub(number as usize * PAGE_ENTRIES);
        let bytes = packed_bytes(left.min(PAGE_ENTRIES), self.shape.entry_bits()) as u64 + 4;
        let at = u64::from(number) * whole;
        let at = self.entries_at.saturating_add(at);
        self.file.page(at..at.saturating_add(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;

    const HASHING: [u8; 16] = *b"a key of a test.";

    fn file(disk: &FaultyDisk, ids: &[AuditId], room: u64) -> (Ids, FileFacts) {
        let hashing = Hashing::new(&HASHING);
        let hashes = ids.iter().map(|id| hashing.id(id));
        let mut entries: Vec<_> = hashes.zip(0..).collect();
        let facts = write(disk, "f", &mut entries).unwrap();
        let file = Ids::open(disk, "f", &Arc::new(Room::new(room))).unwrap();
        assert_eq!(file.all().unwrap(), entries);
        (file, facts)
    }

    fn found(file: &Ids, id: &AuditId) -> Vec<u32> {
        let mut found = Vec::new();
        let hash = Hashing::new(&HASHING).id(id);
        file.candidates(hash, &mut found).unwrap();
        found
    }

    /// Ids of one millisecond that count up in the middle, alike at both ends.
    fn alike(numbers: std::ops::Range<u32>) -> Vec<AuditId> {
        let id = |n: u32| {
            let [a, b, c, d] = n.to_be_bytes();
            AuditId::mint(1_790_000_000_000, [0, 0, a, b, c, d, 7, 7, 7, 7])
        };
        numbers.map(id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_id_is_found_and_no_other(
            times in proptest::collection::vec((0_u64..40, any::<[u8; 10]>()), 0..900),
            held in any::<bool>(),
        ) {
            let ids: Vec<_> =
                times.iter().map(|(time, random)| AuditId::mint(1000 + time, *random)).collect();
            let disk = FaultyDisk::new(0);
            let (file, _) = file(&disk, &ids, 1 << 20);
            file.lookups.store(if held { u32::MAX / 2 } else { 0 }, Ordering::Relaxed);
            for (n, id) in ids.iter().enumerate() {
                let rows = found(&file, id);
                prop_assert!(rows.contains(&to_u32(n)));
                prop_assert!(rows.iter().all(|row| ids[*row as usize] == *id));
            }
            for time in [0, 999, 1040, 1 << 47] {
                prop_assert!(found(&file, &AuditId::mint(time, [1; 10])).is_empty());
            }
            prop_assert_eq!(file.held.get().is_some(), held || ids.len() + 4 > 256);
        }
    }

    #[test]
    fn new_ids_cost_no_reading_whatever_a_producer_chooses() {
        let disk = FaultyDisk::new(0);
        let (file, facts) = file(&disk, &alike(0..60_000), 1 << 20);
        assert!(facts.bytes < 60_000 * 7, "{} bytes", facts.bytes);
        let hashing = Hashing::new(&HASHING);
        for id in alike(0..300) {
            assert_eq!(found(&file, &id).len(), 1);
        }
        // What is read from here on is met damaged.
        for at in (0..facts.bytes).step_by(64) {
            disk.damage("f", at, |byte| *byte ^= 1).unwrap();
        }
        let read = alike(60_000..70_000)
            .iter()
            .filter(|id| file.candidates(hashing.id(id), &mut Vec::new()).is_err())
            .count();
        assert!(read < 20, "{read} of 10000 lookups read a page");
    }

    #[test]
    fn the_vector_is_what_is_written() {
        let text = include_str!("../../../../spec/vectors/segment.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let bytes = |hex: &serde_json::Value| -> Vec<u8> {
            let digits: Vec<_> = hex.as_str().unwrap().chars().collect();
            let pair = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
            digits.chunks(2).map(pair).collect()
        };
        let key: [u8; 16] = std::array::from_fn(|n| 0xF0 + n.to_le_bytes()[0]);
        let ids = vector["ids"]["audit_ids"].as_array().unwrap();
        let ids: Vec<[u8; 16]> = ids.iter().map(|id| bytes(id).try_into().unwrap()).collect();
        let hashes = ids.iter().map(|id| Hashing::new(&key).id(&AuditId(*id)));
        let disk = FaultyDisk::new(0);
        write(&disk, "f", &mut hashes.zip(0..).collect::<Vec<_>>()).unwrap();
        assert_eq!(disk.read("f").unwrap(), bytes(&vector["ids"]["hex"]));
    }

    #[test]
    fn without_room_in_memory_ids_are_found_all_the_same() {
        let disk = FaultyDisk::new(0);
        let ids = alike(0..3000);
        let (file, _) = file(&disk, &ids, 1000);
        for (n, id) in (0..).zip(&ids) {
            assert_eq!(found(&file, id), [n]);
        }
        assert!(matches!(file.held.get(), Some(None)));
    }

    /// A file of ids with one page of marks that lies and begins as said, and entries as said.
    fn said(page: Page, entries: u32) -> Result<Ids> {
        let disk = FaultyDisk::new(0);
        let mut writer = Writer::create(&disk, "f", MAGIC).unwrap();
        let mut marks = vec![1, 0, 0];
        end_page(&mut marks);
        writer.section(MARKS, &marks).unwrap();
        let mut sparse = page.at.to_le_bytes().to_vec();
        sparse.extend(page.bytes.to_le_bytes());
        sparse.extend(page.first.to_le_bytes());
        writer.section(SPARSE, &sparse).unwrap();
        let (bucket_bits, row_bits) = (0, 32);
        let shape = Shape {
            entries,
            bucket_bits,
            row_bits,
        };
        let bytes = packed_bytes(entries.min(1) as usize, shape.entry_bits());
        let mut packed = vec![0; bytes];
        end_page(&mut packed);
        writer.section(ENTRIES, &packed).unwrap();
        writer.section(SHAPE, &shape.encode()).unwrap();
        writer.finish().unwrap();
        Ids::open(&disk, "f", &Arc::new(Room::new(1 << 20)))
    }

    #[test]
    fn ids_that_cannot_be_are_damage() {
        let (at, bytes, first) = (12, 7, 0);
        let right = Page { at, bytes, first };
        assert_eq!(said(right, 1).unwrap().all().unwrap(), [(0, 0)]);
        assert!(said(right, u32::MAX).is_err());
        let at = u64::MAX;
        assert!(said(Page { at, ..right }, 1).unwrap().all().is_err());
        for first in [1, u32::MAX] {
            let file = said(Page { first, ..right }, 1).unwrap();
            assert!(file.all().is_err() && file.candidates(0, &mut Vec::new()).is_err());
        }
        let mut file = said(right, 1).unwrap();
        file.entries_at = u64::MAX;
        assert!(file.all().is_err());
    }

    #[test]
    fn one_id_in_many_logs_is_one_bucket_and_every_row() {
        let disk = FaultyDisk::new(0);
        let ids = vec![AuditId::mint(5, [3; 10]); 70_000];
        let (file, _) = file(&disk, &ids, 1 << 20);
        assert_eq!(found(&file, &ids[0]), (0..70_000).collect::<Vec<_>>());
        assert!(found(&file, &AuditId::mint(5, [4; 10])).is_empty());
    }

    /// Nanoseconds that this thread has had of a processor (Linux).
    fn on_cpu() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    }

    /// `cargo test --release -p indelible-embedded -- --ignored --nocapture cost_of`
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_new_id_over_eighty_segments() {
        for (segments, rows) in [(80, 131_072), (10, 1_048_576)] {
            for room in [1_u64 << 30, 0] {
                let mut files = Vec::new();
                let mut bytes = 0;
                for n in 0..segments {
                    let disk = FaultyDisk::new(0);
                    let (file, facts) = file(&disk, &alike(n * rows..(n + 1) * rows), room);
                    bytes += facts.bytes;
                    files.push(file);
                }
                let hashing = Hashing::new(&HASHING);
                let ask = |numbers: std::ops::Range<u32>, batch: usize| {
                    let ids = alike(numbers);
                    let start = on_cpu();
                    let mut out = Vec::new();
                    for ids in ids.chunks(batch) {
                        let hashes: Vec<_> = ids.iter().map(|id| hashing.id(id)).collect();
                        for file in &files {
                            for hash in &hashes {
                                file.candidates(*hash, &mut out).unwrap();
                            }
                        }
                    }
                    (on_cpu() - start) / ids.len() as u64
                };
                let all = segments * rows;
                ask(all..all + 300, 1);
                let batch = ask(all + 300..all + 5300, 1000);
                let one = ask(all + 5300..all + 10300, 1);
                let each = f64::from(to_u32(usize::try_from(bytes).unwrap())) / f64::from(all);
                println!(
                    "{segments} × {rows}, room {room}: {one} ns an id, {batch} in batches, \
                     {each:.2} bytes an id"
                );
            }
        }
    }
}
