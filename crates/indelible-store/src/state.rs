//! The `State` role: small values with compare-and-swap (cursors, keys, policies, published heads).
//!
//! A change set is atomic and durable when [`State::apply`] returns. Never on the commit path, but
//! for the keys of subjects seen for the first time.

use crate::Result;

/// How often a value was written since it was last not there; what is not there has version 0.
pub type Version = u64;

/// A key, its value and the value's version.
pub type Entry = (Vec<u8>, Vec<u8>, Version);

/// One change of a change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the table, `[a-z_]+`.
    pub space: &'static str,
    /// Key within the space, at most 512 bytes, ordered bytewise.
    pub key: Vec<u8>,
    /// The version the value must have for the set to be applied; `None` = whatever it has,
    /// `Some(0)` = it must not be there.
    pub expected: Option<Version>,
    /// The new value (at most 16 MiB), or `None` to remove it.
    pub value: Option<Vec<u8>>,
}

/// Small values with compare-and-swap.
pub trait State: Send + Sync {
    /// The value and its version, if it is there.
    ///
    /// # Errors
    /// [`crate::Kind::Unavailable`] or [`crate::Kind::Corrupt`].
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>>;

    /// All entries whose key starts with `prefix`, in key order, from the key after `after`, at
    /// most `limit`.
    ///
    /// # Errors
    /// As [`State::get`].
    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// Applies all changes or none.
    ///
    /// # Errors
    /// [`crate::Kind::Conflict`] when an expected version is not the one in force: nothing was
    /// changed, read and try again. [`crate::Kind::ReadOnly`] on a store opened for reading.
    ///
    /// # Durability
    /// Durable when it returns.
    fn apply(&self, changes: &[Change]) -> Result<()>;
}
