//! Attachments: what does not fit an event, kept beside the log under a key of its own.
//!
//! An upload is written to a new file and takes its name when it is whole and durable: it *waits*.
//! The first event that names it *keeps* it, by renaming, before that event may be committed. What
//! waits too long is removed; what is kept never is. So a record never names what is not there, and
//! no index says what is named: the directory does.
//!
//! Invariants: keeping, removing and taking a name exclude each other; nobody finds an attachment
//! but under the tenant it was sent to. Not here: who may, and HTTP. Source: `spec/attachment.md`.

mod check;
mod file;
mod reference;
#[cfg(test)]
mod tests;
mod upload;

use std::fmt;
use std::sync::Arc;

use indelible_disk::{Disk, DiskError, DiskErrorKind};
use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Error, Handle, Kind, Result};
use parking_lot::Mutex;

use crate::env::Env;
use crate::keyring::{Identity, Keyring, Subject};
pub use check::{Check, Checked};
pub use file::{CHUNK_BYTES, Whole};
pub(crate) use reference::pointer;
pub use reference::{Digest, Reference, references};
pub use upload::{Stored, Upload, UploadError};

/// The longest attachment, in bytes.
pub const ATTACHMENT_BYTES_MAX: u64 = 64 << 20;
/// The longest content type, in bytes.
pub const TYPE_BYTES_MAX: usize = 127;

const DIRECTORY: &str = "attachments";
/// Uploaded, named by no event.
const WAITING: &str = "attachments/waiting";
/// Named by an event.
const KEPT: &str = "attachments/kept";
/// An upload under way; what is left of one after a crash.
const NEW: &str = ".new";

/// The attachments of a ledger.
pub struct Attachments {
    disk: Arc<dyn Disk>,
    keyring: Arc<Keyring>,
    env: Env,
    names: Mutex<Names>,
}

/// What is known of the two directories.
#[derive(Default)]
struct Names {
    /// They are there, durably.
    made: bool,
    /// A renaming failed, so that nobody knows which names are durable.
    unknown: bool,
}

/// What was found of an attachment that an event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept from now on, durably.
    Yes,
    /// It is not there.
    Missing,
    /// It has so many bytes, and the event says another number.
    OtherLength(u64),
}

impl Attachments {
    /// Those of a data directory that is open for writing.
    ///
    /// # Errors
    /// As the disk's.
    ///
    /// # Durability
    /// The names that are seen from now on are durable.
    pub fn open(disk: Arc<dyn Disk>, keyring: Arc<Keyring>, env: Env) -> Result<Arc<Self>> {
        let store = Self::read(disk, keyring, env);
        let (disk, mut names) = (&store.disk, store.names.lock());
        if !disk.list(DIRECTORY).map_err(failed)?.is_empty() {
            store.make(&mut names)?;
            for name in disk.list(WAITING).map_err(failed)? {
                if name.ends_with(NEW) {
                    let path = format!("{WAITING}/{name}");
                    disk.remove(&path).map_err(failed)?;
                }
            }
            // If we died between a renaming and its sync, an event may be sent again now.
            disk.sync_dir(KEPT).map_err(failed)?;
            disk.sync_dir(WAITING).map_err(failed)?;
        }
        drop(names);
        Ok(Arc::new(store))
    }

    /// Those of a data directory that is open for reading: nothing is written.
    pub fn read(disk: Arc<dyn Disk>, keyring: Arc<Keyring>, env: Env) -> Self {
        Self {
            disk,
            keyring,
            env,
            names: Mutex::default(),
        }
    }

    fn make(&self, names: &mut Names) -> Result<()> {
        if names.made {
            return Ok(());
        }
        for dir in [WAITING, KEPT] {
            self.disk.create_dir_all(dir).map_err(failed)?;
        }
        for dir in [DIRECTORY, ""] {
            self.disk.sync_dir(dir).map_err(failed)?;
        }
        names.made = true;
        Ok(())
    }

    /// Opens an attachment of the tenant; `None` when it has none of this digest.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] without the master key; [`Kind::Corrupt`] when its beginning is
    /// damaged.
    pub fn get(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Whole>> {
        let Some(subject) = self.subject_of(tenant, digest)? else {
            return Ok(None);
        };
        let name = name_of(subject.handle());
        // Moved between the two looks, it is found at the third.
        for dir in [KEPT, WAITING, KEPT] {
            let path = format!("{dir}/{name}");
            match Whole::open(self.disk.as_ref(), &path, &subject) {
                Err(error) if error.kind() == Kind::NotFound => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    /// Keeps what an event names, from before that event is committed.
    ///
    /// # Errors
    /// As [`Attachments::get`], and [`Kind::Unavailable`] once a renaming failed: which names are
    /// durable is known again when the ledger is opened again.
    ///
    /// # Durability
    /// Kept durably when it returns [`Kept::Yes`].
    pub fn keep(&self, tenant: &TenantId, reference: &Reference) -> Result<Kept> {
        let Some(subject) = self.subject_of(tenant, &reference.digest)? else {
            return Ok(Kept::Missing);
        };
        let Some(whole) = self.get(tenant, &reference.digest)? else {
            return Ok(Kept::Missing);
        };
        if whole.bytes() != reference.bytes {
            return Ok(Kept::OtherLength(whole.bytes()));
        }
        let name = name_of(subject.handle());
        let (kept, waiting) = (format!("{KEPT}/{name}"), format!("{WAITING}/{name}"));
        let mut names = self.names.lock();
        if names.unknown {
            let said = "attachments could not be kept: start again";
            return Err(Error::new(Kind::Unavailable, said));
        }
        if self.disk.len(&kept).map_err(failed)?.is_some() {
            return Ok(Kept::Yes);
        }
        let moved = match self.disk.rename(&waiting, &kept) {
            // Removed as an orphan since we looked.
            Err(error) if error.kind() == DiskErrorKind::NotFound => return Ok(Kept::Missing),
            Err(error) => Err(error),
            // If we die here, it waits or is kept, and the event is not committed.
            Ok(()) => self.disk.sync_dir(KEPT),
        };
        names.unknown = moved.is_err();
        moved.map_err(failed)?;
        Ok(Kept::Yes)
    }

    /// Removes what no event has named since it was stored, `before` or earlier; gives how many.
    ///
    /// # Errors
    /// As the disk's; the next call goes on.
    pub fn collect(&self, before: Micros) -> Result<usize> {
        let mut removed = 0;
        for name in self.disk.list(WAITING).map_err(failed)? {
            if name.ends_with(NEW) {
                continue;
            }
            let path = format!("{WAITING}/{name}");
            // Held over both, so that what was sent again meanwhile is not taken for the old one.
            let _names = self.names.lock();
            match file::stored_at(self.disk.as_ref(), &path) {
                Ok(Some(at)) if at <= before => {}
                // What is none of ours, or damaged, is not ours to remove.
                Ok(_) => continue,
                Err(error) if error.kind() == Kind::NotFound => continue,
                Err(error) => return Err(error),
            }
            self.disk.remove(&path).map_err(failed)?;
            removed += 1;
        }
        if removed > 0 {
            self.disk.sync_dir(WAITING).map_err(failed)?;
        }
        Ok(removed)
    }

    /// The key of an attachment that is there, or was.
    fn subject_of(&self, tenant: &TenantId, digest: &Digest) -> Result<Option<Arc<Subject>>> {
        let id = digest.token();
        let identity = identity(&id);
        let handles = self.keyring.generations(tenant, identity)?;
        match handles.last() {
            Some(&current) => self.keyring.by_handle(tenant, current),
            None => Ok(None),
        }
    }
}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachments")
    }
}

/// An attachment is a subject of its tenant: destroying its key destroys it.
fn identity(id_token: &str) -> Identity<'_> {
    Identity::from_tokens("\"attachment\"", id_token)
}

/// The file's name: the handle's 32 digits.
fn name_of(handle: Handle) -> String {
    format!("{:032x}", u128::from_be_bytes(handle.0))
}

/// The role's error for a failed disk operation.
fn failed(error: DiskError) -> Error {
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => Kind::NoSpace,
        DiskErrorKind::NotFound => Kind::NotFound,
        DiskErrorKind::Short => Kind::Corrupt,
        _ => Kind::Unavailable,
    };
    Error::new(kind, "the disk failed an attachment").caused_by(error)
}
