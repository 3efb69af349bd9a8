//! The master key: 32 bytes that open a key store, and the one line in which they are kept.
//!
//! Not here: the file (the caller reads and writes it, outside the data directory, mode 0600).
//! `spec/sealing.md` §master key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indelible_store::{Error, Kind, Result};
use zeroize::Zeroizing;

use super::mac::siv_key;
use crate::env::Random;

/// First word of the line.
const FORMAT: &str = "indelible-master-key-v1";

/// The key under which all bucket keys and tenant index keys are wrapped.
#[derive(Clone)]
pub struct MasterKey(pub(crate) Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes 32 bytes as they are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(bytes)
    }

    /// Reads the line `indelible-master-key-v1 <base64 of 32 bytes>`, with or without its end.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the text is not a master key; it is not repeated in the message.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why| Error::new(Kind::Invalid, format!("not a master key file: {why}"));
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (format, encoded) = line
            .split_once(' ')
            .ok_or_else(|| wrong("it holds one line, 'indelible-master-key-v1 <base64>'"))?;
        if format != FORMAT {
            return Err(wrong("its first word must be indelible-master-key-v1"));
        }
        let bytes = STANDARD.decode(encoded).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| wrong("its second word must be base64"))?;
        let bytes: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| wrong("the key must be 32 bytes"))?;
        Ok(Self(Zeroizing::new(*bytes)))
    }

    /// A key for one other purpose, such as a file of dead letters: 64 bytes that do not lead back
    /// to the master key. `purpose` names the use and its version.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 64]> {
        siv_key(&self.0, purpose)
    }

    /// The line, with its end.
    pub fn print(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(*self.0));
        Zeroizing::new(format!("{FORMAT} {}\n", *encoded))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_line_goes_both_ways() {
        let key = MasterKey::from_bytes(std::array::from_fn(|n| u8::try_from(n).unwrap()));
        let line = key.print();
        assert_eq!(
            *line,
            "indelible-master-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        );
        for text in [line.as_str(), line.trim_end(), &line.replace('\n', "\r\n")] {
            assert_eq!(*MasterKey::parse(text).unwrap().0, *key.0);
        }
        assert_eq!(format!("{key:?}"), "MasterKey");
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        for text in [
            "",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "indelible-master-key-v2 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "indelible-master-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            "indelible-master-key-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n",
            "indelible-master-key-v1  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ] {
            let error = MasterKey::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{text}");
            assert!(!error.to_string().contains("AAEC"), "{error}");
        }
    }
}
