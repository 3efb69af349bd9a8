//! Receipts and the rules of links.
//!
//! A receipt is what a commit returns; it is a claim by whoever made it, and becomes a proof with
//! an inclusion proof under a checkpoint (`registry::RecordProof`). Source: `spec/receipt.md`,
//! `spec/chain.md` §2.

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Hash, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::tail::{Tail, TailError};

/// Where an event stands in its tenant's log. Serialises to the object of `spec/receipt.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Whose log.
    pub tenant_id: TenantId,
    /// The event's id.
    pub audit_id: AuditId,
    /// Place in the log, from 0.
    pub sequence_number: u64,
    /// RFC 6962 leaf hash of the record's bytes.
    pub record_hash: Hash,
    /// When it was committed: RFC 3339 UTC, six decimals, `Z`.
    pub ingested_at: Micros,
}

/// Why a receipt does not describe a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The bytes are no leaf.
    #[error(transparent)]
    Leaf(#[from] TailError),
    /// A field of the receipt is not what the leaf says.
    #[error("the receipt's {0} is not that of the leaf")]
    Differs(&'static str),
}

impl Receipt {
    /// Checks that this is the receipt of exactly these leaf bytes.
    ///
    /// # Errors
    /// [`ReceiptError`] names the first field that differs.
    pub fn check(&self, leaf: &[u8]) -> Result<(), ReceiptError> {
        let tail = Tail::scan(leaf)?;
        let id = tail.audit_id(leaf).and_then(|id| str::from_utf8(id).ok());
        let differs = |same: bool, what| {
            if same {
                Ok(())
            } else {
                Err(ReceiptError::Differs(what))
            }
        };
        differs(tail.tenant_id == self.tenant_id.as_str(), "tenant_id")?;
        differs(id == Some(self.audit_id.to_string().as_str()), "audit_id")?;
        differs(
            tail.sequence_number == self.sequence_number,
            "sequence_number",
        )?;
        differs(
            tail.ingested_at == self.ingested_at.to_rfc3339(),
            "ingested_at",
        )?;
        differs(leaf_hash(leaf) == self.record_hash, "record_hash")
    }
}
