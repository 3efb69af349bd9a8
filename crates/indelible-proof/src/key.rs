//! The keys under notes: named Ed25519 keys, public and private, in the forms files hold them in.
//!
//! What it is not: a key store, or a source of randomness (seeds arrive as 32 bytes). A private key
//! is wiped from memory when dropped and never shown by `Debug`.
//!
//! Source: <https://c2sp.org/signed-note>; our page is `spec/checkpoint.md` §1.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::note::{NoteError, Signature};

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const TIMESTAMP_BYTES: usize = 8;
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// What a key signs with, the signature type byte of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// 0x01: Ed25519 over the text.
    Ed25519,
    /// 0x04: Ed25519 over the text behind a time stamp, what witnesses make.
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// A public key with its name: `<name>+<key id>+<base64 of type and key>`, a *vkey*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    id: u32,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names 32 public key bytes.
    ///
    /// # Errors
    /// [`NoteError`] for an unfit name or bytes that are no point of the curve.
    pub fn new(name: &str, kind: KeyKind, key: &[u8; KEY_BYTES]) -> Result<Self, NoteError> {
        check_name(name)?;
        let point = VerifyingKey::from_bytes(key)
            .map_err(|_| NoteError::Key("the key is no Ed25519 public key"))?;
        if point.is_weak() {
            return Err(NoteError::Key("the key verifies anything"));
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            id: key_id(name, kind, key),
            key: point,
        })
    }

    /// The key name, which for a log is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it verifies.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ key).
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The 32 public key bytes.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.key.as_bytes()
    }

    /// The same key under another name: one key signs for many logs of one ledger.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn renamed(&self, name: &str) -> Result<Self, NoteError> {
        Self::new(name, self.kind, self.bytes())
    }

    /// Checks one signature line over `text`; the time is that of a cosignature.
    pub(crate) fn check(&self, text: &str, line: &Signature) -> Result<Option<u64>, NoteError> {
        let (time, signature) = match self.kind {
            KeyKind::Ed25519 => (None, line.bytes.as_slice()),
            KeyKind::Cosignature => match line.bytes.split_first_chunk::<TIMESTAMP_BYTES>() {
                Some((time, signature)) => (Some(u64::from_be_bytes(*time)), signature),
                None => (None, [].as_slice()),
            },
        };
        let message = time.map(|time| cosigned_message(text, time));
        let message = message.as_deref().unwrap_or(text).as_bytes();
        let signed = <&[u8; SIGNATURE_BYTES]>::try_from(signature).is_ok_and(|signature| {
            let signature = ed25519_dalek::Signature::from_bytes(signature);
            self.key.verify_strict(message, &signature).is_ok()
        });
        let past = time.is_none_or(|time| i64::try_from(time).is_ok());
        if signed && past {
            Ok(time)
        } else {
            Err(NoteError::BadSignature(self.name.clone()))
        }
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(vkey: &str) -> Result<Self, NoteError> {
        let (name, id, material) = split_key(vkey)?;
        let (kind, key) = typed_key(&material)?;
        let parsed = Self::new(name, kind, &key)?;
        if parsed.id == id {
            Ok(parsed)
        } else {
            Err(NoteError::Key("the key id does not fit"))
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = BASE64.encode(typed_bytes(self.kind, self.bytes()));
        write!(f, "{}+{:08x}+{material}", self.name, self.id)
    }
}

/// A private Ed25519 key with its name. Wiped from memory when dropped; `Debug` shows no secret.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    kind: KeyKind,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key for notes from 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, NoteError> {
        Self::of_kind(name, KeyKind::Ed25519, seed)
    }

    /// A key for cosignatures (what a witness holds) from 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn witness_from_seed(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, NoteError> {
        Self::of_kind(name, KeyKind::Cosignature, seed)
    }

    fn of_kind(name: &str, kind: KeyKind, seed: &[u8; KEY_BYTES]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Ok(Self {
            name: name.to_owned(),
            kind,
            key,
        })
    }

    /// Reads the `PRIVATE+KEY+<name>+<id>+<base64>` form that key files hold.
    ///
    /// # Errors
    /// [`NoteError::Key`], never quoting the text.
    pub fn parse_private(text: &str) -> Result<Self, NoteError> {
        let rest = text
            .trim_end_matches('\n')
            .strip_prefix(PRIVATE_PREFIX)
            .ok_or(NoteError::Key("a private key starts with PRIVATE+KEY+"))?;
        let (name, id, material) = split_key(rest)?;
        let (kind, seed) = typed_key(&material)?;
        let key = Self::of_kind(name, kind, &seed)?;
        if key.verifier_key().id == id {
            Ok(key)
        } else {
            Err(NoteError::Key("the key id does not fit"))
        }
    }

    /// The form that [`Self::parse_private`] reads. The result is a secret.
    pub fn to_private(&self) -> String {
        let material = BASE64.encode(typed_bytes(self.kind, self.key.as_bytes()));
        format!(
            "{PRIVATE_PREFIX}{}+{:08x}+{material}",
            self.name,
            self.verifier_key().id
        )
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifier_key(&self) -> VerifierKey {
        let key = self.key.verifying_key();
        let id = key_id(&self.name, self.kind, key.as_bytes());
        VerifierKey {
            name: self.name.clone(),
            kind: self.kind,
            id,
            key,
        }
    }

    /// The same key under another name.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn renamed(&self, name: &str) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            kind: self.kind,
            key: self.key.clone(),
        })
    }

    /// One signature over `text` as it stands in a note.
    pub(crate) fn sign_text(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        Signature {
            name: self.name.clone(),
            id: self.verifier_key().id,
            bytes,
        }
    }

    /// One cosignature over `text`, made at `unix_seconds`.
    pub(crate) fn cosign_text(&self, text: &str, unix_seconds: u64) -> Signature {
        let signed = self
            .key
            .sign(cosigned_message(text, unix_seconds).as_bytes());
        let mut bytes = unix_seconds.to_be_bytes().to_vec();
        bytes.extend_from_slice(&signed.to_bytes());
        Signature {
            name: self.name.clone(),
            id: self.verifier_key().id,
            bytes,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier_key())
    }
}

/// The signed message of a cosignature: two lines before the text.
fn cosigned_message(text: &str, unix_seconds: u64) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

pub(crate) fn check_name(name: &str) -> Result<(), NoteError> {
    let unfit = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(unfit) {
        return Err(NoteError::KeyName(name.to_owned()));
    }
    Ok(())
}

fn key_id(name: &str, kind: KeyKind, key: &[u8; KEY_BYTES]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind.byte()]);
    hasher.update(key);
    let digest: [u8; 32] = hasher.finalize().into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn typed_bytes(kind: KeyKind, key: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES + 1] {
    let mut bytes = [kind.byte(); KEY_BYTES + 1];
    bytes[1..].copy_from_slice(key);
    bytes
}

fn typed_key(material: &[u8]) -> Result<(KeyKind, [u8; KEY_BYTES]), NoteError> {
    let unknown = NoteError::Key("the key is not one type byte and 32 key bytes");
    let (kind, key) = material.split_first().ok_or(unknown.clone())?;
    let kind = KeyKind::from_byte(*kind).ok_or(NoteError::Key("the key type is not known"))?;
    Ok((kind, key.try_into().map_err(|_| unknown)?))
}

fn split_key(text: &str) -> Result<(&str, u32, Vec<u8>), NoteError> {
    let parts = || {
        let (name, rest) = text.split_once('+')?;
        let (id, material) = rest.split_once('+')?;
        Some((name, id, material))
    };
    let (name, id, material) = parts().ok_or(NoteError::Key("it has not three parts"))?;
    let hex = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| hex);
    let id = id.ok_or(NoteError::Key("the key id is not 8 hex digits"))?;
    let material = BASE64
        .decode(material)
        .map_err(|_| NoteError::Key("the key is not base64"))?;
    Ok((name, id, material))
}
