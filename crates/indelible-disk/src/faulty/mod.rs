//! A disk in memory that fails on purpose and forgets what was not synced.
//!
//! Every operation that changes something is counted; a plan says what happens at which count.
//! [`FaultyDisk::reboot`] is the power cut: what was synced is there, and of the rest a seeded
//! random part. The model is strict where file systems differ (a new name needs its directory
//! synced, unsynced writes to one file may survive in any combination, a failed sync drops what it
//! was to write) and lenient nowhere but in this: a rename is atomic.
//!
//! It is the test's oracle of durability, so it is tested itself: `tests/faulty.rs`.

mod model;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use self::model::Model;
use crate::{Disk, DiskError, DiskFile, Lock, Open, Result};

/// An operation that changes the disk, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A file is made.
    Create,
    /// Bytes are written.
    Write,
    /// A file is cut or made longer.
    SetLen,
    /// A file is synced.
    SyncData,
    /// A name is changed.
    Rename,
    /// A file or directory is removed.
    Remove,
    /// A directory is made.
    CreateDir,
    /// A directory is synced.
    SyncDir,
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing was done; a failed sync also loses what it was to write.
    Failed,
    /// An error, though all was done; what is written stays as durable as it would have been.
    FailedButPersisted,
    /// All is done, then the power is cut: every later call fails until the reboot.
    CrashedAfter,
    /// Only the first bytes of a write are done (and survive), then the power is cut.
    Torn {
        /// How many bytes are written.
        bytes: usize,
    },
    /// Success is reported and nothing is done: a sync somebody forgot.
    Ignored,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    model: Arc<Mutex<Model>>,
}

impl FaultyDisk {
    /// An empty disk without faults; `seed` decides what of the unsynced survives a reboot.
    pub fn new(seed: u64) -> Self {
        Self {
            model: Arc::new(Mutex::new(Model::new(seed))),
        }
    }

    /// Lets `fault` happen to the operation counted `at` (from 0).
    pub fn plan(&self, at: u64, fault: Fault) {
        self.model.lock().plan.insert(at, fault);
    }

    /// Sets how many bytes all files together may have; `None` is no limit.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.model.lock().room = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        self.model.lock().used()
    }

    /// How many operations were counted, and so the number of the next.
    pub fn count(&self) -> u64 {
        self.model.lock().history.len() as u64
    }

    /// Every operation so far with its path.
    pub fn history(&self) -> Vec<(Operation, String)> {
        self.model.lock().history.clone()
    }

    /// Whether the power is cut.
    pub fn is_crashed(&self) -> bool {
        self.model.lock().crashed
    }

    /// Cuts the power now.
    pub fn crash(&self) {
        self.model.lock().crashed = true;
    }

    /// Starts again with what is durable and, by the seed, a part of what is not. Locks are free,
    /// the plan is empty, and files opened before are dead.
    pub fn reboot(&self) {
        self.model.lock().reboot();
    }

    /// Changes bytes behind everybody's back, durably.
    ///
    /// # Errors
    /// When there is no such file or it is shorter.
    pub fn damage(&self, path: &str, offset: u64, change: impl FnOnce(&mut u8)) -> Result<()> {
        let mut model = self.model.lock();
        model
            .damage(path, offset, change)
            .map_err(|e| DiskError::new("damage", path, e))
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &str, how: Open) -> Result<Box<dyn DiskFile>> {
        let mut model = self.model.lock();
        let inode = model
            .open(path, how)
            .map_err(|e| DiskError::new("open", path, e))?;
        let boots = model.boots;
        let file = FaultyFile {
            model: Arc::clone(&self.model),
            inode,
            boots,
            path: path.into(),
        };
        Ok(Box::new(file))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.model
            .lock()
            .list(dir)
            .map_err(|e| DiskError::new("list", dir, e))
    }

    fn len(&self, path: &str) -> Result<Option<u64>> {
        self.model
            .lock()
            .length(path)
            .map_err(|e| DiskError::new("look at", path, e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.model
            .lock()
            .rename(from, to)
            .map_err(|e| DiskError::new("rename", from, e))
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.model
            .lock()
            .remove(path, false)
            .map_err(|e| DiskError::new("remove", path, e))
    }

    fn remove_dir(&self, path: &str) -> Result<()> {
        self.model
            .lock()
            .remove(path, true)
            .map_err(|e| DiskError::new("remove", path, e))
    }

    fn create_dir_all(&self, dir: &str) -> Result<()> {
        let made = self.model.lock().create_dir_all(dir);
        made.map_err(|e| DiskError::new("make directory", dir, e))
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        self.model
            .lock()
            .sync_dir(dir)
            .map_err(|e| DiskError::new("sync directory", dir, e))
    }

    fn try_lock(&self, path: &str, holder: &str) -> Result<Box<dyn Lock>> {
        let mut model = self.model.lock();
        model.alive().map_err(|e| DiskError::new("lock", path, e))?;
        if let Some(words) = model.locks.get(path) {
            return Err(DiskError::locked(path, words));
        }
        model.locks.insert(path.to_owned(), holder.to_owned());
        let boots = model.boots;
        Ok(Box::new(FaultyLock {
            model: Arc::clone(&self.model),
            boots,
            path: path.to_owned(),
        }))
    }
}

struct FaultyFile {
    model: Arc<Mutex<Model>>,
    inode: usize,
    boots: u64,
    path: String,
}

impl FaultyFile {
    fn with<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut Model) -> io::Result<T>,
    ) -> Result<T> {
        let mut model = self.model.lock();
        let done = if model.boots == self.boots {
            act(&mut model)
        } else {
            Err(io::Error::other("the file was opened before the reboot"))
        };
        done.map_err(|e| DiskError::new(operation, &self.path, e))
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        self.with("read", |model| model.read(self.inode, into, offset))
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<()> {
        self.with("read", |model| {
            if model.read(self.inode, into, offset)? < into.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.with("write", |model| {
            model.write(self.inode, &self.path, bytes, offset)
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.with("sync", |model| model.sync_data(self.inode, &self.path))
    }

    fn len(&self) -> Result<u64> {
        self.with("look at", |model| model.file_length(self.inode))
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.with("resize", |model| {
            model.set_len(self.inode, &self.path, length)
        })
    }
}

struct FaultyLock {
    model: Arc<Mutex<Model>>,
    boots: u64,
    path: String,
}

impl Lock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        let mut model = self.model.lock();
        if model.boots == self.boots {
            model.locks.remove(&self.path);
        }
    }
}
