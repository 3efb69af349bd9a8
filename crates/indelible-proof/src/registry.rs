//! The registry: one log of snapshots over all tenants' heads, and the proof of one record under
//! its signed checkpoint.
//!
//! What it is not: the publisher (`indelible-log`). Bytes are made once and hashed as they are.
//! Source: `spec/checkpoint.md` §3 and `spec/receipt.md` §2.

use indelible_merkle::{Hash, ProofError, leaf_hash, verify_inclusion};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::finding::FindingKind;
use crate::limits::PROOF_HASHES_MAX;
use crate::note::VerifierKey;
use crate::receipt::{Receipt, ReceiptError};

/// One snapshot of all tenants' heads: the leaf of the registry log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its place in the registry log.
    pub number: u64,
    /// RFC 6962 root over the slot leaves.
    pub root: Hash,
    /// How many slots there are.
    pub slots: u64,
    /// When it was taken, RFC 3339 UTC, six decimals.
    pub time: String,
}

impl Snapshot {
    /// The canonical line, without a line feed: the bytes that are the leaf of the registry log.
    pub fn line(&self) -> String {
        // The fields stand in key order, and none needs another escape than serde_json's.
        let time = serde_json::Value::from(self.time.as_str());
        let (number, root, slots) = (self.number, self.root, self.slots);
        format!(r#"{{"number":{number},"root":"{root}","slots":{slots},"time":{time}}}"#)
    }
}

/// The canonical bytes of a slot's leaf: the head of one tenant's log. Slots that no log has yet
/// published into hold size 0 and the empty root.
pub fn slot_leaf(log_id: &str, root: &Hash, size: u64) -> Vec<u8> {
    let log_id = serde_json::Value::from(log_id);
    format!(r#"{{"log_id":{log_id},"root":"{root}","size":{size}}}"#).into_bytes()
}

/// A record in its tenant's log, at a published head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    /// The log's id.
    pub log_id: String,
    /// Inclusion proof of the record.
    pub path: Vec<Hash>,
    /// Root of the log at the published head.
    pub root: Hash,
    /// Its size there.
    pub size: u64,
}

/// A head in its slot of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotPart {
    /// The snapshot's line, byte for byte.
    pub line: String,
    /// Inclusion proof of the slot.
    pub path: Vec<Hash>,
    /// The tenant's permanent slot.
    pub slot: u64,
}

/// A snapshot in the signed registry log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryPart {
    /// The signed checkpoint, a note, byte for byte, cosignatures included.
    pub checkpoint: String,
    /// Inclusion proof of the snapshot's line.
    pub path: Vec<Hash>,
}

/// The proof that one record stands at its place in a log that a signed checkpoint vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordProof {
    /// The record in its log.
    pub log: LogPart,
    /// Version of this form, 1.
    pub proof_version: u32,
    /// What was committed.
    pub receipt: Receipt,
    /// The snapshot in the registry.
    pub registry: RegistryPart,
    /// The log's head in the snapshot.
    pub snapshot: SnapshotPart,
}

/// Why a proof does not hold; each names the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProofError {
    /// Made by a newer version.
    #[error("the proof is of version {0}, this verifier knows version 1")]
    Version(u32),
    /// A path is longer than any tree is high.
    #[error("a path of the proof has more than {PROOF_HASHES_MAX} hashes")]
    TooLong,
    /// The receipt is not that of the record.
    #[error("the receipt is not that of the record: {0}")]
    Receipt(#[from] ReceiptError),
    /// The registry checkpoint is not signed by this key.
    #[error("the registry checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The snapshot line is not canonical.
    #[error("the snapshot line is not of its form")]
    Snapshot,
    /// The record is not proved in its log.
    #[error("the record in its log: {0}")]
    Record(ProofError),
    /// The head is not proved in its slot.
    #[error("the log's head in its slot: {0}")]
    Slot(ProofError),
    /// The snapshot is not proved in the registry.
    #[error("the snapshot in the registry: {0}")]
    Registry(ProofError),
}

/// What a verified proof establishes: what it does not say was not checked, whatever the proof says
/// of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The verified registry checkpoint, to ask for cosignatures.
    pub checkpoint: SignedCheckpoint,
    /// The snapshot it went through; its time is the signer's word.
    pub snapshot: Snapshot,
    /// The log's id.
    pub log_id: String,
    /// The slot its head stands in.
    pub slot: u64,
    /// The record's place in that log.
    pub sequence_number: u64,
    /// The record's hash.
    pub record_hash: Hash,
    /// The receipt: only where the record's bytes were given, since nothing else holds its tenant,
    /// id and time.
    pub receipt: Option<Receipt>,
}

impl RecordProofError {
    /// Which defect it shows of what was proved.
    pub const fn kind(&self) -> FindingKind {
        match self {
            Self::Receipt(_) | Self::Record(_) => FindingKind::ContentMismatch,
            Self::Checkpoint(_) => FindingKind::BadSignature,
            _ => FindingKind::RootMismatch,
        }
    }
}

impl RecordProof {
    /// Checks every step against the registry's key; with the record's bytes the receipt as well.
    ///
    /// # Errors
    /// [`RecordProofError`] names the step that fails; the record is then not proved.
    pub fn verify(
        &self,
        key: &VerifierKey,
        leaf: Option<&[u8]>,
    ) -> Result<Proved, RecordProofError> {
        if self.proof_version != 1 {
            return Err(RecordProofError::Version(self.proof_version));
        }
        let paths = [&self.log.path, &self.snapshot.path, &self.registry.path];
        if paths.iter().any(|path| path.len() > PROOF_HASHES_MAX) {
            return Err(RecordProofError::TooLong);
        }
        if let Some(leaf) = leaf {
            self.receipt.check(leaf)?;
        }
        let checkpoint = SignedCheckpoint::parse(self.registry.checkpoint.as_bytes())?;
        let signed = checkpoint.verify(key)?;
        let snapshot: Snapshot =
            serde_json::from_str(&self.snapshot.line).map_err(|_| RecordProofError::Snapshot)?;
        if snapshot.line() != self.snapshot.line {
            return Err(RecordProofError::Snapshot);
        }
        let line = leaf_hash(self.snapshot.line.as_bytes());
        verify_inclusion(
            &line,
            snapshot.number,
            signed.size,
            &self.registry.path,
            &signed.root,
        )
        .map_err(RecordProofError::Registry)?;
        let head = leaf_hash(&slot_leaf(&self.log.log_id, &self.log.root, self.log.size));
        let SnapshotPart { slot, path, .. } = &self.snapshot;
        verify_inclusion(&head, *slot, snapshot.slots, path, &snapshot.root)
            .map_err(RecordProofError::Slot)?;
        let Receipt {
            record_hash,
            sequence_number,
            ..
        } = &self.receipt;
        let LogPart {
            size, path, root, ..
        } = &self.log;
        verify_inclusion(record_hash, *sequence_number, *size, path, root)
            .map_err(RecordProofError::Record)?;
        Ok(Proved {
            checkpoint,
            snapshot,
            log_id: self.log.log_id.clone(),
            slot: *slot,
            sequence_number: *sequence_number,
            record_hash: *record_hash,
            receipt: leaf.map(|_| self.receipt.clone()),
        })
    }
}
