//! The key files of a ledger: outside the data directory, private, one folder per ledger.
//!
//! `<keys>/<ledger id>/signing.key` signs checkpoints, `master.key` opens the key store, and
//! `signer.checkpoint` is the signer's memory of what it signed last. Whoever has the data
//! directory alone can neither sign nor read personal data. Source: `spec/key-files.md` §1.
//!
//! A lost signing key means nothing new can be published; a lost master key means personal data
//! stays sealed for ever. Both are to be backed up apart from the data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indelible_disk::{Disk, DiskError, DiskErrorKind, Lock, Open, RealDisk};
use indelible_log::env::Random;
use indelible_log::keyring::MasterKey;
use indelible_log::verify::Kept;
use indelible_proof::checkpoint::SignedCheckpoint;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::{Error, Kind, Result};
use zeroize::Zeroizing;

/// The key that signs checkpoints.
pub const SIGNING: &str = "signing.key";
/// The key that opens the key store.
pub const MASTER: &str = "master.key";
/// What was signed last.
pub const SIGNED: &str = "signer.checkpoint";
const LOCK: &str = "signer.lock";
/// How often the lock of the signer's memory is tried, some ten seconds in all: a disk may be slow,
/// but whoever holds it may have been stopped.
const LOCK_TRIES: u32 = 2_000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The keys of one ledger.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    path: PathBuf,
    disk: RealDisk,
}

impl KeyFolder {
    /// The folder below `base` of the ledger with this id.
    pub fn of(base: &Path, ledger_id: &str) -> Self {
        Self::at(base.join(ledger_id))
    }

    fn at(path: PathBuf) -> Self {
        Self {
            disk: RealDisk::new(&path),
            path,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the keys of a new ledger; the signing key's name is its origin.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when nothing can have that name; else when they cannot be written. Keys
    /// that are there are never written over.
    pub fn create(&self, origin: &str, random: &dyn Random) -> Result<()> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        let signing = SigningKey::from_seed(origin, &seed).map_err(|e| {
            Error::new(Kind::Invalid, format!("{origin:?} is no origin")).caused_by(e)
        })?;
        let line = Zeroizing::new(format!("{}\n", signing.to_private()));
        let master = MasterKey::generate(random);
        let write = || {
            self.disk.create_dir_all("")?;
            self.write_new(SIGNING, line.as_bytes())?;
            self.write_new(MASTER, master.print().as_bytes())?;
            self.disk.sync_dir("")
        };
        write().map_err(|e| {
            let said = format!("cannot write the keys to {}", self.path.display());
            Error::new(Kind::Unavailable, said).caused_by(e)
        })
    }

    /// The signing key, if it is here.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the file is not a signing key.
    pub fn signing(&self) -> Result<Option<SigningKey>> {
        let Some(text) = self.text(SIGNING)? else {
            return Ok(None);
        };
        let key = SigningKey::parse_private(text.trim_end());
        key.map(Some).map_err(|_| self.damaged(SIGNING))
    }

    /// The master key, if it is here.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the file is not a master key.
    pub fn master(&self) -> Result<Option<MasterKey>> {
        let Some(text) = self.text(MASTER)? else {
            return Ok(None);
        };
        let key = MasterKey::parse(&text);
        key.map(Some).map_err(|_| self.damaged(MASTER))
    }

    /// The checkpoint that was signed last, if it is here; its signature is compared where the
    /// signing key is here too.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the file is not what was written.
    pub fn signed(&self) -> Result<Option<SignedCheckpoint>> {
        let Some(bytes) = self.read(SIGNED)? else {
            return Ok(None);
        };
        let signed = SignedCheckpoint::parse(&bytes).map_err(|_| self.damaged(SIGNED))?;
        if let Ok(Some(key)) = self.signing() {
            let key = key.renamed(&signed.unverified().origin);
            let key = key.map_err(|_| self.damaged(SIGNED))?.verifier_key();
            signed.verify(&key).map_err(|_| self.damaged(SIGNED))?;
        }
        Ok(Some(signed))
    }

    /// What the signer keeps. A folder with a signing key and no checkpoint is that of a signer
    /// which has signed nothing, or whose memory is gone: which of the two, the registry tells.
    ///
    /// # Errors
    /// As [`KeyFolder::signed`].
    pub fn kept(&self) -> Result<Kept> {
        Ok(match self.signed()? {
            Some(signed) => Kept::Checkpoint(signed.unverified().clone()),
            None if self.read(SIGNING)?.is_some() => Kept::Nothing,
            None => Kept::Elsewhere,
        })
    }

    /// The signer's memory.
    pub fn signer_state(&self) -> FileState {
        FileState {
            disk: self.disk.clone(),
        }
    }

    /// Every file that is not what was written.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn findings(&self) -> Result<Vec<Finding>> {
        let damaged = [
            self.signing().err(),
            self.master().err(),
            self.signed().err(),
        ];
        damaged
            .into_iter()
            .zip([SIGNING, MASTER, SIGNED])
            .filter_map(|(error, name)| Some((error?, name)))
            .map(|(error, name)| match error.kind() {
                Kind::Corrupt => Ok(self.finding(name, &error)),
                _ => Err(error),
            })
            .collect()
    }

    /// The finding that a file cannot be used.
    pub(crate) fn finding(&self, name: &str, error: &Error) -> Finding {
        let bytes = self.disk.len(name).ok().flatten().unwrap_or(0);
        let path = self.path.join(name).display().to_string();
        Finding::new(FindingKind::Corrupt, error.context()).place(path, 0..bytes)
    }

    fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let Some(bytes) = self.read(name)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.damaged(name))?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let bytes = match self.disk.len(name) {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => self.disk.read(name),
            Err(error) => Err(error),
        };
        bytes.map(|bytes| Some(Zeroizing::new(bytes))).map_err(|e| {
            let said = format!("cannot read {}", self.path.join(name).display());
            Error::new(Kind::Unavailable, said).caused_by(e)
        })
    }

    fn damaged(&self, name: &str) -> Error {
        let path = self.path.join(name);
        let mut said = format!("{} is damaged: restore it from a backup", path.display());
        if name == SIGNED {
            said += ", or let `indelible recover` begin a new incarnation";
        }
        Error::new(Kind::Corrupt, said)
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
        let file = self.disk.open(name, Open::New)?;
        file.write_at(bytes, 0)?;
        file.sync_data()
    }
}

/// `signer.checkpoint`, moved by compare-and-swap under a lock of its own.
#[derive(Clone, Debug)]
pub struct FileState {
    disk: RealDisk,
}

impl FileState {
    /// Others that have the key hold it for as long as a small file is written.
    fn lock(&self) -> std::result::Result<Box<dyn Lock>, DiskError> {
        let holder = format!("process {}", std::process::id());
        for _ in 0..LOCK_TRIES {
            match self.disk.try_lock(LOCK, &holder) {
                Err(error) if error.kind() == DiskErrorKind::Locked => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                locked => return locked,
            }
        }
        self.disk.try_lock(LOCK, &holder)
    }
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
        let _lock = self.lock()?;
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use indelible_merkle::empty_root;
    use indelible_proof::checkpoint::Checkpoint;

    const ORIGIN: &str = "indelible.dev/x";

    struct Ones;

    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    #[test]
    fn keys_are_private_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(dir.path().join("a/b"));
        assert!(keys.signing().unwrap().is_none() && keys.master().unwrap().is_none());
        keys.create(ORIGIN, &Ones).unwrap();
        assert_eq!(keys.signing().unwrap().unwrap().name(), ORIGIN);
        assert!(keys.master().unwrap().is_some());
        for name in [SIGNING, MASTER] {
            let meta = fs::metadata(keys.path().join(name)).unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(keys.findings().unwrap(), Vec::new());
        assert!(
            keys.create(ORIGIN, &Ones).is_err(),
            "keys are never written over"
        );
    }

    #[test]
    fn the_vector_holds() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/vectors/key-files.json")).unwrap();
        let vector = &vector["signing_key"];
        let seed: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let digits: Vec<_> = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(vector["seed"], digits.concat());
        let key = SigningKey::from_seed(vector["name"].as_str().unwrap(), &seed).unwrap();
        assert_eq!(vector["file"], format!("{}\n", key.to_private()));
        assert_eq!(vector["verifier_key"], key.verifier_key().to_string());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SIGNING), vector["file"].as_str().unwrap()).unwrap();
        let keys = KeyFolder::at(dir.path().to_path_buf());
        let read = keys.signing().unwrap().unwrap();
        assert_eq!(
            read.verifier_key().to_string(),
            key.verifier_key().to_string()
        );
    }

    #[test]
    fn the_signers_memory_moves_only_from_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = KeyFolder::at(dir.path().to_path_buf()).signer_state();
        assert_eq!(state.load().unwrap(), None);
        assert!(!state.compare_and_swap(Some(b"x"), b"a").unwrap());
        assert!(state.compare_and_swap(None, b"a").unwrap());
        assert!(!state.compare_and_swap(None, b"b").unwrap());
        assert!(state.compare_and_swap(Some(b"a"), b"b").unwrap());
        assert_eq!(state.load().unwrap().as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn the_signers_memory_is_waited_for_while_another_moves_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = KeyFolder::at(dir.path().to_path_buf()).signer_state();
        let held = state.lock().unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| state.compare_and_swap(None, b"one").unwrap());
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(state.load().unwrap(), None);
            drop(held);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn a_signer_without_memory_is_told_from_no_signer() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(dir.path().to_path_buf());
        assert!(matches!(keys.kept().unwrap(), Kept::Elsewhere));
        keys.create(ORIGIN, &Ones).unwrap();
        assert!(matches!(keys.kept().unwrap(), Kept::Nothing));
    }

    /// A master key has no checksum of its own: what is another key is told by the key store.
    #[test]
    fn every_changed_byte_of_key_and_memory_is_noticed_or_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyFolder::at(dir.path().to_path_buf());
        keys.create(ORIGIN, &Ones).unwrap();
        let key = keys.signing().unwrap().unwrap();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: 0,
            root: empty_root(),
        };
        let signed = SignedCheckpoint::sign(checkpoint, &key).unwrap();
        fs::write(keys.path().join(SIGNED), signed.to_string()).unwrap();
        assert_eq!(keys.findings().unwrap(), Vec::new());
        for name in [SIGNING, SIGNED, MASTER] {
            let path = keys.path().join(name);
            let whole = fs::read(&path).unwrap();
            let mut noticed = 0;
            for at in 0..whole.len() {
                for bit in [0x01, 0x10, 0x80] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= bit;
                    fs::write(&path, &bytes).unwrap();
                    let findings = keys.findings().unwrap();
                    if findings.is_empty() {
                        let same = keys.signing().unwrap().unwrap().to_private();
                        assert_eq!(*same, *key.to_private(), "{name} byte {at} ^ {bit:#x}");
                        continue;
                    }
                    noticed += 1;
                    let place = findings[0].place.as_ref().unwrap();
                    assert!(place.file.ends_with(name), "{}", findings[0]);
                    assert!(
                        findings[0].message.contains("restore it"),
                        "{}",
                        findings[0]
                    );
                }
            }
            let least = if name == MASTER { 20 } else { whole.len() };
            assert!(noticed > least, "{name}: {noticed}");
            fs::write(&path, &whole).unwrap();
        }
    }
}
