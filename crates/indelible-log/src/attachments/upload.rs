//! One upload: chunk by chunk into a new file, which gets its name when it is whole and durable.
//!
//! Dropped before, nothing is left of it. Memory: one chunk and its ciphertext.

use std::sync::Arc;

use indelible_disk::{DiskFile, Open};
use indelible_event::ids::TenantId;
use indelible_store::{Error, Kind};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::file::{CHUNK_BYTES, Sealer};
use super::{
    ATTACHMENT_BYTES_MAX, Attachments, Digest, KEPT, NEW, TYPE_BYTES_MAX, WAITING, failed,
    identity, name_of,
};
use crate::keyring::Subject;

/// How often a key that another writer made first is asked for again.
const KEY_TRIES: usize = 4;

/// Whether an attachment was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not.
    New,
    /// It was, and was written anew.
    Repeat,
}

/// Why an upload is not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It has more than [`ATTACHMENT_BYTES_MAX`] bytes.
    #[error("an attachment may have {ATTACHMENT_BYTES_MAX} bytes")]
    TooLarge,
    /// Its bytes hash to something else.
    #[error("the bytes hash to {0}")]
    WrongDigest(Digest),
    /// The disk or the key store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// An upload under way.
pub struct Upload {
    store: Arc<Attachments>,
    file: Box<dyn DiskFile>,
    path: String,
    sealer: Sealer,
    digest: Digest,
    media_type: String,
    hasher: Sha256,
    /// The chunk that fills; the last one is known only at the end.
    chunk: Zeroizing<Vec<u8>>,
    chunks: u64,
    bytes: u64,
    end: u64,
    named: bool,
}

impl Attachments {
    /// Begins an upload. The content type is that of the first upload, as long as that is there and
    /// can be read: what records name does not change its kind.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] without the master key; [`Kind::Invalid`] for a content type that is
    /// too long or not plain; else as the disk's and the key store's.
    ///
    /// # Durability
    /// The attachment's key is durable when it returns.
    pub fn put(
        self: &Arc<Self>,
        tenant: &TenantId,
        digest: Digest,
        media_type: &str,
    ) -> Result<Upload, UploadError> {
        let plain = |b: u8| (b' '..=b'~').contains(&b);
        if media_type.len() > TYPE_BYTES_MAX || !media_type.bytes().all(plain) {
            let said = format!("a content type has at most {TYPE_BYTES_MAX} plain characters");
            return Err(Error::new(Kind::Invalid, said).into());
        }
        let subject = self.durable_key(tenant, digest)?;
        let first = self.get(tenant, &digest).ok().flatten();
        let media_type = first.map_or(media_type.to_owned(), |it| it.media_type().to_owned());
        self.make(&mut self.names.lock())?;
        let tail = u64::from_be_bytes(self.env.random_bytes());
        let path = format!("{WAITING}/{}-{tail:016x}{NEW}", name_of(subject.handle()));
        let file = self.disk.open(&path, Open::New).map_err(failed)?;
        let mut upload = Upload {
            store: Arc::clone(self),
            file,
            path,
            sealer: Sealer::new(&subject),
            digest,
            media_type,
            hasher: Sha256::new(),
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
            chunks: 0,
            bytes: 0,
            end: 0,
            named: false,
        };
        let now = self.env.clock.now();
        let head = upload.sealer.head(now, &digest, &upload.media_type)?;
        upload.append(&head)?;
        Ok(upload)
    }

    fn durable_key(&self, tenant: &TenantId, digest: Digest) -> Result<Arc<Subject>, Error> {
        let id = digest.token();
        for _ in 0..KEY_TRIES {
            let subject = self.keyring.subject(tenant, identity(&id))?;
            self.keyring.flush_pending()?;
            if subject.is_durable() {
                return Ok(subject);
            }
        }
        let said = "another writer keeps being first with the key of an attachment";
        Err(Error::new(Kind::Conflict, said))
    }
}

impl Upload {
    /// The content type that it is stored with.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], or as the disk's; then the upload is over.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), UploadError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > ATTACHMENT_BYTES_MAX {
            return Err(UploadError::TooLarge);
        }
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.flush(false)?;
            }
            let room = (CHUNK_BYTES - self.chunk.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Ends the upload.
    ///
    /// # Errors
    /// [`UploadError::WrongDigest`], or as the disk's: then nothing is stored, or it waits.
    ///
    /// # Durability
    /// Stored durably when it returns.
    pub fn finish(mut self) -> Result<Stored, UploadError> {
        let found = Digest::of(std::mem::take(&mut self.hasher));
        if found != self.digest {
            return Err(UploadError::WrongDigest(found));
        }
        self.flush(true)?;
        self.file.sync_data().map_err(failed)?;
        let store = Arc::clone(&self.store);
        let disk = &store.disk;
        let name = name_of(self.sealer.subject().handle());
        let (kept, waiting) = (format!("{KEPT}/{name}"), format!("{WAITING}/{name}"));
        // Held over the sync: else what is moved to be kept meanwhile could be in neither place.
        let _names = store.names.lock();
        if self.sealer.subject().is_superseded() {
            let said = "the key of the attachment was destroyed meanwhile";
            return Err(Error::new(Kind::Conflict, said).into());
        }
        let is_kept = disk.len(&kept).map_err(failed)?.is_some();
        let repeat = is_kept || disk.len(&waiting).map_err(failed)?.is_some();
        let (dir, to) = if is_kept {
            (KEPT, kept)
        } else {
            (WAITING, waiting)
        };
        disk.rename(&self.path, &to).map_err(failed)?;
        self.named = true;
        disk.sync_dir(dir).map_err(failed)?;
        Ok(if repeat { Stored::Repeat } else { Stored::New })
    }

    fn flush(&mut self, last: bool) -> Result<(), Error> {
        let sealed = self.sealer.chunk(self.chunks, last, &self.chunk)?;
        self.append(&sealed)?;
        self.chunks += 1;
        self.chunk.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_at(bytes, self.end).map_err(failed)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.named {
            // What stays is removed when the ledger is opened next.
            let _ = self.store.disk.remove(&self.path);
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}
