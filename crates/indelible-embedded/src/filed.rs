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
/// Heaps that a list is spread into to be sorted; a power of two.
const HEAPS: usize = 256;
/// Bits of a hash that do not choose the list.
const REST_BITS: u32 = u64::BITS - LISTS.trailing_zeros();
/// Terms a list first has room for.
const ROOM_MIN: usize = 64;

/// A row filed under a term, in twelve bytes: whoever files is held up by the places it writes to.
#[derive(Clone, Copy)]
struct Entry {
    /// The term's hash, high half first.
    hash: [u32; 2],
    row: u32,
}

impl Entry {
    fn new(hash: u64, row: u32) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        Self {
            hash: [half(hash >> 32), half(hash)],
            row,
        }
    }

    fn hash(self) -> u64 {
        let [high, low] = self.hash;
        u64::from(high) << 32 | u64::from(low)
    }
}

/// Terms with the same first bits, in the order they were filed.
#[derive(Default)]
struct List(Vec<Entry>);

impl List {
    /// The terms and their rows in order: spread by the next bits of the hash first, after which
    /// there are some thirty in each heap, or many of the same term, in order already.
    fn sorted(&self, out: &mut Vec<(u64, u32)>) {
        let mut starts = [0; HEAPS + 1];
        for entry in &self.0 {
            starts[heap(entry.hash()) + 1] += 1;
        }
        for at in 0..HEAPS {
            starts[at + 1] += starts[at];
        }
        out.clear();
        out.resize(self.0.len(), (0, 0));
        let mut next = starts;
        for entry in &self.0 {
            let next = &mut next[heap(entry.hash())];
            if let Some(place) = out.get_mut(*next) {
                *place = (entry.hash(), entry.row);
            }
            *next += 1;
        }
        for ends in starts.windows(2) {
            let heap = out.get_mut(ends[0]..ends[1]).unwrap_or_default();
            if heap
                .iter()
                .any(|(hash, _)| Some(hash) != heap.first().map(|(first, _)| first))
            {
                heap.sort_unstable();
            }
        }
    }
}

/// Which heap of its list a hash belongs to.
fn heap(hash: u64) -> usize {
    usize::try_from(hash >> (REST_BITS - HEAPS.trailing_zeros())).unwrap_or(0) % HEAPS
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
    /// Makes room for as many terms as another tail has; what is not filled takes no memory.
    pub(crate) fn make_room_like(&mut self, other: &Self) {
        for (List(list), List(like)) in self.lists.iter_mut().zip(&other.lists) {
            list.reserve_exact(like.len() + like.len() / 16);
        }
    }

    /// Files a row under a term. Rows come in order; the same again does no harm.
    #[inline]
    pub(crate) fn push(&mut self, hash: u64, row: u32) {
        let Some(List(list)) = self.lists.get_mut(place(hash)) else {
            return;
        };
        if list.len() == list.capacity() {
            // By a quarter: twice the room would be tens of megabytes of nothing.
            list.reserve_exact((list.len() / 4).max(ROOM_MIN));
        }
        list.push(Entry::new(hash, row));
    }

    /// The rows filed under a term.
    pub(crate) fn rows(&self, hash: u64) -> RoaringBitmap {
        let Some(List(list)) = self.lists.get(place(hash)) else {
            return RoaringBitmap::new();
        };
        let wanted = Entry::new(hash, 0).hash;
        let filed = list.iter().filter(|entry| entry.hash == wanted);
        filed.map(|entry| entry.row).collect()
    }

    /// All terms in the order of their hashes, each with its rows in order.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(u64, &[u32]) -> Result<()>) -> Result<()> {
        let (mut filed, mut rows) = (Vec::new(), Vec::new());
        for list in &self.lists {
            list.sorted(&mut filed);
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
