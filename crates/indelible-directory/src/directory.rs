//! An opened ledger: its records, its small state, its keys.
//!
//! Where they are, [`Names`] says: all in one data directory, or records, small state and key store
//! in a database, with the directory for what one server has of its own. The keys that open and
//! sign lie in neither.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Progress, WriteLock};
use indelible_event::LeafView;
use indelible_log::attachments::Attachments;
use indelible_log::env::Env;
use indelible_log::keyring::{Keyring, MasterKey};
use indelible_log::log::{self, Limits, Log, Options, Stores, system_tenant};
use indelible_log::publish::Signer;
use indelible_log::registry::identity;
use indelible_log::sign::KeySigner;
use indelible_log::verify::{Kept, keys_finding};
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Error, Index, Kind, Result, Stored};

use crate::backend::Backend;
use crate::found::{BACKUP, STATE};
use crate::keys::{KeyFolder, MASTER, SIGNED};
use crate::{database, found};

/// Told how far an opening is.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// Where a ledger is.
#[derive(Clone)]
pub struct Names {
    /// The data directory.
    pub data: PathBuf,
    /// The directory with one folder of keys per ledger.
    pub keys: PathBuf,
    /// The database that has the ledger, if it is not the data directory, and how it is reached.
    pub database: Option<database::Options>,
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
    pub(crate) backend: Backend,
    /// That of a directory beside a database.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "there is none"))]
    pub(crate) lock: Option<WriteLock>,
    pub(crate) unusable: Vec<Finding>,
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

impl Directory {
    /// Opens for reading, beside a writer if there is one; `None` when there is no ledger. What is
    /// small and damaged is done without, and is among [`Directory::unusable`].
    ///
    /// # Errors
    /// [`Kind::Corrupt`] and [`Kind::Format`] when it cannot be read; [`Kind::Unavailable`].
    pub fn read(names: &Names, env: Env, tell: Tell<'_>) -> Result<Option<Self>> {
        match &names.database {
            Some(options) => database::read(names, options, env),
            None => found::read(names, env, tell),
        }
    }

    /// Opens for writing; makes the ledger with its keys when there is none, under `origin` or one
    /// of its own. Nothing is written to a ledger of which a file is damaged.
    ///
    /// # Errors
    /// [`Kind::Locked`] when another process writes, saying which; [`Kind::Corrupt`] and
    /// [`Kind::NotFound`] when a file is damaged or missing, naming it.
    pub fn write(names: &Names, origin: Option<&str>, env: Env, tell: Tell<'_>) -> Result<Self> {
        match &names.database {
            Some(options) => database::write(names, options, origin, env),
            None => found::write(names, origin, env, tell),
        }
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
        let (signer, verifier_key) = self.signer(&origin)?;
        let is_signing = signer.is_some();
        let options = Options {
            verifier_key,
            origin,
            create_tenants: true,
            limits: Limits::default(),
        };
        let (stores, keyring) = (self.stores.clone(), Arc::clone(&self.keyring));
        let log = match Log::open(stores, keyring, signer, options, self.env.clone()) {
            Ok(log) => log,
            Err(log::OpenError::NotExtending(findings)) => {
                return Err(OpenError::NotExtending(self.say_where(findings)));
            }
            Err(log::OpenError::Store(error)) => return Err(error.into()),
        };
        log.take_attachments(self.attachments()?);
        if is_signing && self.backend.is_shared() {
            // Servers that do not sign learn from it under which key the ledger does.
            log.ensure_tenant(&system_tenant()?, ("system", "indelible"))?;
        }
        Ok(log)
    }

    /// Whether what is committed is published from here. A ledger in a directory has one writer,
    /// which signs; of many servers on a database one does.
    pub fn signs(&self) -> bool {
        matches!(self.folder.signing(), Ok(Some(_)))
    }

    /// What signs, and the key that checks it.
    fn signer(
        &self,
        origin: &str,
    ) -> std::result::Result<(Option<Arc<dyn Signer>>, String), OpenError> {
        let Some(signing) = self.folder.signing()? else {
            let named = if self.backend.is_shared() {
                self.verifier_key()?
            } else {
                None
            };
            let missing = || OpenError::NoSigningKey(self.folder.path().to_path_buf());
            return named.map(|key| (None, key)).ok_or_else(missing);
        };
        if let Err(error) = self.folder.signed() {
            return Err(match error.kind() {
                Kind::Corrupt => OpenError::NotExtending(vec![self.folder.finding(SIGNED, &error)]),
                _ => error.into(),
            });
        }
        let named = signing.renamed(origin);
        let named =
            named.map_err(|e| Error::new(Kind::Invalid, "cannot name the key").caused_by(e))?;
        let signer = KeySigner::new(&signing, origin, self.folder.signer_state())?;
        Ok((Some(Arc::new(signer)), named.verifier_key().to_string()))
    }

    /// Whether others may write to it at the same time.
    pub fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// What is worth saying of the database, where one has the records.
    #[cfg(feature = "postgres")]
    pub fn database(&self) -> Option<&indelible_postgres::About> {
        self.backend.about()
    }

    /// Whether it is a backup, which has no key store and to which nothing is written.
    pub fn is_backup(&self) -> bool {
        !self.is_shared() && matches!(self.disk.len(BACKUP), Ok(Some(_)))
    }

    /// The key that the ledger itself names: in the first record of its own log, once there is one.
    ///
    /// # Errors
    /// As the ledger's.
    pub fn verifier_key(&self) -> Result<Option<String>> {
        let mut named = None;
        let ledger = self.stores.ledger.as_ref();
        ledger.read(&system_tenant()?, 0..1, &mut |stored| {
            if let Stored::Record(record) = stored {
                named = named_in(record.leaf);
            }
            ControlFlow::Break(())
        })?;
        Ok(named)
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
                *finding = self.backend.of_keys(self.disk.as_ref(), finding.clone());
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
        self.backend.index()
    }

    /// The index, for whoever keeps it.
    pub fn shared_index(&self) -> Arc<dyn Index> {
        self.backend.shared_index()
    }

    /// The small files that reading goes on without, each with what to do.
    pub fn unusable(&self) -> &[Finding] {
        &self.unusable
    }

    /// Derived files that every reading makes again in memory until they are mended.
    pub fn made_in_memory(&self) -> Vec<String> {
        self.backend.made_in_memory()
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

    /// Waits for the sealing and merging that is due.
    ///
    /// # Errors
    /// As there.
    pub fn finish(&self, give_up: &mut dyn FnMut() -> bool) -> Result<()> {
        self.backend.finish(give_up)
    }

    /// Every finding in the files of the data directory and of the keys, but for what only the
    /// records themselves tell.
    ///
    /// # Errors
    /// When they cannot be read at all.
    pub fn check(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        let mut findings = self.backend.check(tell)?;
        findings.extend(self.unusable.iter().cloned());
        for finding in self.folder.findings()? {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        Ok(findings)
    }

    /// Every finding in what a database derives of its records, beside what the records themselves
    /// tell. In a data directory that stands in files, and is checked with them.
    ///
    /// # Errors
    /// When the database cannot be asked.
    #[cfg(feature = "postgres")]
    pub fn check_derived(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        self.backend.check_derived(self, tell)
    }
}

/// `verifier_key` of a `log.created`.
fn named_in(leaf: &[u8]) -> Option<String> {
    let event = LeafView::locate(leaf).ok()?;
    let event: serde_json::Value = serde_json::from_slice(event.event()).ok()?;
    let key = event.pointer("/data/verifier_key")?.as_str()?;
    Some(key.to_owned())
}

/// Before the id of a ledger, in the name of one that was given none.
pub(crate) const OWN_NAMES: &str = "indelible.dev/";

pub(crate) fn first_origin(named: Option<&str>, ledger_id: &str) -> String {
    named.map_or_else(|| format!("{OWN_NAMES}{ledger_id}"), str::to_owned)
}

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
