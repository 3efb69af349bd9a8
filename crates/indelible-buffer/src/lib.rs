//! A queue between threads that must not wait and one that may: bounded in items and bytes, taken
//! from in batches, for any item.
//!
//! Not here: what an item is, where batches go, what becomes of them, spools on disk. A push never
//! waits and never calls the operating system but to wake a sleeping reader of a full batch; what
//! finds no room is given back and counted.

mod bounds;
mod buffer;
mod queue;

pub use bounds::{Batching, BoundError, Bounds};
pub use buffer::{Batch, Batches, Buffer, Flush};
pub use queue::{Dropped, Queue, Reason, Rejected, Usage};
