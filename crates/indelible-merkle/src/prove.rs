//! Making inclusion and consistency proofs from complete subtrees.
//!
//! What it is not: the reader of those subtrees. The caller supplies the root of a complete subtree
//! by (level, index): the subtree over leaves `index << level .. (index + 1) << level`. Only
//! subtrees that lie wholly inside the tree are asked for, each once, at most 64 + 64 of them.
//!
//! Source: RFC 9162 §2.1.3.1 (PATH) and §2.1.4.1 (PROOF), written without recursion over the proof.

use crate::hash::{Hash, empty_root, node_hash};

/// Why a proof could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf or the old size lies beyond the tree; ask for a newer head.
    #[error("{asked} lies beyond a tree of {size} leaves")]
    OutOfRange {
        /// The leaf index or old size asked for.
        asked: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The caller's reader of subtrees failed.
    #[error(transparent)]
    Read(#[from] E),
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves, nearest sibling first.
///
/// # Errors
/// [`ProveError::OutOfRange`] unless `index < size`; [`ProveError::Read`] passes on what `subtree`
/// said.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if index >= size {
        return Err(ProveError::OutOfRange { asked: index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(middle, end, &mut subtree)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, &mut subtree)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves extends the tree of its first `old` leaves.
///
/// Empty when `old` is 0 or equal to `new`.
///
/// # Errors
/// [`ProveError::OutOfRange`] unless `old <= new`; [`ProveError::Read`] passes on what `subtree`
/// said.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProveError<E>> {
    if old > new {
        return Err(ProveError::OutOfRange {
            asked: old,
            size: new,
        });
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, &mut subtree)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, &mut subtree)?);
            start = middle;
        }
    }
    // The verifier knows the old root, so the old tree as a whole is not repeated.
    if start != 0 {
        proof.push(range_root(start, end, &mut subtree)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two smaller than `leaves`, which is at least 2.
const fn split(leaves: u64) -> u64 {
    1 << (u64::BITS - 1 - (leaves - 1).leading_zeros())
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// What `subtree` said.
pub fn root_at<E>(
    size: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    if size == 0 {
        Ok(empty_root())
    } else {
        range_root(0, size, &mut subtree)
    }
}

/// The root over leaves `start..end`, where `start` is a multiple of the range's own first split.
fn range_root<E>(
    start: u64,
    end: u64,
    subtree: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    // The complete subtrees of the range, left to right, are the one bits of its length.
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        let level = u64::BITS - 1 - (end - at).leading_zeros();
        parts.push(subtree(level, at >> level)?);
        at += 1 << level;
    }
    let last = parts.pop().unwrap_or(Hash::ZERO);
    Ok(parts
        .iter()
        .rev()
        .fold(last, |right, left| node_hash(left, &right)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::convert::Infallible;

    use super::root_at;
    use crate::{Hash, leaf_hash, root_of};

    #[test]
    fn the_root_at_every_size_is_the_root_over_that_many_leaves() {
        let leaves: Vec<Hash> = (0_u8..70).map(|n| leaf_hash(&[n])).collect();
        for size in 0..=leaves.len() {
            let root = root_at(size as u64, |level, index| {
                let place = |index: u64| usize::try_from(index << level).unwrap();
                let (from, to) = (place(index), place(index + 1));
                Ok::<_, Infallible>(root_of(leaves[from..to].iter().copied()))
            });
            assert_eq!(root.unwrap(), root_of(leaves[..size].iter().copied()));
        }
    }
}
