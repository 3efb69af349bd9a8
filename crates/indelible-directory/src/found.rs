//! A ledger in a data directory: found, made, opened for reading or writing.
//!
//! Reading takes no lock and goes on beside a writer. Writing takes the lock before anything is
//! opened, and makes the ledger and its keys when there is none yet.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{
    Embedded, Format, Options as EmbeddedOptions, RedbState, StateMode, WriteLock, open_state,
};
use indelible_log::env::Env;
use indelible_log::keyring::Keyring;
use indelible_log::log::Stores;
use indelible_log::verify::keys_finding;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Kind, Result, RowOpener, State};

use crate::backend::Backend;
use crate::database;
use crate::directory::{Directory, Names, Tell, first_origin, hex};
use crate::keys::{KeyFolder, MASTER};
use crate::unusable::Unusable;

/// Which ledger it is.
pub(crate) const FORMAT: &str = "FORMAT";
/// Small state of the ledger.
pub(crate) const STATE: &str = "state.redb";
/// Wrapped keys: the key store.
pub(crate) const KEYS: &str = "keys/keys.redb";

/// In a data directory whose ledger was migrated: where it is now.
pub(crate) const MOVED: &str = "MOVED";

/// In a directory that is a backup: of which ledger, and since when it is whole.
pub(crate) const BACKUP: &str = "BACKUP";

/// The files of the ledger in a data directory, and its folder of keys, unopened; `None` when there
/// is no ledger.
///
/// # Errors
/// As [`Format::load`].
pub fn find(names: &Names) -> Result<Option<(RealDisk, KeyFolder)>> {
    if let Some(options) = &names.database {
        return database::find(names, options);
    }
    Ok(Found::look(names)?.map(|found| (found.disk, found.folder)))
}

/// The finding that `FORMAT` is damaged or gone from a ledger, which can then not be opened at all.
///
/// # Errors
/// As [`Format::load`], else.
pub fn check_format(names: &Names) -> Result<Option<Finding>> {
    if names.database.is_some() {
        return Ok(None);
    }
    let error = match find(names) {
        Ok(Some(_)) => return Ok(None),
        Ok(None) => match Embedded::may_create(&RealDisk::new(&names.data)) {
            Err(error) if error.kind() == Kind::Corrupt => error,
            _ => return Ok(None),
        },
        Err(error) if error.kind() == Kind::Corrupt => error,
        Err(error) => return Err(error),
    };
    let bytes = RealDisk::new(&names.data).len(FORMAT).ok().flatten();
    let finding = Finding::new(FindingKind::Corrupt, error.context());
    Ok(Some(finding.place(FORMAT, 0..bytes.unwrap_or(0))))
}

/// Makes what is derived again where it is damaged.
///
/// # Errors
/// [`Kind::NotFound`] when there is no ledger; [`Kind::Locked`]; [`Kind::Corrupt`] when keys are
/// damaged: without them it could not be found what they seal; [`Kind::ReadOnly`] for a database
/// whose tables are not those of whoever connects.
pub fn repair(names: &Names, env: &Env, tell: Tell<'_>) -> Result<()> {
    if let Some(options) = &names.database {
        return database::repair(names, options, env, tell);
    }
    no_backup(names)?;
    let found = Found::look(names)?;
    let found = found.ok_or_else(|| Error::new(Kind::NotFound, "there is no ledger"))?;
    let disk = found.shared();
    let lock = Embedded::lock(&*disk, Some(env.clock.now()))?;
    let opener = Some(found.keyring(env)? as Arc<dyn RowOpener>);
    let embedded = Embedded::open_under(lock, disk, opener, options(env), tell)?;
    embedded.repair(tell)?;
    embedded.close()
}

/// Opens for reading; `None` when there is no ledger.
pub(crate) fn read(names: &Names, env: Env, tell: Tell<'_>) -> Result<Option<Directory>> {
    let Some(found) = Found::look(names)? else {
        return Ok(None);
    };
    let mut unusable = Vec::new();
    // Before the records and the keys: what a writer publishes meanwhile would else speak of
    // some that are not here.
    let state: Arc<dyn State> = match found.readable(STATE, StateMode::Read, &mut unusable)? {
        Ok(state) => state,
        Err(why) => Arc::new(why),
    };
    let ReadKeys { keyring, store } = found.readable_keyring(&env, &mut unusable)?;
    unusable.extend(found.old_keys(state.as_ref(), &keyring)?);
    let options = EmbeddedOptions {
        read_only: true,
        ..options(&env)
    };
    let opener = Some(Arc::clone(&keyring) as Arc<dyn RowOpener>);
    let embedded = Embedded::open(found.shared(), opener, options, tell)?;
    if let Some(keys) = store {
        // The keys of the records that are open are written.
        keys.settle();
    }
    let mut directory = found.opened(embedded, state, keyring, env);
    directory.unusable = unusable;
    Ok(Some(directory))
}

/// Opens for writing; makes the ledger when there is none.
pub(crate) fn write(
    names: &Names,
    origin: Option<&str>,
    env: Env,
    tell: Tell<'_>,
) -> Result<Directory> {
    let lock = lock(names, &env)?;
    if let Some(place) = moved(names) {
        let said = format!(
            "the ledger in {} was moved to {place}: name that with --ledger; this one is for \
             reading",
            names.data.display(),
        );
        return Err(Error::new(Kind::ReadOnly, said));
    }
    write_under(lock, names, origin, env, tell)
}

/// Where the ledger of a data directory was moved to, if it was. What came since is there, and what
/// was signed since.
pub fn moved(names: &Names) -> Option<String> {
    if names.database.is_some() {
        return None;
    }
    let place = RealDisk::new(&names.data).read(MOVED).ok()?;
    Some(String::from_utf8_lossy(&place).into_owned())
}

/// Whether a directory is a backup: a ledger as it was, which goes on elsewhere.
pub fn is_backup(names: &Names) -> bool {
    let there = || RealDisk::new(&names.data).len(BACKUP);
    names.database.is_none() && matches!(there(), Ok(Some(_)))
}

/// Refuses to write to a backup: two histories would go on from it.
fn no_backup(names: &Names) -> Result<()> {
    if !is_backup(names) {
        return Ok(());
    }
    let said = format!(
        "{} is a backup, and nothing is written to it: indelible restore makes a ledger of it",
        names.data.display()
    );
    Err(Error::new(Kind::ReadOnly, said))
}

/// Opens for writing, though it may have been moved; there must be a ledger.
#[cfg(feature = "postgres")]
pub(crate) fn write_even_moved(names: &Names, env: Env, tell: Tell<'_>) -> Result<Directory> {
    if Found::look(names)?.is_none() {
        let said = format!("there is no ledger in {}", names.data.display());
        return Err(Error::new(Kind::NotFound, said));
    }
    write_under(lock(names, &env)?, names, None, env, tell)
}

fn write_under(
    lock: WriteLock,
    names: &Names,
    origin: Option<&str>,
    env: Env,
    tell: Tell<'_>,
) -> Result<Directory> {
    no_backup(names)?;
    // Under the lock: two that make a ledger in one directory would replace each other's files.
    let found = match Found::look(names)? {
        Some(found) => found,
        None => Found::create(names, origin, &env)?,
    };
    let disk = found.shared();
    // Before the state files are opened, which changes their headers.
    found.folder.signing()?;
    let keyring = found.keyring(&env)?;
    let state = Arc::new(open_state(found.shared(), STATE, StateMode::Write)?);
    let opener = Some(Arc::clone(&keyring) as Arc<dyn RowOpener>);
    let embedded = Embedded::open_under(lock, disk, opener, options(&env), tell)?;
    Ok(found.opened(embedded, state, keyring, env))
}

/// The keys of a reader.
struct ReadKeys {
    keyring: Arc<Keyring>,
    /// The key store, where it can be used.
    store: Option<Arc<RedbState>>,
}

/// A ledger that is not open yet.
pub(crate) struct Found {
    path: PathBuf,
    pub(crate) disk: RealDisk,
    pub(crate) ledger_id: String,
    pub(crate) folder: KeyFolder,
}

impl Found {
    pub(crate) fn look(names: &Names) -> Result<Option<Self>> {
        let disk = RealDisk::new(&names.data);
        match Format::load(&disk) {
            Ok(format) => Ok(Some(Self::of(names, disk, &format))),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(names: &Names, disk: RealDisk, format: &Format) -> Self {
        let ledger_id = hex(&format.ledger_id());
        Self {
            path: names.data.clone(),
            disk,
            folder: KeyFolder::of(&names.keys, &ledger_id),
            ledger_id,
        }
    }

    /// Makes the keys, then the state stores, then the ledger: it is there with its `FORMAT`, and
    /// from then on nothing of it is made anew. If we die before, the keys are of no ledger and
    /// harm nobody, and the empty stores are used by the next attempt.
    fn create(names: &Names, origin: Option<&str>, env: &Env) -> Result<Self> {
        let disk = RealDisk::new(&names.data);
        let id = env.random_bytes::<16>();
        let ledger_id = hex(&id);
        let folder = KeyFolder::of(&names.keys, &ledger_id);
        folder.create(&first_origin(origin, &ledger_id), env.random.as_ref())?;
        for path in [STATE, KEYS] {
            drop(open_state(Arc::new(disk.clone()), path, StateMode::Create)?);
        }
        let hash_key = env.random_bytes::<16>();
        Embedded::create(&disk, id, hash_key, env.clock.now())?;
        let format = Format::load(&disk)?;
        Ok(Self::of(names, disk, &format))
    }

    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    /// The keyring of a writer.
    fn keyring(&self, env: &Env) -> Result<Arc<Keyring>> {
        let store = Arc::new(open_state(self.shared(), KEYS, StateMode::Write)?);
        keyring(&self.folder, store, env)
    }

    /// The keyring of a reader: with keys that cannot be used it is as without any.
    fn readable_keyring(&self, env: &Env, unusable: &mut Vec<Finding>) -> Result<ReadKeys> {
        if matches!(self.disk.len(BACKUP), Ok(Some(_))) {
            let apart = Error::new(Kind::NotFound, "the key store is kept apart from a backup");
            let store = Arc::new(Unusable::new(&apart));
            return Ok(ReadKeys {
                keyring: Keyring::open(store, None, Arc::clone(&env.random))?,
                store: None,
            });
        }
        match self.readable(KEYS, StateMode::Follow, unusable)? {
            Ok(store) => Ok(ReadKeys {
                keyring: readable_keyring(&self.folder, &(Arc::clone(&store) as _), env, unusable)?,
                store: Some(store),
            }),
            Err(why) => Ok(ReadKeys {
                keyring: Keyring::open(Arc::new(why), None, Arc::clone(&env.random))?,
                store: None,
            }),
        }
    }

    /// The finding that the key store is an older copy; nothing where either store is unusable.
    fn old_keys(&self, state: &dyn State, keyring: &Keyring) -> Result<Option<Finding>> {
        match keys_finding(state, keyring) {
            Err(error) if error.kind() == Kind::Corrupt => Ok(None),
            found => Ok(found?.map(|finding| of_keys(&self.disk, finding))),
        }
    }

    /// A state store for reading, or what takes its place when it is damaged or missing.
    fn readable(
        &self,
        path: &str,
        mode: StateMode,
        unusable: &mut Vec<Finding>,
    ) -> Result<std::result::Result<Arc<RedbState>, Unusable>> {
        match open_state(self.shared(), path, mode) {
            Ok(state) => Ok(Ok(Arc::new(state))),
            Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::NotFound) => {
                let bytes = self.disk.len(path).ok().flatten().unwrap_or(0);
                let finding = Finding::new(FindingKind::Corrupt, error.context());
                unusable.push(finding.place(path, 0..bytes));
                Ok(Err(Unusable::new(&error)))
            }
            Err(error) => Err(error),
        }
    }

    fn opened(
        self,
        embedded: Embedded,
        state: Arc<dyn State>,
        keyring: Arc<Keyring>,
        env: Env,
    ) -> Directory {
        let embedded = Arc::new(embedded);
        Directory {
            path: self.path,
            disk: Arc::new(self.disk),
            ledger_id: self.ledger_id,
            folder: self.folder,
            stores: Stores {
                ledger: Arc::clone(&embedded) as _,
                state,
            },
            keyring,
            env,
            backend: Backend::Embedded(embedded),
            lock: None,
            unusable: Vec::new(),
        }
    }
}

/// The keyring over a key store, with the master key if it is here.
pub(crate) fn keyring(
    folder: &KeyFolder,
    store: Arc<dyn State>,
    env: &Env,
) -> Result<Arc<Keyring>> {
    let opened = Keyring::open(store, folder.master()?, Arc::clone(&env.random));
    // A master key that is not this ledger's is as bad as a damaged one, and may be one.
    opened.map_err(|error| match error.kind() {
        Kind::Invalid => {
            let path = folder.path().join(MASTER);
            let said = format!(
                "{} does not open the key store: restore it, or name the directory of this \
                 ledger's keys",
                path.display()
            );
            Error::new(Kind::Corrupt, said)
        }
        _ => error,
    })
}

/// As [`keyring`], without a master key that cannot be used, which is then among the unusable.
pub(crate) fn readable_keyring(
    folder: &KeyFolder,
    store: &Arc<dyn State>,
    env: &Env,
    unusable: &mut Vec<Finding>,
) -> Result<Arc<Keyring>> {
    match keyring(folder, Arc::clone(store), env) {
        Err(error) if error.kind() == Kind::Corrupt => {
            unusable.push(folder.finding(MASTER, &error));
            Keyring::open(Arc::clone(store), None, Arc::clone(&env.random))
        }
        other => other,
    }
}

/// Names the file of an old key store, and the next step.
pub(crate) fn of_keys(disk: &RealDisk, mut finding: Finding) -> Finding {
    let said = &finding.message;
    finding.message = format!("{KEYS} is an older copy: {said}: restore the newest one");
    let bytes = disk.len(KEYS).ok().flatten().unwrap_or(0);
    finding.place(KEYS, 0..bytes)
}

/// The lock of the data directory, which is made when there is none.
fn lock(names: &Names, env: &Env) -> Result<WriteLock> {
    keys_apart(names)?;
    let disk = RealDisk::new(&names.data);
    if Found::look(names)?.is_none() {
        let made = disk.create_dir_all("");
        made.map_err(|e| {
            let said = format!("cannot make a ledger in {}", names.data.display());
            Error::new(Kind::Unavailable, said).caused_by(e)
        })?;
        // Before the keys, so that none are left over.
        Embedded::may_create(&disk)?;
    }
    Embedded::lock(&disk, Some(env.clock.now()))
}

/// Refuses keys in the data directory.
pub(crate) fn keys_apart(names: &Names) -> Result<()> {
    if !is_within(&names.keys, &names.data) {
        return Ok(());
    }
    let said = format!(
        "the keys may not lie in the data directory, as {} does: whoever copies the data would \
         have them",
        names.keys.display()
    );
    Err(Error::new(Kind::Invalid, said))
}

/// Whether a path lies in a directory, whichever way either is written; both may still be missing.
pub fn is_within(path: &Path, dir: &Path) -> bool {
    resolved(path).starts_with(resolved(dir))
}

fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut whole = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
        whole = whole.canonicalize().unwrap_or(whole);
    }
    whole
}

pub(crate) fn options(env: &Env) -> EmbeddedOptions {
    EmbeddedOptions {
        now: Some(env.clock.now()),
        ..EmbeddedOptions::default()
    }
}
