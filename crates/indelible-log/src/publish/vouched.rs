//! What a signature vouches for: the logs that the registry has, each extending what was signed of
//! it before. Rows of the small state are believed only as far as that.
//!
//! Whoever may write to the store can put another log into a slot, take a log back, or stage a
//! snapshot; with the ledger's own signature it would be history.

use std::collections::{BTreeMap, BTreeSet};

use indelible_event::ids::TenantId;
use indelible_merkle::{leaf_hash, root_of};
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::registry::Snapshot;
use indelible_store::{Error, Kind, Result};

use super::{Publisher, frontier_of, slot_leaves};
use crate::log::Stores;
use crate::registry::{LogRow, PublishedHead, Staged, TENANTS, all_rows};
use crate::rollback::extension_finding;
use crate::verify::who_it_says;

impl Publisher {
    /// The logs of the registry, each in the slot and under the id that it was published with.
    pub(super) fn logs(&self, stores: &Stores) -> Result<Vec<(TenantId, LogRow)>> {
        let (mut logs, mut slots, mut ids) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for (key, row) in all_rows::<LogRow>(stores.state.as_ref(), TENANTS)? {
            let name = String::from_utf8_lossy(&key);
            let tenant = TenantId::parse(&name).map_err(|e| {
                Error::new(Kind::Corrupt, format!("tenant {name:?} in the registry")).caused_by(e)
            })?;
            let alone = ids.insert(row.log_id.clone())
                && slots
                    .insert(row.slot, (tenant.clone(), row.log_id.clone()))
                    .is_none();
            if !alone {
                return Err(not_vouched(&other_log(&tenant)));
            }
            logs.push((tenant, row));
        }
        let other = self.heads.iter().find(|(slot, published)| {
            let here = slots.get(*slot);
            here.is_none_or(|(tenant, id)| (tenant, id) != (&published.tenant, &published.log_id))
        });
        match other {
            Some((_, published)) => Err(not_vouched(&other_log(&published.tenant))),
            None => Ok(logs),
        }
    }

    /// Whether a snapshot that was found staged is what could have been staged here: the next one,
    /// of heads that extend those published. Whoever may write to the store could have put it
    /// there.
    pub(super) fn check_staged(&self, stores: &Stores, staged: &Staged) -> Result<()> {
        let Staged { head, heads } = staged;
        let wrong = |why: &str| {
            let message = format!("the snapshot that is staged {why}");
            not_vouched(&Finding::new(FindingKind::Forked, message))
        };
        let mut lines = frontier_of(&self.registry)?;
        let next = self.registry.size;
        lines.append(leaf_hash(head.line.as_bytes()));
        let snapshot: Snapshot = serde_json::from_str(&head.line).map_err(|_| wrong("is none"))?;
        let of_here = head.incarnation == self.identity.incarnation && snapshot.number == next;
        if !of_here || snapshot.line() != head.line || frontier_of(head)? != lines {
            return Err(wrong("is not the next of the registry"));
        }
        let logs = self.logs(stores)?;
        for (slot, new) in heads {
            let row = logs.iter().find(|(_, row)| row.slot == *slot);
            let row =
                row.filter(|(tenant, row)| (tenant, &row.log_id) == (&new.tenant, &new.log_id));
            let (tenant, row) = row.ok_or_else(|| wrong("has a log that is another"))?;
            let published = self.heads.get(slot);
            if published.is_some_and(|published| published.size > new.size) {
                return Err(wrong("has less of a log than was published"));
            }
            match staged_finding(stores, (tenant, row), published, new) {
                Ok(None) => {}
                Ok(Some(finding)) => return Err(not_vouched(&finding)),
                // A log that cannot be read is `verify`'s to name.
                Err(e) if e.kind() == Kind::Corrupt => {}
                Err(e) => return Err(e),
            }
        }
        let mut all = self.heads.clone();
        all.extend(heads.iter().map(|(slot, head)| (*slot, head.clone())));
        let logs = logs.into_iter().map(|(_, row)| (row.slot, row)).collect();
        let mut slots = slot_leaves(&logs, &all);
        slots.truncate(usize::try_from(snapshot.slots).unwrap_or(usize::MAX));
        if slots.len() as u64 != snapshot.slots || root_of(slots) != snapshot.root {
            return Err(wrong("has a root that its heads do not lead to"));
        }
        Ok(())
    }
}

/// What keeps everything from being signed.
pub(super) fn not_vouched(finding: &Finding) -> Error {
    let said = format!("{finding}: nothing is signed; `indelible verify` has more");
    Error::new(Kind::ReadOnly, said)
}

fn other_log(tenant: &TenantId) -> Finding {
    let message = "the registry has not the log that this tenant was given";
    Finding::new(FindingKind::Forked, message).tenant(tenant.as_str())
}

/// Whether a log that was never published is the one that the registry has it for. Of one whose
/// first record cannot be read nothing is known.
pub(super) fn first_finding(
    stores: &Stores,
    tenant: &TenantId,
    row: &LogRow,
) -> Result<Option<Finding>> {
    let who = who_it_says(stores, tenant)?;
    let other = who.is_some_and(|who| who.log_id != row.log_id);
    Ok(other.then(|| other_log(tenant)))
}

/// Whether a log reaches and leads to its head that is staged, and to that published before.
fn staged_finding(
    stores: &Stores,
    (tenant, row): (&TenantId, &LogRow),
    published: Option<&PublishedHead>,
    new: &PublishedHead,
) -> Result<Option<Finding>> {
    let ledger = stores.ledger.as_ref();
    let here = ledger.head(tenant)?;
    let before = match published {
        Some(published) => extension_finding(ledger, here.as_ref(), published)?,
        None => first_finding(stores, tenant, row)?,
    };
    match before {
        None => extension_finding(ledger, here.as_ref(), new),
        found => Ok(found),
    }
}
