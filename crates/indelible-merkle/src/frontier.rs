//! The compact frontier of a growing tree: the roots of its complete subtrees, largest first.
//!
//! What it is not: a store of leaves. A frontier of `size` leaves holds as many hashes as `size`
//! has one bits, so at most 64; appending costs one node hash amortised and reading the root at
//! most 63.
//!
//! Invariant: `hashes.len() == size.count_ones()`.

use crate::hash::{Hash, empty_root, node_hash};

/// The compact range of a tree: everything needed to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the tree without leaves.
    pub const fn new() -> Self {
        Self {
            size: 0,
            hashes: Vec::new(),
        }
    }

    /// Takes up a frontier that was kept: `hashes` are the roots of the complete subtrees of a tree
    /// of `size` leaves, largest (leftmost) first.
    ///
    /// # Errors
    /// [`FrontierError`] when the number of hashes does not fit the size: what was kept is damaged,
    /// read the leaves again.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones() as usize;
        if hashes.len() == expected {
            Ok(Self { size, hashes })
        } else {
            Err(FrontierError {
                size,
                expected,
                found: hashes.len(),
            })
        }
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends one leaf hash.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _, _| {});
    }

    /// Appends one leaf hash and reports every subtree this completes, the leaf itself first, as
    /// (level, index at that level, root). Level 0 is the leaves; a tile writer keeps what it
    /// wants.
    pub fn append_with(&mut self, leaf: Hash, mut completed: impl FnMut(u32, u64, Hash)) {
        let mut node = leaf;
        let mut level = 0;
        completed(0, self.size, node);
        // Each trailing one bit of the size is a complete left sibling waiting on the stack.
        while self.size >> level & 1 == 1
            && let Some(left) = self.hashes.pop()
        {
            node = node_hash(&left, &node);
            level += 1;
            completed(level, self.size >> level, node);
        }
        self.hashes.push(node);
        self.size += 1;
    }

    /// The RFC 6962 tree hash of all leaves appended so far.
    pub fn root(&self) -> Hash {
        let Some((last, rest)) = self.hashes.split_last() else {
            return empty_root();
        };
        rest.iter()
            .rev()
            .fold(*last, |right, left| node_hash(left, &right))
    }
}

impl Extend<Hash> for Frontier {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.append(leaf);
        }
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        frontier.extend(leaves);
        frontier
    }
}

/// The RFC 6962 root over some leaf hashes, in order.
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    leaves.into_iter().collect::<Frontier>().root()
}

/// A kept frontier whose number of hashes does not fit its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} frontier hashes, this has {found}: read it again")]
pub struct FrontierError {
    size: u64,
    expected: usize,
    found: usize,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn parts_must_fit_the_size() {
        let frontier: Frontier = (0_u8..11).map(|n| leaf_hash(&[n])).collect();
        let kept = Frontier::from_parts(11, frontier.hashes().to_vec()).unwrap();
        assert_eq!(kept, frontier);
        for wrong in [0, 10, 12, 15, 16] {
            assert_eq!(
                Frontier::from_parts(wrong, frontier.hashes().to_vec()).is_ok(),
                wrong.count_ones() == 3,
            );
        }
    }

    #[test]
    fn completed_subtrees_are_reported_once_each() {
        let mut frontier = Frontier::new();
        let mut seen = Vec::new();
        for n in 0_u8..8 {
            frontier.append_with(leaf_hash(&[n]), |level, index, _| seen.push((level, index)));
        }
        let expected = [
            (0, 0),
            (0, 1),
            (1, 0),
            (0, 2),
            (0, 3),
            (1, 1),
            (2, 0), //
            (0, 4),
            (0, 5),
            (1, 2),
            (0, 6),
            (0, 7),
            (1, 3),
            (2, 1),
            (3, 0),
        ];
        assert_eq!(seen, expected);
    }
}
