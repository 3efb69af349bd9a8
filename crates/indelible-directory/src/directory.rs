//! The data directory, with its keys: made, opened for reading or writing.
//!
//! Reading takes no lock and goes on beside a writer. Writing takes the lock before anything is
//! opened, and makes the ledger and its keys when there is none yet.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{
    Embedded, Format, Options as EmbeddedOptions, Progress, RedbState, StateMode, WriteLock,
    open_state,
};
use indelible_log::attachments::Attachments;
use indelible_log::env::Env;
use indelible_log::keyring::{Keyring, MasterKey};
use indelible_log::log::{self, Limits, Log, Options, Stores};
use indelible_log::publish::Signer;
use indelible_log::registry::identity;
use indelible_log::sign::KeySigner;
use indelible_log::verify::{Kept, keys_finding};
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Index, Kind, Result, RowOpener, State};

use crate::keys::{KeyFolder, MASTER, SIGNED};
use crate::unusable::Unusable;

/// Which ledger it is.
const FORMAT: &str = "FORMAT";
/// Small state of the ledger.
const STATE: &str = "state.redb";
/// Wrapped keys: the key store.
const KEYS: &str = "keys/keys.redb";

/// Told how far an opening is.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// Where a ledger is.
#[derive(Clone, Debug)]
pub struct Names {
    /// The data directory.
    pub data: PathBuf,
    /// The directory with one folder of keys per ledger.
    pub keys: PathBuf,
}

/// An opened data directory and its keys.
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Its files.
    pub disk: Arc<RealDisk>,
    /// Which ledger it is: 32 hex digits.
    pub ledger_id: String,
    /// Its keys, elsewhere.
    pub folder: KeyFolder,
    /// Its records and its small state.
    pub stores: Stores,
    /// The keys of data subjects.
    pub keyring: Arc<Keyring>,
    /// Time and randomness.
    pub env: Env,
    embedded: Arc<Embedded>,
    unusable: Vec<Finding>,
}

/// Why a directory that is open takes no records.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signing key is not in this folder.
    #[error("the signing key is not in {}", .0.display())]
    NoSigningKey(PathBuf),
    /// What is stored does not extend what was signed; only reading goes on, and `recover`.
    #[error("the ledger does not extend what was signed")]
    NotExtending(Vec<Finding>),
    /// Something failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The files of the ledger in a data directory, and its folder of keys, unopened; `None` when there
/// is no ledger.
///
/// # Errors
/// As [`Format::load`].
pub fn find(names: &Names) -> Result<Option<(RealDisk, KeyFolder)>> {
    Ok(Found::look(names)?.map(|found| (found.disk, found.folder)))
}

/// The finding that `FORMAT` is damaged or gone from a ledger, which can then not be opened at all.
///
/// # Errors
/// As [`Format::load`], else.
pub fn check_format(names: &Names) -> Result<Option<Finding>> {
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
/// damaged: without them it could not be found what they seal.
pub fn repair(names: &Names, env: &Env, tell: Tell<'_>) -> Result<()> {
    let found = Found::look(names)?;
    let found = found.ok_or_else(|| Error::new(Kind::NotFound, "there is no ledger"))?;
    let disk = found.shared();
    let lock = Embedded::lock(&*disk, Some(env.clock.now()))?;
    let opener = Some(found.keyring(env)? as Arc<dyn RowOpener>);
    let embedded = Embedded::open_under(lock, disk, opener, options(env), tell)?;
    embedded.repair(tell)?;
    embedded.close()
}

impl Directory {
    /// Opens for reading, beside a writer if there is one; `None` when there is no ledger. What is
    /// small and damaged is done without, and is among [`Directory::unusable`].
    ///
    /// # Errors
    /// As [`Format::load`] and [`Embedded::open`].
    pub fn read(names: &Names, env: Env, tell: Tell<'_>) -> Result<Option<Self>> {
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

    /// Opens for writing; makes the ledger with its keys when there is none, under `origin` or one
    /// of its own. Nothing is written to a ledger of which a file is damaged.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another process writes, saying which; [`Kind::Corrupt`] and
    /// [`Kind::NotFound`] when a file is damaged or missing, naming it.
    pub fn write(names: &Names, origin: Option<&str>, env: Env, tell: Tell<'_>) -> Result<Self> {
        let lock = lock(names, &env)?;
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

    /// The writer of a directory opened for writing; `origin` is that of a ledger which has none
    /// yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn log(&self, origin: Option<&str>) -> std::result::Result<Log, OpenError> {
        let origin = match identity(self.stores.state.as_ref())? {
            Some((who, _)) => who.origin_in_force(),
            None => first_origin(origin, &self.ledger_id),
        };
        let Some(signing) = self.folder.signing()? else {
            return Err(OpenError::NoSigningKey(self.folder.path().to_path_buf()));
        };
        if let Err(error) = self.folder.signed() {
            return Err(match error.kind() {
                Kind::Corrupt => OpenError::NotExtending(vec![self.folder.finding(SIGNED, &error)]),
                _ => error.into(),
            });
        }
        let named = signing.renamed(&origin);
        let named =
            named.map_err(|e| Error::new(Kind::Invalid, "cannot name the key").caused_by(e));
        let signer = KeySigner::new(&signing, &origin, self.folder.signer_state())?;
        let signer: Arc<dyn Signer> = Arc::new(signer);
        let options = Options {
            verifier_key: named?.verifier_key().to_string(),
            origin,
            create_tenants: true,
            limits: Limits::default(),
        };
        let (stores, keyring) = (self.stores.clone(), Arc::clone(&self.keyring));
        match Log::open(stores, keyring, Some(signer), options, self.env.clone()) {
            Ok(log) => {
                log.take_attachments(self.attachments()?);
                Ok(log)
            }
            Err(log::OpenError::NotExtending(findings)) => {
                Err(OpenError::NotExtending(self.say_where(findings)))
            }
            Err(log::OpenError::Store(error)) => Err(error.into()),
        }
    }

    fn attachments(&self) -> Result<Arc<Attachments>> {
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        Attachments::open(disk, Arc::clone(&self.keyring), self.env.clone())
    }

    /// Names the file that is missing where the signer has no memory, and that of old keys.
    fn say_where(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let old = keys_finding(self.stores.state.as_ref(), &self.keyring);
        let old = old.ok().flatten();
        for finding in &mut findings {
            if Some(&*finding) == old.as_ref() {
                *finding = of_keys(self.disk.as_ref(), finding.clone());
            }
        }
        if matches!(self.folder.kept(), Ok(Kept::Nothing)) {
            let path = self.folder.path().join(SIGNED);
            for finding in &mut findings {
                if finding.kind == FindingKind::RolledBack && finding.place.is_none() {
                    finding.note(format!("{} is missing: restore it", path.display()));
                }
            }
        }
        findings
    }

    /// The index over its records.
    pub fn index(&self) -> &dyn Index {
        self.embedded.as_ref()
    }

    /// The index, for whoever keeps it.
    pub fn shared_index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.embedded) as _
    }

    /// The small files that reading goes on without, each with what to do.
    pub fn unusable(&self) -> &[Finding] {
        &self.unusable
    }

    /// Derived files that every reading makes again in memory until they are mended.
    pub fn made_in_memory(&self) -> Vec<String> {
        self.embedded.made_in_memory()
    }

    /// Whether the small state can be read: what was published, callers' keys. Otherwise every call
    /// of it says what is wrong.
    pub fn has_state(&self) -> bool {
        let in_state = |finding: &Finding| finding.place.as_ref().is_some_and(|p| p.file == STATE);
        !self.unusable.iter().any(in_state)
    }

    /// The master key, if it is here and is this ledger's.
    pub fn master(&self) -> Option<MasterKey> {
        let of_master = |finding: &Finding| {
            let place = finding.place.as_ref();
            place.is_some_and(|place| Path::new(&place.file).ends_with(MASTER))
        };
        if self.unusable.iter().any(of_master) {
            return None;
        }
        self.folder.master().ok().flatten()
    }

    /// As [`Embedded::finish`]: waits for the sealing and merging that is due.
    ///
    /// # Errors
    /// As there.
    pub fn finish(&self, give_up: &mut dyn FnMut() -> bool) -> Result<()> {
        self.embedded.finish(give_up)
    }

    /// Every finding in the files of the data directory and of the keys, but for what only the
    /// records themselves tell.
    ///
    /// # Errors
    /// When they cannot be read at all.
    pub fn check(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        let mut findings = self.embedded.check(tell)?;
        findings.extend(self.unusable.iter().cloned());
        for finding in self.folder.findings()? {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Ok(findings)
    }
}

/// The keys of a reader.
struct ReadKeys {
    keyring: Arc<Keyring>,
    /// The key store, where it can be used.
    store: Option<Arc<RedbState>>,
}

/// A ledger that is not open yet.
struct Found {
    path: PathBuf,
    disk: RealDisk,
    ledger_id: String,
    folder: KeyFolder,
}

impl Found {
    fn look(names: &Names) -> Result<Option<Self>> {
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

    fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    /// The keyring of a writer.
    fn keyring(&self, env: &Env) -> Result<Arc<Keyring>> {
        let store = Arc::new(open_state(self.shared(), KEYS, StateMode::Write)?);
        let master = self.folder.master()?;
        let opened = Keyring::open(store, master, Arc::clone(&env.random));
        opened.map_err(|error| self.of_master(error))
    }

    /// The keyring of a reader: with keys that cannot be used it is as without any.
    fn readable_keyring(&self, env: &Env, unusable: &mut Vec<Finding>) -> Result<ReadKeys> {
        let open = |store, master| Keyring::open(store, master, Arc::clone(&env.random));
        let store = match self.readable(KEYS, StateMode::Follow, unusable)? {
            Ok(store) => store,
            Err(why) => {
                let keyring = open(Arc::new(why), None)?;
                return Ok(ReadKeys {
                    keyring,
                    store: None,
                });
            }
        };
        let master = self.folder.master();
        let shared = || Arc::clone(&store) as Arc<dyn State>;
        let opened = master.and_then(|master| open(shared(), master));
        let keyring = match opened.map_err(|error| self.of_master(error)) {
            Err(error) if error.kind() == Kind::Corrupt => {
                unusable.push(self.folder.finding(MASTER, &error));
                open(shared(), None)
            }
            other => other,
        }?;
        let store = Some(store);
        Ok(ReadKeys { keyring, store })
    }

    /// A master key that is not this ledger's is as bad as a damaged one, and may be one.
    fn of_master(&self, error: Error) -> Error {
        if error.kind() != Kind::Invalid {
            return error;
        }
        let path = self.folder.path().join(MASTER);
        let said = format!(
            "{} does not open the key store: restore it, or name the directory of this ledger's \
             keys",
            path.display()
        );
        Error::new(Kind::Corrupt, said)
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
            embedded,
            unusable: Vec::new(),
        }
    }
}

/// Names the file of an old key store, and the next step.
fn of_keys(disk: &RealDisk, mut finding: Finding) -> Finding {
    let said = &finding.message;
    finding.message = format!("{KEYS} is an older copy: {said}: restore the newest one");
    let bytes = disk.len(KEYS).ok().flatten().unwrap_or(0);
    finding.place(KEYS, 0..bytes)
}

/// The lock of the data directory, which is made when there is none.
fn lock(names: &Names, env: &Env) -> Result<WriteLock> {
    if is_within(&names.keys, &names.data) {
        let said = format!(
            "the keys may not lie in the data directory, as {} does: whoever copies the data would \
             have them",
            names.keys.display()
        );
        return Err(Error::new(Kind::Invalid, said));
    }
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

fn options(env: &Env) -> EmbeddedOptions {
    EmbeddedOptions {
        now: Some(env.clock.now()),
        ..EmbeddedOptions::default()
    }
}

fn first_origin(named: Option<&str>, ledger_id: &str) -> String {
    named.map_or_else(|| format!("indelible.dev/{ledger_id}"), str::to_owned)
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
