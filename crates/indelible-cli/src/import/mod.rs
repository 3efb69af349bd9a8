//! Importing: files are walked, cut into inputs, mapped to events and submitted in batches.
//!
//! The importers know nothing of the ledger; [`Run`] is where the two meet. What each format maps
//! to is in `docs/import.md`.

mod cloudtrail;
mod cloudtrail_target;
mod counts;
mod document;
mod feed;
mod lines;
mod members;
mod piece;
mod run;
mod walk;

pub use counts::Counts;
pub use feed::{Fed, Feed, Input};
pub use members::Writer;
pub use piece::{Fault, Position};
pub use run::{Imported, Refusals, Rules, Run, in_words};
pub use walk::plan;
