//! The columns of a segment: its directory, times, positions, places of personal rows, numbers.

use indelible_disk::Disk;
use indelible_store::{Column as Number, Result};

use crate::bytes::{Reader, put_varint, unzigzag, zigzag};
use crate::container::{Container, FileFacts, Writer};
use crate::directory::Directory;
use crate::part::PERSONAL_AT_ONCE;
use crate::segment::column::{self, CHUNK_ROWS, Column};

const MAGIC: [u8; 8] = *b"indl-col";
const TENANTS: u32 = 1;
const RUNS: u32 = 2;
const BLOCKS: u32 = 3;
const OCCURRED: u32 = 10;
const INGESTED: u32 = 12;
const POSITIONS: u32 = 14;
const PERSONAL: u32 = 16;
/// The numbers of column `n` are section `NUMBERS + n`.
const NUMBERS: u32 = 100;

/// What the columns of a segment are written from.
pub(crate) struct Source<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) occurred: &'a [i64],
    pub(crate) ingested: &'a [i64],
    /// One per row of a clustered segment, none of a committed one.
    pub(crate) positions: &'a [i64],
    /// Where each personal row starts in the file of records.
    pub(crate) personal: &'a [i64],
    /// (column, row, value), rows ascending within a column.
    pub(crate) numbers: &'a [(Number, u32, f64)],
}

/// Writes the columns.
pub(crate) fn write(disk: &dyn Disk, path: &str, source: &Source<'_>) -> Result<FileFacts> {
    let mut writer = Writer::create(disk, path, MAGIC)?;
    let sections = source.directory.encode();
    for (kind, section) in [TENANTS, RUNS, BLOCKS].into_iter().zip(&sections) {
        writer.section(kind, section)?;
    }
    column::write(&mut writer, OCCURRED, source.occurred)?;
    column::write(&mut writer, INGESTED, source.ingested)?;
    column::write(&mut writer, POSITIONS, source.positions)?;
    column::write(&mut writer, PERSONAL, source.personal)?;
    for (number, _) in Number::ALL {
        let mut bytes = Vec::new();
        let mut before = 0;
        for (_, row, value) in source
            .numbers
            .iter()
            .filter(|(column, ..)| *column == number)
        {
            put_varint(&mut bytes, u64::from(row - before));
            put_number(&mut bytes, *value);
            before = *row;
        }
        if !bytes.is_empty() {
            writer.section(NUMBERS + u32::from(number as u8), &bytes)?;
        }
    }
    writer.finish()
}

/// The columns of a segment, open for reading.
pub(crate) struct Columns {
    pub(crate) file: Container,
    pub(crate) directory: Directory,
    pub(crate) occurred: Column,
    pub(crate) ingested: Column,
    positions: Column,
    personal: Column,
}

impl Columns {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let sections = [
            file.section(TENANTS)?,
            file.section(RUNS)?,
            file.section(BLOCKS)?,
        ];
        let [tenants, runs, blocks] = &sections;
        let directory = Directory::parse([tenants, runs, blocks])
            .ok_or_else(|| file.corrupt("has a directory that cannot be read"))?;
        let column = |kind| Column::open(&file, kind);
        let (occurred, ingested) = (column(OCCURRED)?, column(INGESTED)?);
        let (positions, personal) = (column(POSITIONS)?, column(PERSONAL)?);
        Ok(Self {
            file,
            directory,
            occurred,
            ingested,
            positions,
            personal,
        })
    }

    /// The position of a row in a segment that begins at `first`.
    pub(crate) fn position(&self, first: u64, row: u32) -> Result<u64> {
        if self.positions.rows == 0 {
            return Ok(first + u64::from(row));
        }
        Ok(self.positions.value(&self.file, row)?.cast_unsigned())
    }

    /// All positions of a segment that begins at `first`.
    pub(crate) fn all_positions(&self, first: u64) -> Result<Vec<i64>> {
        if self.positions.rows == 0 {
            let first = first.cast_signed();
            return Ok((first..first + i64::from(self.directory.rows)).collect());
        }
        self.positions.read_all(&self.file)
    }

    /// Where each personal row starts in the file of records.
    pub(crate) fn all_personal(&self) -> Result<Vec<i64>> {
        self.personal.read_all(&self.file)
    }

    /// Where the personal rows from `row` on start, some of them, at least the first.
    pub(crate) fn personal_from(&self, row: u32) -> Result<Vec<u64>> {
        let mut chunk = Vec::new();
        self.personal
            .read(&self.file, row as usize / CHUNK_ROWS, &mut chunk)?;
        let from = chunk.iter().skip(row as usize % CHUNK_ROWS);
        Ok(from
            .take(PERSONAL_AT_ONCE)
            .map(|at| at.cast_unsigned())
            .collect())
    }

    /// How many personal rows the file of records has.
    pub(crate) fn personal_rows(&self) -> u32 {
        self.personal.rows
    }

    /// Calls `visit` with (row, value) of a numeric column, rows ascending.
    pub(crate) fn numbers(&self, number: Number, visit: &mut dyn FnMut(u32, f64)) -> Result<()> {
        let bytes = self.file.section(NUMBERS + u32::from(number as u8))?;
        let mut reader = Reader::new(&bytes);
        let mut row = 0;
        while !reader.is_done() {
            let step = reader.varint_u32().and_then(|step| step.checked_add(row));
            let next = step.zip(number_of(&mut reader));
            let damaged = || self.file.corrupt("has numbers that cannot be read");
            let (at, value) = next.ok_or_else(damaged)?;
            visit(at, value);
            row = at;
        }
        Ok(())
    }
}

/// How a number is stored, in the two lowest bits of a varint.
const WHOLE: u64 = 0;
const MILLIONTHS: u64 = 1;
const AS_IT_IS: u64 = 2;
const MILLION: f64 = 1e6;

/// Appends a number: whole ones and millionths as varints, others as eight bytes.
fn put_number(out: &mut Vec<u8>, value: f64) {
    for (factor, tag) in [(1.0, WHOLE), (MILLION, MILLIONTHS)] {
        let steps = (value * factor).round();
        // Below 2^53 every whole number is exact.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "out of range it comes back as another number and is not taken"
        )]
        let whole = steps as i64;
        if steps.abs() < 9e15 && restored(whole, factor).to_bits() == value.to_bits() {
            put_varint(out, zigzag(whole) << 2 | tag);
            return;
        }
    }
    put_varint(out, AS_IT_IS);
    out.extend_from_slice(&value.to_le_bytes());
}

#[expect(
    clippy::cast_precision_loss,
    reason = "only numbers below 2^53 are written so"
)]
fn restored(whole: i64, factor: f64) -> f64 {
    whole as f64 / factor
}

fn number_of(reader: &mut Reader<'_>) -> Option<f64> {
    let word = reader.varint()?;
    let whole = unzigzag(word >> 2);
    match word & 3 {
        WHOLE => Some(restored(whole, 1.0)),
        MILLIONTHS => Some(restored(whole, MILLION)),
        AS_IT_IS => reader.u64().map(f64::from_bits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_rows_that_cannot_be_are_damage() {
        let number = Number::ALL[0].0;
        let mut two = Vec::new();
        for step in [u32::MAX, 1] {
            put_varint(&mut two, u64::from(step));
            put_number(&mut two, 1.0);
        }
        for bytes in [&two[..], &[1], &[1, 3]] {
            let disk = FaultyDisk::new(0);
            let mut writer = Writer::create(&disk, "f", MAGIC).unwrap();
            writer.section(TENANTS, &[0]).unwrap();
            writer
                .section(NUMBERS + u32::from(number as u8), bytes)
                .unwrap();
            writer.finish().unwrap();
            let columns = Columns::open(&disk, "f").unwrap();
            assert!(
                columns.numbers(number, &mut |_, _| {}).is_err(),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_to_the_bit(
            numbers in proptest::collection::vec(
                prop_oneof![
                    any::<f64>(), Just(-0.0), Just(f64::NAN), Just(1e300), Just(9e15),
                    (0_u32..5000).prop_map(f64::from), any::<i32>().prop_map(|n| f64::from(n) / 1e3)
                ], 0..50),
        ) {
            let mut bytes = Vec::new();
            for &number in &numbers {
                put_number(&mut bytes, number);
            }
            let mut reader = Reader::new(&bytes);
            for number in numbers {
                prop_assert_eq!(number_of(&mut reader).unwrap().to_bits(), number.to_bits());
            }
            prop_assert!(reader.is_done());
        }
    }
}
