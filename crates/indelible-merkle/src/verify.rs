//! Verifying inclusion and consistency proofs.
//!
//! What it is not: trust. A proof that verifies says that two roots belong together; whether a root
//! is to be believed is decided by who signed it (`indelible-proof`).
//!
//! Source: RFC 9162 §2.1.3.2 and §2.1.4.2, followed step by step.

use crate::hash::{Hash, empty_root, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf index or old size lies beyond the tree.
    #[error("{asked} lies beyond a tree of {size} leaves")]
    OutOfRange {
        /// The leaf index or old size asked about.
        asked: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The proof has too few or too many hashes for its position and size.
    #[error("the proof has {found} hashes, which does not fit its position and tree size")]
    Length {
        /// Hashes in the proof.
        found: usize,
    },
    /// The proof leads to another root of the (new) tree.
    #[error("the proof does not lead to the root")]
    Root,
    /// The proof leads to another root of the old tree: the old tree is not a prefix of the new.
    #[error("the proof does not lead to the old root")]
    OldRoot,
}

/// Checks that `leaf` is the hash of leaf `index` in the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`]: the leaf is not proved to be there.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { asked: index, size });
    }
    let wrong_length = ProofError::Length { found: proof.len() };
    let (mut node_index, mut last_index) = (index, size - 1);
    let mut node = *leaf;
    for sibling in proof {
        if last_index == 0 {
            return Err(wrong_length);
        }
        if node_index & 1 == 1 || node_index == last_index {
            node = node_hash(sibling, &node);
            climb_to_odd(&mut node_index, &mut last_index);
        } else {
            node = node_hash(&node, sibling);
        }
        node_index >>= 1;
        last_index >>= 1;
    }
    if last_index != 0 {
        return Err(wrong_length);
    }
    if node == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree (`new`, `new_root`) extends the tree (`old`, `old_root`).
///
/// # Errors
/// [`ProofError`]: the two are not proved to belong to one log.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange {
            asked: old,
            size: new,
        });
    }
    let wrong_length = ProofError::Length { found: proof.len() };
    if old == 0 || old == new {
        let expected = if old == 0 { empty_root() } else { *new_root };
        return match (proof.is_empty(), *old_root == expected) {
            (false, _) => Err(wrong_length),
            (true, false) => Err(ProofError::OldRoot),
            (true, true) => Ok(()),
        };
    }
    // A complete old tree is its own first node and is left out of the proof.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(wrong_length)?
    };
    let (mut node_index, mut last_index) = (old - 1, new - 1);
    let common = node_index.trailing_ones();
    node_index >>= common;
    last_index >>= common;
    let (mut old_node, mut new_node) = (*first, *first);
    for sibling in rest {
        if last_index == 0 {
            return Err(wrong_length);
        }
        if node_index & 1 == 1 || node_index == last_index {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
            climb_to_odd(&mut node_index, &mut last_index);
        } else {
            new_node = node_hash(&new_node, sibling);
        }
        node_index >>= 1;
        last_index >>= 1;
    }
    if last_index != 0 {
        return Err(wrong_length);
    }
    if old_node != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new_node == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// A node on the right edge without a sibling rises unchanged until it is a right child.
///
/// `node_index` is not 0 here: it is odd, or equal to `last_index`, which is not 0.
fn climb_to_odd(node_index: &mut u64, last_index: &mut u64) {
    let levels = node_index.trailing_zeros().min(u64::BITS - 1);
    *node_index >>= levels;
    *last_index >>= levels;
}
