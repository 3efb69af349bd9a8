//! The 32-byte hash and the three ways to make one.
//!
//! What it is not: a choice of algorithm. `record_version` 1 means SHA-256 (`spec/chain.md` §1), so
//! the type carries no algorithm name. Hex is lower case both ways; upper case is refused, because
//! a hash that can be written in two ways cannot stand inside hashed bytes.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
const LEAF_PREFIX: [u8; 1] = [0x00];
const NODE_PREFIX: u8 = 0x01;

/// A SHA-256 value: 32 bytes, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Self::BYTES]);

impl Hash {
    /// Length in bytes.
    pub const BYTES: usize = 32;
    /// Length of the hex form in bytes.
    pub const HEX_BYTES: usize = 64;
    /// Thirty-two zero bytes: the `previous_hash` of sequence number 0, never the hash of anything
    /// known.
    pub const ZERO: Self = Self([0; Self::BYTES]);

    /// Wraps 32 bytes that are already a hash.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The 32 bytes, by value.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// The 64 lower-case hex digits, without allocating.
    pub fn to_hex(self) -> [u8; Self::HEX_BYTES] {
        let mut out = [0; Self::HEX_BYTES];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX_DIGITS[usize::from(byte >> 4)];
            pair[1] = HEX_DIGITS[usize::from(byte & 15)];
        }
        out
    }

    /// Reads exactly 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`HashError`] for any other length or digit; upper-case digits are refused as well.
    pub fn from_hex(hex: &[u8]) -> Result<Self, HashError> {
        if hex.len() != Self::HEX_BYTES {
            return Err(HashError::Length { found: hex.len() });
        }
        let mut bytes = [0; Self::BYTES];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        // Wrong digits are looked for only once there is one: this runs once a record.
        if seen & WRONG == 0 {
            return Ok(Self(bytes));
        }
        let at = hex
            .iter()
            .position(|byte| DIGITS[usize::from(*byte)] == WRONG);
        Err(HashError::Digit {
            at: at.unwrap_or_default(),
        })
    }
}

/// What marks a byte that is no lower-case hex digit.
const WRONG: u8 = 0x80;

/// The value of each lower-case hex digit.
const DIGITS: [u8; 256] = {
    let mut digits = [WRONG; 256];
    let mut value = 0;
    while value < 16 {
        digits[HEX_DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// Why some text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text is not 64 bytes long.
    #[error("a hash is 64 lower-case hex digits, this has {found} bytes")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A byte is not one of `0-9a-f`.
    #[error("a hash is 64 lower-case hex digits, byte {at} is none")]
    Digit {
        /// Position of the first wrong byte.
        at: usize,
    },
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::from_hex(text.as_bytes())
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; Hash::BYTES]> for Hash {
    fn from(bytes: [u8; Hash::BYTES]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for [u8; Hash::BYTES] {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl Visitor<'_> for HexVisitor {
            type Value = Hash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 lower-case hex digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer
            .deserialize_str(HexVisitor)
            .map_err(D::Error::custom)
    }
}

/// Plain SHA-256 of some bytes, without any prefix.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// RFC 6962 leaf hash: SHA-256(0x00 ‖ leaf). For the bytes of a record this is its `record_hash`.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hasher = Sha256::new_with_prefix(LEAF_PREFIX);
    hasher.update(leaf);
    Hash(hasher.finalize().into())
}

/// RFC 6962 inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [NODE_PREFIX; 1 + 2 * Hash::BYTES];
    bytes[1..=Hash::BYTES].copy_from_slice(&left.0);
    bytes[1 + Hash::BYTES..].copy_from_slice(&right.0);
    sha256(&bytes)
}

/// The root of the tree without leaves: SHA-256 of no bytes.
pub fn empty_root() -> Hash {
    sha256(&[])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_refuses_the_rest() {
        let hash = sha256(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<Hash>().unwrap(), hash);
        assert_eq!(
            Hash::from_hex(&text.as_bytes()[1..]),
            Err(HashError::Length { found: 63 })
        );
        let upper = text.replace('b', "B");
        assert_eq!(upper.parse::<Hash>(), Err(HashError::Digit { at: 0 }));
        assert_eq!(format!("{hash:?}"), format!("Hash({text})"));
    }

    #[test]
    fn serde_is_the_hex_string() {
        let hash = leaf_hash(b"");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<Hash>("\"00\"").is_err());
        assert!(serde_json::from_str::<Hash>("7").is_err());
    }
}
