//! New subjects on their way into the key store.
//!
//! Pending keys are written in one change set with compare-and-swap. Another writer may have been
//! first with a person, a bucket or a tenant: its key is adopted, ours is marked superseded, and
//! whoever sealed under ours seals again. Each time another writer was faster fewer keys are
//! written at once, since a set that takes long to make loses to those that do not. Entries of
//! buckets are rewritten unchanged, so that a key is never put into a bucket whose key was
//! destroyed in between.
//! If we die before the write, nothing refers to the keys; after it, keys that nothing refers to
//! are harmless. `spec/sealing.md` §key store.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indelible_event::ids::TenantId;
use indelible_store::{Change, Handle, Kind, Result};

use super::subject::{Asked, Known, Stage, Subject, TenantKeys};
use super::wrap::{self, Name, Secret, bucket_of};
use super::{
    Keyring, SPACE_BUCKETS, SPACE_IDENTITIES, SPACE_SUBJECTS, SPACE_TENANTS, bucket_key,
    identity_key, subject_key,
};

/// How often in a row a write that others keep overtaking is built again.
const ATTEMPTS_MAX: usize = 64;

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Subjects whose keys are durable now.
    pub written: usize,
    /// Subjects for whom another writer's key was adopted. Events sealed under ours
    /// ([`crate::seal::SealedEvent::is_superseded`]) must be sealed again.
    pub superseded: usize,
}

/// Subjects with keys that are in memory only.
#[derive(Default)]
pub(crate) struct Pending {
    subjects: HashMap<Known, New, RandomState>,
}

#[derive(Clone)]
struct New {
    subject: Arc<Subject>,
    /// Generations before this one, and the version of that list.
    handles: Vec<Handle>,
    version: u64,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.subjects.len()
    }

    pub(crate) fn get(&self, asked: &Asked<'_>) -> Option<Arc<Subject>> {
        self.subjects.get(asked).map(|new| Arc::clone(&new.subject))
    }

    /// A search through all; only for repeats of records that are themselves on their way.
    pub(crate) fn by_handle(&self, tenant: &TenantId, handle: Handle) -> Option<Arc<Subject>> {
        let found = self
            .subjects
            .values()
            .find(|new| new.subject.handle == handle && new.subject.tenant.tenant == *tenant);
        found.map(|new| Arc::clone(&new.subject))
    }

    pub(crate) fn add(
        &mut self,
        known: Known,
        subject: Arc<Subject>,
        handles: Vec<Handle>,
        version: u64,
    ) {
        self.subjects.insert(
            known,
            New {
                subject,
                handles,
                version,
            },
        );
    }
}

/// One attempt: the pending subjects as they were, and the change set that writes them.
struct Attempt {
    subjects: Vec<(Known, New)>,
    changes: Vec<Change>,
    tenants: Vec<Arc<TenantKeys>>,
}

impl Keyring {
    /// Makes all pending keys durable. Call it before the append that uses them.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when others write all the time; else as the store. What was not written
    /// stays pending, call it again.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn flush_pending(&self) -> Result<Flushed> {
        if self.pending.lock().len() == 0 {
            // Another thread may be writing what our caller sealed under.
            drop(self.writing.lock());
            if self.pending.lock().len() == 0 {
                return Ok(Flushed::default());
            }
        }
        let _writing = self.writing.lock();
        // Those that are pending now: others may come as fast as these are written.
        let mut rest: Vec<Known> = self.pending.lock().subjects.keys().cloned().collect();
        let mut done = Flushed::default();
        let (mut at_once, mut overtaken) = (rest.len(), 0);
        while !rest.is_empty() {
            done.superseded += self.drop_orphans();
            let first = rest.len().saturating_sub(at_once);
            let attempt = self.plan(rest.get(first..).unwrap_or_default())?;
            if attempt.subjects.is_empty() {
                rest.truncate(first);
                continue;
            }
            match self.store.apply(&attempt.changes) {
                Ok(()) => {
                    done.written += self.settle(&attempt);
                    rest.truncate(first);
                    (at_once, overtaken) = (at_once.saturating_mul(2), 0);
                }
                Err(error) if error.kind() == Kind::Conflict && overtaken < ATTEMPTS_MAX => {
                    done.superseded += self.adopt(&attempt)?;
                    (at_once, overtaken) = ((at_once / 2).max(1), overtaken + 1);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// How many subjects wait to be written.
    pub fn pending_subjects(&self) -> usize {
        self.pending.lock().len()
    }

    /// Of those of `wanted` that are pending still.
    fn plan(&self, wanted: &[Known]) -> Result<Attempt> {
        let subjects: Vec<(Known, New)> = {
            let pending = self.pending.lock();
            wanted
                .iter()
                .filter_map(|known| Some((known.clone(), pending.subjects.get(known)?.clone())))
                .collect()
        };
        let mut buckets: BTreeMap<(TenantId, u8), Secret> = BTreeMap::new();
        let mut tenants: BTreeMap<TenantId, Arc<TenantKeys>> = BTreeMap::new();
        let mut changes = Vec::with_capacity(subjects.len() * 2);
        for (known, new) in &subjects {
            let (tenant, handle) = (known.tenant(), new.subject.handle);
            let keys = &new.subject.tenant;
            if keys.stage.get() == Stage::Pending && !tenants.contains_key(tenant) {
                changes.push(self.new_tenant(keys)?);
                tenants.insert(tenant.clone(), Arc::clone(keys));
            }
            let place = (tenant.clone(), bucket_of(handle));
            if !buckets.contains_key(&place) {
                let (secret, change) = self.touch_bucket(tenant, place.1)?;
                changes.push(change);
                buckets.insert(place.clone(), secret);
            }
            let name = Name::Subject(tenant.as_str(), handle);
            changes.push(Change {
                space: SPACE_SUBJECTS,
                key: subject_key(tenant, handle),
                expected: Some(0),
                value: Some(wrap::wrap(&buckets[&place], name, &new.subject.key)?),
            });
            let mut handles: Vec<u8> = new.handles.iter().flat_map(|handle| handle.0).collect();
            handles.extend_from_slice(&handle.0);
            changes.push(Change {
                space: SPACE_IDENTITIES,
                key: identity_key(tenant, &keys.identity_hash(known.identity())),
                expected: Some(new.version),
                value: Some(handles),
            });
        }
        changes.push(self.count_write()?);
        Ok(Attempt {
            subjects,
            changes,
            tenants: tenants.into_values().collect(),
        })
    }

    /// Gives up subjects that were made under a tenant's key which was not the first.
    fn drop_orphans(&self) -> usize {
        let mut pending = self.pending.lock();
        let before = pending.len();
        pending.subjects.retain(|_, new| {
            let orphan = new.subject.tenant.stage.get() == Stage::Superseded;
            if orphan {
                new.subject.stage.set(Stage::Superseded);
            }
            !orphan
        });
        before - pending.len()
    }

    fn new_tenant(&self, keys: &TenantKeys) -> Result<Change> {
        let tenant = keys.tenant.as_str();
        Ok(Change {
            space: SPACE_TENANTS,
            key: tenant.as_bytes().to_vec(),
            expected: Some(0),
            value: Some(wrap::wrap(
                self.master()?,
                Name::TenantIndex(tenant),
                &keys.index,
            )?),
        })
    }

    /// The bucket's key, made if there is none, and the change that holds it in place.
    pub(super) fn touch_bucket(&self, tenant: &TenantId, bucket: u8) -> Result<(Secret, Change)> {
        let (secret, version) = match self.load_bucket(tenant, bucket)? {
            Some(known) => known,
            None => (self.secret(), 0),
        };
        let value = wrap::wrap(
            self.master()?,
            Name::Bucket(tenant.as_str(), bucket),
            &secret,
        )?;
        let change = Change {
            space: SPACE_BUCKETS,
            key: bucket_key(tenant, bucket),
            expected: Some(version),
            value: Some(value),
        };
        Ok((secret, change))
    }

    /// After a write: the keys are durable.
    fn settle(&self, attempt: &Attempt) -> usize {
        for keys in &attempt.tenants {
            keys.stage.set(Stage::Durable);
        }
        let mut pending = self.pending.lock();
        for (known, new) in &attempt.subjects {
            new.subject.stage.set(Stage::Durable);
            if !new.subject.once {
                self.by_handle
                    .insert(new.subject.handle, Arc::clone(&new.subject));
            }
            pending.subjects.remove(known);
        }
        attempt.subjects.len()
    }

    /// After a conflict: takes over what others wrote, and makes the rest fit.
    fn adopt(&self, attempt: &Attempt) -> Result<usize> {
        let mut lost = hashbrown::HashSet::with_hasher(RandomState::default());
        for keys in &attempt.tenants {
            match self.load_tenant(&keys.tenant)? {
                // Our own write, of which we were not told.
                Some(stored) if *stored.index == *keys.index => keys.stage.set(Stage::Durable),
                Some(theirs) => {
                    keys.stage.set(Stage::Superseded);
                    self.tenants
                        .write()
                        .insert(keys.tenant.clone(), Arc::new(theirs));
                }
                None => {}
            }
        }
        for (known, new) in &attempt.subjects {
            if new.subject.tenant.stage.get() == Stage::Superseded {
                lost.insert(known.clone());
                continue;
            }
            let (handles, version) = self.handles_of(&new.subject.tenant, known.identity())?;
            if handles.last() == Some(&new.subject.handle) {
                self.settle(&Attempt {
                    subjects: vec![(known.clone(), new.clone())],
                    changes: Vec::new(),
                    tenants: Vec::new(),
                });
            } else if let Some(&theirs) = handles.last()
                && self.load_key(known.tenant(), theirs)?.is_some()
            {
                lost.insert(known.clone());
            } else if let Some(kept) = self.pending.lock().subjects.get_mut(known) {
                (kept.handles, kept.version) = (handles, version);
            }
        }
        for (known, new) in &attempt.subjects {
            if !lost.contains(known) {
                continue;
            }
            new.subject.stage.set(Stage::Superseded);
            self.pending.lock().subjects.remove(known);
            self.by_identity.remove(&Asked {
                tenant: known.tenant(),
                identity: known.identity(),
            });
        }
        Ok(lost.len())
    }
}
