//! Checking a stored log: the leaves against each other, the published head, the signatures, the
//! disclosures (`spec/chain.md` §5).
//!
//! The verifier itself is `indelible-proof`'s and is the one that checks an export elsewhere; here
//! it is fed from the stores.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use indelible_event::{EventView, LeafView, TenantId};
use indelible_merkle::{Frontier, leaf_hash};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::{Finding, FindingKind, Place, Span};
use indelible_proof::note::VerifierKey;
use indelible_proof::registry::Snapshot;
use indelible_proof::verify::{Expected, LogIdentity, LogVerifier, Trust, Verdict};
use indelible_store::{Error, Kind, Result, Stored, StoredRecord};

use crate::disclose::disclose;
use crate::keyring::Keyring;
use crate::log::Stores;
use crate::prove::Newest;
use crate::registry::{
    Identity, PublishedHead, SNAPSHOTS, log_row, published_heads, row, snapshot_key, staged,
};
use crate::rollback::{head_finding, registry_finding};

/// What the caller trusts that does not come from the stores.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The registry's verifier key, got from elsewhere.
    pub key: Option<VerifierKey>,
    /// What the signer keeps: the last checkpoint of the registry that it signed.
    pub kept: Option<Checkpoint>,
    /// A checkpoint of a log that somebody kept; compared with the log whose id it names.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Whether personal values are opened and compared with their commitments.
    pub values: bool,
}

/// Verifies one tenant's log as it is stored; `progress` is told how many records were checked.
///
/// # Errors
/// Only when a store cannot be asked; what is wrong with the log is in the verdict.
pub fn verify_log(
    stores: &Stores,
    keyring: &Keyring,
    tenant: &TenantId,
    anchors: &Anchors,
    progress: &mut dyn FnMut(u64),
) -> Result<Verdict> {
    let mut verifier = LogVerifier::new(tenant.as_str());
    let size = match stores.ledger.head(tenant) {
        Ok(Some(head)) => {
            let size = head.frontier.size();
            verifier.stored_head(size, head.frontier.root());
            size
        }
        Ok(None) => 0,
        // Records that cannot be read hide the tree: all that can be is still checked.
        Err(e) if e.kind() == Kind::Corrupt => u64::MAX,
        Err(e) => return Err(e),
    };
    if let Some(published) = published(stores, tenant)? {
        note_published(&mut verifier, stores, tenant, &published, anchors)?;
    }
    if let Some(signed) = &anchors.checkpoint {
        note_given(&mut verifier, stores, tenant, signed, anchors)?;
    }
    let values = anchors.values && keyring.has_master();
    if values {
        verifier.expect_disclosures();
    }
    let mut failed = None;
    let mut damage = None;
    let mut unread = UnreadValues::default();
    stores.ledger.read(tenant, 0..size, &mut |stored| {
        match stored {
            Stored::Record(record) => {
                tell_damage(&mut verifier, damage.take());
                if let Some(place) = record.unread {
                    unread.meet(&mut verifier, record.sequence_number, place);
                } else if values
                    && let Err(e) = give_values(&mut verifier, keyring, tenant, &record)
                {
                    failed = Some(e);
                    return ControlFlow::Break(());
                }
                let number = record.sequence_number;
                let expected = Expected {
                    sequence_number: Some(number),
                    record_hash: None,
                };
                verifier.push_expecting(record.leaf, expected);
                progress(number + 1);
            }
            Stored::Damaged { range, place } => {
                let span = Span::new(range.start, range.end.saturating_sub(1));
                damage = match damage.take() {
                    Some((before, at)) if at == place => {
                        Some((Span::new(before.first, span.last), at))
                    }
                    before => {
                        tell_damage(&mut verifier, before);
                        Some((span, place))
                    }
                };
            }
        }
        ControlFlow::Continue(())
    })?;
    tell_damage(&mut verifier, damage);
    unread.tell(&mut verifier);
    failed.map_or_else(|| Ok(verifier.finish()), Err)
}

/// Names records that cannot be read, neighbours of one place together.
fn tell_damage(verifier: &mut LogVerifier, damage: Option<(Span, Place)>) {
    if let Some((span, place)) = damage {
        let message = "the stored bytes are not those that were written";
        verifier.unreadable(span, place, message);
    }
}

/// Records whose personal values cannot be read, by where these stand: one row holds the value of
/// many records.
#[derive(Default)]
struct UnreadValues(BTreeMap<(String, u64), (Place, Span, u64)>);

impl UnreadValues {
    fn meet(&mut self, verifier: &mut LogVerifier, number: u64, place: &Place) {
        verifier.excuse_values(number);
        let key = (place.file.clone(), place.bytes.start);
        let one = || (place.clone(), Span::one(number), 0);
        let (_, span, count) = self.0.entry(key).or_insert_with(one);
        span.last = number;
        *count += 1;
    }

    fn tell(self, verifier: &mut LogVerifier) {
        for (place, span, count) in self.0.into_values() {
            let mut message = "stored personal values are not those that were written".to_owned();
            if count < span.count() {
                message = format!("{message}: of {count} of these records");
            }
            verifier.damaged_values(span, place, &message);
        }
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

fn published(stores: &Stores, tenant: &TenantId) -> Result<Option<PublishedHead>> {
    let state = stores.state.as_ref();
    let Some(row) = log_row(state, tenant)? else {
        return Ok(None);
    };
    Ok(published_heads(state)?.remove(&row.slot))
}

/// Compares with the tenant's signed checkpoint: under the key from elsewhere, else under the one
/// that the log itself names.
fn note_published(
    verifier: &mut LogVerifier,
    stores: &Stores,
    tenant: &TenantId,
    published: &PublishedHead,
    anchors: &Anchors,
) -> Result<()> {
    let (key, trust) = match &anchors.key {
        Some(key) => (Some(key.clone()), Trust::Key),
        None => (named_key(stores, tenant)?, Trust::Named),
    };
    let signed = SignedCheckpoint::parse(published.checkpoint.as_bytes())
        .map_err(|e| Error::new(Kind::Corrupt, format!("the checkpoint of {tenant}")).caused_by(e));
    let (Some(key), Ok(signed)) = (key, signed) else {
        return Ok(());
    };
    let origin = signed.unverified().origin.clone();
    if let Ok(key) = key.renamed(&origin) {
        verifier.checkpoint(&signed, &key, trust);
    }
    Ok(())
}

/// Compares with a checkpoint that somebody kept, if it is of this log.
fn note_given(
    verifier: &mut LogVerifier,
    stores: &Stores,
    tenant: &TenantId,
    signed: &SignedCheckpoint,
    anchors: &Anchors,
) -> Result<()> {
    let id = match log_row(stores.state.as_ref(), tenant)? {
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
fn named_key(stores: &Stores, tenant: &TenantId) -> Result<Option<VerifierKey>> {
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

/// Checks the registry: the newest snapshot against the published heads, its checkpoint's
/// signature, and what the signer keeps.
///
/// # Errors
/// Only when the state store cannot be asked.
pub fn verify_registry(stores: &Stores, anchors: &Anchors) -> Result<Vec<Finding>> {
    let state = stores.state.as_ref();
    let mut findings = Vec::new();
    let newest = Newest::read(state)?;
    if let Some(kept) = &anchors.kept {
        // A publication that was cut short left the signer ahead by the snapshot that is staged.
        let staged = staged(state)?;
        let head = match &staged {
            Some(staged) if kept.size > newest.registry.size => &staged.head,
            _ => &newest.registry,
        };
        findings.extend(registry_finding(state, Some(kept), head)?);
    }
    if newest.registry.size == 0 {
        return Ok(findings);
    }
    let snapshot: std::result::Result<Snapshot, _> = serde_json::from_str(&newest.registry.line);
    let root = newest.slots_root();
    if !snapshot.is_ok_and(|s| s.line() == newest.registry.line && s.root == root) {
        let message = "the published heads do not lead to the root of the newest snapshot";
        findings.push(Finding::new(FindingKind::RootMismatch, message));
    }
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
