//! Verifying: what is given is fed to the verifier of `indelible-proof`, and its verdict is told.
//!
//! Exports and proofs need nothing but this program: no keys, no ledger, no network. Of a server
//! only bytes are taken, never its verdict.

mod checkpoints;
mod data;
mod file;
mod lines;
mod proof;
mod report;
mod server;
mod source;

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::note::VerifierKey;

pub use checkpoints::{key_for, named_key};
pub use data::{data, data_against};
pub use file::file;
pub use proof::proof;
pub use report::{Report, print_finding};
pub use server::server;

/// What the asker trusts, and wants.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The registry's verifier key, got from elsewhere.
    pub key: Option<VerifierKey>,
    /// A checkpoint kept from before.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Whether the answer is no unless a signature of that key covers the log.
    pub require_anchor: bool,
}
