//! Signed notes: text signed with Ed25519.
//!
//! What it is not: a general implementation. Of the signature types only 0x01 (Ed25519) and 0x04
//! (timestamped cosignature) are known; lines of other keys are kept and ignored, as the
//! specification asks. A signature of a known key that fails refuses the whole note.
//!
//! Source: <https://c2sp.org/signed-note>; our page is `spec/checkpoint.md` §1.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::key::check_name;
pub use crate::key::{KeyKind, SigningKey, VerifierKey};
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

const LINE_START: &str = "\u{2014} ";

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
        if (1..signatures.len()).any(|at| signatures[..at].contains(&signatures[at])) {
            return Err(NoteError::Malformed("a signature stands twice"));
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
            if line.name == key.name() && line.id == key.id() {
                verified = Some(key.check(&self.text, line)?);
            }
        }
        verified.ok_or_else(|| NoteError::NotSigned(key.name().to_owned()))
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
