//! The reference: every role in memory, by the shortest code that is right.
//!
//! Other stores are compared with these. They answer searches by looking at every record, so they
//! serve tests and small tools, not load. Nothing survives the process.

mod ledger;
mod state;

pub use ledger::MemoryLedger;
pub use state::MemoryState;
