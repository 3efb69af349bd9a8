//! Lanes between threads that must not wait and one that may: bounded in items and bytes, taken
//! from in batches, for any item; a spool, which keeps items on disk until they are done; and
//! letters, which keep them there until somebody removes them.
//!
//! Not here: what an item is, where batches go, what becomes of them. A push never waits and never
//! calls the operating system but to wake a sleeping reader that something is due for; what finds
//! no room is given back and counted.

mod bounds;
mod buffer;
mod queue;
mod spool;

pub use bounds::{Batching, BoundError, Bounds, Lane};
pub use buffer::{Batch, Batches, Buffer, Clock, Flush, Tally};
pub use queue::{Dropped, Queue, Reason, Rejected, Usage};
pub use spool::{
    HeldBack, Letters, Random, Spool, SpoolBounds, SpoolError, SpoolReader, SpoolWriter,
};
