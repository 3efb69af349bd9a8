//! The keyed hashes of a data directory: of terms, of ids, and of personal rows.
//!
//! The key is random and stands in `FORMAT`, so that nobody who writes events can make terms
//! or ids collide. Source: SipHash-1-3, `spec/segment.md` §5.

use indelible_event::ids::AuditId;
use indelible_store::{Handle, Key, TermKey};
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13x128};
use std::hash::Hasher as _;

/// The key number under which personal rows are filed.
const PERSONAL: u8 = 0xFF;
/// The number that ids are hashed with.
const ID: u8 = 0xFE;
/// Bits of the hash of an id that are used: with them a segment of a million names a wrong row for
/// one in sixteen million ids.
pub(crate) const ID_HASH_BITS: u8 = 44;

/// Hashes terms and personal rows under the directory's key.
#[derive(Clone, Copy)]
pub(crate) struct Hashing {
    /// Of terms, and of what is filed with them.
    pub(crate) terms: TermKey,
    low: u64,
    high: u64,
}

impl Hashing {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let both = u128::from_le_bytes(*key);
        let low = u64::try_from(both & u128::from(u64::MAX)).unwrap_or(0);
        Self {
            terms: TermKey::new(key),
            low,
            high: u64::try_from(both >> 64).unwrap_or(0),
        }
    }

    /// The hash of a term.
    pub(crate) fn term(&self, key: Key, text: &[u8]) -> u64 {
        self.terms.term(key, text)
    }

    /// The hash a personal row of a segment is filed under.
    pub(crate) fn personal(&self, row: u32) -> u64 {
        self.terms.hash(PERSONAL, &row.to_le_bytes())
    }

    /// The hash of an id, below 2 to the power of [`ID_HASH_BITS`].
    pub(crate) fn id(&self, id: &AuditId) -> u64 {
        self.terms.hash(ID, id.bytes()) >> (64 - ID_HASH_BITS)
    }

    /// What equal personal rows have in common and no others do.
    pub(crate) fn row(&self, handle: &Handle, row: &[u8]) -> u128 {
        let mut hasher = SipHasher13x128::new_with_keys(self.low, self.high);
        hasher.write(&handle.0);
        hasher.write(row);
        hasher.finish128().as_u128()
    }
}
