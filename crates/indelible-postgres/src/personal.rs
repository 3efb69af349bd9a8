//! Personal values: each row once, however many records have it.
//!
//! A row is named by a hash of itself; a record names its rows in order, with the handle of their
//! subject, so that a row that was destroyed is still told as one that cannot be read.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_store::{FindHash, Handle, SealedValue};
use sha2::{Digest, Sha256};

/// Bytes that a record has of each of its values.
const ENTRY: usize = 32;

/// What names a row.
pub(crate) fn name(value: &SealedValue) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(value.handle.0);
    hash.update([u8::from(value.blob)]);
    hash.update(&value.row);
    let hash: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|at| hash[at])
}

/// What a record has of its values; nothing for a record without.
pub(crate) fn entries(values: &[SealedValue]) -> Option<Vec<u8>> {
    let entry = |value: &SealedValue| [value.handle.0, name(value)].concat();
    (!values.is_empty()).then(|| values.iter().flat_map(entry).collect())
}

/// Names of the rows in these entries.
pub(crate) fn names(entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    entries
        .chunks_exact(ENTRY)
        .filter_map(|entry| entry.get(16..))
}

/// Whether the rows that were found are those that the entries name.
pub(crate) fn are_as_named(entries: &[u8], rows: &Rows) -> bool {
    let values = values(entries, rows);
    let mut named = values.iter().zip(names(entries));
    entries.len().is_multiple_of(ENTRY)
        && named.all(|(value, named)| value.row.is_empty() || name(value) == named)
}

/// A row as it is stored.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) find: Option<FindHash>,
    pub(crate) blob: bool,
    pub(crate) value: Arc<[u8]>,
}

/// Rows by their names.
pub(crate) type Rows = HashMap<Vec<u8>, Row>;

/// The values of a record, from its entries and the rows that were found.
pub(crate) fn values(entries: &[u8], rows: &Rows) -> Vec<SealedValue> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let value = |entry: &[u8; ENTRY]| {
        let (handle, name) = entry.split_at(16);
        let handle = Handle(std::array::from_fn(|at| handle[at]));
        let row = rows.get(name).cloned().unwrap_or_else(|| Row {
            find: None,
            blob: false,
            value: Arc::from([]),
        });
        SealedValue {
            handle,
            find: row.find,
            blob: row.blob,
            row: row.value,
        }
    };
    entries.iter().map(value).collect()
}
