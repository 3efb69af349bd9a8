//! The file of an attachment: a head, then chunks, each encrypted with its place.
//!
//! Chunks are numbered and the last one says so, so that none can be moved, dropped or cut off.
//! They can be read one by one. `spec/attachment.md` §3.

use std::sync::Arc;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_disk::{Disk, DiskErrorKind, DiskFile, Open};
use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Digest, failed};
use crate::keyring::Subject;

/// Bytes of every chunk but the last.
pub const CHUNK_BYTES: usize = 64 << 10;
/// What encryption adds to each.
const TAG_BYTES: usize = 16;
const SEALED_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;
const MAGIC: &[u8; 8] = b"INDLATT1";
/// Magic, time, length of the head.
const FIXED_BYTES: usize = 8 + 8 + 2;

/// What the head says.
#[derive(Serialize, Deserialize)]
struct Head {
    digest: String,
    r#type: String,
}

/// Encrypts and opens the parts of one file.
pub(super) struct Sealer {
    key: Zeroizing<[u8; 64]>,
    subject: Arc<Subject>,
}

impl Sealer {
    pub(super) fn new(subject: &Arc<Subject>) -> Self {
        Self {
            key: subject.attachment_key(),
            subject: Arc::clone(subject),
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The file's beginning.
    pub(super) fn head(&self, at: Micros, digest: &Digest, media_type: &str) -> Result<Vec<u8>> {
        let head = Head {
            digest: digest.to_string(),
            r#type: media_type.to_owned(),
        };
        let refused = || Error::new(Kind::Invalid, "the content type is too long");
        let head = serde_json::to_vec(&head).map_err(|_| refused())?;
        let sealed = self.seal(&self.name_of_head(at), &head)?;
        let length = u16::try_from(sealed.len()).map_err(|_| refused())?;
        let fixed = [
            &MAGIC[..],
            &at.0.to_be_bytes(),
            &length.to_le_bytes(),
            &sealed,
        ];
        Ok(fixed.concat())
    }

    pub(super) fn chunk(&self, number: u64, last: bool, plain: &[u8]) -> Result<Vec<u8>> {
        self.seal(&self.name_of_chunk(number, last), plain)
    }

    fn seal(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let refused = |_| Error::new(Kind::Invalid, "encryption refused an attachment");
        self.cipher().encrypt([name], plain).map_err(refused)
    }

    fn open(&self, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let opened = self.cipher().decrypt([name], sealed).ok();
        opened.map(Zeroizing::new)
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new(&(*self.key).into())
    }

    fn name_of_head(&self, at: Micros) -> Vec<u8> {
        [&self.subject.handle().0[..], &at.0.to_be_bytes()].concat()
    }

    fn name_of_chunk(&self, number: u64, last: bool) -> Vec<u8> {
        let handle = self.subject.handle();
        [&handle.0[..], &number.to_be_bytes(), &[u8::from(last)]].concat()
    }
}

/// When the attachment in a file was stored; `None` for a file that does not begin like one.
pub(super) fn stored_at(disk: &dyn Disk, path: &str) -> Result<Option<Micros>> {
    let file = disk.open(path, Open::Read).map_err(failed)?;
    let mut fixed = [0; FIXED_BYTES];
    match file.read_exact_at(&mut fixed, 0) {
        Err(error) if error.kind() == DiskErrorKind::Short => return Ok(None),
        read => read.map_err(failed)?,
    }
    Ok(fixed_part(&fixed).map(|(at, _)| at))
}

fn fixed_part(fixed: &[u8; FIXED_BYTES]) -> Option<(Micros, usize)> {
    let rest = fixed.strip_prefix(MAGIC)?;
    let (at, rest) = rest.split_first_chunk()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    Some((Micros(i64::from_be_bytes(*at)), length))
}

/// A stored attachment, open for reading.
pub struct Whole {
    file: Box<dyn DiskFile>,
    path: String,
    sealer: Sealer,
    head_bytes: u64,
    chunks: u64,
    bytes: u64,
    digest: Digest,
    media_type: String,
}

impl Whole {
    pub(super) fn open(disk: &dyn Disk, path: &str, subject: &Arc<Subject>) -> Result<Self> {
        let damaged = || damaged(path);
        let file = disk.open(path, Open::Read).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let mut fixed = [0; FIXED_BYTES];
        read_exact(&*file, &mut fixed, 0, path)?;
        let (at, sealed) = fixed_part(&fixed).ok_or_else(damaged)?;
        let mut head = vec![0; sealed];
        read_exact(&*file, &mut head, FIXED_BYTES as u64, path)?;
        let sealer = Sealer::new(subject);
        let head = sealer.open(&sealer.name_of_head(at), &head);
        let head: Option<Head> = head.and_then(|head| serde_json::from_slice(&head).ok());
        let head = head.ok_or_else(damaged)?;
        let head_bytes = (FIXED_BYTES + sealed) as u64;
        let body = length.saturating_sub(head_bytes);
        let chunks = body.div_ceil(SEALED_BYTES);
        let tags = chunks * TAG_BYTES as u64;
        Ok(Self {
            bytes: body.checked_sub(tags).ok_or_else(damaged)?,
            digest: Digest::parse(&head.digest).ok_or_else(damaged)?,
            media_type: head.r#type,
            path: path.to_owned(),
            file,
            sealer,
            head_bytes,
            chunks,
        })
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What its bytes were to hash to when it was stored.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Its content type, as it was stored.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// How many chunks it has, at least one.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The bytes of a chunk, from 0.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when it is not what was stored there.
    pub fn chunk(&self, number: u64) -> Result<Zeroizing<Vec<u8>>> {
        let last = number + 1 == self.chunks;
        let end = self.bytes + self.chunks * TAG_BYTES as u64;
        let from = number * SEALED_BYTES;
        let length = end.saturating_sub(from).min(SEALED_BYTES);
        let length = usize::try_from(length).map_err(|_| damaged(&self.path))?;
        let mut sealed = vec![0; length];
        read_exact(&*self.file, &mut sealed, self.head_bytes + from, &self.path)?;
        let name = self.sealer.name_of_chunk(number, last);
        let plain = self.sealer.open(&name, &sealed);
        plain.ok_or_else(|| damaged(&self.path))
    }

    /// Reads all of it and compares the digest.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when it is not what was stored.
    pub fn check(&self) -> Result<()> {
        use sha2::{Digest as _, Sha256};
        let mut hasher = Sha256::new();
        // A file without a chunk was cut.
        for number in 0..self.chunks.max(1) {
            hasher.update(&*self.chunk(number)?);
        }
        if Digest::of(hasher) != self.digest {
            return Err(damaged(&self.path));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whole")
    }
}

fn read_exact(file: &dyn DiskFile, into: &mut [u8], at: u64, path: &str) -> Result<()> {
    match file.read_exact_at(into, at) {
        Err(error) if error.kind() == DiskErrorKind::Short => Err(damaged(path)),
        read => read.map_err(failed),
    }
}

fn damaged(path: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{path} is damaged: send the attachment again, or restore the file"),
    )
}
