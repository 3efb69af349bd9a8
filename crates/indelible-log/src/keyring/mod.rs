//! The keyring: keys of data subjects, made when a subject is first seen, durable before the commit
//! that uses them, and opened again to read.
//!
//! Keys hang on each other: the master key opens bucket keys and tenant index keys, a bucket key
//! opens the subject keys in it, a subject key opens that person's values and nothing else. A new
//! subject is *pending*, in memory, until [`Keyring::flush_pending`]. Without a master key nothing
//! personal can be sealed or read, and everything else works.
//!
//! What is deliberately absent: erasure as a user knows it (records, receipts), the file of the
//! master key, plain identities anywhere in the store. Source: `spec/sealing.md`.

mod cache;
mod destroy;
mod mac;
mod master;
mod pending;
mod read;
mod rows;
mod subject;
mod wrap;

use std::fmt;
use std::sync::Arc;

use indelible_event::ids::TenantId;
use indelible_store::{Change, Error, Handle, Kind, Result, State};
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

pub use master::MasterKey;
pub use pending::Flushed;
pub use read::{Disclosure, Opened, Sealed};
pub use subject::{Identity, RecordIdentity, Subject, normalise};
pub use wrap::parse_handle;

use crate::env::Random;
use cache::Cache;
pub(crate) use mac::sha256_padding;
use pending::Pending;
pub(crate) use rows::{RowCache, Value};
use subject::{Asked, Known, Stage, TenantKeys};
fn damaged_count() -> Error {
    let said = "the count of writes in the key store is damaged: restore the key store";
    Error::new(Kind::Corrupt, said)
}

#[cfg(test)]
pub(crate) use wrap::hex_into;
pub(crate) use wrap::hex64;
use wrap::{Name, Secret, bucket_of};

/// Subjects kept at hand, by identity and again by handle.
const SUBJECTS_CACHED_MAX: usize = 65_536;
/// Tenants whose index key is kept at hand.
const TENANTS_CACHED_MAX: usize = 65_536;
/// New subjects kept in memory before they are written without being asked.
const PENDING_SUBJECTS_MAX: usize = 131_072;

/// Where the check value of the master key lies, and how often keys were written.
const SPACE_MASTER: &str = "key_master";
/// Tenant → wrapped index key.
const SPACE_TENANTS: &str = "key_tenants";
/// Tenant, bucket → wrapped bucket key.
const SPACE_BUCKETS: &str = "key_buckets";
/// Tenant, bucket, handle → wrapped subject key.
const SPACE_SUBJECTS: &str = "key_subjects";
/// Tenant, identity hash → handles, the last one current.
const SPACE_IDENTITIES: &str = "key_identities";

/// Where that count stands; absent, it is 0.
const WRITES: &[u8] = b"writes";

/// All keys of a ledger's data subjects. Shared by every thread that seals or reads.
pub struct Keyring {
    store: Arc<dyn State>,
    random: Arc<dyn Random>,
    master: Option<Secret>,
    tenants: RwLock<hashbrown::HashMap<TenantId, Arc<TenantKeys>, foldhash::fast::RandomState>>,
    by_identity: Cache<Known, Arc<Subject>>,
    by_handle: Cache<Handle, Arc<Subject>>,
    pub(crate) rows: RowCache,
    pending: Mutex<Pending>,
    /// Held while keys are written, so that two committers do not write the same ones.
    writing: Mutex<()>,
}

impl Keyring {
    /// Opens a key store. Without `master` it finds nothing and seals nothing.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the key store belongs to another master key; else as the store.
    pub fn open(
        store: Arc<dyn State>,
        master: Option<MasterKey>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>> {
        let master = master.map(|key| key.0);
        if let Some(master) = &master {
            check_master(&*store, master)?;
        }
        Ok(Arc::new(Self {
            store,
            random,
            master,
            tenants: RwLock::default(),
            by_identity: Cache::new(SUBJECTS_CACHED_MAX),
            by_handle: Cache::new(SUBJECTS_CACHED_MAX),
            rows: RowCache::new(),
            pending: Mutex::default(),
            writing: Mutex::new(()),
        }))
    }

    /// Whether personal values can be sealed and read.
    pub fn has_master(&self) -> bool {
        self.master.is_some()
    }

    /// The current generation of a subject; a new one, pending, for somebody not seen before or
    /// whose key was destroyed.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] without a master key; [`Kind::Corrupt`] when a wrapped key does not
    /// open.
    pub fn subject(&self, tenant: &TenantId, identity: Identity<'_>) -> Result<Arc<Subject>> {
        let asked = Asked { tenant, identity };
        if let Some(subject) = self.by_identity.get(&asked)
            && !subject.is_superseded()
        {
            return Ok(subject);
        }
        self.seek_or_make(asked)
    }

    /// The generation of a subject that is one of `handles`, to seal a repeat as its first record
    /// was sealed. Never makes a key that is kept: a generation whose key is gone, and somebody who
    /// is none of these, get a key of the moment and [`Found::Gone`] or [`Found::Stranger`].
    ///
    /// # Errors
    /// As [`Keyring::subject`].
    pub(crate) fn subject_among(
        &self,
        tenant: &TenantId,
        identity: Identity<'_>,
        handles: &[Handle],
    ) -> Result<(Arc<Subject>, Found)> {
        let keys = self.tenant_keys(tenant)?;
        let (known, _) = self.handles_of(&keys, identity)?;
        let mut found = known
            .iter()
            .rev()
            .find(|handle| handles.contains(handle))
            .copied();
        if found.is_none() {
            let pending = self.pending.lock().get(&Asked { tenant, identity });
            found = pending
                .map(|s| s.handle)
                .filter(|handle| handles.contains(handle));
        }
        let Some(handle) = found else {
            let stranger = Subject::new(keys, Handle(self.bytes()), self.secret(), Stage::Durable);
            return Ok((Arc::new(stranger), Found::Stranger));
        };
        if let Some(subject) = self.by_handle(tenant, handle)? {
            return Ok((subject, Found::Known));
        }
        let gone = Subject::new(keys, handle, self.secret(), Stage::Durable);
        Ok((Arc::new(gone), Found::Gone))
    }

    /// The generation that a handle names, if its key is there.
    ///
    /// # Errors
    /// As [`Keyring::subject`].
    pub(crate) fn by_handle(
        &self,
        tenant: &TenantId,
        handle: Handle,
    ) -> Result<Option<Arc<Subject>>> {
        if let Some(subject) = self.by_handle.get(&handle)
            && !subject.is_superseded()
        {
            return Ok((subject.tenant.tenant == *tenant).then_some(subject));
        }
        if let Some(subject) = self.pending.lock().by_handle(tenant, handle) {
            return Ok(Some(subject));
        }
        let Some(key) = self.load_key(tenant, handle)? else {
            return Ok(None);
        };
        let keys = self.tenant_keys(tenant)?;
        let subject = Arc::new(Subject::new(keys, handle, key, Stage::Durable));
        self.by_handle.insert(handle, Arc::clone(&subject));
        Ok(Some(subject))
    }

    fn seek_or_make(&self, asked: Asked<'_>) -> Result<Arc<Subject>> {
        let keys = self.tenant_keys(asked.tenant)?;
        if self.pending.lock().len() >= PENDING_SUBJECTS_MAX {
            self.flush_pending()?;
        }
        // Held to the end, so that two threads do not make two keys for one person.
        let mut pending = self.pending.lock();
        if let Some(subject) = pending.get(&asked) {
            return Ok(subject);
        }
        let (handles, version) = self.handles_of(&keys, asked.identity)?;
        if let Some(&current) = handles.last()
            && let Some(key) = self.load_key(asked.tenant, current)?
        {
            let mut subject = Subject::new(keys, current, key, Stage::Durable);
            subject.once = asked.identity.is_record();
            let subject = Arc::new(subject);
            if !subject.once {
                self.by_identity
                    .insert(asked.to_known(), Arc::clone(&subject));
                self.by_handle.insert(current, Arc::clone(&subject));
            }
            return Ok(subject);
        }
        let mut subject = Subject::new(keys, Handle(self.bytes()), self.secret(), Stage::Pending);
        subject.once = asked.identity.is_record();
        let subject = Arc::new(subject);
        pending.add(asked.to_known(), Arc::clone(&subject), handles, version);
        if !subject.once {
            self.by_identity
                .insert(asked.to_known(), Arc::clone(&subject));
        }
        Ok(subject)
    }

    /// The handles kept for an identity, and the version of that list (0 for none).
    fn handles_of(&self, keys: &TenantKeys, identity: Identity<'_>) -> Result<(Vec<Handle>, u64)> {
        let key = identity_key(&keys.tenant, &keys.identity_hash(identity));
        let Some((value, version)) = self.store.get(SPACE_IDENTITIES, &key)? else {
            return Ok((Vec::new(), 0));
        };
        let (handles, rest) = value.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(Error::new(
                Kind::Corrupt,
                "a list of handles in the key store is damaged: restore the key store",
            ));
        }
        Ok((handles.iter().copied().map(Handle).collect(), version))
    }

    /// A subject's key from the store.
    fn load_key(&self, tenant: &TenantId, handle: Handle) -> Result<Option<Secret>> {
        let Some((wrapped, _)) = self
            .store
            .get(SPACE_SUBJECTS, &subject_key(tenant, handle))?
        else {
            return Ok(None);
        };
        let Some((bucket, _)) = self.load_bucket(tenant, bucket_of(handle))? else {
            return Ok(None);
        };
        wrap::unwrap(&bucket, Name::Subject(tenant.as_str(), handle), &wrapped).map(Some)
    }

    /// A bucket's key and the version of its entry.
    fn load_bucket(&self, tenant: &TenantId, bucket: u8) -> Result<Option<(Secret, u64)>> {
        let stored = self.store.get(SPACE_BUCKETS, &bucket_key(tenant, bucket))?;
        let Some((wrapped, version)) = stored else {
            return Ok(None);
        };
        let name = Name::Bucket(tenant.as_str(), bucket);
        Ok(Some((
            wrap::unwrap(self.master()?, name, &wrapped)?,
            version,
        )))
    }

    /// The tenant's index key: from memory, from the store, or a new one, pending.
    fn tenant_keys(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>> {
        if let Some(keys) = self.tenants.read().get(tenant)
            && keys.stage.get() != Stage::Superseded
        {
            return Ok(Arc::clone(keys));
        }
        let mut tenants = self.tenants.write();
        if let Some(keys) = tenants.get(tenant)
            && keys.stage.get() != Stage::Superseded
        {
            return Ok(Arc::clone(keys));
        }
        let keys = match self.load_tenant(tenant)? {
            Some(keys) => keys,
            None => TenantKeys::new(tenant.clone(), self.secret(), Stage::Pending),
        };
        let keys = Arc::new(keys);
        if tenants.len() >= TENANTS_CACHED_MAX {
            tenants.retain(|_, kept| kept.stage.get() == Stage::Pending);
        }
        tenants.insert(tenant.clone(), Arc::clone(&keys));
        Ok(keys)
    }

    /// The tenant's index key if it has one: what reading needs.
    fn known_tenant(&self, tenant: &TenantId) -> Result<Option<Arc<TenantKeys>>> {
        if let Some(keys) = self.tenants.read().get(tenant) {
            return Ok(Some(Arc::clone(keys)));
        }
        let Some(keys) = self.load_tenant(tenant)? else {
            return Ok(None);
        };
        drop(keys);
        self.tenant_keys(tenant).map(Some)
    }

    fn load_tenant(&self, tenant: &TenantId) -> Result<Option<TenantKeys>> {
        let master = self.master()?;
        let Some((wrapped, _)) = self.store.get(SPACE_TENANTS, tenant.as_str().as_bytes())? else {
            return Ok(None);
        };
        let index = wrap::unwrap(master, Name::TenantIndex(tenant.as_str()), &wrapped)?;
        Ok(Some(TenantKeys::new(tenant.clone(), index, Stage::Durable)))
    }

    /// How often keys were written to this key store: what an older copy of it falls short of.
    ///
    /// # Errors
    /// As the store.
    pub fn writes(&self) -> Result<u64> {
        Ok(self.counted()?.0)
    }

    /// The change that goes with every write of keys.
    fn count_write(&self) -> Result<Change> {
        let (writes, version) = self.counted()?;
        let writes = writes.checked_add(1).ok_or_else(damaged_count)?;
        Ok(Change {
            space: SPACE_MASTER,
            key: WRITES.into(),
            expected: Some(version),
            value: Some(writes.to_be_bytes().into()),
        })
    }

    fn counted(&self) -> Result<(u64, u64)> {
        let Some((value, version)) = self.store.get(SPACE_MASTER, WRITES)? else {
            return Ok((0, 0));
        };
        let bytes = value.try_into().map_err(|_| damaged_count())?;
        Ok((u64::from_be_bytes(bytes), version))
    }

    fn master(&self) -> Result<&Secret> {
        self.master.as_ref().ok_or_else(|| {
            Error::new(
                // What was asked is right, and the key can be put back.
                Kind::Unavailable,
                "no master key: personal values can neither be sealed nor read without it; \
                 name the directory of the keys",
            )
        })
    }

    fn secret(&self) -> Secret {
        let mut bytes = Zeroizing::new([0; 32]);
        self.random.fill(&mut *bytes);
        bytes
    }

    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        bytes
    }
}

/// What [`Keyring::subject_among`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// One of the handles, with its key.
    Known,
    /// One of the handles; its key has been destroyed.
    Gone,
    /// Nobody whom the handles name.
    Stranger,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("has_master", &self.has_master())
            .finish_non_exhaustive()
    }
}

fn check_master(store: &dyn State, master: &Secret) -> Result<()> {
    const KEY: &[u8] = b"check";
    let compare = |kept: &[u8]| match wrap::unwrap(master, Name::Check, kept) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(
            Kind::Invalid,
            "this master key does not open the key store: use the one the ledger was made with",
        )),
    };
    if let Some((kept, _)) = store.get(SPACE_MASTER, KEY)? {
        return compare(&kept);
    }
    let value = wrap::wrap(master, Name::Check, &[0; 32])?;
    let change = Change {
        space: SPACE_MASTER,
        key: KEY.into(),
        expected: Some(0),
        value: Some(value),
    };
    match store.apply(&[change]) {
        // A reader of a key store that nobody has written to yet has nothing to compare with.
        Err(error) if error.kind() == Kind::ReadOnly => Ok(()),
        Err(error) if error.kind() == Kind::Conflict => match store.get(SPACE_MASTER, KEY)? {
            Some((kept, _)) => compare(&kept),
            None => Err(error),
        },
        other => other,
    }
}

fn bucket_key(tenant: &TenantId, bucket: u8) -> Vec<u8> {
    [tenant.as_str().as_bytes(), &[0, bucket]].concat()
}

fn subject_key(tenant: &TenantId, handle: Handle) -> Vec<u8> {
    [
        tenant.as_str().as_bytes(),
        &[0, bucket_of(handle)],
        &handle.0,
    ]
    .concat()
}

fn identity_key(tenant: &TenantId, hash: &[u8; 32]) -> Vec<u8> {
    [tenant.as_str().as_bytes(), &[0], hash].concat()
}

#[cfg(test)]
pub(crate) mod tests;
