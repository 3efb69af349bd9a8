//! What an emitter counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an emitter has done so far, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Events that wait in the queue.
    pub queued: u64,
    /// Their bytes, as the queue counts them.
    pub queued_bytes: u64,
    /// Events that the queue has room for.
    pub capacity: u64,
    /// Events taken from the queue and not settled yet, those on disk included.
    pub under_way: u64,
    /// Of those, events that are on disk.
    pub spooled: u64,
    /// Bytes of the spool, what others left there included.
    pub spool_bytes: u64,
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
    /// Events that were put aside as dead letters; they count as refused, as conflicts or as failed
    /// too.
    pub dead_lettered: u64,
    /// Events that were to be put aside, and for which there was no room or no disk: their content
    /// is gone.
    pub dead_letters_lost: u64,
    /// Attempts beyond the first, counted per event.
    pub retried: u64,
    /// Batches given up after all attempts.
    pub batches_failed: u64,
    /// Events of others that were delivered from the spool.
    pub recovered: u64,
    /// Statements about the stream that are in the ledger.
    pub statements: u64,
    /// Events of others, and statements, that the ledger refused.
    pub others_failed: u64,
    /// Times that the spool did not take events, which then stayed in memory.
    pub spool_failures: u64,
    /// Items of the spool that could not be read.
    pub unreadable: u64,
    /// How long attempts took: how many took no longer than each of [`BUCKETS_MS`], and how many
    /// longer than all of them.
    pub write_buckets: [u64; BUCKETS_MS.len() + 1],
    /// How long they took together, in microseconds.
    pub write_sum_us: u64,
}

/// Upper bounds of the buckets of write durations, in milliseconds.
pub const BUCKETS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// The counters behind [`Metrics`]; only the emitter's own threads write most of them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) committed: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) too_deep: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) dead_letters_lost: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) batches_failed: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) others_failed: AtomicU64,
    pub(crate) spool_failures: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    /// Events that found no room after they had been taken from the queue.
    pub(crate) crowded_out: AtomicU64,
    pub(crate) write_buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    pub(crate) write_sum_us: AtomicU64,
}

impl Counters {
    /// Counts an attempt that took so long.
    pub(crate) fn observe(&self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
        let bucket = BUCKETS_MS.iter().position(|bound| ms <= *bound as f64);
        let bucket = &self.write_buckets[bucket.unwrap_or(BUCKETS_MS.len())];
        bucket.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.write_sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

pub(crate) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
