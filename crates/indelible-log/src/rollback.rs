//! Whether what is stored still extends what was published and signed.
//!
//! Cutting the tail off a chain leaves a valid chain; only what was kept elsewhere shows it. The
//! published heads stand in the state store, the signer's last checkpoint outside of it.

use indelible_event::TenantId;
use indelible_merkle::root_at;
use indelible_proof::checkpoint::Checkpoint;
use indelible_proof::finding::{Finding, FindingKind, Place, Span};
use indelible_store::{Head, Kind, Ledger, Result, State};

use crate::extend::registry_root;
use crate::keyring::Keyring;
use crate::publish::frontier_of;
use crate::registry::{PublishedHead, RegistryHead, registry_head};

/// Compares the registry with what the signer keeps.
pub(crate) fn registry_finding(
    state: &dyn State,
    kept: Option<&Checkpoint>,
    newest: &RegistryHead,
) -> Result<Option<Finding>> {
    let Some(checkpoint) = kept else {
        return Ok((newest.size > 0).then(|| {
            let message = format!(
                "the signer has no memory of signing, and the registry has {} snapshots",
                newest.size
            );
            Finding::new(FindingKind::RolledBack, message)
        }));
    };
    if checkpoint.size > newest.size {
        let message = format!(
            "{} snapshots were signed and {} are here",
            checkpoint.size, newest.size
        );
        return Ok(Some(Finding::new(FindingKind::RolledBack, message)));
    }
    let root = if checkpoint.size == newest.size {
        frontier_of(newest)?.root()
    } else {
        registry_root(state, newest, checkpoint.size)?
    };
    Ok((root != checkpoint.root).then(|| {
        let message = format!(
            "the first {} snapshots are not those that were signed",
            checkpoint.size
        );
        Finding::new(FindingKind::Forked, message)
    }))
}

/// Compares the key store with what the newest publication noted of it. Copies for reading are to
/// be taken of the state first, or a writer beside makes a false alarm.
///
/// # Errors
/// Only when a store cannot be asked.
pub fn keys_finding(state: &dyn State, keyring: &Keyring) -> Result<Option<Finding>> {
    let noted = registry_head(state)?.key_writes;
    let here = keyring.writes()?;
    Ok((here < noted).then(|| {
        let message =
            format!("keys were written {noted} times to the key store, and {here} are here");
        Finding::new(FindingKind::RolledBack, message)
    }))
}

/// Records at the end of a log that cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whose log.
    pub tenant: TenantId,
    /// Which were published and are not there.
    pub records: Span,
    /// The bytes in which they stood, if there are such; else those bytes are gone.
    pub place: Option<Place>,
}

/// The records that were published and are not among the first `size`, and the bytes that may have
/// held them: then that damage is why the log is short.
pub(crate) fn lost_tail(
    ledger: &dyn Ledger,
    size: u64,
    published: &PublishedHead,
) -> Result<Option<Lost>> {
    if size >= published.size {
        return Ok(None);
    }
    Ok(Some(Lost {
        tenant: published.tenant.clone(),
        records: Span::new(size, published.size - 1),
        place: ledger.unplaced()?.pop(),
    }))
}

/// Compares a tenant's stored log with its published head.
pub(crate) fn head_finding(
    ledger: &dyn Ledger,
    published: &PublishedHead,
) -> Result<Option<Finding>> {
    // Damaged records are `verify`'s to name; other tenants' logs go on.
    let head = match ledger.head(&published.tenant) {
        Err(e) if e.kind() == Kind::Corrupt => return Ok(None),
        head => head?,
    };
    match extension_finding(ledger, head.as_ref(), published) {
        Err(e) if e.kind() == Kind::Corrupt => Ok(None),
        found => found,
    }
}

/// Compares a tenant's head with its published one.
///
/// # Errors
/// [`Kind::Corrupt`] when the tree below the published head cannot be read.
pub(crate) fn extension_finding(
    ledger: &dyn Ledger,
    head: Option<&Head>,
    published: &PublishedHead,
) -> Result<Option<Finding>> {
    let tenant = &published.tenant;
    let size = head.map_or(0, |head| head.frontier.size());
    if let Some(Lost { records, place, .. }) = lost_tail(ledger, size, published)? {
        let finding = if let Some(Place { file, bytes }) = place {
            let message = "the stored bytes are not those that were written";
            Finding::new(FindingKind::Corrupt, message).place(file, bytes)
        } else {
            let total = published.size;
            let message = format!("{total} records were published and {size} are here");
            Finding::new(FindingKind::TruncatedTail, message)
        };
        return Ok(Some(finding.tenant(tenant.as_str()).records(records)));
    }
    let root = match head {
        Some(head) if size == published.size => head.frontier.root(),
        _ => root_at(published.size, |level, index| {
            ledger.subtree(tenant, level, index)
        })?,
    };
    Ok((root != published.root).then(|| {
        let message = format!(
            "its first {} records are not those published",
            published.size
        );
        Finding::new(FindingKind::Forked, message).tenant(tenant.as_str())
    }))
}
