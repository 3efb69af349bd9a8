//! The prover: one record under the newest signed checkpoint of the registry (`spec/receipt.md`
//! §2).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use indelible_event::ids::{AuditId, TenantId};
use indelible_event::leaf::LeafView;
use indelible_event::{EventView, Field};
use indelible_merkle::{Frontier, Hash, inclusion_proof, leaf_hash, root_of};
use indelible_proof::finding::{Finding, FindingKind, Span};
use indelible_proof::note::VerifierKey;
use indelible_proof::receipt::Receipt;
use indelible_proof::registry::{
    LogPart, RecordProof, RecordProofError, RegistryPart, Snapshot, SnapshotPart,
};
use indelible_store::{Error, Kind, Ledger, Result, State, Stored};

use crate::log::Stores;
use crate::publish::{frontier_of, slot_leaves};
use crate::registry::{
    LogRow, PublishedHead, RegistryHead, TENANTS, all_rows, log_row, published_heads, registry_head,
};
use crate::rollback::head_finding;
use crate::verify::named_key;

/// The registry as it was published last.
pub(crate) struct Newest {
    pub(crate) registry: RegistryHead,
    logs: BTreeMap<u64, LogRow>,
    pub(crate) heads: BTreeMap<u64, PublishedHead>,
}

impl Newest {
    /// Reads it, again while a publication goes on beside.
    pub(crate) fn read(state: &dyn State) -> Result<Self> {
        let mut registry = registry_head(state)?;
        loop {
            let logs = all_rows::<LogRow>(state, TENANTS)?
                .into_iter()
                .map(|(_, row)| (row.slot, row))
                .collect();
            let heads = published_heads(state)?;
            let again = registry_head(state)?;
            if again == registry {
                return Ok(Self {
                    registry,
                    logs,
                    heads,
                });
            }
            registry = again;
        }
    }

    /// The leaf hashes of the newest snapshot's slots.
    fn slots(&self) -> Vec<Hash> {
        let snapshot = serde_json::from_str::<Snapshot>(&self.registry.line);
        let count = snapshot.map_or(0, |s| usize::try_from(s.slots).unwrap_or(usize::MAX));
        let mut slots = slot_leaves(&self.logs, &self.heads);
        slots.truncate(count);
        slots
    }

    /// Whether the rows of logs and their published heads are those that the newest snapshot, and
    /// with it the signer, vouches for.
    pub(crate) fn slots_finding(&self) -> Option<Finding> {
        if self.registry.size == 0 {
            return None;
        }
        let line = &self.registry.line;
        let snapshot = serde_json::from_str::<Snapshot>(line).ok();
        let root = root_of(self.slots());
        let vouched = snapshot.is_some_and(|s| s.line() == *line && s.root == root);
        (!vouched).then(|| {
            let message = "the published heads do not lead to the root of the newest snapshot";
            Finding::new(FindingKind::RootMismatch, message)
        })
    }

    /// Whether all of it is what the registry's root, which the signer keeps, vouches for.
    pub(crate) fn finding(&self) -> Result<Option<Finding>> {
        if self.registry.size == 0 {
            return Ok(None);
        }
        let mut lines = self.before()?;
        lines.append(leaf_hash(self.registry.line.as_bytes()));
        if lines != frontier_of(&self.registry)? {
            let message = "the newest snapshot is not the last of the registry";
            return Ok(Some(Finding::new(FindingKind::RootMismatch, message)));
        }
        Ok(self.slots_finding())
    }

    /// The registry log's frontier before the newest snapshot.
    pub(crate) fn before(&self) -> Result<Frontier> {
        let size = self.registry.size.saturating_sub(1);
        Frontier::from_parts(size, self.registry.before.clone())
            .map_err(|e| Error::new(Kind::Corrupt, "the registry's head").caused_by(e))
    }
}

/// Proves the record with this sequence number, and checks the proof under `key`, else under the
/// key that the log names; the finding when it does not hold.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such record or it is not published yet: publish, then ask
/// again.
pub fn prove(
    stores: &Stores,
    tenant: &TenantId,
    number: u64,
    key: Option<&VerifierKey>,
) -> Result<std::result::Result<RecordProof, Finding>> {
    let state = stores.state.as_ref();
    let missing = |what: String| Error::new(Kind::NotFound, what);
    let row =
        log_row(state, tenant)?.ok_or_else(|| missing(format!("there is no tenant {tenant}")))?;
    let newest = Newest::read(state)?;
    let head = newest
        .heads
        .get(&row.slot)
        .filter(|head| number < head.size)
        .ok_or_else(|| missing(format!("record {number} of {tenant} is not published yet")))?;
    let ledger = stores.ledger.as_ref();
    let (receipt, leaf) = receipt_and_leaf(ledger, tenant, number)?;
    let path = inclusion_proof(number, head.size, |level, index| {
        ledger.subtree(tenant, level, index)
    });
    let log = LogPart {
        log_id: row.log_id.clone(),
        path: path.map_err(damaged)?,
        root: head.root,
        size: head.size,
    };
    let registry = &newest.registry;
    let mut path = registry.before.clone();
    path.reverse();
    let proof = RecordProof {
        log,
        proof_version: 1,
        receipt,
        registry: RegistryPart {
            checkpoint: registry.checkpoint.clone(),
            path,
        },
        snapshot: snapshot_part(&newest, row.slot)?,
    };
    let key = match key {
        Some(key) => Some(key.clone()),
        None => named_key(stores, tenant)?,
    };
    let key = key.ok_or_else(|| damaged("the log's first record does not name the key"))?;
    // The key goes by the origin in force, which is another after a recovery.
    let origin = registry.checkpoint.lines().next().unwrap_or_default();
    let key = key.renamed(origin).unwrap_or(key);
    match proof.verify(&key, Some(&leaf)) {
        Ok(_) => Ok(Ok(proof)),
        Err(why) => why_not(ledger, head, number, &why).map(Err),
    }
}

/// What is wrong where a proof does not hold: of the log, when its head tells, else of the step.
fn why_not(
    ledger: &dyn Ledger,
    head: &PublishedHead,
    number: u64,
    why: &RecordProofError,
) -> Result<Finding> {
    if let RecordProofError::Record(_) = why
        && let Some(finding) = head_finding(ledger, head)?
    {
        return Ok(finding);
    }
    Ok(
        Finding::new(why.kind(), format!("it cannot be proved: {why}"))
            .tenant(head.tenant.as_str())
            .records(Span::one(number)),
    )
}

/// Where the head stands in the newest snapshot.
fn snapshot_part(newest: &Newest, slot: u64) -> Result<SnapshotPart> {
    let line = newest.registry.line.clone();
    let snapshot: Snapshot = serde_json::from_str(&line)
        .map_err(|e| Error::new(Kind::Corrupt, "the newest snapshot's line").caused_by(e))?;
    let slots = newest.slots();
    let path = inclusion_proof(slot, snapshot.slots, |level, index| {
        let range = index << level..(index + 1) << level;
        let range = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok());
        let part = range.and_then(|(start, end)| slots.get(start..end));
        let part = part.ok_or_else(|| Error::new(Kind::Corrupt, "a slot is missing"))?;
        Ok::<Hash, Error>(root_of(part.iter().copied()))
    });
    Ok(SnapshotPart {
        line,
        path: path.map_err(damaged)?,
        slot,
    })
}

fn damaged(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Corrupt, format!("the proof cannot be made: {e}"))
}

/// The receipt of a stored record.
///
/// # Errors
/// [`Kind::NotFound`] or [`Kind::Corrupt`].
pub fn receipt(ledger: &dyn Ledger, tenant: &TenantId, number: u64) -> Result<Receipt> {
    Ok(receipt_and_leaf(ledger, tenant, number)?.0)
}

fn receipt_and_leaf(
    ledger: &dyn Ledger,
    tenant: &TenantId,
    number: u64,
) -> Result<(Receipt, Vec<u8>)> {
    let mut found = Err(Error::new(
        Kind::NotFound,
        format!("there is no record {number} in the log of {tenant}"),
    ));
    ledger.read(tenant, number..number + 1, &mut |stored| {
        found = match stored {
            Stored::Record(record) => {
                receipt_of(tenant, record.leaf).map(|receipt| (receipt, record.leaf.to_vec()))
            }
            Stored::Damaged { place, .. } => Err(Error::new(
                Kind::Corrupt,
                format!("record {number} of {tenant}: {place}"),
            )),
        };
        ControlFlow::Break(())
    })?;
    found
}

fn receipt_of(tenant: &TenantId, leaf: &[u8]) -> Result<Receipt> {
    let view = LeafView::locate(leaf)
        .map_err(|e| Error::new(Kind::Corrupt, format!("a leaf of {tenant}: {e}")))?;
    let id = EventView::parse(view.event())
        .ok()
        .and_then(|event| {
            event
                .text(Field::AuditId)
                .and_then(|id| AuditId::parse(&id).ok())
        })
        .ok_or_else(|| Error::new(Kind::Corrupt, format!("an event of {tenant} has no id")))?;
    Ok(Receipt {
        tenant_id: tenant.clone(),
        audit_id: id,
        sequence_number: view.sequence_number,
        record_hash: leaf_hash(leaf),
        ingested_at: view.ingested_at,
    })
}
