//! The publisher: durable heads into a snapshot, the snapshot into the registry log, its checkpoint
//! signed (`spec/checkpoint.md`).
//!
//! A snapshot notes how often keys were written to the key store. Keys are durable before the
//! records that need them, and the note comes after both: only an older key store has fewer.
//!
//! Order of outside writes, and what a crash after each leaves:
//! 1. the snapshot is staged in the state store. If we die here, the next start publishes it.
//! 2. the signer moves what it keeps and releases the signature. If we die here, the signer is one
//!    snapshot ahead of the registry; the staged snapshot is what it signed, and the next start
//!    finishes it.
//! 3. the registry moves, with the signatures. Nothing is left to do.
//!
//! Several processes may hold the signing key of one ledger in a database. A snapshot is staged
//! only where none is, and only on the head that it builds on; whoever finds one that is staged
//! finishes it, whose ever it is. So all of them sign the same history.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_event::ids::Micros;
use indelible_merkle::{Frontier, Hash, empty_root, leaf_hash, root_of};
use indelible_proof::checkpoint::Checkpoint;
use indelible_proof::finding::Finding;
use indelible_proof::registry::{Snapshot, slot_leaf};
use indelible_store::{Error, Kind, Result, State, Version};

use crate::env::Env;
use crate::extend::extension;
use crate::keyring::Keyring;
use crate::log::Stores;
use crate::prove::Newest;
use crate::recover::pending;
use crate::registry::{
    Identity, LogRow, PUBLISHED, PublishedHead, RegistryHead, SNAPSHOTS, Staged, TENANTS, all_rows,
    identity, put, put_registry_head, put_staged, remove_staged, same_registry_head, snapshot_key,
    staged, versioned_head,
};
use crate::rollback::{extension_finding, head_finding, keys_finding, registry_finding};

use self::vouched::{first_finding, not_vouched};

mod vouched;

/// How often a publication that others keep overtaking is built again.
const RACES_MAX: usize = 64;

/// Signs checkpoints, and keeps the last one outside the data directory and the database.
pub trait Signer: Send + Sync + std::fmt::Debug {
    /// The last checkpoint of the registry whose signature was released, or was about to be; a
    /// finding when what is kept is not of this key and origin.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it cannot be read.
    fn kept(&self) -> Result<std::result::Result<Option<Checkpoint>, Finding>>;

    /// Signs a checkpoint of the registry that extends the kept one, as `proof` shows; gives the
    /// signed note. What is kept moves, by compare-and-swap, before the signature is released.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`] when it does not extend what is kept.
    fn sign_registry(&self, checkpoint: &Checkpoint, proof: &[Hash]) -> Result<String>;

    /// Signs a tenant's checkpoint; the caller has it from a published snapshot.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there can be no such key name.
    fn sign_tenant(&self, checkpoint: &Checkpoint) -> Result<String>;
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Number of snapshots in the registry log.
    pub snapshots: u64,
    /// Logs whose head moved with this call.
    pub moved: usize,
    /// The registry's signed checkpoint.
    pub checkpoint: String,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    signer: Option<Arc<dyn Signer>>,
    identity: Identity,
    heads: BTreeMap<u64, PublishedHead>,
    registry: RegistryHead,
    /// Of the row of the head: another one when somebody else has published.
    version: Version,
    staged: Option<Staged>,
    /// Whether what is staged was built here, and not found.
    own: bool,
    /// Why what is stored is not what the signer vouched for.
    unsound: Option<Finding>,
}

impl Publisher {
    pub(crate) fn open(stores: &Stores, signer: Option<Arc<dyn Signer>>) -> Result<Self> {
        let mut publisher = Self {
            signer,
            identity: Identity {
                origin: String::new(),
                incarnation: 1,
                slots: 0,
            },
            heads: BTreeMap::new(),
            registry: RegistryHead::default(),
            version: 0,
            staged: None,
            own: false,
            unsound: None,
        };
        publisher.read(stores.state.as_ref())?;
        Ok(publisher)
    }

    /// Reads what was published. The head comes first: where it moves meanwhile, what is built on
    /// this is refused.
    fn read(&mut self, state: &dyn State) -> Result<()> {
        let (identity, _) = identity(state)?
            .ok_or_else(|| Error::new(Kind::NotFound, "the ledger has no identity"))?;
        let (newest, version) = loop {
            let (registry, version) = versioned_head(state)?;
            let newest = Newest::read(state)?;
            if newest.registry == registry {
                break (newest, version);
            }
        };
        self.unsound = newest.finding()?;
        (self.heads, self.registry) = (newest.heads, newest.registry);
        (self.staged, self.own) = (staged(state)?, false);
        (self.identity, self.version) = (identity, version);
        Ok(())
    }

    /// Reads it again where somebody else has published since.
    fn refresh(&mut self, state: &dyn State) -> Result<()> {
        if versioned_head(state)?.1 != self.version {
            return self.read(state);
        }
        (self.staged, self.own) = (staged(state)?, false);
        Ok(())
    }

    /// Whether the stored logs, the registry and the key store extend what was published and
    /// signed.
    pub(crate) fn check(&mut self, stores: &Stores, keyring: &Keyring) -> Result<Vec<Finding>> {
        for _ in 0..RACES_MAX {
            let findings = self.findings(stores, keyring)?;
            if findings.is_empty() {
                return Ok(findings);
            }
            // Somebody may have published between one reading and the next; the first time that
            // does not move the version.
            let before = (self.version, self.staged.clone());
            self.refresh(stores.state.as_ref())?;
            if (self.version, &self.staged) == (before.0, &before.1) {
                return Ok(findings);
            }
        }
        Err(overtaken())
    }

    fn findings(&self, stores: &Stores, keyring: &Keyring) -> Result<Vec<Finding>> {
        let mut findings = Vec::from_iter(self.unsound.clone());
        if let Some(signer) = &self.signer {
            match signer.kept()? {
                Ok(kept) => {
                    // The signer may be ahead by the snapshot that is staged, and by no other.
                    let ahead = kept
                        .as_ref()
                        .is_some_and(|kept| kept.size > self.registry.size);
                    let newest = match &self.staged {
                        Some(staged) if ahead => &staged.head,
                        _ => &self.registry,
                    };
                    let state = stores.state.as_ref();
                    findings.extend(registry_finding(state, kept.as_ref(), newest)?);
                }
                Err(finding) => findings.push(finding),
            }
        }
        let staged = self.staged.iter().flat_map(|s| s.heads.values());
        for head in self.heads.values().chain(staged) {
            findings.extend(head_finding(stores.ledger.as_ref(), head)?);
        }
        findings.extend(keys_finding(stores.state.as_ref(), keyring)?);
        Ok(findings)
    }

    /// Finishes a publication that was cut short between staging and moving, or that another is
    /// about to finish. What is staged stays so until it is published: the signer may have signed
    /// it already.
    pub(crate) fn finish(&mut self, stores: &Stores) -> Result<()> {
        let Some(signer) = self.signer.clone() else {
            return Ok(());
        };
        for _ in 0..RACES_MAX {
            let Some(staged) = self.staged.clone() else {
                return Ok(());
            };
            let before = (self.version, staged.head.line.clone());
            let checked = if self.own {
                Ok(())
            } else {
                self.check_staged(stores, &staged)
            };
            let released = checked.and_then(|()| self.release(stores, signer.as_ref(), staged));
            let Err(error) = released else {
                return Ok(());
            };
            self.refresh(stores.state.as_ref())?;
            let now = self.staged.as_ref().map(|staged| &staged.head.line);
            let unmoved = (self.version, now) == (before.0, Some(&before.1));
            // Else another finished it, or is about to.
            if unmoved && error.kind() != Kind::Conflict {
                return Err(error);
            }
        }
        Err(overtaken())
    }

    pub(crate) fn publish(
        &mut self,
        stores: &Stores,
        keyring: &Keyring,
        env: &Env,
    ) -> Result<Published> {
        if self.signer.is_none() {
            let context = "there is no signing key here, so nothing can be published";
            return Err(Error::new(Kind::ReadOnly, context));
        }
        for _ in 0..RACES_MAX {
            self.refresh(stores.state.as_ref())?;
            if let Some(finding) = &self.unsound {
                return Err(not_vouched(finding));
            }
            self.finish(stores)?;
            let moved = self.moved(stores)?;
            let count = moved.len();
            if count == 0 {
                return Ok(self.published(count));
            }
            let key_writes = keyring.writes()?;
            match self.stage(stores, moved, key_writes, env.clock.now()) {
                // If we die here, the next start finds the staged snapshot and publishes it.
                Ok(()) => self.finish(stores)?,
                Err(error) if error.kind() == Kind::Conflict => continue,
                Err(error) => return Err(error),
            }
            return Ok(self.published(count));
        }
        Err(overtaken())
    }

    pub(crate) fn signs(&self) -> bool {
        self.signer.is_some()
    }

    fn published(&self, moved: usize) -> Published {
        Published {
            snapshots: self.registry.size,
            moved,
            checkpoint: self.registry.checkpoint.clone(),
        }
    }

    /// Durable heads that are not published yet, by slot: each extends the one that is, for nothing
    /// else is signed.
    fn moved(&self, stores: &Stores) -> Result<BTreeMap<u64, PublishedHead>> {
        let mut moved = BTreeMap::new();
        // A log that has still to say that it was recovered is not vouched for before.
        let outstanding = pending(stores.state.as_ref())?.unwrap_or_default().events;
        let logs = self.logs(stores)?;
        let due = logs
            .into_iter()
            .filter(|(tenant, _)| !outstanding.iter().any(|event| event.tenant == *tenant));
        let (tenants, rows): (Vec<_>, Vec<_>) = due.unzip();
        let heads = stores.ledger.heads(&tenants);
        for ((tenant, row), head) in tenants.into_iter().zip(rows).zip(heads) {
            let head = match head {
                Ok(Some(head)) => head,
                // A log whose tree is damaged stays published as it was.
                Err(e) if e.kind() == Kind::Corrupt => continue,
                Ok(None) => continue,
                Err(e) => return Err(e),
            };
            let (size, root) = (head.frontier.size(), head.frontier.root());
            let published = self.heads.get(&row.slot);
            if published.is_some_and(|it| it.size == size && it.root == root) {
                continue;
            }
            let found = match published {
                Some(published) => {
                    extension_finding(stores.ledger.as_ref(), Some(&head), published)
                }
                None => first_finding(stores, &tenant, &row),
            };
            match found {
                Ok(None) => {}
                Ok(Some(finding)) => return Err(not_vouched(&finding)),
                // As above.
                Err(e) if e.kind() == Kind::Corrupt => continue,
                Err(e) => return Err(e),
            }
            let log_id = row.log_id;
            let checkpoint = String::new();
            moved.insert(
                row.slot,
                PublishedHead {
                    tenant,
                    log_id,
                    size,
                    root,
                    checkpoint,
                },
            );
        }
        Ok(moved)
    }

    /// Stages a snapshot, if nobody has staged or published one since the head was read.
    fn stage(
        &mut self,
        stores: &Stores,
        moved: BTreeMap<u64, PublishedHead>,
        key_writes: u64,
        now: Micros,
    ) -> Result<()> {
        let mut heads = self.heads.clone();
        heads.extend(moved.iter().map(|(slot, head)| (*slot, head.clone())));
        let logs: BTreeMap<u64, LogRow> = all_rows::<LogRow>(stores.state.as_ref(), TENANTS)?
            .into_iter()
            .map(|(_, row)| (row.slot, row))
            .collect();
        let slots = slot_leaves(&logs, &heads);
        let snapshot = Snapshot {
            number: self.registry.size,
            root: root_of(slots.iter().copied()),
            slots: slots.len() as u64,
            time: now.to_rfc3339(),
        };
        let line = snapshot.line();
        let before = self.registry.frontier.clone();
        let mut frontier = frontier_of(&self.registry)?;
        frontier.append(leaf_hash(line.as_bytes()));
        let head = RegistryHead {
            size: frontier.size(),
            frontier: frontier.hashes().to_vec(),
            before,
            line,
            checkpoint: String::new(),
            incarnation: self.identity.incarnation,
            key_writes,
        };
        let staged = Staged { head, heads: moved };
        let unmoved = same_registry_head(&self.registry, self.version)?;
        stores.state.apply(&[put_staged(&staged)?, unmoved])?;
        self.version += u64::from(self.version > 0);
        (self.staged, self.own) = (Some(staged), true);
        Ok(())
    }

    fn release(&mut self, stores: &Stores, signer: &dyn Signer, staged: Staged) -> Result<()> {
        let origin = self.identity.origin_in_force();
        let Staged { mut head, heads } = staged;
        let root = frontier_of(&head)?.root();
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            size: head.size,
            root,
        };
        let kept = signer
            .kept()?
            .map_err(|f| Error::new(Kind::ReadOnly, f.to_string()))?;
        let proof = extension(stores.state.as_ref(), kept.as_ref(), &head)?;
        head.checkpoint = signer.sign_registry(&checkpoint, &proof)?;
        // If we die here, the signer is ahead by the snapshot that is still staged.
        let mut changes = vec![
            put_registry_head(&head, self.version)?,
            put(
                SNAPSHOTS,
                &snapshot_key(head.incarnation, head.size - 1),
                None,
                &head.line,
            )?,
            remove_staged(),
        ];
        let mut moved = heads;
        for (slot, published) in &mut moved {
            let origin = format!("{origin}/{}", published.log_id);
            let checkpoint = Checkpoint {
                origin,
                size: published.size,
                root: published.root,
            };
            published.checkpoint = signer.sign_tenant(&checkpoint)?;
            changes.push(put(PUBLISHED, &slot.to_be_bytes(), None, published)?);
        }
        stores.state.apply(&changes)?;
        self.registry = head;
        self.version += 1;
        self.staged = None;
        self.heads.extend(moved);
        Ok(())
    }
}

fn overtaken() -> Error {
    let said = "others that have the signing key publish all the time: try again";
    Error::new(Kind::Unavailable, said)
}

/// The leaf hashes of a snapshot's slots: every slot given out has one, empty until its head is
/// published.
pub(crate) fn slot_leaves(
    logs: &BTreeMap<u64, LogRow>,
    heads: &BTreeMap<u64, PublishedHead>,
) -> Vec<Hash> {
    logs.iter()
        .map(|(slot, row)| {
            let (size, root) = heads
                .get(slot)
                .map_or((0, empty_root()), |h| (h.size, h.root));
            leaf_hash(&slot_leaf(&row.log_id, &root, size))
        })
        .collect()
}

pub(crate) fn frontier_of(head: &RegistryHead) -> Result<Frontier> {
    Frontier::from_parts(head.size, head.frontier.clone()).map_err(|e| {
        Error::new(Kind::Corrupt, "the registry's head in the state store").caused_by(e)
    })
}
