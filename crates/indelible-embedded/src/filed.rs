//! Which rows of the tail are filed under which term.
//!
//! Every commit files about twenty terms a record, a search asks for a few: so filing is an append
//! to one of a few hundred lists by the first bits of the term's hash, and a search passes over one
//! of them, which for a full tail are some thousand hashes. Sealing sorts list by list. Not here:
//! postings on disk (`segment/postings`).

use indelible_store::Result;
use roaring::RoaringBitmap;

/// Lists; a power of two.
const LISTS: usize = 256;
/// Bits of a hash that do not choose the list.
const REST_BITS: u32 = u64::BITS - LISTS.trailing_zeros();
/// Terms a list first has room for.
const ROOM_MIN: usize = 64;

/// Terms with the same first bits, in the order they were filed.
#[derive(Default)]
struct List {
    hashes: Vec<u64>,
    rows: Vec<u32>,
}

/// Rows by the hash of their terms.
pub(crate) struct Filed {
    lists: Vec<List>,
}

impl Default for Filed {
    fn default() -> Self {
        Self {
            lists: (0..LISTS).map(|_| List::default()).collect(),
        }
    }
}

impl Filed {
    /// Files a row under a term. Rows come in order; the same again does no harm.
    #[inline]
    pub(crate) fn push(&mut self, hash: u64, row: u32) {
        let Some(list) = self.lists.get_mut(place(hash)) else {
            return;
        };
        if list.hashes.len() == list.hashes.capacity() {
            // By a quarter: twice the room would be tens of megabytes of nothing.
            let more = (list.hashes.len() / 4).max(ROOM_MIN);
            list.hashes.reserve_exact(more);
            list.rows.reserve_exact(more);
        }
        list.hashes.push(hash);
        list.rows.push(row);
    }

    /// The rows filed under a term.
    pub(crate) fn rows(&self, hash: u64) -> RoaringBitmap {
        let Some(list) = self.lists.get(place(hash)) else {
            return RoaringBitmap::new();
        };
        let filed = list.hashes.iter().zip(&list.rows);
        filed
            .filter_map(|(filed, row)| (*filed == hash).then_some(*row))
            .collect()
    }

    /// All terms in the order of their hashes, each with its rows in order.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(u64, &[u32]) -> Result<()>) -> Result<()> {
        let (mut filed, mut rows) = (Vec::new(), Vec::new());
        for list in &self.lists {
            filed.clear();
            filed.extend(list.hashes.iter().copied().zip(list.rows.iter().copied()));
            filed.sort_unstable();
            for same in filed.chunk_by(|a, b| a.0 == b.0) {
                rows.clear();
                rows.extend(same.iter().map(|(_, row)| *row));
                rows.dedup();
                if let Some((hash, _)) = same.first() {
                    visit(*hash, &rows)?;
                }
            }
        }
        Ok(())
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash >> REST_BITS).unwrap_or(0)
}
