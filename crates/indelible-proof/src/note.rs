//! Signed notes: text signed with Ed25519, and the keys that sign and verify it.
//!
//! What it is not: a general implementation. Of the signature types only 0x01 (Ed25519) and 0x04
//! (timestamped cosignature) are known; lines of other keys are kept and ignored, as the
//! specification asks. A signature of a known key that fails refuses the whole note.
//!
//! Source: <https://c2sp.org/signed-note>; our page is `spec/checkpoint.md` §1.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const TIMESTAMP_BYTES: usize = 8;
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";
const LINE_START: &str = "\u{2014} ";

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

/// Why a note or key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A key name is empty or has spaces, plus signs or control characters.
    #[error("a key name must have no spaces, plus signs or control characters, this is {0:?}")]
    KeyName(String),
    /// A verifier key or private key is not in the `name+id+key` form, or its id does not fit.
    #[error("not a key of the form <name>+<8 hex digits>+<base64>: {0}")]
    Key(&'static str),
    /// The note is not text, a blank line, and signature lines.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// No line of the note was made by this key.
    #[error("the note has no signature by {0}")]
    NotSigned(String),
    /// A line claims this key but its signature is not over this text.
    #[error("the signature by {0} is not over this text")]
    BadSignature(String),
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

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
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

/// One signature line of a note: who, with which key, and the bytes behind the key id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Key name.
    pub name: String,
    /// Key id.
    pub id: u32,
    /// Signature bytes without the key id.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{LINE_START}{} {}", self.name, BASE64.encode(bytes))
    }
}

/// A text and the signatures under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs `text`, which must end in a line feed and hold no other control characters.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn sign(text: &str, key: &SigningKey) -> Result<Self, NoteError> {
        check_text(text)?;
        let signature = key.sign_text(text);
        Ok(Self {
            text: text.to_owned(),
            signatures: vec![signature],
        })
    }

    /// Reads a note. Nothing in it is to be believed before a signature has been verified.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is longer than a note may be"));
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
        let split = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("it has no blank line"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("it does not end in a line feed"))?;
        let signatures = lines
            .split('\n')
            .map(signature_line)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::Malformed(
                "it has more signatures than a note may have",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, with its final line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds one more signature (a cosignature of a witness); an equal one is not added twice.
    pub fn add(&mut self, signature: Signature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Checks that `key` signed this text. The time is that of a cosignature, in Unix seconds.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] or [`NoteError::BadSignature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let mut verified = None;
        for line in &self.signatures {
            if line.name == key.name && line.id == key.id {
                let time = check_line(&self.text, line, key)
                    .ok_or_else(|| NoteError::BadSignature(key.name.clone()))?;
                verified = Some(time);
            }
        }
        verified.ok_or_else(|| NoteError::NotSigned(key.name.clone()))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// The signed message of a cosignature: two lines before the text.
fn cosigned_message(text: &str, unix_seconds: u64) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

fn check_line(text: &str, line: &Signature, key: &VerifierKey) -> Option<Option<u64>> {
    match key.kind {
        KeyKind::Ed25519 => {
            let signature = line.bytes.as_slice().try_into().ok()?;
            key.verifies(text.as_bytes(), signature).then_some(None)
        }
        KeyKind::Cosignature => {
            let (time, signature) = line.bytes.split_first_chunk::<TIMESTAMP_BYTES>()?;
            let time = u64::from_be_bytes(*time);
            let message = cosigned_message(text, time);
            (time <= i64::MAX as u64
                && key.verifies(message.as_bytes(), signature.try_into().ok()?))
            .then_some(Some(time))
        }
    }
}

fn signature_line(line: &str) -> Result<Signature, NoteError> {
    let malformed = NoteError::Malformed("a signature line is not '\u{2014} <name> <base64>'");
    let rest = line.strip_prefix(LINE_START).ok_or(malformed.clone())?;
    let (name, signature) = rest.split_once(' ').ok_or(malformed.clone())?;
    check_name(name)?;
    let bytes = BASE64.decode(signature).map_err(|_| malformed.clone())?;
    let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(malformed.clone())?;
    if bytes.is_empty() {
        return Err(malformed);
    }
    Ok(Signature {
        name: name.to_owned(),
        id: u32::from_be_bytes(*id),
        bytes: bytes.to_vec(),
    })
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("the text does not end in a line feed"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("the text has control characters"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), NoteError> {
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
