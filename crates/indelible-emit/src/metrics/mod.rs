//! What an emitter counts. How it is told to Prometheus is in `page`.
//!
//! Callers' threads count nothing here: what they push and drop is counted by the queue, where it
//! must be counted anyway.

mod kinds;
mod page;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indelible_event::{AuditId, Micros};

use crate::losses::REASONS;
use crate::shared::Shared;
use kinds::Kinds;

pub(crate) use page::Sheet;
pub use page::{METRICS, prometheus};

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
    /// Attempts that failed as a whole.
    pub attempts_failed: u64,
    /// Numbers declared lost, of whichever run of the stream.
    pub lost: u64,
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
    /// Files of the spool that could not be read and were put aside, those of earlier runs
    /// included: nothing delivers what they hold.
    pub spool_damaged: u64,
    /// How long attempts took.
    pub writes: Durations,
    /// How long it took events of this emitter from their emission to their receipt, by the time in
    /// their ids.
    pub receipts: Durations,
}

/// How long something took, how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durations {
    /// How many took no longer than each of [`BUCKETS_MS`] and longer than the one before, and in
    /// the end how many longer than all of them.
    pub buckets: [u64; BUCKETS_MS.len() + 1],
    /// How long they took together, in microseconds.
    pub sum_us: u64,
}

/// Upper bounds of the buckets of durations, in milliseconds.
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
    pub(crate) attempts_failed: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) others_failed: AtomicU64,
    pub(crate) spool_failures: AtomicU64,
    pub(crate) spool_bytes: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) spool_damaged: AtomicU64,
    /// Numbers declared lost, by the place of their reason in [`REASONS`]; in the end by a rule.
    lost: [AtomicU64; REASONS.len() + 1],
    /// Events that were taken from the queue.
    pub(crate) kinds: Kinds,
    pub(crate) writes: Timed,
    pub(crate) receipts: Timed,
}

/// Durations that two threads see.
#[derive(Debug, Default)]
pub(crate) struct Timed {
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Counters {
    /// Counts numbers that are declared lost.
    pub(crate) fn lose(&self, why: &str, count: u64) {
        let place = REASONS.iter().position(|(known, _)| *known == why);
        let counter = &self.lost[place.unwrap_or(REASONS.len())];
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Timed {
    pub(crate) fn add(&self, durations: &Durations) {
        for (counter, more) in self.buckets.iter().zip(durations.buckets) {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
        self.sum_us.fetch_add(durations.sum_us, Ordering::Relaxed);
    }

    fn read(&self) -> Durations {
        Durations {
            buckets: std::array::from_fn(|at| read(&self.buckets[at])),
            sum_us: read(&self.sum_us),
        }
    }
}

impl Durations {
    /// Counts something that took so long.
    pub(crate) fn observe(&mut self, took: Duration) {
        let bucket = BUCKETS_MS
            .iter()
            .position(|bound| took <= Duration::from_millis(*bound));
        self.buckets[bucket.unwrap_or(BUCKETS_MS.len())] += 1;
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us = self.sum_us.saturating_add(us);
    }
}

/// How long it took the events of an attempt to their receipts.
pub(crate) struct Receipts {
    at: Micros,
    pub(crate) durations: Durations,
}

impl Receipts {
    /// Receipts that came at some moment.
    pub(crate) fn at(at: Micros) -> Self {
        Self {
            at,
            durations: Durations::default(),
        }
    }

    /// Counts an event of an emitter that began then. An older id is one that the program gave.
    pub(crate) fn observe(&mut self, id: AuditId, began_ms: u64) {
        let emitted_ms = id.unix_ms();
        if emitted_ms >= began_ms {
            let now_ms = u64::try_from(self.at.0 / 1_000).unwrap_or(0);
            let took = Duration::from_millis(now_ms.saturating_sub(emitted_ms));
            self.durations.observe(took);
        }
    }
}

impl Shared {
    /// Every event that was taken in is counted once, whatever the threads do meanwhile: what is
    /// settled is read first, and what is not is the rest.
    pub(crate) fn metrics(&self) -> Metrics {
        let counters = &self.counters;
        let mut metrics = Metrics {
            committed: read(&counters.committed),
            abandoned: read(&counters.abandoned),
            refused: read(&counters.refused),
            conflicts: read(&counters.conflicts),
            failed: read(&counters.failed),
            dead_lettered: read(&counters.dead_lettered),
            dead_letters_lost: read(&counters.dead_letters_lost),
            retried: read(&counters.retried),
            batches_failed: read(&counters.batches_failed),
            attempts_failed: read(&counters.attempts_failed),
            lost: counters.lost.iter().map(read).sum(),
            recovered: read(&counters.recovered),
            statements: read(&counters.statements),
            others_failed: read(&counters.others_failed),
            spool_failures: read(&counters.spool_failures),
            spool_bytes: read(&counters.spool_bytes),
            unreadable: read(&counters.unreadable),
            spool_damaged: read(&counters.spool_damaged),
            writes: counters.writes.read(),
            receipts: counters.receipts.read(),
            ..Metrics::default()
        };
        let ((usage, taken), dropped) = (self.buffer.tally(), self.buffer.dropped());
        let settled = [
            metrics.committed,
            metrics.abandoned,
            metrics.refused,
            metrics.conflicts,
            metrics.failed,
        ];
        metrics.queued = usage.items as u64;
        metrics.queued_bytes = usage.bytes as u64;
        metrics.capacity = self.buffer.items_max() as u64;
        metrics.under_way = taken.saturating_sub(settled.into_iter().sum());
        metrics.spooled = self.outbox.state().events_in_spool().min(metrics.under_way);
        metrics.dropped = dropped.full + dropped.closed;
        // These never were in the queue.
        metrics.refused += read(&counters.too_deep);
        metrics
    }
}

pub(crate) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

pub(crate) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
