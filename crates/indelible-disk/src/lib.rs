//! All file access of the project: the [`Disk`] trait, the real disk and the faulty one.
//!
//! Nothing here knows what the bytes mean. Paths are relative to the disk's root and written with
//! `/`. Bytes written are durable only after [`DiskFile::sync_data`], names only after
//! [`Disk::sync_dir`] of the directory that holds them; [`FaultyDisk`] takes both literally, so a
//! forgotten sync shows as lost data in a test instead of at somebody's power cut.
//!
//! What is deliberately absent: buffering, memory maps, asynchronous calls, retries.

pub mod error;
pub mod faulty;
pub mod real;

pub use error::{DiskError, DiskErrorKind, Result};
pub use faulty::{Fault, FaultyDisk, Operation};
pub use real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A file that must not be there yet, for reading and writing.
    New,
}

/// A file system below one root directory.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`], or [`DiskErrorKind::Exists`] for [`Open::New`].
    ///
    /// # Durability
    /// The name of a new file is durable after [`Disk::sync_dir`] of its directory.
    fn open(&self, path: &str, how: Open) -> Result<Box<dyn DiskFile>>;

    /// Names of the entries of a directory, sorted; none when there is no such directory.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn list(&self, dir: &str) -> Result<Vec<String>>;

    /// Length of a file in bytes, or `None` when there is no file of that name.
    ///
    /// # Errors
    /// Any [`DiskError`] but not-found.
    fn len(&self, path: &str) -> Result<Option<u64>>;

    /// Renames a file or a directory, replacing a file that has the new name. Atomic.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] when there is nothing to rename.
    ///
    /// # Durability
    /// After [`Disk::sync_dir`] of the directory that holds the new name.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Where a path is, for people: its errors name it so.
    fn locate(&self, path: &str) -> String {
        path.to_owned()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`].
    fn remove(&self, path: &str) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`], or [`DiskErrorKind::Other`] when it is not empty.
    fn remove_dir(&self, path: &str) -> Result<()>;

    /// Makes a directory and those above it that are missing.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn create_dir_all(&self, dir: &str) -> Result<()>;

    /// Makes the names in a directory durable (`""` is the root).
    ///
    /// # Errors
    /// Any [`DiskError`]: what was to become durable may or may not be.
    fn sync_dir(&self, dir: &str) -> Result<()>;

    /// Takes the exclusive lock of a file, writing `holder` into it, without waiting. The lock ends
    /// when the value is dropped, and with the process.
    ///
    /// # Errors
    /// [`DiskErrorKind::Locked`] with the holder's words when somebody else has it.
    fn try_lock(&self, path: &str, holder: &str) -> Result<Box<dyn Lock>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Disk::open`].
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.open(path, Open::Read)?;
        let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Replaces a whole file: writes `<path>.new`, syncs it, renames it, syncs its directory.
    ///
    /// # Errors
    /// Any [`DiskError`]; the old file is there or the new one, never a mixture.
    ///
    /// # Durability
    /// Durable when it returns.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let fresh = format!("{path}.new");
        if self.len(&fresh)?.is_some() {
            self.remove(&fresh)?;
        }
        let file = self.open(&fresh, Open::New)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(&fresh, path)?;
        self.sync_dir(parent(path))
    }
}

/// An open file. Positions and lengths are bytes.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset` into `into`; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize>;

    /// Reads exactly `into.len()` bytes.
    ///
    /// # Errors
    /// [`DiskErrorKind::Short`] when the file ends before.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<()>;

    /// Writes all of `bytes` at `offset`, making the file longer where needed.
    ///
    /// # Errors
    /// [`DiskErrorKind::NoSpace`] or another: a part of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    /// Any: what was written since the last sync may be lost and a later sync does not bring it
    /// back, so the file must not be written to any more.
    fn sync_data(&self) -> Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn len(&self) -> Result<u64>;

    /// Whether there is nothing in it.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or makes it longer with zeros.
    ///
    /// # Errors
    /// Any [`DiskError`].
    fn set_len(&self, length: u64) -> Result<()>;
}

/// An exclusive lock, held until it is dropped.
pub trait Lock: Send + Sync {}

/// The directory part of a path, `""` for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
