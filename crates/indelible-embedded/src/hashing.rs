//! The two keyed hashes of a data directory: of terms, and of personal rows.
//!
//! The key is random and stands in `FORMAT`, so that nobody who writes events can make terms
//! collide. Source: SipHash-1-3, `spec/segment.md` §5.

use indelible_store::{Handle, Key};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13x128};
use std::hash::Hasher as _;

/// The key number under which personal rows are filed.
const PERSONAL: u8 = 0xFF;

/// Hashes terms and personal rows under the directory's key.
#[derive(Clone, Copy)]
pub(crate) struct Hashing {
    low: u64,
    high: u64,
}

impl Hashing {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let both = u128::from_le_bytes(*key);
        let low = u64::try_from(both & u128::from(u64::MAX)).unwrap_or(0);
        Self {
            low,
            high: u64::try_from(both >> 64).unwrap_or(0),
        }
    }

    /// The hash of a term: SipHash-1-3 of its text, the key's number in the key's last byte.
    pub(crate) fn term(&self, key: Key, text: &[u8]) -> u64 {
        self.hash(key as u8, text)
    }

    /// The hash a personal row of a segment is filed under.
    pub(crate) fn personal(&self, row: u32) -> u64 {
        self.hash(PERSONAL, &row.to_le_bytes())
    }

    fn hash(&self, number: u8, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.low, self.high ^ u64::from(number) << 56).hash(bytes)
    }

    /// What equal personal rows have in common and no others do.
    pub(crate) fn row(&self, handle: &Handle, row: &[u8]) -> u128 {
        let mut hasher = SipHasher13x128::new_with_keys(self.low, self.high);
        hasher.write(&handle.0);
        hasher.write(row);
        hasher.finish128().as_u128()
    }
}
