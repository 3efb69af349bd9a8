//! The embedded ledger: journal, segments, postings, columns, ids.
//!
//! The truth is a journal of framed, checked, compressed blocks; full journal files are sealed into
//! segments that never change, and segments are merged into larger ones clustered by tenant.
//! Postings, columns, ids, tiles and the manifest are derived and can be deleted. All bytes are
//! described in `spec/segment.md`.
//!
//! What is deliberately absent: numbering and hashing of records (the log crate), keys (rows are
//! ciphertexts here), removing anything.

mod append;
mod beside;
mod bits;
mod block;
mod bytes;
mod check;
mod container;
mod copy;
mod directory;
mod embedded;
mod failure;
mod filed;
mod format;
mod frame;
mod hashing;
mod heads;
mod lock;
mod manifest;
mod merge;
mod open;
mod options;
mod part;
mod read;
mod records;
mod repair;
mod replay;
mod room;
mod seal;
mod search;
mod segment;
mod state;
mod stats;
mod store;
mod tail;
mod unread;
mod workers;

pub use copy::{Staged, stage};
pub use embedded::Embedded;
pub use format::{FORMAT_VERSION, Format};
pub use lock::WriteLock;
pub use options::{Options, Progress, Stats};
pub use state::{RedbState, StateMode, is_panic_contained, open_state};
