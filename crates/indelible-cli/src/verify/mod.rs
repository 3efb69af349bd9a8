//! Verifying: what is given is fed to the verifier of `indelible-proof`, and its verdict is told.
//!
//! Exports and proofs need nothing but this program: no keys, no ledger, no network.

mod data;
mod file;
mod lines;
mod proof;
mod report;
mod source;

use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::note::VerifierKey;

pub use data::data;
pub use file::file;
pub use proof::proof;
pub use report::{Report, print_finding};

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

/// The key under the name that a checkpoint of `origin` is signed with: that of the ledger in any
/// of its incarnations, or of one of its logs, `<ledger>[/<incarnation>]/<log id>`. `None` when the
/// origin belongs to another ledger.
pub fn key_for(key: &VerifierKey, origin: &str) -> Option<VerifierKey> {
    let of_incarnation = key.name().rsplit_once('/').filter(|(_, number)| {
        number
            .parse::<u64>()
            .is_ok_and(|n| n > 1 && n.to_string() == *number)
    });
    let ledger = of_incarnation.map_or(key.name(), |(ledger, _)| ledger);
    let below = origin.strip_prefix(ledger)?;
    if below.is_empty() || below.starts_with('/') {
        key.renamed(origin).ok()
    } else {
        None
    }
}
