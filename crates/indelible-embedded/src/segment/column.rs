//! A column of integers: chunks of 1,024 rows, each with minimum and maximum, bits packed.
//!
//! A value is stored as its distance from the chunk's minimum, divided by what divides all of them,
//! in as many bits as the largest needs; a chunk of equal values takes none. The chunk index, read
//! whole, is also the zone map.

use std::ops::Range;

use indelible_store::Result;

use crate::bits::{pack, packed_bytes, unpacked, width_of};
use crate::bytes::{Reader, to_u32};
use crate::container::{Container, Writer};
use crate::frame::FILE_ROWS_MAX;

/// Rows in a chunk.
pub(crate) const CHUNK_ROWS: usize = 1024;

/// Where a chunk lies and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    at: u64,
    unit: u64,
    width: u8,
    crc: u32,
}

/// The index of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) rows: u32,
    pub(crate) chunks: Vec<Chunk>,
}

/// Writes a column as two sections: the chunks as `kind`, their index as `kind + 1`.
pub(crate) fn write(writer: &mut Writer, kind: u32, values: &[i64]) -> Result<()> {
    let mut index = Vec::with_capacity(4 + values.len().div_ceil(CHUNK_ROWS) * 37);
    index.extend_from_slice(&to_u32(values.len()).to_le_bytes());
    writer.begin(kind);
    let mut packed = Vec::new();
    for chunk in values.chunks(CHUNK_ROWS) {
        let min = chunk.iter().copied().min().unwrap_or(0);
        let max = chunk.iter().copied().max().unwrap_or(0);
        let unit = unit_of(chunk, min);
        let steps = |value: i64| value.wrapping_sub(min).cast_unsigned() / unit;
        let width = width_of(steps(max));
        packed.clear();
        pack(chunk.iter().map(|value| steps(*value)), width, &mut packed);
        index.extend_from_slice(&min.to_le_bytes());
        index.extend_from_slice(&max.to_le_bytes());
        index.extend_from_slice(&writer.at().to_le_bytes());
        index.extend_from_slice(&unit.to_le_bytes());
        index.push(width);
        index.extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
        writer.put(&packed)?;
    }
    writer.section(kind + 1, &index)
}

/// The largest number that divides every value's distance from the minimum.
fn unit_of(values: &[i64], min: i64) -> u64 {
    let mut unit = 0;
    for &value in values {
        let mut rest = value.wrapping_sub(min).cast_unsigned();
        while rest != 0 {
            (unit, rest) = (rest, unit % rest);
        }
        if unit == 1 {
            break;
        }
    }
    unit.max(1)
}

impl Column {
    /// Reads the index of the column `kind`.
    pub(crate) fn open(file: &Container, kind: u32) -> Result<Self> {
        let bytes = file.section(kind + 1)?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        Self::parse(&bytes).ok_or_else(|| file.corrupt("has a column index that cannot be read"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let rows = reader.u32().filter(|rows| *rows <= FILE_ROWS_MAX)?;
        let mut chunks = Vec::with_capacity((rows as usize).div_ceil(CHUNK_ROWS));
        while !reader.is_done() {
            chunks.push(Chunk {
                min: reader.i64()?,
                max: reader.i64()?,
                at: reader.u64()?,
                unit: reader.u64()?,
                width: reader.u8()?.min(64),
                crc: reader.u32()?,
            });
        }
        (chunks.len() == (rows as usize).div_ceil(CHUNK_ROWS)).then_some(Self { rows, chunks })
    }

    /// The rows of chunk `number`.
    pub(crate) fn rows_of(&self, number: usize) -> Range<u32> {
        let first = to_u32(number * CHUNK_ROWS);
        first..self.rows.min(first.saturating_add(to_u32(CHUNK_ROWS)))
    }

    /// Reads the values of chunk `number` into `out`, which is cleared.
    pub(crate) fn read(&self, file: &Container, number: usize, out: &mut Vec<i64>) -> Result<()> {
        out.clear();
        let Some(chunk) = self.chunks.get(number) else {
            return Ok(());
        };
        let count = self.rows_of(number).len();
        let bytes = packed_bytes(count, chunk.width) as u64;
        let packed = file.read(chunk.at..chunk.at.saturating_add(bytes))?;
        if crc32c::crc32c(&packed) != chunk.crc {
            return Err(file.corrupt("has a damaged column"));
        }
        let value = |steps: u64| {
            chunk
                .min
                .wrapping_add(steps.wrapping_mul(chunk.unit).cast_signed())
        };
        out.extend(unpacked(&packed, chunk.width).take(count).map(value));
        Ok(())
    }

    /// Reads all values.
    pub(crate) fn read_all(&self, file: &Container) -> Result<Vec<i64>> {
        let mut all = Vec::with_capacity(self.rows as usize);
        let mut chunk = Vec::new();
        for number in 0..self.chunks.len() {
            self.read(file, number, &mut chunk)?;
            all.append(&mut chunk);
        }
        Ok(all)
    }

    /// Reads the value of one row.
    pub(crate) fn value(&self, file: &Container, row: u32) -> Result<i64> {
        let mut chunk = Vec::new();
        self.read(file, row as usize / CHUNK_ROWS, &mut chunk)?;
        let value = chunk.get(row as usize % CHUNK_ROWS).copied();
        value.ok_or_else(|| file.corrupt("has a column that is too short"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;
    use proptest::prelude::*;

    /// A file whose column is said to be `index`.
    fn said(index: &[u8]) -> (Container, Result<Column>) {
        let disk = FaultyDisk::new(0);
        let mut writer = Writer::create(&disk, "f", *b"indl-tst").unwrap();
        writer.section(11, index).unwrap();
        writer.finish().unwrap();
        let file = Container::open(&disk, "f", *b"indl-tst").unwrap();
        let column = Column::open(&file, 10);
        (file, column)
    }

    #[test]
    fn a_chunk_that_ends_beyond_every_file_is_damage() {
        let mut index = 1_u32.to_le_bytes().to_vec();
        index.extend([0; 16]);
        index.extend(u64::MAX.to_le_bytes());
        index.extend(1_u64.to_le_bytes());
        index.push(64);
        index.extend([0; 4]);
        let (file, column) = said(&index);
        let column = column.unwrap();
        assert!(column.value(&file, 0).is_err() && column.read_all(&file).is_err());
    }

    #[test]
    fn more_rows_than_a_file_has_are_damage() {
        for rows in [FILE_ROWS_MAX + 1, u32::MAX] {
            let chunks = (rows as usize).div_ceil(CHUNK_ROWS);
            let mut index = rows.to_le_bytes().to_vec();
            index.resize(4 + 37 * chunks, 0);
            assert!(said(&index).1.is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn values_come_back(
            values in proptest::collection::vec(
                prop_oneof![
                                    (0_i64..99).prop_map(|n| n * 1000)
                ], 0..3000),
        ) {
            let disk = FaultyDisk::new(0);
            let mut writer = Writer::create(&disk, "f", *b"indl-tst").unwrap();
            write(&mut writer, 10, &values).unwrap();
            writer.finish().unwrap();
            let file = Container::open(&disk, "f", *b"indl-tst").unwrap();
            let column = Column::open(&file, 10).unwrap();
            prop_assert_eq!(column.read_all(&file).unwrap(), values.clone());
            for (number, chunk) in column.chunks.iter().enumerate() {
                let rows = column.rows_of(number);
                let part = &values[rows.start as usize..rows.end as usize];
                prop_assert_eq!(Some(&chunk.min), part.iter().min());
                prop_assert_eq!(Some(&chunk.max), part.iter().max());
            }
            if let Some(last) = values.last() {
                let row = to_u32(values.len() - 1);
                prop_assert_eq!(column.value(&file, row).unwrap(), *last);
            }
        }
    }
}
