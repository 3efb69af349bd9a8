//! A column of integers: chunks of 1,024 rows, each with minimum and maximum, bits packed.
//!
//! A value is stored as its distance from the chunk's minimum in as many bits as the largest needs,
//! so a chunk of equal values takes none. The chunk index, read whole, is also the zone map.

use std::ops::Range;

use indelible_store::Result;

use crate::bytes::{Reader, to_u32};
use crate::container::{Container, Writer};

/// Rows in a chunk.
pub(crate) const CHUNK_ROWS: usize = 1024;

/// Where a chunk lies and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) min: i64,
    pub(crate) max: i64,
    at: u64,
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
    let mut index = Vec::with_capacity(4 + values.len().div_ceil(CHUNK_ROWS) * 29);
    index.extend_from_slice(&to_u32(values.len()).to_le_bytes());
    writer.begin(kind);
    let mut packed = Vec::new();
    for chunk in values.chunks(CHUNK_ROWS) {
        let min = chunk.iter().copied().min().unwrap_or(0);
        let max = chunk.iter().copied().max().unwrap_or(0);
        let width = 64 - (max.wrapping_sub(min)).cast_unsigned().leading_zeros();
        packed.clear();
        pack(chunk, min, width, &mut packed);
        index.extend_from_slice(&min.to_le_bytes());
        index.extend_from_slice(&max.to_le_bytes());
        index.extend_from_slice(&writer.at().to_le_bytes());
        index.push(width.to_le_bytes()[0]);
        index.extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
        writer.put(&packed)?;
    }
    writer.section(kind + 1, &index)
}

fn pack(values: &[i64], min: i64, width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u128, 0_u32);
    for &value in values {
        bits |= u128::from(value.wrapping_sub(min).cast_unsigned()) << held;
        held += width;
        while held >= 8 {
            out.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits.to_le_bytes()[0]);
    }
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
        let rows = reader.u32()?;
        let mut chunks = Vec::with_capacity((rows as usize).div_ceil(CHUNK_ROWS).min(bytes.len()));
        while !reader.is_done() {
            chunks.push(Chunk {
                min: reader.i64()?,
                max: reader.i64()?,
                at: reader.u64()?,
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
        let bytes = (count * usize::from(chunk.width)).div_ceil(8) as u64;
        let packed = file.read(chunk.at..chunk.at + bytes)?;
        if crc32c::crc32c(&packed) != chunk.crc {
            return Err(file.corrupt("has a damaged column"));
        }
        unpack(&packed, count, chunk, out);
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

fn unpack(packed: &[u8], count: usize, chunk: &Chunk, out: &mut Vec<i64>) {
    let width = u32::from(chunk.width);
    if width == 0 {
        out.resize(count, chunk.min);
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let (mut bits, mut held) = (0_u128, 0_u32);
    let mut bytes = packed.chunks(8);
    for _ in 0..count {
        if held < width {
            let mut word = [0; 8];
            if let Some(part) = bytes.next()
                && let Some(place) = word.get_mut(..part.len())
            {
                place.copy_from_slice(part);
            }
            bits |= u128::from(u64::from_le_bytes(word)) << held;
            held += 64;
        }
        let low = u64::try_from(bits & u128::from(mask)).unwrap_or(0);
        out.push(chunk.min.wrapping_add(low.cast_signed()));
        bits >>= width;
        held -= width;
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
        fn values_come_back(
            values in proptest::collection::vec(
                prop_oneof![any::<i64>(), 0_i64..1000, Just(i64::MIN), Just(i64::MAX)], 0..3000),
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
