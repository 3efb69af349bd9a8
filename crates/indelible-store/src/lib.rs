//! Role traits that storage implements, the query as data, the in-memory reference and the
//! conformance suites every implementation passes.
//!
//! Back ends are cut by role, not by brand: a [`Ledger`] appends, an [`Index`] searches, a
//! [`State`] keeps small values. All traits block; a caller that must not wait uses a thread of its
//! own. Nothing here does I/O, reads a clock or knows a brand.
//!
//! What is deliberately absent: deciding what goes into a record (the log crate), parsing query
//! text (the query crate), removing anything (the retention crate).

pub mod conformance;
mod decimal;
pub mod error;
pub mod index;
pub mod ledger;
pub mod memory;
mod network;
pub mod pattern;
pub mod query;
mod shared;
pub mod state;
pub mod tally;
pub mod terms;
pub mod value;

pub use decimal::Decimal;
pub use error::{Error, Kind, Result, Retry};
pub use index::{Hit, Hits, Index, Place, Unread};
pub use ledger::{
    Append, Commit, Expected, Filed, FindHash, Handle, Head, Ledger, NewRecord, RowOpener,
    SealedValue, Stored, StoredRecord, Turn,
};
pub use network::Network;
pub use pattern::Pattern;
pub use query::{Direction, Expr, Finder, Order, Query, Subject};
pub use shared::Shared;
pub use state::{Change, Entry, State, Version};
pub use tally::{Group, Spread, Tallied, Tally};
pub use terms::{Column, Key, TermKey, Terms};
pub use value::{Path, Test};
