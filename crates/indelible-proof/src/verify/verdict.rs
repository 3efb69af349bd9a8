//! What verification says in the end.

use indelible_merkle::Hash;
use serde::{Deserialize, Serialize};

use super::{Anchor, Recovery};
use crate::finding::{Finding, Span};
use crate::stream::StreamVerdict;

/// What the first record of a log says about the log: `log.created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIdentity {
    /// The log's id, 32 hex digits.
    pub log_id: String,
    /// The ledger's origin in its first incarnation.
    pub origin: String,
    /// The ledger's incarnation when the log was made.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub incarnation: u64,
    /// The tenant's permanent slot in every snapshot.
    pub slot: u64,
    /// The ledger's verifier key when the log was made.
    pub verifier_key: String,
}

const fn first() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_first(incarnation: &u64) -> bool {
    *incarnation == 1
}

/// The state of a log at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedHead {
    /// Number of the last record, and one.
    pub size: u64,
    /// Root over all records; `None` when records are missing.
    pub root: Option<Hash>,
    /// Hash of the last record; `None` for an empty log or a missing end.
    pub last_hash: Option<Hash>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose log.
    pub tenant_id: String,
    /// Defects, in order of place; empty when every record is what was committed, in that order.
    pub integrity: Vec<Finding>,
    /// How many further findings were left out.
    pub findings_left_out: u64,
    /// What can be said of each stream.
    pub completeness: Vec<StreamVerdict>,
    /// How many records' bytes were checked.
    pub records_checked: u64,
    /// How many records were pruned: only their hashes were checked.
    pub stubs: u64,
    /// The first and last record checked.
    pub checked: Option<Span>,
    /// How many ids were compared for repetition.
    pub audit_ids_compared: u64,
    /// The log's end.
    pub head: VerifiedHead,
    /// Who vouches for it from outside.
    pub anchored: Anchor,
    /// Who the log says it is, when it was read from the beginning.
    pub identity: Option<LogIdentity>,
    /// The newest incarnation that the log declares; 1 when it was never recovered.
    pub incarnation: u64,
    /// The recoveries it declares, and what each says is missing.
    pub recoveries: Vec<Recovery>,
}

impl Verdict {
    /// Whether nothing was found against the log. Says nothing about completeness or anchoring.
    pub fn is_sound(&self) -> bool {
        self.integrity.is_empty()
    }
}
