//! A ledger in a directory: its data and its keys, made, opened for reading, opened for writing.
//!
//! This is where the embedded back end, the key files and the log meet, once for the command, its
//! server and programs that keep a ledger of their own. Readers go on without a small file that is
//! damaged and say what they could not use; writers refuse, naming the file.
//!
//! [`delivery`] hands what emitters send to such a log.
//!
//! Not here: what stands in the files, settings, words for people. Source: `spec/key-files.md`.

mod backend;
mod backup;
#[cfg(feature = "postgres")]
mod database;
#[cfg(not(feature = "postgres"))]
#[path = "without.rs"]
mod database;
pub mod delivery;
mod directory;
mod files;
mod found;
mod keys;
#[cfg(feature = "postgres")]
mod migrate;
mod restore;
mod unusable;
mod values;

pub use backup::{Amount, BackedUp, Order, back_up};
pub use database::Options as DatabaseOptions;
pub use directory::{Directory, Names, OpenError, Tell};
pub use found::{check_format, find, is_backup, is_within, moved, repair};
pub use keys::{FileState, KeyFolder, MASTER, SIGNED, SIGNING};
#[cfg(feature = "postgres")]
pub use migrate::migrate;
pub use restore::restore;
