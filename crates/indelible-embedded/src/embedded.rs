//! The ledger and index in one data directory.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use indelible_disk::{Disk, DiskErrorKind};
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::Hash;
use indelible_proof::finding::{Finding, Place as Damage};
use indelible_store::{
    Commit, Error, Head, Hits, Index, Kind, Ledger, Place, Query, Result, RowOpener, Stored,
    Tallied, Tally, TermKey, Unread,
};
use parking_lot::Mutex;

use crate::failure::from_disk;
use crate::format::Format;
use crate::lock::WriteLock;
use crate::open::Opening;
use crate::options::{Options, Progress, Stats};
use crate::part::PartRef;
use crate::seal::vanished;
use crate::search::Search;
use crate::search::tally::Counting;
use crate::store::Store;
use crate::workers::Workers;

/// A ledger and its index in one data directory, open.
///
/// Appends are durable and searchable when they return. Sealing and merging happen on two threads,
/// which end with this value.
pub struct Embedded {
    store: Arc<Store>,
    workers: Mutex<Workers>,
    /// Released last: when the other files are closed.
    #[expect(dead_code, reason = "held, not read")]
    lock: Option<WriteLock>,
}

/// What may lie where a ledger is made: what a ledger has there itself, and what every new file
/// system does.
const MAY_LIE_THERE: [&str; 12] = [
    "BACKUP",
    "FORMAT.new",
    "LOCK",
    "attachments",
    "dead-letters",
    "journal",
    "keys",
    "lost+found",
    "personal",
    "segments",
    "state.redb",
    "state.redb.new",
];

fn may_lie_there(name: &str) -> bool {
    MAY_LIE_THERE.contains(&name)
}

/// How often opening starts over because files went away meanwhile.
const REOPENS_MAX: u32 = 16;
/// How much longer each time it waits before that.
const REOPEN_PAUSE: Duration = Duration::from_millis(2);

impl Embedded {
    /// Makes a data directory: an empty ledger. `ledger_id` and `hash_key` are random.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there is a ledger already.
    pub fn create(
        disk: &dyn Disk,
        ledger_id: [u8; 16],
        hash_key: [u8; 16],
        now: Micros,
    ) -> Result<()> {
        disk.create_dir_all("").map_err(from_disk)?;
        Self::may_create(disk)?;
        for dir in ["journal", "segments", "personal"] {
            disk.create_dir_all(dir).map_err(from_disk)?;
        }
        // If we die before FORMAT is there, there is no ledger yet and creating it works again.
        Format::new(ledger_id, hash_key, now).store(disk)
    }

    /// Whether a ledger may be made in the directory: there is none, nothing is left of one, and
    /// nothing of anybody else's is there.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there is a ledger already, or the directory is used for something
    /// else; [`Kind::Corrupt`] when `FORMAT` is gone from a ledger: with another, nothing of the
    /// old one could be read any more.
    pub fn may_create(disk: &dyn Disk) -> Result<()> {
        if disk.len(crate::format::PATH).map_err(from_disk)?.is_some() {
            let said = "there is a ledger in this directory already: open it, or name another";
            return Err(Error::new(Kind::Invalid, said));
        }
        for dir in ["journal", "segments"] {
            let left = match disk.list(dir) {
                Err(error) if error.kind() == DiskErrorKind::NotFound => continue,
                left => left.map_err(from_disk)?,
            };
            if !left.is_empty() {
                let said = format!(
                    "the directory has {dir}/ of a ledger and no FORMAT: restore that file from a \
                     backup, or name another directory"
                );
                return Err(Error::new(Kind::Corrupt, said));
            }
        }
        let names = disk.list("").map_err(from_disk)?;
        match names.iter().find(|name| !may_lie_there(name)) {
            None => Ok(()),
            Some(name) => {
                let said = format!(
                    "the directory is used for something else, {name} is in it: name one that is \
                     empty or not there"
                );
                Err(Error::new(Kind::Invalid, said))
            }
        }
    }

    /// Opens a data directory.
    ///
    /// `opener` learns from personal rows what finds them; without one they are kept and returned
    /// but not found. `progress` is told of work that may take long.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another process writes, saying which; [`Kind::NotFound`] when this is
    /// no data directory; [`Kind::Format`] when it has another format, saying what to do;
    /// [`Kind::Corrupt`] when it cannot be read at all.
    pub fn open(
        disk: Arc<dyn Disk>,
        opener: Option<Arc<dyn RowOpener>>,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let lock = if options.read_only {
            None
        } else {
            // A directory that is no ledger gets no lock file.
            Format::load(&*disk)?;
            Some(Self::lock(&*disk, options.now)?)
        };
        Self::open_with(lock, disk, opener, options, progress)
    }

    /// Takes the lock of a data directory: before any of its files is made or opened for writing,
    /// also those that are opened before the ledger.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another process writes, saying which.
    pub fn lock(disk: &dyn Disk, now: Option<Micros>) -> Result<WriteLock> {
        crate::lock::take(disk, now)
    }

    /// As [`Embedded::open`], for writing, under a lock that was taken before.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_under(
        lock: WriteLock,
        disk: Arc<dyn Disk>,
        opener: Option<Arc<dyn RowOpener>>,
        mut options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        options.read_only = false;
        Self::open_with(Some(lock), disk, opener, options, progress)
    }

    fn open_with(
        lock: Option<WriteLock>,
        disk: Arc<dyn Disk>,
        opener: Option<Arc<dyn RowOpener>>,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let opening = Opening {
            disk,
            opener,
            options,
        };
        // Pages are checked when they are read; all of them only when something does not open.
        let mut thorough = false;
        for attempt in 0..REOPENS_MAX {
            let there = opening
                .disk
                .len(crate::format::PATH)
                .map_err(from_disk)?
                .is_some();
            match opening.run(thorough, progress) {
                // A writer beside us sealed or merged what we were about to open: look again.
                Err(error) if opening.options.read_only && there && vanished(&error) => {
                    std::thread::sleep(REOPEN_PAUSE * attempt);
                }
                // Perhaps only something derived: look at every byte of it, and make it again.
                Err(error) if error.kind() == Kind::Corrupt && !thorough => thorough = true,
                other => return other.map(|store| Self::start(store, lock)),
            }
        }
        let said = "files of the data directory keep changing: try again";
        Err(Error::new(Kind::Unavailable, said))
    }

    fn start(store: Store, lock: Option<WriteLock>) -> Self {
        let store = Arc::new(store);
        let workers = Mutex::new(Workers::start(&store));
        Self {
            store,
            workers,
            lock,
        }
    }

    /// What `FORMAT` says.
    pub fn format(&self) -> &Format {
        &self.store.format
    }

    /// Waits for all sealing and merging that is due, then releases the lock. Dropping the value
    /// does not wait for that; what is left is done after the next opening.
    ///
    /// # Errors
    /// Why sealing or merging does not get on, if it does not. Nothing is lost: it is tried again.
    pub fn close(self) -> Result<()> {
        self.finish(&mut || false)
    }

    /// Waits for all sealing and merging that is due, or until `give_up`, which is asked again and
    /// again, says to leave it. Meant for the end: later appends seal and merge by themselves.
    ///
    /// # Errors
    /// As [`Embedded::close`].
    pub fn finish(&self, give_up: &mut dyn FnMut() -> bool) -> Result<()> {
        self.workers.lock().finish(&self.store, give_up);
        match self.trouble() {
            Some(why) => Err(Error::new(Kind::Unavailable, why)),
            None => Ok(()),
        }
    }

    /// Why sealing or merging does not get on, if it does not.
    pub fn trouble(&self) -> Option<String> {
        self.store.trouble.lock().words()
    }

    /// Reads every byte and names what is not as it was written: damage to records by tenant and
    /// sequence numbers, damage to what is derived by file.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the disk fails; damage is not an error.
    pub fn check(&self, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Finding>> {
        self.store.check(progress)
    }

    /// Makes what is derived again where it is damaged, and returns what was wrong with it.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the disk fails; [`Kind::ReadOnly`] on a directory opened for
    /// reading.
    pub fn repair(&self, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Finding>> {
        if self.store.options.read_only {
            let said =
                "the data directory was opened for reading: open it for writing to repair it";
            return Err(Error::new(Kind::ReadOnly, said));
        }
        self.store.repair(progress)
    }

    /// Paths of derived files that are missing or damaged and were made again in memory, which
    /// [`Embedded::repair`] of a directory opened for writing makes for good. Those of records that
    /// are damaged are not among them: they stay as they are.
    pub fn made_in_memory(&self) -> Vec<String> {
        self.store.made_in_memory()
    }

    /// Bytes on disk by kind of file.
    ///
    /// # Errors
    /// [`Kind::Unavailable`].
    pub fn stats(&self) -> Result<Stats> {
        self.store.stats()
    }
}

impl Drop for Embedded {
    /// Ends the threads, a merge where it stands; then the fields go, the lock last.
    fn drop(&mut self) {
        self.workers.lock().stop(&self.store);
    }
}

impl Ledger for Embedded {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        let mut tenants: Vec<_> = self.store.heads.read().map.keys().cloned().collect();
        tenants.sort();
        Ok(tenants)
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.store.heads.read().head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.store.find(tenant, ids)
    }

    fn term_key(&self) -> Option<TermKey> {
        Some(self.store.hashing.terms)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        self.store.commit(commit)
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.store.read(tenant, range, visit)
    }

    fn unplaced(&self) -> Result<Vec<Damage>> {
        let unread = self.store.unread()?;
        let unplaced = unread.iter().filter(|unread| unread.log.is_none());
        Ok(unplaced.map(|unread| unread.place.clone()).collect())
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.store.subtree(tenant, level, index)
    }
}

impl Index for Embedded {
    fn mark(&self) -> Result<u64> {
        let view = self.store.view();
        Ok(view.parts.last().map_or(0, |part| match part {
            PartRef::Segment(segment) => segment.facts.end,
            PartRef::Tail(tail) => tail.first + u64::from(tail.index.read().rows()),
        }))
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let tenants = self.tenants()?;
        self.store.mending(|| {
            Search {
                view: &self.store.view(),
                hashing: &self.store.hashing,
                query,
                after,
                limit,
            }
            .run(&tenants)
        })
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        self.store.mending(|| {
            Counting {
                view: &self.store.view(),
                hashing: &self.store.hashing,
                query,
                wanted,
                shared_rows: self.store.options.shared_rows,
            }
            .run()
        })
    }

    fn unread(&self, query: &Query) -> Result<Vec<Unread>> {
        let unread = self.store.unread()?;
        let wanted = unread.iter().filter(|unread| match &unread.log {
            Some((tenant, _)) => query.wants_tenant(tenant),
            None => true,
        });
        Ok(wanted.cloned().collect())
    }
}
