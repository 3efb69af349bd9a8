//! RFC 6962 / RFC 9162 Merkle tree mathematics over bytes.
//!
//! What it is: hashes of leaves and nodes, the compact [`Frontier`] of a growing tree, and
//! inclusion and consistency proofs, made from complete subtrees and verified. What it is not:
//! storage (the caller supplies subtree hashes), signatures (`indelible-proof`), or knowledge of
//! records.
//!
//! Invariants: SHA-256 only; a leaf is hashed behind the byte 0x00 and an inner node behind 0x01;
//! verification never panics and never allocates in proportion to anything but the proof it was
//! given.
//!
//! Source: RFC 6962 §2.1, RFC 9162 §2.1.3.2 and §2.1.4.2; our page is `spec/chain.md`.

mod frontier;
mod hash;
mod prove;
mod verify;

pub use frontier::{Frontier, FrontierError, root_of};
pub use hash::{Hash, HashError, empty_root, leaf_hash, node_hash, sha256};
pub use prove::{ProveError, consistency_proof, inclusion_proof, root_at};
pub use verify::{ProofError, verify_consistency, verify_inclusion};
