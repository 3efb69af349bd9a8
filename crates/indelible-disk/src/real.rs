//! The operating system's files below one directory.
//!
//! Unix only. Files are made with mode 0600 and directories with 0700: what lies in them is nobody
//! else's business. Reads and writes name their position, so one open file serves many threads.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::{Disk, DiskError, DiskFile, Lock, Open, Result};

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The real disk below a root directory.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The disk below `root`, which is made by [`Disk::create_dir_all`] of `""` when missing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }

    fn failed(&self, operation: &'static str, path: &str, source: io::Error) -> DiskError {
        DiskError::new(operation, &self.locate(path), source)
    }
}

impl Disk for RealDisk {
    fn locate(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }

    fn open(&self, path: &str, how: Open) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(FILE_MODE);
        match how {
            Open::Read => {}
            Open::Write => {
                options.write(true);
            }
            Open::New => {
                options.write(true).create_new(true);
            }
        }
        let file = options
            .open(self.at(path))
            .map_err(|e| self.failed("open", path, e))?;
        Ok(Box::new(RealFile {
            file,
            path: self.locate(path),
        }))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.at(dir)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("list", dir, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.failed("list", dir, e))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn len(&self, path: &str) -> Result<Option<u64>> {
        match std::fs::metadata(self.at(path)) {
            Ok(about) => Ok(about.is_file().then_some(about.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failed("look at", path, e)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        std::fs::rename(self.at(from), self.at(to)).map_err(|e| self.failed("rename", from, e))
    }

    fn remove(&self, path: &str) -> Result<()> {
        std::fs::remove_file(self.at(path)).map_err(|e| self.failed("remove", path, e))
    }

    fn remove_dir(&self, path: &str) -> Result<()> {
        std::fs::remove_dir(self.at(path)).map_err(|e| self.failed("remove", path, e))
    }

    fn create_dir_all(&self, dir: &str) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(self.at(dir))
            .map_err(|e| self.failed("make directory", dir, e))
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        File::open(self.at(dir))
            .and_then(|file| file.sync_all())
            .map_err(|e| self.failed("sync directory", dir, e))
    }

    fn try_lock(&self, path: &str, holder: &str) -> Result<Box<dyn Lock>> {
        let fail = |e| self.failed("lock", path, e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(self.at(path))
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let words = std::fs::read_to_string(self.at(path)).unwrap_or_default();
                return Err(DiskError::locked(&self.locate(path), &words));
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        file.set_len(0).map_err(fail)?;
        file.write_all_at(holder.as_bytes(), 0).map_err(fail)?;
        Ok(Box::new(RealLock { _file: file }))
    }
}

struct RealFile {
    file: File,
    path: String,
}

impl DiskFile for RealFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(DiskError::new("read", &self.path, e)),
            }
        }
        Ok(filled)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(into, offset)
            .map_err(|e| DiskError::new("read", &self.path, e))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| DiskError::new("write", &self.path, e))
    }

    fn sync_data(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|e| DiskError::new("sync", &self.path, e))
    }

    fn len(&self) -> Result<u64> {
        let about = self.file.metadata();
        Ok(about
            .map_err(|e| DiskError::new("look at", &self.path, e))?
            .len())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.file
            .set_len(length)
            .map_err(|e| DiskError::new("resize", &self.path, e))
    }
}

/// The lock goes with the open file.
struct RealLock {
    _file: File,
}

impl Lock for RealLock {}
