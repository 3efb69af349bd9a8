//! Checking a stored log: the leaves against each other, the published head, the signatures, the
//! disclosures (`spec/chain.md` §5).
//!
//! The verifier itself is `indelible-proof`'s and is the one that checks an export elsewhere; here
//! it is fed from the stores.

use std::ops::{ControlFlow, Range};

use indelible_event::{EventView, LeafView, TenantId};
use indelible_merkle::{Frontier, leaf_hash};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::{Finding, FindingKind, Span};
use indelible_proof::note::VerifierKey;
use indelible_proof::verify::{Expected, LogIdentity, LogVerifier, Trust, Verdict};
use indelible_store::{Error, Head, Kind, Result, State, Stored, StoredRecord};

use crate::disclose::disclose;
use crate::keyring::Keyring;
use crate::log::Stores;
use crate::prove::Newest;
use crate::registry::{
    Identity, PublishedHead, RegistryHead, SNAPSHOTS, log_row, published_at, published_heads,
    registry_head, row, snapshot_key, staged,
};
use crate::rollback::{head_finding, lost_tail, registry_finding};

pub use crate::rollback::{Lost, keys_finding};

/// What the signer keeps, as far as it is known here.
#[derive(Clone, Debug, Default)]
pub enum Kept {
    /// The last checkpoint of the registry that it signed.
    Checkpoint(Checkpoint),
    /// Nothing: it has signed nothing, else its memory is gone.
    Nothing,
    /// The signer's memory is not here, so that nothing is compared with it.
    #[default]
    Elsewhere,
}

/// What the caller trusts that does not come from the stores.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The registry's verifier key, got from elsewhere.
    pub key: Option<VerifierKey>,
    /// What the signer keeps.
    pub kept: Kept,
    /// A checkpoint of a log that somebody kept; compared with the log whose id it names.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Whether personal values are opened and compared with their commitments.
    pub values: bool,
}

/// Verifies one tenant's log as it is stored; `progress` is told how many records were checked and
/// the last one's leaf, and breaks off by what it says.
///
/// # Errors
/// Only when a store cannot be asked, and [`Kind::Unavailable`] when it was broken off; what is
/// wrong with the log is in the verdict.
pub fn verify_log(
    stores: &Stores,
    keyring: &Keyring,
    tenant: &TenantId,
    anchors: &Anchors,
    progress: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<Verdict> {
    let mut verifier = LogVerifier::new(tenant.as_str());
    let (size, stored) = tell_head(&mut verifier, stores, tenant)?;
    let published = readable(published(stores, tenant))?.flatten();
    let mut unread = None;
    if let Some(published) = &published {
        unread = note_published(&mut verifier, stores, tenant, published, anchors)?;
    }
    if let Some(signed) = &anchors.checkpoint {
        note_given(&mut verifier, stores, tenant, signed, anchors)?;
    }
    let values = anchors.values && keyring.has_master();
    if values {
        verifier.expect_disclosures();
    }
    let mut failed = None;
    let mut end = 0;
    stores.ledger.read(tenant, 0..size, &mut |stored| {
        match stored {
            Stored::Record(record) => {
                let number = record.sequence_number;
                if let Some(place) = record.unread {
                    verifier.damaged_value(number, place);
                } else if values
                    && let Err(e) = give_values(&mut verifier, keyring, tenant, &record)
                {
                    failed = Some(e);
                    return ControlFlow::Break(());
                }
                let expected = Expected {
                    sequence_number: Some(number),
                    record_hash: None,
                };
                verifier.push_expecting(record.leaf, expected);
                // One that stands twice comes again behind a later one.
                end = end.max(number.saturating_add(1));
                if progress(end, record.leaf).is_break() {
                    let text = "the verification was broken off";
                    failed = Some(Error::new(Kind::Unavailable, text));
                    return ControlFlow::Break(());
                }
            }
            Stored::Damaged { range, place } => {
                end = end.max(range.end);
                verifier.unreadable(span_of(&range), &place);
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    let ledger = stores.ledger.as_ref();
    if let Some(published) = &published
        && let Some(lost) = lost_tail(ledger, end, published)?
        && let Some(place) = &lost.place
    {
        verifier.unreadable(lost.records, place);
    }
    let mut verdict = verifier.finish();
    verdict.integrity.extend(unread);
    if verdict.integrity.is_empty() {
        // All records are there, and the store cannot tell where they end, or is wrong about it.
        let wrong = match stored {
            Ok(stored) => head_derived(stored.as_ref(), &verdict),
            Err(why) => Some(Finding::new(FindingKind::Corrupt, why.context())),
        };
        verdict
            .integrity
            .extend(wrong.map(|finding| finding.tenant(tenant.as_str())));
    }
    Ok(verdict)
}

/// That the stored head is not that of the records, which are in order: what is committed next
/// would build on it.
fn head_derived(stored: Option<&Head>, verdict: &Verdict) -> Option<Finding> {
    let (stored, found) = (stored?, &verdict.head);
    let root_differs = found
        .root
        .is_some_and(|root| root != stored.frontier.root());
    let what = if stored.frontier.size() != found.size {
        "size"
    } else if found.last_hash.is_some_and(|hash| hash != stored.last_hash) {
        "last hash"
    } else if root_differs {
        "frontier"
    } else {
        return None;
    };
    let message = format!("the {what} of the stored head is not that of the records");
    Some(Finding::new(FindingKind::DerivedDamaged, message))
}

/// Tells of the stored head, and up to which record is read: to the end where there is no head, of
/// which it is said why not.
fn tell_head(
    verifier: &mut LogVerifier,
    stores: &Stores,
    tenant: &TenantId,
) -> Result<(u64, Result<Option<Head>>)> {
    match stores.ledger.head(tenant) {
        Ok(Some(head)) => {
            let size = head.frontier.size();
            verifier.stored_head(size, head.frontier.root());
            Ok((size, Ok(Some(head))))
        }
        Ok(None) => Ok((0, Ok(None))),
        // Records that cannot be read hide the tree: all that can be is still checked.
        Err(e) if e.kind() == Kind::Corrupt => Ok((u64::MAX, Err(e))),
        Err(e) => Err(e),
    }
}

fn give_values(
    verifier: &mut LogVerifier,
    keyring: &Keyring,
    tenant: &TenantId,
    record: &StoredRecord<'_>,
) -> Result<()> {
    if record.sealed.is_empty() {
        return Ok(());
    }
    // A leaf that cannot be read is the verifier's to name.
    let Ok(leaf) = LeafView::locate(record.leaf) else {
        return Ok(());
    };
    let Ok(event) = EventView::parse(leaf.event()) else {
        return Ok(());
    };
    for line in disclose(keyring, tenant, &event, record)?.lines {
        verifier.disclosures(line);
    }
    Ok(())
}

/// A state store that is damaged is its opener's to name; the records are verified without it.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}

fn published(stores: &Stores, tenant: &TenantId) -> Result<Option<PublishedHead>> {
    let state = stores.state.as_ref();
    let Some(row) = log_row(state, tenant)? else {
        return Ok(None);
    };
    published_at(state, row.slot)
}

/// Sequence numbers that are not empty, as a finding says them.
fn span_of(range: &Range<u64>) -> Span {
    Span::new(range.start, range.end.saturating_sub(1))
}

/// Compares with the tenant's signed checkpoint: under the key from elsewhere, else under the one
/// that the log itself names. The finding when that checkpoint cannot be read.
fn note_published(
    verifier: &mut LogVerifier,
    stores: &Stores,
    tenant: &TenantId,
    published: &PublishedHead,
    anchors: &Anchors,
) -> Result<Option<Finding>> {
    let signed = match SignedCheckpoint::parse(published.checkpoint.as_bytes()) {
        Ok(signed) => signed,
        Err(e) => {
            let message = format!("the published checkpoint of the log cannot be read: {e}");
            let finding = Finding::new(FindingKind::BadSignature, message);
            return Ok(Some(finding.tenant(tenant.as_str())));
        }
    };
    let (key, trust) = match &anchors.key {
        Some(key) => (Some(key.clone()), Trust::Key),
        None => (named_key(stores, tenant)?, Trust::Named),
    };
    let Some(key) = key else {
        return Ok(None);
    };
    let origin = signed.unverified().origin.clone();
    if let Ok(key) = key.renamed(&origin) {
        verifier.checkpoint(&signed, &key, trust);
    }
    Ok(None)
}

/// Compares with a checkpoint that somebody kept, if it is of this log.
fn note_given(
    verifier: &mut LogVerifier,
    stores: &Stores,
    tenant: &TenantId,
    signed: &SignedCheckpoint,
    anchors: &Anchors,
) -> Result<()> {
    let id = match readable(log_row(stores.state.as_ref(), tenant))?.flatten() {
        Some(row) => Some(row.log_id),
        None => who_it_says(stores, tenant)?.map(|who| who.log_id),
    };
    let origin = &signed.unverified().origin;
    let of = origin.rsplit_once('/').map(|(_, id)| id);
    if id.is_none() || id.as_deref() != of {
        return Ok(());
    }
    let (key, trust) = match &anchors.key {
        Some(key) => (Some(key.clone()), Trust::Key),
        None => (named_key(stores, tenant)?, Trust::Named),
    };
    if let Some(key) = key.and_then(|key| key.renamed(origin).ok()) {
        verifier.checkpoint(signed, &key, trust);
    }
    Ok(())
}

/// The verifier key that the log's first record names.
pub(crate) fn named_key(stores: &Stores, tenant: &TenantId) -> Result<Option<VerifierKey>> {
    Ok(who_it_says(stores, tenant)?.and_then(|who| who.verifier_key.parse().ok()))
}

/// Who the log's first record says it is.
pub(crate) fn who_it_says(stores: &Stores, tenant: &TenantId) -> Result<Option<LogIdentity>> {
    let mut who = None;
    stores.ledger.read(tenant, 0..1, &mut |stored| {
        if let Stored::Record(record) = stored {
            let mut first = LogVerifier::new(tenant.as_str());
            first.push(record.leaf);
            who = first.finish().identity;
        }
        ControlFlow::Break(())
    })?;
    Ok(who)
}

/// Compares what was published with the last checkpoint that the signer signed, which is to be read
/// first: the state is at least as new then, also while a writer goes on beside.
///
/// # Errors
/// Only when the state store cannot be asked.
pub fn verify_kept(stores: &Stores, kept: &Checkpoint) -> Result<Option<Finding>> {
    let state = stores.state.as_ref();
    kept_finding(state, kept, &registry_head(state)?)
}

fn kept_finding(
    state: &dyn State,
    kept: &Checkpoint,
    newest: &RegistryHead,
) -> Result<Option<Finding>> {
    // A publication that was cut short left the signer ahead by the snapshot that is staged.
    let staged = staged(state)?;
    let head = match &staged {
        Some(staged) if kept.size > newest.size => &staged.head,
        _ => newest,
    };
    registry_finding(state, Some(kept), head)
}

/// Checks the registry: the newest snapshot against the published heads, its checkpoint's
/// signature, and what the signer keeps.
///
/// # Errors
/// Only when the state store cannot be asked.
pub fn verify_registry(stores: &Stores, anchors: &Anchors) -> Result<Vec<Finding>> {
    let state = stores.state.as_ref();
    let mut findings = Vec::new();
    let newest = Newest::read(state)?;
    match &anchors.kept {
        Kept::Checkpoint(kept) => findings.extend(kept_finding(state, kept, &newest.registry)?),
        Kept::Nothing => findings.extend(registry_finding(state, None, &newest.registry)?),
        Kept::Elsewhere => {}
    }
    if newest.registry.size == 0 {
        return Ok(findings);
    }
    findings.extend(newest.slots_finding());
    let signed = SignedCheckpoint::parse(newest.registry.checkpoint.as_bytes());
    let frontier = crate::publish::frontier_of(&newest.registry)?;
    match signed {
        Err(e) => {
            let message = format!("the registry's checkpoint cannot be read: {e}");
            findings.push(Finding::new(FindingKind::BadSignature, message));
        }
        Ok(signed) => {
            let says = signed.unverified();
            let line = leaf_hash(newest.registry.line.as_bytes());
            let mut before = newest.before()?;
            before.append(line);
            if says.size != frontier.size() || says.root != frontier.root() || before != frontier {
                let message = "the registry's snapshots do not lead to the root of its checkpoint";
                findings.push(Finding::new(FindingKind::RootMismatch, message));
            }
            if let Some(key) = &anchors.key
                && let Ok(key) = key.renamed(&says.origin)
                && let Err(e) = signed.verify(&key)
            {
                let message = format!("the registry's checkpoint: {e}");
                findings.push(Finding::new(FindingKind::BadSignature, message));
            }
        }
    }
    Ok(findings)
}

/// Compares a checkpoint of the registry of another incarnation than the one in force with the
/// snapshots that are left of it.
///
/// # Errors
/// Only when the state store cannot be asked.
pub fn verify_left(
    stores: &Stores,
    who: &Identity,
    incarnation: u64,
    says: &Checkpoint,
) -> Result<Option<Finding>> {
    let now = who.incarnation;
    if incarnation > now {
        let message = format!(
            "the checkpoint given is of incarnation {incarnation}, and the ledger is in its {now}: \
             it is older than what was signed"
        );
        return Ok(Some(Finding::new(FindingKind::RolledBack, message)));
    }
    let mut here = Frontier::new();
    while here.size() < says.size {
        let key = snapshot_key(incarnation, here.size());
        let line: Option<(String, u64)> = row(stores.state.as_ref(), SNAPSHOTS, &key)?;
        let Some((line, _)) = line else {
            let message = format!(
                "the checkpoint given vouches for {} snapshots of incarnation {incarnation}, {} of \
                 them are here: the ledger was recovered from a roll-back and is in incarnation \
                 {now}; each log declares its loss",
                says.size,
                here.size()
            );
            return Ok(Some(Finding::new(FindingKind::RolledBack, message)));
        };
        here.append(leaf_hash(line.as_bytes()));
    }
    Ok((here.root() != says.root).then(|| {
        let message = format!(
            "the first {} snapshots of incarnation {incarnation} are not those of the checkpoint \
             given",
            says.size
        );
        Finding::new(FindingKind::Forked, message)
    }))
}

/// Records that were published and are not here, at the end of each log, and the bytes that cannot
/// be read in which they stood, as far as can be told.
///
/// # Errors
/// Only when a store cannot be asked.
pub fn lost_tails(stores: &Stores) -> Result<Vec<Lost>> {
    let ledger = stores.ledger.as_ref();
    let mut lost = Vec::new();
    for published in published_heads(stores.state.as_ref())?.values() {
        let size = match ledger.head(&published.tenant) {
            Ok(head) => head.map_or(0, |head| head.frontier.size()),
            // Its records are named by what is left of it.
            Err(e) if e.kind() == Kind::Corrupt => continue,
            Err(e) => return Err(e),
        };
        lost.extend(lost_tail(ledger, size, published)?);
    }
    Ok(lost)
}

/// Whether every log still reaches and leads to the head that was published of it: what cutting
/// files short or losing them shows in. Reads no records but where a head has moved on.
///
/// # Errors
/// Only when a store cannot be asked.
pub fn verify_heads(stores: &Stores) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for head in published_heads(stores.state.as_ref())?.values() {
        findings.extend(head_finding(stores.ledger.as_ref(), head)?);
    }
    Ok(findings)
}
