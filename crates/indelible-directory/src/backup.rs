//! A backup: a ledger as it was, in a directory that reads like a data directory, made beside
//! whoever writes and without the master key. The key store goes elsewhere or nowhere.
//!
//! What stands in a backup never speaks of what is not in it. So the small state is read first,
//! then records, then keys, then attachments; written are keys first, then attachments, records,
//! and the small state last. Order of outside writes, and what a crash after each leaves:
//! 1. `BACKUP` says of which ledger it is: the next attempt goes on.
//! 2. copies under other names, the key store, attachments: the backup is as it was.
//! 3. records into their places: it has more of them than it says were published.
//! 4. `FORMAT`, in a new one: from now on it is a ledger. Then the small state.
//! 5. `BACKUP` says since when it is whole.
//!
//! What it is not: a second way to read or to verify; whoever asks for a backup does that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Options as EmbeddedOptions, WriteLock, stage};
use indelible_log::copy::extends;
use indelible_log::env::Env;
use indelible_log::verify::Kept;
use indelible_store::{Error, Kind, Ledger, Result};

use crate::database;
use crate::directory::{Names, Tell};
use crate::files;
use crate::found::{self, BACKUP, FORMAT, Found, KEYS, STATE, is_within};
use crate::keys::KeyFolder;
use crate::values::Values;

/// What is there when we died before `BACKUP` was.
const BEGUN: &str = "BACKUP.new";

/// The key store in the folder of its ledger.
pub(crate) const KEY_STORE: &str = "keys.redb";

/// What is to be backed up, and where to.
pub struct Order<'a> {
    /// The ledger.
    pub from: &'a Names,
    /// The directory of the backup; nothing for the key store alone.
    pub to: Option<&'a Path>,
    /// The directory of key stores, with a folder per ledger inside.
    pub keys_to: Option<&'a Path>,
}

/// What came of it.
pub struct BackedUp {
    /// Bytes or records that were copied, by what was asked.
    pub copied: Amount,
    /// Attachments and files of dead letters that were copied.
    pub files: u64,
    /// What the signer had signed before anything was read.
    pub kept: Kept,
    /// The keys that are to be kept apart.
    pub folder: KeyFolder,
    /// The file of the key store, if it was copied.
    pub keys: Option<PathBuf>,
    /// What could not be read, and was left out or left as it was.
    pub unread: Vec<String>,
}

/// How much was copied of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Of a directory.
    Bytes(u64),
    /// Of a database.
    Records(u64),
}

/// Makes a backup, or brings one up to date.
///
/// # Errors
/// [`Kind::Invalid`] when places lie in each other, the directory has something else in it, or the
/// backup is not of the past of this ledger; [`Kind::Corrupt`] when records are damaged that are
/// in the backup; [`Kind::Locked`] when another is at it; [`Kind::NotFound`] when there is no
/// ledger; [`Kind::NoSpace`]. What was in the backup stays in it.
pub fn back_up(order: &Order<'_>, env: &Env, tell: Tell<'_>) -> Result<BackedUp> {
    apart(order)?;
    match &order.from.database {
        Some(options) => database::back_up(order, options, env, tell),
        None => of_directory(order, env, tell),
    }
}

/// Refuses places that lie in each other.
fn apart(order: &Order<'_>) -> Result<()> {
    let (data, keys) = (order.from.data.as_path(), order.from.keys.as_path());
    let named = [
        ("the backup", order.to),
        ("the copy of the key store", order.keys_to),
        ("the data directory", Some(data)),
        ("the directory of keys", Some(keys)),
    ];
    let there = || {
        named
            .iter()
            .filter_map(|(name, path)| Some((name, (*path)?)))
    };
    for (name, path) in there() {
        for (other, dir) in there().filter(|(other, _)| *other != name) {
            let concerns = |path| Some(path) == order.to || Some(path) == order.keys_to;
            if is_within(path, dir) && (concerns(path) || concerns(dir)) {
                let said = format!("{name} may not lie in {other}, {}", dir.display());
                return Err(Error::new(Kind::Invalid, said));
            }
        }
    }
    Ok(())
}

fn of_directory(order: &Order<'_>, env: &Env, tell: Tell<'_>) -> Result<BackedUp> {
    let names = order.from;
    let Some(found) = Found::look(names)? else {
        let said = format!("there is no ledger in {}", names.data.display());
        return Err(Error::new(Kind::NotFound, said));
    };
    if found::is_backup(names) {
        let said = format!("{} is a backup itself: copy it", names.data.display());
        return Err(Error::new(Kind::Invalid, said));
    }
    let mut unread = Vec::new();
    let Some(to) = order.to else {
        let keys = save_keys(order, &found.ledger_id, env, || {
            Values::of_file(&found.disk, KEYS)
        })?;
        return Ok(nothing(found.folder, keys));
    };
    let target = Target::open(to, &found.ledger_id, env)?;
    let kept = match found::moved(names) {
        // It goes on signing, for the ledger where that is now.
        Some(_) => Kept::Elsewhere,
        None => found.folder.kept().unwrap_or(Kept::Elsewhere),
    };
    let state = noting(Values::of_file(&found.disk, STATE), &mut unread)?;
    if target.is_ledger()? {
        target.extended_by(&found.disk, env, tell)?;
    }
    let staged = stage(&found.disk, &target.disk, tell)?;
    let keys = save_keys(order, &found.ledger_id, env, || {
        Values::of_file(&found.disk, KEYS)
    });
    let keys = noting(keys, &mut unread)?.flatten();
    // The records are fixed by now: what they name is there.
    let files = files::mirror(&found.disk, &target.disk)?;
    let bytes = staged.bytes();
    staged.show()?;
    if !target.is_ledger()? {
        copy_small(&found.disk, &target.disk, FORMAT)?;
    }
    save_state(state.as_ref(), &found.disk, &target.disk)?;
    target.finish(env)?;
    Ok(BackedUp {
        copied: Amount::Bytes(bytes),
        files,
        kept,
        folder: found.folder,
        keys,
        unread,
    })
}

/// What comes of a copy of the key store alone.
pub(crate) fn nothing(folder: KeyFolder, keys: Option<PathBuf>) -> BackedUp {
    BackedUp {
        copied: Amount::Bytes(0),
        files: 0,
        kept: Kept::Elsewhere,
        folder,
        keys,
        unread: Vec::new(),
    }
}

/// Notes what is damaged or missing, in the place of failing.
fn noting<T>(read: Result<T>, unread: &mut Vec<String>) -> Result<Option<T>> {
    match read {
        Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::NotFound) => {
            unread.push(error.to_string());
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Writes the small state; of one that cannot be read the bytes, unless there is a better one.
pub(crate) fn save_state(state: Option<&Values>, from: &RealDisk, to: &RealDisk) -> Result<()> {
    match state {
        Some(state) => state.replace(to, STATE),
        None if to.len(STATE).map_err(failed)?.is_some() => Ok(()),
        None if from.len(STATE).map_err(failed)?.is_none() => Ok(()),
        None => copy_small(from, to, STATE),
    }
}

/// Copies a file that is read at once.
pub(crate) fn copy_small(from: &RealDisk, to: &RealDisk, path: &str) -> Result<()> {
    let bytes = from.read(path).map_err(failed)?;
    to.replace(path, &bytes).map_err(failed)
}

/// Writes the key store where it is wanted; says where that is.
pub(crate) fn save_keys(
    order: &Order<'_>,
    ledger_id: &str,
    env: &Env,
    values: impl FnOnce() -> Result<Values>,
) -> Result<Option<PathBuf>> {
    let Some(keys_to) = order.keys_to else {
        return Ok(None);
    };
    let folder = keys_to.join(ledger_id);
    let disk = RealDisk::new(&folder);
    disk.create_dir_all("").map_err(failed)?;
    RealDisk::new(keys_to).sync_dir("").map_err(failed)?;
    let _lock = Embedded::lock(&disk, Some(env.clock.now()))?;
    let (values, path) = (values()?, folder.join(KEY_STORE));
    // A copy that is damaged is no reason to keep it.
    let there = Values::of_file(&disk, KEY_STORE);
    if there.is_ok_and(|there| there.key_writes() > values.key_writes()) {
        let said = format!(
            "the key store is older than its copy, {}, which stays: put that one into its \
             place, or name another directory",
            path.display()
        );
        return Err(Error::new(Kind::Corrupt, said));
    }
    values.replace(&disk, KEY_STORE)?;
    Ok(Some(path))
}

/// Opens the records of a directory for reading, without any key.
fn reader(disk: &RealDisk, env: &Env, tell: Tell<'_>) -> Result<Embedded> {
    let options = EmbeddedOptions {
        read_only: true,
        ..found::options(env)
    };
    Embedded::open(Arc::new(disk.clone()), None, options, tell)
}

pub(crate) fn failed(error: indelible_disk::DiskError) -> Error {
    let kind = match error.kind() {
        indelible_disk::DiskErrorKind::NoSpace => Kind::NoSpace,
        _ => Kind::Unavailable,
    };
    Error::new(kind, "a file failed").caused_by(error)
}

/// The directory of a backup, locked.
pub(crate) struct Target {
    pub(crate) disk: RealDisk,
    path: PathBuf,
    ledger_id: String,
    lock: Option<WriteLock>,
}

impl Target {
    /// Takes a directory that is empty, or a backup of this ledger.
    pub(crate) fn open(path: &Path, ledger_id: &str, env: &Env) -> Result<Self> {
        let disk = RealDisk::new(path);
        let target = |lock| Self {
            disk: disk.clone(),
            path: path.to_owned(),
            ledger_id: ledger_id.to_owned(),
            lock: Some(lock),
        };
        let mark = Mark::read(&disk)?;
        match &mark {
            Some(mark) if mark.ledger_id == ledger_id => {}
            Some(mark) => {
                let said = format!(
                    "{} is a backup of another ledger, {}: name another directory",
                    path.display(),
                    mark.ledger_id
                );
                return Err(Error::new(Kind::Invalid, said));
            }
            None => empty(path, &disk, Some(BEGUN))?,
        }
        disk.create_dir_all("").map_err(failed)?;
        let target = target(Embedded::lock(&disk, Some(env.clock.now()))?);
        if mark.is_none() {
            target.mark(None)?;
        }
        Ok(target)
    }

    /// Whether it has been a ledger before.
    pub(crate) fn is_ledger(&self) -> Result<bool> {
        Ok(self.disk.len(FORMAT).map_err(failed)?.is_some())
    }

    /// The lock, for whoever opens it for writing.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "nobody does"))]
    pub(crate) fn lock(&mut self) -> Result<WriteLock> {
        let taken = || Error::new(Kind::Invalid, "the lock was taken");
        self.lock.take().ok_or_else(taken)
    }

    /// Refuses to go on when what is here is not the past of the ledger in a directory.
    fn extended_by(&self, from: &RealDisk, env: &Env, tell: Tell<'_>) -> Result<()> {
        // The key of its indices is in it: files of one and of the other do not go together.
        if from.read(FORMAT).map_err(failed)? != self.disk.read(FORMAT).map_err(failed)? {
            let said = format!(
                "{} is a backup of this ledger as it was elsewhere: name another directory",
                self.path.display()
            );
            return Err(Error::new(Kind::Invalid, said));
        }
        let now = reader(from, env, tell)?;
        let old = reader(&self.disk, env, tell)?;
        self.check(&now, &old)
    }

    /// Refuses to go on when what is here is not the past of the ledger.
    pub(crate) fn check(&self, now: &dyn Ledger, old: &dyn Ledger) -> Result<()> {
        extends(now, old).map_err(|error| {
            let said = format!(
                "what is in {} is not the past of this ledger: {}; it stays as it is. verify says \
                 whether either is damaged or was rolled back; a backup of what is there now goes \
                 into another directory",
                self.path.display(),
                error.context()
            );
            Error::new(error.kind(), said)
        })
    }

    /// Says that it is whole.
    pub(crate) fn finish(&self, env: &Env) -> Result<()> {
        self.mark(Some(&env.clock.now().to_rfc3339()))
    }

    fn mark(&self, finished: Option<&str>) -> Result<()> {
        let mark = serde_json::json!({"finished": finished, "ledger_id": self.ledger_id});
        let line = format!("{mark}\n");
        self.disk.replace(BACKUP, line.as_bytes()).map_err(failed)
    }
}

/// Refuses a directory with anything in it, but for what every new file system has and what an
/// attempt of the same has `left` there.
pub(crate) fn empty(path: &Path, disk: &RealDisk, left: Option<&str>) -> Result<()> {
    let names = disk.list("").map_err(failed)?;
    let is_ours = |name: &String| {
        name == "LOCK" || name == "lost+found" || left.is_some_and(|left| name == left)
    };
    match names.into_iter().find(|name| !is_ours(name)) {
        None => Ok(()),
        Some(name) => {
            let said = format!(
                "{} is used for something else, {name} is in it: name a directory that is empty or \
                 not there",
                path.display()
            );
            Err(Error::new(Kind::Invalid, said))
        }
    }
}

/// What `BACKUP` says.
pub(crate) struct Mark {
    pub(crate) ledger_id: String,
    /// Since when it is whole, if it ever was.
    pub(crate) finished: Option<String>,
}

impl Mark {
    pub(crate) fn read(disk: &RealDisk) -> Result<Option<Self>> {
        if disk.len(BACKUP).map_err(failed)?.is_none() {
            return Ok(None);
        }
        let bytes = disk.read(BACKUP).map_err(failed)?;
        let mark: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        let text = |name: &str| Some(mark.as_ref()?.get(name)?.as_str()?.to_owned());
        let Some(ledger_id) = text("ledger_id") else {
            let said = format!("{BACKUP} in the backup is damaged: name another directory");
            return Err(Error::new(Kind::Corrupt, said));
        };
        Ok(Some(Self {
            ledger_id,
            finished: text("finished"),
        }))
    }
}
