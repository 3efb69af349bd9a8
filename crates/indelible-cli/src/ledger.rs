//! The data directory: made, opened for reading or writing, checked and mended.
//!
//! This is where the embedded back end, the key files and the log meet. Reading takes no lock and
//! goes on beside a writer; writing takes the lock, and makes the ledger and its keys when there is
//! none yet.

use std::path::PathBuf;
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Format, Options as EmbeddedOptions, StateMode, open_state};
use indelible_log::env::Env;
use indelible_log::keyring::Keyring;
use indelible_log::log::{Limits, Log, OpenError, Options, Stores};
use indelible_log::policy::SealingPolicy;
use indelible_log::publish::Signer;
use indelible_log::registry::identity;
use indelible_log::sign::KeySigner;
use indelible_log::verify::verify_heads;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::memory::MemoryState;
use indelible_store::{Index, Kind, RowOpener, State};

use crate::args::Switch;
use crate::config::Config;
use crate::dead_letters;
use crate::exit::{Failure, OrCould, Result};
use crate::hex::hex;
use crate::keys::KeyFolder;
use crate::output::{Output, Progress, Show};
use crate::process::environment;

/// Small state of the ledger.
const STATE: &str = "state.redb";
/// Wrapped keys: the key store.
const KEYS: &str = "keys/keys.redb";

/// An opened data directory.
pub struct Access {
    /// Where it is.
    pub path: PathBuf,
    /// Its files.
    pub disk: Arc<RealDisk>,
    /// Which ledger it is.
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
}

/// A data directory opened for reading.
pub type Reading = Access;

/// A data directory opened for writing.
pub struct Writing {
    /// The writer; before `access`, so that it is closed first.
    pub log: Log,
    /// What it stands on.
    pub access: Access,
}

/// What comes of opening for writing.
pub enum Opening {
    /// It is open.
    Opened(Box<Writing>),
    /// It does not extend what was signed; only reading goes on.
    NotExtending(Box<Access>, Vec<Finding>),
}

impl Access {
    /// The index over its records.
    pub fn index(&self) -> &dyn Index {
        self.embedded.as_ref()
    }

    /// The index, for whoever keeps it.
    pub fn shared_index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.embedded) as _
    }

    /// Every finding in the files of its records and in what is derived from them.
    ///
    /// # Errors
    /// [`Failure::Could`] when they cannot be read at all.
    pub fn check(&self, progress: &Progress) -> Result<Vec<Finding>> {
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        files(&self.embedded, &disk, progress)
    }
}

impl Writing {
    /// Publishes all that is durable, and closes.
    ///
    /// # Errors
    /// [`Failure::Could`]: the events are durable, but no checkpoint covers them yet.
    pub fn publish_and_close(self) -> Result {
        let published = self.log.publish();
        self.log.close();
        published
            .map(|_| ())
            .map_err(|error| Failure::Could(format!("committed, but not published: {error}")))
    }
}

/// The sealing policy in force.
pub fn sealing(switch: Switch) -> Arc<SealingPolicy> {
    Arc::new(match switch {
        Switch::On => SealingPolicy::default(),
        Switch::Off => SealingPolicy::off(),
    })
}

/// The data directory and its keys, unopened.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger.
pub fn locate(config: &Config) -> Result<(RealDisk, KeyFolder)> {
    let (disk, format) = find(config)?.ok_or_else(|| none(config))?;
    Ok((disk, KeyFolder::of(config, &hex(&format.ledger_id()))?))
}

/// Opens for reading, beside a writer if there is one.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger, or it cannot be read.
pub fn read(config: &Config, output: &Output) -> Result<Reading> {
    let (disk, format) = find(config)?.ok_or_else(|| none(config))?;
    open(config, disk, &format, true, output)
}

/// Opens for writing; makes the ledger with its keys when there is none.
///
/// # Errors
/// [`Failure::Could`], also when another process is writing, or the ledger does not extend what was
/// signed.
pub fn write(config: &Config, output: &Output) -> Result<Writing> {
    match try_write(config, output)? {
        Opening::Opened(writing) => Ok(*writing),
        Opening::NotExtending(_, findings) => {
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(Failure::Could(format!(
                "the ledger does not extend what was signed, so nothing is written to it: {}; \
                 restore what is missing, or see indelible recover",
                findings.join("; ")
            )))
        }
    }
}

/// As [`write()`], but gives the findings when the ledger does not extend what was signed.
///
/// # Errors
/// As [`write()`].
pub fn try_write(config: &Config, output: &Output) -> Result<Opening> {
    let env = environment();
    let (disk, format) = match find(config)? {
        Some(found) => found,
        None => create(config, &env)?,
    };
    let access = open(config, disk, &format, false, output)?;
    let state = access.stores.state.as_ref();
    let origin = match identity(state).or_could("read who the ledger is")? {
        Some((who, _)) => who.origin_in_force(),
        None => first_origin(config, &access.ledger_id),
    };
    let signing = access.folder.signing()?;
    let verifier_key = match &signing {
        Some(key) => key
            .renamed(&origin)
            .or_could("name the key")?
            .verifier_key()
            .to_string(),
        None => String::new(),
    };
    let signer = signing
        .map(|key| KeySigner::new(&key, &origin, access.folder.signer_state()))
        .transpose()
        .or_could("use the signing key")?
        .map(|signer| Arc::new(signer) as Arc<dyn Signer>);
    if signer.is_none() {
        let path = access.folder.path().shown();
        return Err(Failure::Could(format!(
            "the signing key is not in {path}; see --keys"
        )));
    }
    let options = Options {
        origin,
        verifier_key,
        create_tenants: true,
        limits: Limits::default(),
    };
    let (stores, keyring) = (access.stores.clone(), Arc::clone(&access.keyring));
    match Log::open(stores, keyring, signer, options, env) {
        Ok(log) => Ok(Opening::Opened(Box::new(Writing { log, access }))),
        Err(OpenError::NotExtending(findings)) => {
            Ok(Opening::NotExtending(Box::new(access), findings))
        }
        Err(OpenError::Store(error)) => Err(Failure::Could(format!("cannot open: {error}"))),
    }
}

/// The ledger's incarnation, if its small state can be read.
///
/// # Errors
/// [`Failure::Could`] when there is no ledger.
pub fn incarnation(config: &Config) -> Result<Option<u64>> {
    let (disk, _) = find(config)?.ok_or_else(|| none(config))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let state = small_state(&disk, STATE, true).ok();
    let who = state.and_then(|state| identity(state.as_ref()).ok().flatten());
    Ok(who.map(|(who, _)| who.incarnation))
}

/// Every finding in the files of the data directory.
///
/// # Errors
/// [`Failure::Could`] when they cannot be read at all.
pub fn check(config: &Config, progress: &Progress) -> Result<Vec<Finding>> {
    let (disk, format) = find(config)?.ok_or_else(|| none(config))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let keyring = keyring(config, &disk, &format, true)?;
    // Before the records, as when reading.
    let state = small_state(&disk, STATE, true);
    let embedded = open_embedded(&disk, keyring, true, progress)?;
    let mut findings = files(&embedded, &disk, progress)?;
    let in_state = |finding: &Finding| finding.place.as_ref().is_some_and(|p| p.file == STATE);
    if !findings.iter().any(in_state) {
        let stores = Stores {
            state: state?,
            ledger: Arc::new(embedded),
        };
        // Files that are gone leave no damaged bytes: the published heads tell.
        findings.extend(verify_heads(&stores).or_could("compare the published heads")?);
    }
    let folder = KeyFolder::of(config, &hex(&format.ledger_id()))?;
    if let Some(master) = folder.master()? {
        findings.extend(dead_letters::check(disk.as_ref(), &master)?);
    }
    Ok(findings)
}

fn files(embedded: &Embedded, disk: &Arc<dyn Disk>, progress: &Progress) -> Result<Vec<Finding>> {
    let mut findings = embedded
        .check(&mut |done| show(progress, &done))
        .or_could("check the files")?;
    // The same bytes are named once: with the records that are in them, where those are known.
    let named: Vec<_> = findings
        .iter()
        .filter(|finding| finding.records.is_some())
        .filter_map(|finding| finding.place.clone())
        .collect();
    let is_named = |finding: &Finding| finding.place.as_ref().is_some_and(|p| named.contains(p));
    findings.retain(|finding| finding.records.is_some() || !is_named(finding));
    // Every commit leaves something in both, so with records neither can be missing.
    let records = embedded.stats().or_could("count the records")?.records;
    for path in [STATE, KEYS] {
        findings.extend(small_state_finding(disk, path, records > 0)?);
    }
    Ok(findings)
}

/// Whether a state store is there and every page in use is what was written.
fn small_state_finding(
    disk: &Arc<dyn Disk>,
    path: &str,
    expected: bool,
) -> Result<Option<Finding>> {
    let bytes = disk.len(path).or_could(format_args!("look at {path}"))?;
    let damaged = |said: &str| {
        let finding = Finding::new(FindingKind::Corrupt, said);
        Some(finding.place(path, 0..bytes.unwrap_or(0)))
    };
    if bytes.is_none() {
        return Ok(expected
            .then(|| damaged("the file is missing: restore it"))
            .flatten());
    }
    let checked = open_state(Arc::clone(disk), path, StateMode::Read).and_then(|s| s.check());
    match checked {
        Ok(true) => Ok(None),
        Ok(false) => Ok(damaged("pages are not what was written")),
        Err(error) if error.kind() == Kind::Corrupt => Ok(damaged(error.context())),
        Err(error) => Err(error).or_could(format_args!("check {path}")),
    }
}

/// Mends what can be computed again.
///
/// # Errors
/// [`Failure::Could`], also when another process is writing.
pub fn repair(config: &Config, progress: &Progress) -> Result {
    let (disk, format) = find(config)?.ok_or_else(|| none(config))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let keyring = keyring(config, &disk, &format, false)?;
    let embedded = open_embedded(&disk, keyring, false, progress)?;
    embedded
        .repair(&mut |done| show(progress, &done))
        .or_could("mend the files")?;
    embedded.close().or_could("close the data directory")
}

fn find(config: &Config) -> Result<Option<(RealDisk, Format)>> {
    let disk = RealDisk::new(&config.data);
    match Format::load(&disk) {
        Ok(format) => Ok(Some((disk, format))),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error).or_could(format_args!("open {}", config.data.shown())),
    }
}

fn none(config: &Config) -> Failure {
    Failure::Could(format!(
        "there is no ledger in {}; say --data DIR, or make one with indelible import, emit or keys \
         init",
        config.data.shown()
    ))
}

/// Makes the keys first: if we die before the ledger is made, they are of no ledger and harm
/// nobody; the other way round, a ledger would be without keys. Before them only the directory, so
/// that where there can be none no keys are left either.
fn create(config: &Config, env: &Env) -> Result<(RealDisk, Format)> {
    let disk = RealDisk::new(&config.data);
    let doing = || format!("make a ledger in {}", config.data.shown());
    disk.create_dir_all("").or_could(doing())?;
    // Before the keys, so that none are left over.
    Embedded::may_create(&disk).or_could(doing())?;
    let id = env.random_bytes::<16>();
    let ledger_id = hex(&id);
    let folder = KeyFolder::of(config, &ledger_id)?;
    folder.create(&first_origin(config, &ledger_id), env.random.as_ref())?;
    let hash_key = env.random_bytes::<16>();
    Embedded::create(&disk, id, hash_key, env.clock.now()).or_could(doing())?;
    let format = Format::load(&disk).or_could("read what was just written")?;
    Ok((disk, format))
}

fn first_origin(config: &Config, ledger_id: &str) -> String {
    config
        .origin
        .clone()
        .unwrap_or_else(|| format!("indelible.dev/{ledger_id}"))
}

fn open(
    config: &Config,
    disk: RealDisk,
    format: &Format,
    read_only: bool,
    output: &Output,
) -> Result<Access> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let keyring = keyring(config, &shared, format, read_only)?;
    // A reader's before the records: what a writer publishes meanwhile would else speak of records
    // that the reader does not have. A writer's under the lock, which comes with the records.
    let before = read_only
        .then(|| small_state(&shared, STATE, true))
        .transpose()?;
    let progress = output.progress();
    let embedded = open_embedded(&shared, Arc::clone(&keyring), read_only, &progress)?;
    progress.clear();
    let embedded = Arc::new(embedded);
    let state = match before {
        Some(state) => state,
        None => small_state(&shared, STATE, false)?,
    };
    Ok(Access {
        path: config.data.clone(),
        disk: Arc::new(disk),
        ledger_id: hex(&format.ledger_id()),
        folder: KeyFolder::of(config, &hex(&format.ledger_id()))?,
        stores: Stores {
            ledger: Arc::clone(&embedded) as _,
            state,
        },
        keyring,
        env: environment(),
        embedded,
    })
}

fn keyring(
    config: &Config,
    disk: &Arc<dyn Disk>,
    format: &Format,
    read_only: bool,
) -> Result<Arc<Keyring>> {
    let store = small_state(disk, KEYS, read_only)?;
    let master = KeyFolder::of(config, &hex(&format.ledger_id()))?.master()?;
    Keyring::open(store, master, environment().random).or_could("open the key store")
}

/// A state store; read before anything was written to it, it is empty.
fn small_state(disk: &Arc<dyn Disk>, path: &str, read_only: bool) -> Result<Arc<dyn State>> {
    let mode = if read_only {
        StateMode::Read
    } else {
        StateMode::Write
    };
    match open_state(Arc::clone(disk), path, mode) {
        Ok(state) => Ok(Arc::new(state)),
        Err(error) if read_only && error.kind() == Kind::NotFound => {
            Ok(Arc::new(MemoryState::new()))
        }
        Err(error) => Err(error).or_could(format_args!("open {path}")),
    }
}

fn open_embedded(
    disk: &Arc<dyn Disk>,
    keyring: Arc<Keyring>,
    read_only: bool,
    progress: &Progress,
) -> Result<Embedded> {
    let now = Some(environment().clock.now());
    let options = EmbeddedOptions {
        read_only,
        now,
        ..EmbeddedOptions::default()
    };
    let opener = Some(keyring as Arc<dyn RowOpener>);
    Embedded::open(Arc::clone(disk), opener, options, &mut |done| {
        show(progress, &done);
    })
    .or_could("open the data directory")
}

fn show(progress: &Progress, done: &indelible_embedded::Progress) {
    progress.of_things(&done.what, done.total);
    progress.set(done.done);
}
