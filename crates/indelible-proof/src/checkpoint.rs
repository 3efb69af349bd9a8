//! Checkpoints: an origin, a size and a root, signed by the log and cosigned by witnesses.
//!
//! What it is not: the decision whom to trust. A [`Checkpoint`] is only text; [`SignedCheckpoint`]
//! proves nothing until [`SignedCheckpoint::verify`] has been asked with a key from elsewhere.
//!
//! Source: <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/tlog-cosignature>;
//! our page is `spec/checkpoint.md`. Extension lines are refused: nobody audits them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use indelible_merkle::Hash;

use crate::note::{Note, NoteError, Signature, SigningKey, VerifierKey};

/// What a log says about itself at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Identity of the log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// Why text is no checkpoint of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note around it is malformed, or a signature fails.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not origin, size, root.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    /// The key's name is not the origin of the checkpoint.
    #[error("the checkpoint is of {found:?}, the key is for {expected:?}")]
    Origin {
        /// Origin in the checkpoint.
        found: String,
        /// Name of the key.
        expected: String,
    },
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let text = text
            .strip_suffix('\n')
            .ok_or(malformed("it does not end in a line feed"))?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("it has not exactly three lines"));
        };
        if origin.is_empty() {
            return Err(malformed("the origin is empty"));
        }
        let plain =
            size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or(malformed("the size is no number"))?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = root.ok_or(malformed("the root is not base64 of 32 bytes"))?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root: Hash::from_bytes(root),
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root.as_bytes())
        )
    }
}

/// A checkpoint with its signatures, as it was signed, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint. The key must be named like the origin.
    ///
    /// Only [`crate::signer::GuardedSigner`] may be asked to sign for a registry: two checkpoints
    /// that do not extend each other must never carry the same signature.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] when the key is for another log.
    pub fn sign(checkpoint: Checkpoint, key: &SigningKey) -> Result<Self, CheckpointError> {
        if key.name() != checkpoint.origin {
            let expected = key.name().to_owned();
            return Err(CheckpointError::Origin {
                found: checkpoint.origin,
                expected,
            });
        }
        let note = Note::sign(&checkpoint.to_string(), key)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a signed note whose text is a checkpoint. No signature is verified.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        Ok(Self {
            checkpoint: note.text().parse()?,
            note,
        })
    }

    /// What it says; to be believed only after [`Self::verify`].
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Checks the log's own signature and gives what it says.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] when the key is for another log, else [`CheckpointError::Note`].
    pub fn verify(&self, key: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        if key.name() != self.checkpoint.origin {
            let (found, expected) = (self.checkpoint.origin.clone(), key.name().to_owned());
            return Err(CheckpointError::Origin { found, expected });
        }
        self.note.verify(key)?;
        Ok(&self.checkpoint)
    }

    /// Checks a witness's cosignature and gives the time it was made, in Unix seconds.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] or [`NoteError::BadSignature`].
    pub fn verify_cosignature(&self, witness: &VerifierKey) -> Result<u64, NoteError> {
        self.note
            .verify(witness)?
            .ok_or(NoteError::Key("the key is no witness's key"))
    }

    /// Cosigns as a witness at `unix_seconds`. The witness must have verified consistency before.
    pub fn cosign(&self, witness: &SigningKey, unix_seconds: u64) -> Signature {
        witness.cosign_text(self.note.text(), unix_seconds)
    }

    /// Adds a signature line made elsewhere.
    pub fn add(&mut self, signature: Signature) {
        self.note.add(signature);
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
