//! Sets of rows of one part that are made of many short lists, or asked for row by row.

use indelible_store::Result;
use roaring::RoaringBitmap;

use crate::part::Part;
use crate::segment::postings::Filed;

/// To look up this share of the counted rows in their set costs as much as to have a bit for each.
const ASKED_SHARE: u64 = 16;
/// From this share of a part's rows on a bit for each is had sooner than these are sorted.
const SORTED_SHARE: u32 = 64;

/// Rows of a part, of which is asked whether they are among those that are counted.
pub(super) struct Among<'a> {
    counted: &'a RoaringBitmap,
    rows: u32,
    /// How often is asked before it pays to have a bit for each.
    left: u64,
    marks: Option<Marks>,
}

impl<'a> Among<'a> {
    pub(super) fn new(counted: &'a RoaringBitmap, rows: u32) -> Self {
        let left = counted.len() / ASKED_SHARE;
        Self {
            counted,
            rows,
            left,
            marks: None,
        }
    }

    /// So many are asked for next.
    pub(super) fn expect(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0 && self.marks.is_none() {
            self.marks = Some(Marks::of(self.counted, self.rows));
        }
    }

    pub(super) fn has(&self, row: u32) -> bool {
        match &self.marks {
            Some(marks) => marks.has(row),
            None => self.counted.contains(row),
        }
    }
}

/// Rows of a part, a bit each.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn none(rows: u32) -> Self {
        Self(vec![0; rows.div_ceil(u64::BITS) as usize])
    }

    fn of(set: &RoaringBitmap, rows: u32) -> Self {
        let mut marks = Self::none(rows);
        if set.len() == u64::from(rows) && set.max() < Some(rows) {
            marks.0.fill(u64::MAX);
            if let Some(last) = marks.0.last_mut() {
                *last >>= (u64::BITS - rows % u64::BITS) % u64::BITS;
            }
        } else {
            // One by one: `next_many` of roaring 0.12 loses rows of a run that fills its container.
            set.iter().for_each(|row| marks.mark(row));
        }
        marks
    }

    /// A row that is none of the part has no bit.
    pub(super) fn mark(&mut self, row: u32) {
        if let Some(word) = self.0.get_mut((row / u64::BITS) as usize) {
            *word |= 1 << (row % u64::BITS);
        }
    }

    fn has(&self, row: u32) -> bool {
        let word = self.0.get((row / u64::BITS) as usize);
        word.is_some_and(|word| word >> (row % u64::BITS) & 1 == 1)
    }

    pub(super) fn set(&self) -> RoaringBitmap {
        let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }
}

/// The rows of several terms of a part.
pub(super) struct Union {
    rows: u32,
    some: Vec<u32>,
    few: Option<Marks>,
    many: RoaringBitmap,
}

impl Union {
    pub(super) fn of(part: &dyn Part) -> Result<Self> {
        let rows = part.directory()?.rows;
        Ok(Self {
            rows,
            some: Vec::new(),
            few: None,
            many: RoaringBitmap::new(),
        })
    }

    pub(super) fn add(&mut self, filed: Filed) {
        match filed {
            Filed::Many(rows) => self.many |= rows,
            Filed::Few(rows) => match &mut self.few {
                Some(few) => rows.into_iter().for_each(|row| few.mark(row)),
                None => self.some.extend(rows),
            },
        }
        if self.some.len() > (self.rows / SORTED_SHARE) as usize {
            let few = self.few.get_or_insert_with(|| Marks::none(self.rows));
            self.some.drain(..).for_each(|row| few.mark(row));
        }
    }

    pub(super) fn set(mut self) -> RoaringBitmap {
        self.some.sort_unstable();
        self.many |= self.some.into_iter().collect::<RoaringBitmap>();
        if let Some(few) = self.few {
            self.many |= few.set();
        }
        self.many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_runs_has_a_bit_for_each_of_its_rows() {
        for runs in [
            &[(1, 230_001)][..],
            &[(0, 65_536)],
            &[(0, 65_535), (65_536, 131_072), (140_000, 140_001)],
            &[(5, 6), (70_000, 200_000)],
            &[(0, 300_000)],
        ] {
            let rows = 300_000;
            let mut set = RoaringBitmap::new();
            for (from, to) in runs {
                set.insert_range(*from..*to);
            }
            let listed: RoaringBitmap = runs.iter().flat_map(|(from, to)| *from..*to).collect();
            for set in [set, listed] {
                let marks = Marks::of(&set, rows);
                assert!((0..rows).all(|row| marks.has(row) == set.contains(row)));
                assert_eq!(marks.set(), set);
                for range in [0..rows, 65_536..131_072, 1..70_001, 65_535..65_537] {
                    let counted = set.iter().filter(|row| range.contains(row)).count() as u64;
                    assert_eq!(set.range_cardinality(range), counted);
                }
            }
        }
    }
}
