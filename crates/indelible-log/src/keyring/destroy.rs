//! New generations, and keys destroyed for good.
//!
//! Destroying a key rewraps the other keys of its bucket under a new bucket key and removes the old
//! one, in one change set: a copy of the subject's wrapped key opens nothing any more. What is not
//! here: pages of the store's file that still hold old bytes, backups, and the record of an
//! erasure. `spec/sealing.md` §destruction.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_event::ids::TenantId;
use indelible_store::{Change, Error, Handle, Kind, Result};

use super::subject::{Asked, Identity, Stage, Subject};
use super::wrap::{self, Name, bucket_of};
use super::{
    Keyring, SPACE_BUCKETS, SPACE_IDENTITIES, SPACE_SUBJECTS, bucket_key, identity_key, subject_key,
};

/// Entries read at a time.
const PAGE: usize = 1_024;

impl Keyring {
    /// Begins a new generation of a subject: later records are sealed under a new key.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when another writer was faster: try again; else as the store.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn rotate(&self, tenant: &TenantId, identity: Identity<'_>) -> Result<Arc<Subject>> {
        self.flush_pending()?;
        let _writing = self.writing.lock();
        let asked = Asked { tenant, identity };
        let keys = self.tenant_keys(tenant)?;
        if keys.stage.get() == Stage::Pending {
            return Err(Error::new(
                Kind::NotFound,
                "this tenant has no subjects yet",
            ));
        }
        let (mut handles, version) = self.handles_of(&keys, identity)?;
        if version == 0 {
            return Err(Error::new(
                Kind::NotFound,
                "nothing was sealed for this subject yet",
            ));
        }
        let handle = Handle(self.bytes());
        handles.push(handle);
        let (bucket, touched) = self.touch_bucket(tenant, bucket_of(handle))?;
        let subject = Subject::new(Arc::clone(&keys), handle, self.secret(), Stage::Durable);
        let name = Name::Subject(tenant.as_str(), handle);
        self.store.apply(&[
            self.count_write()?,
            touched,
            Change {
                space: SPACE_SUBJECTS,
                key: subject_key(tenant, handle),
                expected: Some(0),
                value: Some(wrap::wrap(&bucket, name, &subject.key)?),
            },
            Change {
                space: SPACE_IDENTITIES,
                key: identity_key(tenant, &keys.identity_hash(identity)),
                expected: Some(version),
                value: Some(handles.iter().flat_map(|handle| handle.0).collect()),
            },
        ])?;
        let subject = Arc::new(subject);
        self.by_identity
            .insert(asked.to_known(), Arc::clone(&subject));
        self.by_handle.insert(handle, Arc::clone(&subject));
        Ok(subject)
    }

    /// All generations of a subject, oldest first, destroyed ones included.
    ///
    /// # Errors
    /// As the store.
    pub fn generations(&self, tenant: &TenantId, identity: Identity<'_>) -> Result<Vec<Handle>> {
        match self.known_tenant(tenant)? {
            Some(keys) => Ok(self.handles_of(&keys, identity)?.0),
            None => Ok(Vec::new()),
        }
    }

    /// Destroys the keys of these handles; what was sealed under them can never be read again, and
    /// every proof stays valid. Handles without a key are passed over.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when another writer changed a bucket: nothing was destroyed, try again.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn destroy(&self, tenant: &TenantId, handles: &[Handle]) -> Result<()> {
        self.flush_pending()?;
        let _writing = self.writing.lock();
        let mut buckets: BTreeMap<u8, Vec<Handle>> = BTreeMap::new();
        for &handle in handles {
            buckets.entry(bucket_of(handle)).or_default().push(handle);
        }
        let mut changes = Vec::new();
        for (bucket, gone) in buckets {
            self.rewrap(tenant, bucket, &gone, &mut changes)?;
        }
        if !changes.is_empty() {
            changes.push(self.count_write()?);
        }
        // Held, so that nobody takes an old key from the store up again between write and clearing.
        let pending = self.pending.lock();
        self.store.apply(&changes)?;
        let stays = |subject: &Arc<Subject>| {
            let stays = !handles.contains(&subject.handle);
            if !stays {
                subject.stage.set(Stage::Superseded);
            }
            stays
        };
        self.by_handle.retain(|_, subject| stays(subject));
        self.by_identity.retain(|_, subject| stays(subject));
        drop(pending);
        self.rows.forget(handles);
        Ok(())
    }

    /// The changes that move a bucket to a new key without the keys of `gone`.
    fn rewrap(
        &self,
        tenant: &TenantId,
        bucket: u8,
        gone: &[Handle],
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let Some((old, version)) = self.load_bucket(tenant, bucket)? else {
            return Ok(());
        };
        let new = self.secret();
        let name = Name::Bucket(tenant.as_str(), bucket);
        let prefix = bucket_key(tenant, bucket);
        changes.push(Change {
            space: SPACE_BUCKETS,
            key: prefix.clone(),
            expected: Some(version),
            value: Some(wrap::wrap(self.master()?, name, &new)?),
        });
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .store
                .scan(SPACE_SUBJECTS, &prefix, after.as_deref(), PAGE)?;
            for (key, wrapped, version) in &page {
                let handle: [u8; 16] = key[prefix.len()..].try_into().map_err(|_| {
                    Error::new(
                        Kind::Corrupt,
                        "a key in the key store has a name of another form",
                    )
                })?;
                let name = Name::Subject(tenant.as_str(), Handle(handle));
                let value = if gone.contains(&Handle(handle)) {
                    None
                } else {
                    let key = wrap::unwrap(&old, name, wrapped)?;
                    Some(wrap::wrap(&new, name, &key)?)
                };
                changes.push(Change {
                    space: SPACE_SUBJECTS,
                    key: key.clone(),
                    expected: Some(*version),
                    value,
                });
            }
            match page.last() {
                Some((key, ..)) if page.len() == PAGE => after = Some(key.clone()),
                _ => return Ok(()),
            }
        }
    }
}
