//! The keyed hash of terms: what an index on disk files records under.
//!
//! The key is random and the index's own, so that nobody who writes events can make terms collide.
//! Source: SipHash-1-3, `spec/segment.md` §5.

use siphasher::sip::SipHasher13;

use super::Key;

/// Hashes terms under a key.
#[derive(Clone, Copy)]
pub struct TermKey {
    low: u64,
    high: u64,
}

impl std::fmt::Debug for TermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TermKey")
    }
}

impl TermKey {
    /// Of these bytes.
    pub fn new(key: &[u8; 16]) -> Self {
        let both = u128::from_le_bytes(*key);
        Self {
            low: u64::try_from(both & u128::from(u64::MAX)).unwrap_or(0),
            high: u64::try_from(both >> 64).unwrap_or(0),
        }
    }

    /// The hash of a term: of its text, the key's number in the key's last byte.
    #[inline]
    pub fn term(&self, key: Key, text: &[u8]) -> u64 {
        self.hash(key as u8, text)
    }

    /// The hash of something else, with a number that no [`Key`] has.
    pub fn hash(&self, number: u8, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.low, self.high ^ u64::from(number) << 56).hash(bytes)
    }
}
