//! Links, signed notes, checkpoints, receipts and the verifier with its named findings.
//!
//! What it is: everything that lets somebody without our storage, and without trust in us, check a
//! log: keys and signed checkpoints ([`note`], [`checkpoint`]), what a signer may sign
//! ([`signer`]), proofs of single records ([`receipt`], [`registry`], [`disclosure`]), and the
//! verifier of whole logs ([`verify`], [`stream`], [`damage`],
//! [`finding`]). What it is not: input or output,
//! clocks, randomness, storage. Normative pages: `spec/chain.md`, `spec/stream.md`,
//! `spec/checkpoint.md`, `spec/receipt.md`, `spec/sealing.md`.

pub mod checkpoint;
pub mod damage;
pub mod disclosure;
pub mod finding;
mod key;
pub mod limits;
pub mod note;
pub mod receipt;
pub mod registry;
pub mod signer;
pub mod stream;
pub mod tail;
pub mod verify;
