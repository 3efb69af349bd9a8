//! The key files of a ledger: outside the data directory, private, one folder per ledger.
//!
//! Not here: what is signed and sealed with them. The files are those that the command `indelible`
//! makes and reads. Source: `spec/key-files.md` §1.

use std::path::{Path, PathBuf};

use indelible_disk::{Disk, DiskError, Open, RealDisk};
use indelible_log::env::Random;
use indelible_log::keyring::MasterKey;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use zeroize::Zeroizing;

use crate::error::{Doing, Result};

const SIGNING: &str = "signing.key";
const MASTER: &str = "master.key";
const SIGNED: &str = "signer.checkpoint";
const LOCK: &str = "signer.lock";

/// The keys of one ledger.
#[derive(Clone, Debug)]
pub(crate) struct KeyFolder {
    path: PathBuf,
    disk: RealDisk,
}

impl KeyFolder {
    /// The directory of all ledgers' keys, in the user's configuration directory.
    pub(crate) const DIRECTORY: &str = "indelible";

    /// The folder of the ledger with this id.
    pub(crate) fn of(base: &Path, ledger_id: &str) -> Self {
        let path = base.join(ledger_id);
        Self {
            disk: RealDisk::new(&path),
            path,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the keys of a new ledger; the signing key's name is its origin.
    pub(crate) fn create(&self, origin: &str, random: &dyn Random) -> Result<()> {
        let doing = "write the keys to";
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        let signing = SigningKey::from_seed(origin, &seed).doing(doing, &self.path)?;
        let line = Zeroizing::new(format!("{}\n", signing.to_private()));
        let master = MasterKey::generate(random);
        let write = || {
            self.disk.create_dir_all("")?;
            self.write_new(SIGNING, line.as_bytes())?;
            self.write_new(MASTER, master.print().as_bytes())?;
            self.disk.sync_dir("")
        };
        write().doing(doing, &self.path)
    }

    /// The signing key, if it is here.
    pub(crate) fn signing(&self) -> Result<Option<SigningKey>> {
        let Some(text) = self.read(SIGNING)? else {
            return Ok(None);
        };
        let key = SigningKey::parse_private(text.trim_end());
        key.map(Some).doing("use", &self.path.join(SIGNING))
    }

    /// The master key, if it is here.
    pub(crate) fn master(&self) -> Result<Option<MasterKey>> {
        let Some(text) = self.read(MASTER)? else {
            return Ok(None);
        };
        let key = MasterKey::parse(&text);
        key.map(Some).doing("use", &self.path.join(MASTER))
    }

    /// The signer's memory.
    pub(crate) fn signer_state(&self) -> FileState {
        FileState {
            disk: self.disk.clone(),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let path = self.path.join(name);
        if self.disk.len(name).doing("read", &path)?.is_none() {
            return Ok(None);
        }
        let bytes = Zeroizing::new(self.disk.read(name).doing("read", &path)?);
        let text = std::str::from_utf8(&bytes).doing("use", &path)?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
        let file = self.disk.open(name, Open::New)?;
        file.write_at(bytes, 0)?;
        file.sync_data()
    }
}

/// `signer.checkpoint`, moved by compare-and-swap under a lock of its own.
#[derive(Clone, Debug)]
pub(crate) struct FileState {
    disk: RealDisk,
}

impl SignerState for FileState {
    type Error = DiskError;

    fn load(&self) -> std::result::Result<Option<Vec<u8>>, DiskError> {
        match self.disk.len(SIGNED)? {
            Some(_) => self.disk.read(SIGNED).map(Some),
            None => Ok(None),
        }
    }

    fn compare_and_swap(
        &self,
        old: Option<&[u8]>,
        new: &[u8],
    ) -> std::result::Result<bool, DiskError> {
        let _lock = self
            .disk
            .try_lock(LOCK, &format!("process {}", std::process::id()))?;
        if self.load()?.as_deref() != old {
            return Ok(false);
        }
        self.disk.replace(SIGNED, new)?;
        Ok(true)
    }
}
