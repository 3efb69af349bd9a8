//! The role `State` in one redb file.
//!
//! redb does its own journalling and checksums; here are only the adapter to the disk, versions
//! (eight little-endian bytes before each value) and reading beside a writer: since redb keeps a
//! file to itself, a reader copies the file into memory while its header stands still.
//!
//! redb compares checksums only when it is told to (`Database::check_integrity`) and panics over
//! bytes that are not its own. So every opening, for reading or writing, first checks a copy in
//! memory, and all calls go through [`contained`]: damage is an error, and a damaged file is never
//! written to.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use indelible_disk::{Disk, DiskError, DiskFile, Open};
use indelible_store::{Change, Entry, Error, Kind, Result, State, Version};
use parking_lot::Mutex;
use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable, StorageBackend};
use redb::{TableDefinition, TableError, TableHandle as _};

use crate::failure::from_disk;

/// The longest key, bytes.
const KEY_BYTES_MAX: usize = 512;
/// The longest value, bytes.
const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of memory for pages read; these databases are small.
const CACHE_BYTES: usize = 16 << 20;
/// Bytes at the start of the file that every commit changes.
const HEADER_BYTES: usize = 4096;
/// Where the header keeps its flags, and the one that is set while the file is open for writing
/// (redb's `docs/design.md`, "Database header").
const FLAGS_AT: usize = 9;
const RECOVERY_REQUIRED: u8 = 2;
/// How often a file that is followed is copied again.
const FOLLOWED_MAX: usize = 16;
/// How often a reader tries to copy the file while a writer commits.
const COPIES_MAX: usize = 1000;

/// A table: values with their versions.
type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// How the file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateMode {
    /// As [`StateMode::Write`], and made when it is missing: with its ledger, never later.
    Create,
    /// For reading and writing, by one process.
    Write,
    /// A copy of it as it is now, for reading only, beside a writer or not.
    Read,
    /// As [`StateMode::Read`], and copied again when a key is not there and the file has changed:
    /// until [`RedbState::settle`], after that once more.
    Follow,
}

/// Small values with compare-and-swap in one file.
pub struct RedbState {
    disk: Arc<dyn Disk>,
    path: String,
    mode: StateMode,
    /// `None` after a failure, until the next use opens it again.
    database: Mutex<Option<Arc<Database>>>,
    /// Of a file that is followed.
    followed: Mutex<Followed>,
}

/// How far a file is followed.
#[derive(Default)]
struct Followed {
    /// The header of the copy that is open.
    header: Vec<u8>,
    /// How often it may be copied again.
    copies: usize,
}

/// Opens the state file at `path`, having compared every page in use with its checksum.
///
/// # Errors
/// [`Kind::NotFound`] for a missing file; [`Kind::Corrupt`] when it is not what was written.
pub fn open_state(disk: Arc<dyn Disk>, path: &str, mode: StateMode) -> Result<RedbState> {
    let state = RedbState {
        disk,
        path: path.to_owned(),
        mode,
        database: Mutex::new(None),
        followed: Mutex::new(Followed {
            copies: FOLLOWED_MAX,
            ..Followed::default()
        }),
    };
    state.database()?;
    Ok(state)
}

impl RedbState {
    /// The open database, opened again after a failure.
    /// Names of all spaces that were ever written to, in order.
    ///
    /// # Errors
    /// As [`State::get`].
    pub fn spaces(&self) -> Result<Vec<String>> {
        self.guarded(|| {
            let failed = |e: redb::Error| self.failed("list the spaces", e);
            let transaction = self.reading()?.begin_read().map_err(|e| failed(e.into()))?;
            let tables = transaction.list_tables().map_err(|e| failed(e.into()))?;
            let mut names: Vec<String> = tables.map(|table| table.name().to_owned()).collect();
            names.sort_unstable();
            Ok(names)
        })
        .map_err(|e| self.reset(e))
    }

    fn database(&self) -> Result<Arc<Database>> {
        let mut slot = self.database.lock();
        if let Some(database) = &*slot {
            return Ok(Arc::clone(database));
        }
        let database = match self.mode {
            StateMode::Create | StateMode::Write => self.open_file()?,
            StateMode::Read | StateMode::Follow => self.open_copy()?,
        };
        let database = Arc::new(database);
        *slot = Some(Arc::clone(&database));
        Ok(database)
    }

    /// The database to read from: while there is no room to open it for writing, a copy.
    fn reading(&self) -> Result<Arc<Database>> {
        match self.database() {
            Err(error) if error.kind() == Kind::NoSpace => self.open_copy().map(Arc::new),
            other => other,
        }
    }

    /// Says that whatever is asked for from here on was written before now.
    pub fn settle(&self) {
        let mut followed = self.followed.lock();
        followed.copies = followed.copies.min(1);
    }

    /// Copies a file again that is followed and has changed; whether it did.
    fn follow(&self) -> Result<bool> {
        if self.mode != StateMode::Follow {
            return Ok(false);
        }
        let file = self.disk.open(&self.path, Open::Read).map_err(from_disk)?;
        let now = header(&*file)?;
        {
            let mut followed = self.followed.lock();
            if followed.copies == 0 || followed.header == now {
                return Ok(false);
            }
            followed.copies -= 1;
        }
        let copy = Arc::new(self.open_copy()?);
        *self.database.lock() = Some(copy);
        Ok(true)
    }

    fn open_file(&self) -> Result<Database> {
        let disk = &*self.disk;
        if disk.len(&self.path).map_err(from_disk)?.is_none() {
            if self.mode != StateMode::Create {
                return Err(self.missing());
            }
            self.make()?;
        }
        let bytes = disk.read(&self.path).map_err(from_disk)?;
        self.guarded(|| self.verified(&bytes).map(drop))?;
        // A file that was not closed properly is written anew. After a failed sync the system may
        // go on to show pages that are not on the disk and that no later sync brings there; what is
        // built on them would be lost with the power. A copy is on the disk as a whole.
        let flags = bytes.get(FLAGS_AT).copied().unwrap_or(RECOVERY_REQUIRED);
        if flags & RECOVERY_REQUIRED != 0 {
            // If we die here or in it, the old file is still there and this is done again.
            disk.replace(&self.path, &bytes).map_err(from_disk)?;
        }
        let file = disk.open(&self.path, Open::Write).map_err(from_disk)?;
        self.guarded(|| self.build(FileBackend(file)))
    }

    fn make(&self) -> Result<()> {
        let disk = &*self.disk;
        let dir = indelible_disk::parent(&self.path);
        if !dir.is_empty() {
            disk.create_dir_all(dir).map_err(from_disk)?;
            disk.sync_dir(indelible_disk::parent(dir))
                .map_err(from_disk)?;
        }
        let fresh = format!("{}.new", self.path);
        crate::seal::remove_file(disk, &fresh)?;
        let file = disk.open(&fresh, Open::New).map_err(from_disk)?;
        self.guarded(|| self.build(FileBackend(file)).map(drop))?;
        // If we die here the file has no name that is looked for, and is made again.
        disk.rename(&fresh, &self.path).map_err(from_disk)?;
        disk.sync_dir(dir).map_err(from_disk)
    }

    /// A copy in memory, taken while the header did not change.
    fn open_copy(&self) -> Result<Database> {
        if self.disk.len(&self.path).map_err(from_disk)?.is_none() {
            return Err(self.missing());
        }
        let file = self.disk.open(&self.path, Open::Read).map_err(from_disk)?;
        for _ in 0..COPIES_MAX {
            let before = header(&*file)?;
            let bytes = self.disk.read(&self.path).map_err(from_disk)?;
            if bytes.get(..before.len()) != Some(&before) || header(&*file)? != before {
                continue;
            }
            self.followed.lock().header = before;
            return self.guarded(|| self.verified(&bytes));
        }
        let said = format!("{} keeps changing: try again", self.path);
        Err(Error::new(Kind::Unavailable, said))
    }

    /// A database in memory of these bytes, every page of which is what was written. Nothing else
    /// can go wrong in memory, so every error is damage.
    fn verified(&self, bytes: &[u8]) -> Result<Database> {
        // redb takes an empty file for a new one.
        if bytes.is_empty() {
            return Err(self.damaged());
        }
        let memory = InMemoryBackend::new();
        let copied = memory
            .set_len(bytes.len() as u64)
            .and_then(|()| memory.write(0, bytes));
        copied.map_err(|e| self.failed("copy", redb::Error::Io(e)))?;
        let mut database = builder()
            .create_with_backend(memory)
            .map_err(|e| self.damaged().caused_by(e))?;
        match database.check_integrity() {
            Ok(true) => Ok(database),
            Ok(false) => Err(self.damaged()),
            Err(error) => Err(self.damaged().caused_by(error)),
        }
    }

    fn build(&self, backend: impl StorageBackend) -> Result<Database> {
        builder()
            .create_with_backend(backend)
            .map_err(|e| self.failed("open", e))
    }

    /// Runs what calls redb: a panic of its is damage like any other.
    fn guarded<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        contained(act).unwrap_or_else(|| Err(self.damaged()))
    }

    fn damaged(&self) -> Error {
        let said = format!("{} is damaged: restore it from a backup", self.path);
        Error::new(Kind::Corrupt, said)
    }

    fn missing(&self) -> Error {
        let said = format!("{} is missing: restore it from a backup", self.path);
        Error::new(Kind::NotFound, said)
    }

    fn failed(&self, doing: &str, error: impl Into<redb::Error>) -> Error {
        let error = error.into();
        let kind = match &error {
            redb::Error::Io(e) if e.kind() == io::ErrorKind::StorageFull => Kind::NoSpace,
            redb::Error::Io(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Kind::Corrupt
            }
            redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => Kind::Corrupt,
            _ => Kind::Unavailable,
        };
        Error::new(kind, format!("cannot {doing} {}", self.path)).caused_by(error)
    }

    /// Lets the next use open the file again: after an error of the disk redb takes no more calls.
    fn reset(&self, error: Error) -> Error {
        if error.kind() != Kind::Conflict {
            self.let_go();
        }
        error
    }

    /// Closes the file, which redb writes to.
    fn let_go(&self) {
        let database = self.database.lock().take();
        // What is lost by a panic here is found by the next opening.
        let _ = contained(|| drop(database));
    }

    fn try_get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        let failed = |e: redb::Error| self.failed("read", e);
        let database = self.reading()?;
        let transaction = database.begin_read().map_err(|e| failed(e.into()))?;
        let table = match transaction.open_table(Table::new(space)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(e) => return Err(failed(e.into())),
        };
        let Some(found) = table.get(key).map_err(|e| failed(e.into()))? else {
            return Ok(None);
        };
        self.split(found.value()).map(Some)
    }

    /// A stored value and its version.
    fn split(&self, stored: &[u8]) -> Result<(Vec<u8>, Version)> {
        let (version, value) = stored.split_first_chunk().ok_or_else(|| {
            Error::new(
                Kind::Corrupt,
                format!("{} holds a value without a version", self.path),
            )
        })?;
        Ok((value.to_vec(), Version::from_le_bytes(*version)))
    }

    fn try_scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let failed = |e: redb::Error| self.failed("read", e);
        let database = self.reading()?;
        let transaction = database.begin_read().map_err(|e| failed(e.into()))?;
        let table = match transaction.open_table(Table::new(space)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(failed(e.into())),
        };
        let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
        let mut found = Vec::new();
        for entry in table.range(from..).map_err(|e| failed(e.into()))? {
            let (key, value) = entry.map_err(|e| failed(e.into()))?;
            if found.len() == limit || !key.value().starts_with(prefix) {
                break;
            }
            if after.is_none_or(|after| key.value() > after) {
                let (value, version) = self.split(value.value())?;
                found.push((key.value().to_vec(), value, version));
            }
        }
        Ok(found)
    }

    fn try_apply(&self, changes: &[Change]) -> Result<()> {
        let failed = |e: redb::Error| self.failed("write", e);
        let transaction = self
            .database()?
            .begin_write()
            .map_err(|e| failed(e.into()))?;
        for change in changes {
            let table = transaction.open_table(Table::new(change.space));
            let mut table = table.map_err(|e| failed(e.into()))?;
            let version = match table
                .get(change.key.as_slice())
                .map_err(|e| failed(e.into()))?
            {
                Some(stored) => self.split(stored.value())?.1,
                None => 0,
            };
            if change.expected.is_some_and(|expected| expected != version) {
                let said = format!("a value of {} has version {version}: read it", change.space);
                return Err(Error::new(Kind::Conflict, said));
            }
            let key = change.key.as_slice();
            match &change.value {
                Some(value) => {
                    let mut bytes = (version + 1).to_le_bytes().to_vec();
                    bytes.extend_from_slice(value);
                    table
                        .insert(key, bytes.as_slice())
                        .map_err(|e| failed(e.into()))?;
                }
                None => {
                    table.remove(key).map_err(|e| failed(e.into()))?;
                }
            }
        }
        transaction.commit().map_err(|e| {
            let error = failed(e.into());
            if error.kind() == Kind::NoSpace {
                return error;
            }
            let said = format!("{} may have been changed or not: read it", self.path);
            Error::new(Kind::UnknownOutcome, said).caused_by(error)
        })
    }
}

impl Drop for RedbState {
    fn drop(&mut self) {
        self.let_go();
    }
}

thread_local! {
    /// How many calls of [`contained`] this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `act`; `None` when it panicked.
fn contained<T>(act: impl FnOnce() -> T) -> Option<T> {
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(act));
    DEPTH.set(DEPTH.get() - 1);
    result.ok()
}

/// Whether a panic of this thread now is one over damaged bytes of a state file, which becomes an
/// error: for a program's panic hook, which need not tell it.
pub fn is_panic_contained() -> bool {
    DEPTH.get() > 0
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn header(file: &dyn DiskFile) -> Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER_BYTES];
    let count = file.read_at(&mut bytes, 0).map_err(from_disk)?;
    bytes.truncate(count);
    Ok(bytes)
}

impl State for RedbState {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        let get = || self.guarded(|| self.try_get(space, key));
        match get() {
            Ok(None) if self.follow()? => get(),
            got => got,
        }
        .map_err(|e| self.reset(e))
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.guarded(|| self.try_scan(space, prefix, after, limit))
            .map_err(|e| self.reset(e))
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        if matches!(self.mode, StateMode::Read | StateMode::Follow) {
            let said = format!("{} was opened for reading: open it for writing", self.path);
            return Err(Error::new(Kind::ReadOnly, said));
        }
        let too_long = |change: &Change| {
            let value = change.value.as_ref().map_or(0, Vec::len);
            change.key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX
        };
        if changes.iter().any(too_long) {
            let said = "a key has at most 512 bytes and a value at most 16 MiB";
            return Err(Error::new(Kind::Invalid, said));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.guarded(|| self.try_apply(changes))
            .map_err(|e| self.reset(e))
    }
}

/// A file of the disk as redb wants it.
struct FileBackend(Box<dyn DiskFile>);

impl std::fmt::Debug for FileBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileBackend")
    }
}

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.len().map_err(DiskError::into_io)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0
            .read_exact_at(out, offset)
            .map_err(DiskError::into_io)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len).map_err(DiskError::into_io)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data().map_err(DiskError::into_io)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset).map_err(DiskError::into_io)
    }
}
