//! What an emitter counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an emitter has done so far, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Events that wait in the queue.
    pub queued: u64,
    /// Their bytes, as the queue counts them.
    pub queued_bytes: u64,
    /// Events taken from the queue and not settled yet.
    pub under_way: u64,
    /// Events that have a receipt.
    pub committed: u64,
    /// Events that found no room, or came after the close.
    pub dropped: u64,
    /// Events that were not delivered when the close gave up.
    pub abandoned: u64,
    /// Events that cannot be taken as they are.
    pub refused: u64,
    /// Events whose id is taken by other content.
    pub conflicts: u64,
    /// Events given up after all attempts.
    pub failed: u64,
    /// Attempts beyond the first, counted per event.
    pub retried: u64,
}

/// The counters behind [`Metrics`]; only the worker writes most of them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) committed: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) too_deep: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) retried: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
