//! The key files of a ledger: outside the data directory, private, one folder per ledger.
//!
//! `<keys>/<ledger id>/signing.key` signs checkpoints, `master.key` opens the key store, and
//! `signer.checkpoint` is the signer's memory of what it signed last. Whoever has the data
//! directory alone can neither sign nor read personal data. Source: `spec/key-files.md` §1.
//!
//! A lost signing key means nothing new can be published; a lost master key means personal data
//! stays sealed for ever. Both are to be backed up apart from the data.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use indelible_disk::{Disk, DiskError, Open, RealDisk};
use indelible_log::env::Random;
use indelible_log::keyring::MasterKey;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::output::Show;

/// The key that signs checkpoints.
pub const SIGNING: &str = "signing.key";
/// The key that opens the key store.
pub const MASTER: &str = "master.key";
/// What was signed last.
pub const SIGNED: &str = "signer.checkpoint";
const LOCK: &str = "signer.lock";

/// The keys of one ledger.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
    disk: RealDisk,
}

impl KeyFolder {
    /// The folder of the ledger with this id.
    ///
    /// # Errors
    /// [`Failure::Usage`] when there is neither `--keys` nor a configuration directory.
    pub fn of(config: &Config, ledger_id: &str) -> Result<Self> {
        let base = base(config)?;
        let path = base.join(ledger_id);
        Ok(Self {
            disk: RealDisk::new(&path),
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the keys of a new ledger; the signing key's name is its origin.
    ///
    /// # Errors
    /// [`Failure::Could`] when they cannot be written.
    pub fn create(&self, origin: &str, random: &dyn Random) -> Result {
        let doing = || format!("write the keys to {}", self.path.shown());
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        let signing = SigningKey::from_seed(origin, &seed).or_could(doing())?;
        let line = Zeroizing::new(format!("{}\n", signing.to_private()));
        let master = MasterKey::generate(random);
        self.disk.create_dir_all("").or_could(doing())?;
        self.write_new(SIGNING, line.as_bytes()).or_could(doing())?;
        self.write_new(MASTER, master.print().as_bytes())
            .or_could(doing())?;
        self.disk.sync_dir("").or_could(doing())
    }

    /// The signing key, if it is here.
    ///
    /// # Errors
    /// [`Failure::Could`] when the file is not a signing key.
    pub fn signing(&self) -> Result<Option<SigningKey>> {
        let Some(text) = self.read(SIGNING)? else {
            return Ok(None);
        };
        let key = SigningKey::parse_private(text.trim_end());
        key.map(Some)
            .or_could(format_args!("use {}", self.path.join(SIGNING).shown()))
    }

    /// The master key, if it is here.
    ///
    /// # Errors
    /// [`Failure::Could`] when the file is not a master key.
    pub fn master(&self) -> Result<Option<MasterKey>> {
        let Some(text) = self.read(MASTER)? else {
            return Ok(None);
        };
        let key = MasterKey::parse(&text);
        key.map(Some)
            .or_could(format_args!("use {}", self.path.join(MASTER).shown()))
    }

    /// The signer's memory.
    pub fn signer_state(&self) -> FileState {
        FileState {
            disk: self.disk.clone(),
        }
    }

    /// What is wrong with the files, in words; nothing when all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for name in [SIGNING, MASTER] {
            let path = self.path.join(name);
            match fs::metadata(&path) {
                Err(error) => problems.push(format!("{name}: {error}")),
                Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                    problems.push(format!("{name}: others can read it, run chmod 600"));
                }
                Ok(_) => {}
            }
        }
        problems.extend(
            [self.signing().err(), self.master().err()]
                .into_iter()
                .flatten()
                .filter_map(|failure| failure.message().map(str::to_owned)),
        );
        problems
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::Could(format!(
                "cannot read {}: {error}",
                path.shown()
            ))),
        }
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
        let file = self.disk.open(name, Open::New)?;
        file.write_at(bytes, 0)?;
        file.sync_data()
    }
}

/// The directory that holds one folder per ledger.
///
/// # Errors
/// [`Failure::Usage`] when there is none.
pub fn base(config: &Config) -> Result<&Path> {
    config.keys.as_deref().ok_or_else(|| {
        Failure::Usage("there is no place for keys: HOME is not set, so say --keys DIR".to_owned())
    })
}

/// `signer.checkpoint`, moved by compare-and-swap under a lock of its own.
#[derive(Clone, Debug)]
pub struct FileState {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    struct Ones;

    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    fn folder(dir: &Path) -> KeyFolder {
        KeyFolder {
            path: dir.to_path_buf(),
            disk: RealDisk::new(dir),
        }
    }

    #[test]
    fn keys_are_private_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let keys = folder(&dir.path().join("a/b"));
        assert!(keys.signing().unwrap().is_none() && keys.master().unwrap().is_none());
        keys.create("indelible.dev/x", &Ones).unwrap();
        assert_eq!(keys.signing().unwrap().unwrap().name(), "indelible.dev/x");
        assert!(keys.master().unwrap().is_some());
        for name in [SIGNING, MASTER] {
            let mode = fs::metadata(keys.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(keys.problems(), Vec::<String>::new());
        assert!(
            keys.create("indelible.dev/x", &Ones).is_err(),
            "keys are never written over"
        );
    }

    #[test]
    fn the_vector_holds() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/vectors/key-files.json")).unwrap();
        let vector = &vector["signing_key"];
        let seed: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        assert_eq!(vector["seed"], crate::hex::hex(&seed));
        let key = SigningKey::from_seed(vector["name"].as_str().unwrap(), &seed).unwrap();
        assert_eq!(vector["file"], format!("{}\n", key.to_private()));
        assert_eq!(vector["verifier_key"], key.verifier_key().to_string());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SIGNING), vector["file"].as_str().unwrap()).unwrap();
        let read = folder(dir.path()).signing().unwrap().unwrap();
        assert_eq!(
            read.verifier_key().to_string(),
            key.verifier_key().to_string()
        );
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_without_showing_them() {
        let dir = tempfile::tempdir().unwrap();
        let keys = folder(dir.path());
        keys.create("o", &Ones).unwrap();
        fs::set_permissions(keys.path().join(SIGNING), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(keys.path().join(MASTER), "secret-looking").unwrap();
        let problems = keys.problems().join("\n");
        assert!(
            problems.contains("signing.key: others can read it"),
            "{problems}"
        );
        assert!(problems.contains("master.key"), "{problems}");
        assert!(!problems.contains("secret-looking"), "{problems}");
    }

    #[test]
    fn the_signers_memory_moves_only_from_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = folder(dir.path()).signer_state();
        assert_eq!(state.load().unwrap(), None);
        assert!(!state.compare_and_swap(Some(b"x"), b"a").unwrap());
        assert!(state.compare_and_swap(None, b"a").unwrap());
        assert!(!state.compare_and_swap(None, b"b").unwrap());
        assert!(state.compare_and_swap(Some(b"a"), b"b").unwrap());
        assert_eq!(state.load().unwrap().as_deref(), Some(&b"b"[..]));
    }
}
