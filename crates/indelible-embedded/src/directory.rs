//! What lies where in a file of records: tenants, runs of sequence numbers, blocks.
//!
//! The open tail grows one as it is appended to; a sealed segment reads its own from its columns.
//! Rows are numbered from 0 in a file.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indelible_event::ids::TenantId;
use roaring::RoaringBitmap;

use crate::bytes::{Reader, put_chunk, put_varint, unzigzag, zigzag};
use crate::frame::FILE_ROWS_MAX;

/// A tenant's part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantPart {
    pub(crate) tenant: TenantId,
    /// Smallest and largest `occurred_at`, microseconds.
    pub(crate) occurred: (i64, i64),
    pub(crate) rows: u32,
    /// Numbers of its runs.
    pub(crate) runs: Vec<u32>,
}

/// Rows that hold consecutive sequence numbers of one tenant; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) row: u32,
    pub(crate) tenant: u32,
    pub(crate) first_seq: u64,
}

/// Where a block lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub(crate) row: u32,
    pub(crate) at: u64,
    pub(crate) bytes: u32,
}

impl BlockPlace {
    /// The byte after its last.
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(u64::from(self.bytes))
    }
}

/// The tenant number of rows that are there but cannot be read.
pub(crate) const HOLE: u32 = u32::MAX;

/// The directory of a file of records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) rows: u32,
    pub(crate) tenants: Vec<TenantPart>,
    pub(crate) runs: Vec<Run>,
    pub(crate) blocks: Vec<BlockPlace>,
    index: HashMap<TenantId, u32, RandomState>,
}

impl Directory {
    /// The tenant's number, given one when it is new.
    pub(crate) fn tenant_number(&mut self, tenant: &TenantId) -> u32 {
        if let Some(&number) = self.index.get(tenant) {
            return number;
        }
        let number = crate::bytes::to_u32(self.tenants.len());
        self.index.insert(tenant.clone(), number);
        let occurred = (i64::MAX, i64::MIN);
        let tenant = tenant.clone();
        self.tenants.push(TenantPart {
            tenant,
            occurred,
            rows: 0,
            runs: Vec::new(),
        });
        number
    }

    /// The tenant's number, if it has rows here.
    pub(crate) fn find(&self, tenant: &TenantId) -> Option<u32> {
        self.index.get(tenant).copied()
    }

    pub(crate) fn tenant(&self, number: u32) -> Option<&TenantPart> {
        self.tenants.get(number as usize)
    }

    /// Starts a run at the next row, or lengthens the last when it goes on.
    pub(crate) fn push_run(&mut self, tenant: u32, first_seq: u64, count: u32) {
        let goes_on = self.runs.last().is_some_and(|last| {
            last.tenant == tenant && last.first_seq + u64::from(self.rows - last.row) == first_seq
        });
        if !goes_on {
            let number = crate::bytes::to_u32(self.runs.len());
            self.runs.push(Run {
                row: self.rows,
                tenant,
                first_seq,
            });
            if let Some(part) = self.tenants.get_mut(tenant as usize) {
                part.runs.push(number);
            }
        }
        if let Some(part) = self.tenants.get_mut(tenant as usize) {
            part.rows += count;
        }
        self.rows += count;
    }

    /// Leaves rows out up to `row`: they are there and cannot be read.
    pub(crate) fn push_hole(&mut self, row: u32) {
        if row > self.rows {
            self.runs.push(Run {
                row: self.rows,
                tenant: HOLE,
                first_seq: 0,
            });
            self.rows = row;
        }
    }

    /// Counts a value of `occurred_at` for the tenant's minimum and maximum.
    pub(crate) fn occurred(&mut self, tenant: u32, micros: i64) {
        if let Some(part) = self.tenants.get_mut(tenant as usize) {
            part.occurred = (part.occurred.0.min(micros), part.occurred.1.max(micros));
        }
    }

    /// The rows of run `number`.
    pub(crate) fn rows_of(&self, number: u32) -> Range<u32> {
        let at = number as usize;
        let from = self.runs.get(at).map_or(self.rows, |run| run.row);
        from..self.runs.get(at + 1).map_or(self.rows, |run| run.row)
    }

    /// The run a row is in, by number.
    pub(crate) fn run_of(&self, row: u32) -> Option<(usize, &Run)> {
        let at = self
            .runs
            .partition_point(|run| run.row <= row)
            .checked_sub(1)?;
        let run = self.runs.get(at)?;
        (row < self.rows && run.tenant != HOLE).then_some((at, run))
    }

    /// Rows that are there but cannot be read.
    pub(crate) fn holes(&self) -> RoaringBitmap {
        let mut holes = RoaringBitmap::new();
        for (number, run) in (0_u32..).zip(&self.runs) {
            if run.tenant == HOLE {
                holes.insert_range(self.rows_of(number));
            }
        }
        holes
    }

    /// The tenant's number and sequence number of a row.
    pub(crate) fn place(&self, row: u32) -> Option<(u32, u64)> {
        let (_, run) = self.run_of(row)?;
        Some((run.tenant, run.first_seq + u64::from(row - run.row)))
    }

    /// The rows that hold sequence numbers of `range` of a tenant, run by run, in order, each with
    /// the sequence number of its first.
    pub(crate) fn rows_between(
        &self,
        tenant: u32,
        range: Range<u64>,
    ) -> impl DoubleEndedIterator<Item = (Range<u32>, u64)> {
        let runs = self
            .tenant(tenant)
            .map_or(&[][..], |part| part.runs.as_slice());
        runs.iter().filter_map(move |&number| {
            let rows = self.rows_of(number);
            let first = self.runs.get(number as usize)?.first_seq;
            let from = range.start.max(first);
            let to = range.end.min(first + u64::from(rows.end - rows.start));
            let row = |seq: u64| u32::try_from(seq - first).ok().map(|n| rows.start + n);
            (from < to).then_some(())?;
            Some((row(from)?..row(to)?, from))
        })
    }

    /// First sequence number after the tenant's last here, and its first.
    pub(crate) fn sequence(&self, tenant: u32) -> Option<Range<u64>> {
        let runs = &self.tenant(tenant)?.runs;
        let (&first, &last) = (runs.first()?, runs.last()?);
        let rows = self.rows_of(last);
        let end = self.runs.get(last as usize)?.first_seq + u64::from(rows.end - rows.start);
        Some(self.runs.get(first as usize)?.first_seq..end)
    }

    /// The block a row is in, by number.
    pub(crate) fn block_of(&self, row: u32) -> Option<(usize, &BlockPlace)> {
        let at = self
            .blocks
            .partition_point(|block| block.row <= row)
            .checked_sub(1)?;
        self.blocks.get(at).map(|block| (at, block))
    }

    /// The rows of block `at`.
    pub(crate) fn rows_of_block(&self, at: usize) -> Range<u32> {
        let from = self.blocks.get(at).map_or(self.rows, |block| block.row);
        from..self.blocks.get(at + 1).map_or(self.rows, |block| block.row)
    }

    /// The three sections: tenants, runs, blocks.
    pub(crate) fn encode(&self) -> [Vec<u8>; 3] {
        let (mut tenants, mut runs, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        put_varint(&mut tenants, u64::from(self.rows));
        for part in &self.tenants {
            put_chunk(&mut tenants, part.tenant.as_str().as_bytes());
            put_varint(&mut tenants, zigzag(part.occurred.0));
            put_varint(&mut tenants, zigzag(part.occurred.1));
        }
        let mut row = 0;
        for run in &self.runs {
            put_varint(&mut runs, u64::from(run.row - row));
            put_varint(&mut runs, u64::from(run.tenant));
            put_varint(&mut runs, run.first_seq);
            row = run.row;
        }
        let (mut row, mut at) = (0, 0);
        for block in &self.blocks {
            put_varint(&mut blocks, u64::from(block.row - row));
            put_varint(&mut blocks, block.at - at);
            put_varint(&mut blocks, u64::from(block.bytes));
            (row, at) = (block.row, block.at + u64::from(block.bytes));
        }
        [tenants, runs, blocks]
    }

    /// Undoes [`Directory::encode`].
    pub(crate) fn parse(sections: [&[u8]; 3]) -> Option<Self> {
        let [tenants, runs, blocks] = sections.map(Reader::new);
        let mut directory = Self::default();
        let (mut tenants, mut runs, mut blocks) = (tenants, runs, blocks);
        let rows = tenants.varint_u32().filter(|rows| *rows <= FILE_ROWS_MAX)?;
        while !tenants.is_done() {
            let name = TenantId::parse(str::from_utf8(tenants.chunk()?).ok()?).ok()?;
            let number = directory.tenant_number(&name) as usize;
            let occurred = (unzigzag(tenants.varint()?), unzigzag(tenants.varint()?));
            directory.tenants.get_mut(number)?.occurred = occurred;
        }
        let mut row = 0_u32;
        while !runs.is_done() {
            row = row.checked_add(runs.varint_u32()?)?;
            let (tenant, first_seq) = (runs.varint_u32()?, runs.varint()?);
            let number = crate::bytes::to_u32(directory.runs.len());
            directory.runs.push(Run {
                row,
                tenant,
                first_seq,
            });
            if tenant != HOLE {
                directory
                    .tenants
                    .get_mut(tenant as usize)?
                    .runs
                    .push(number);
            }
        }
        directory.rows = rows;
        for number in 0..crate::bytes::to_u32(directory.runs.len()) {
            let range = directory.rows_of(number);
            let tenant = directory.runs.get(number as usize)?.tenant as usize;
            let count = range.end.checked_sub(range.start)?;
            let first_seq = directory.runs.get(number as usize)?.first_seq;
            first_seq.checked_add(u64::from(count))?;
            if let Some(part) = directory.tenants.get_mut(tenant) {
                part.rows += count;
            }
        }
        let (mut row, mut at) = (0_u32, 0_u64);
        while !blocks.is_done() {
            row = row.checked_add(blocks.varint_u32()?)?;
            at = at.checked_add(blocks.varint()?)?;
            let bytes = blocks.varint_u32()?;
            directory.blocks.push(BlockPlace { row, at, bytes });
            at = at.checked_add(u64::from(bytes))?;
        }
        Some(directory)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_and_numbers_that_cannot_be_are_none() {
        let parse = |rows: u32, first_seq: u64| {
            let mut directory = Directory::default();
            let number = directory.tenant_number(&TenantId::parse("acme").unwrap());
            directory.push_run(number, 0, rows);
            directory.runs[0].first_seq = first_seq;
            let [tenants, runs, blocks] = directory.encode();
            Directory::parse([&tenants, &runs, &blocks]).map(|_| ())
        };
        assert_eq!(
            parse(FILE_ROWS_MAX, u64::MAX - u64::from(FILE_ROWS_MAX)),
            Some(())
        );
        assert_eq!(parse(FILE_ROWS_MAX + 1, 0), None);
        assert_eq!(parse(2, u64::MAX - 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_directory_comes_back_and_answers(
            runs in proptest::collection::vec((0_u8..5, 1_u32..30), 1..60),
        ) {
            let mut directory = Directory::default();
            let mut next = [0_u64; 5];
            let mut rows = Vec::new();
            for (n, &(tenant, count)) in runs.iter().enumerate() {
                let name = TenantId::parse(&format!("t{tenant}")).unwrap();
                let number = directory.tenant_number(&name);
                directory.blocks.push(BlockPlace {
                    row: directory.rows,
                    at: 44 + n as u64 * 100,
                    bytes: 90,
                });
                directory.push_run(number, next[usize::from(tenant)], count);
                for _ in 0..count {
                    directory.occurred(number, i64::from(directory.rows) - 5);
                    rows.push((name.clone(), next[usize::from(tenant)]));
                    next[usize::from(tenant)] += 1;
                }
            }
            let sections = directory.encode();
            let back = Directory::parse([&sections[0], &sections[1], &sections[2]]).unwrap();
            prop_assert_eq!(&back.tenants, &directory.tenants);
            prop_assert_eq!(&back.runs, &directory.runs);
            prop_assert_eq!(&back.blocks, &directory.blocks);
            for (row, (tenant, seq)) in rows.iter().enumerate() {
                let row = crate::bytes::to_u32(row);
                let (number, found) = back.place(row).unwrap();
                prop_assert_eq!((&back.tenant(number).unwrap().tenant, found), (tenant, *seq));
                let (at, block) = back.block_of(row).unwrap();
                prop_assert!(block.row <= row && back.rows_of_block(at).contains(&row));
                let one: Vec<_> = back.rows_between(number, *seq..*seq + 1).collect();
                prop_assert_eq!(one, vec![(row..row + 1, *seq)]);
            }
            prop_assert_eq!(back.place(back.rows), None);
            for (number, part) in back.tenants.iter().enumerate() {
                let number = crate::bytes::to_u32(number);
                let runs = back.rows_between(number, 0..u64::MAX);
                let all: u32 = runs.map(|(rows, _)| rows.end - rows.start).sum();
                prop_assert_eq!(all, part.rows);
                prop_assert_eq!(back.sequence(number).unwrap(), 0..u64::from(part.rows));
            }
        }
    }
}
