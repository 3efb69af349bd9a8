//! A queue with its reader: when a batch is due, and how the reader sleeps until one is.
//!
//! A batch is due when enough waits for a full one, when a flush was asked for, when the buffer was
//! closed, and at the latest an interval after the reader went to sleep. There is no clock here:
//! the sleep itself is the interval. A push wakes the reader only for a full batch, so events that
//! come one by one cost nobody a call of the operating system.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_utils::CachePadded;

use crate::bounds::{Batching, Bounds};
use crate::queue::{Dropped, Queue, Rejected, Usage};

/// A bounded queue that is read in batches.
#[derive(Debug)]
pub struct Buffer<T> {
    queue: Queue<T>,
    batching: Batching,
    asleep: CachePadded<AtomicBool>,
    flushes: AtomicU64,
    /// How many items have been taken; held while some are.
    taken: Mutex<u64>,
    reader: OnceLock<Thread>,
}

/// A flush that was asked for; those asked for later are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Flush(u64);

/// What the reader takes at once.
#[derive(Debug)]
pub struct Batch<T> {
    /// The items, oldest first; may be none.
    pub items: Vec<T>,
    /// With these items, all that was pushed before this flush was asked for has been taken.
    pub flushed: Option<Flush>,
}

/// The reader's place in a buffer. There is one reader; it stays on one thread.
#[derive(Debug, Default)]
pub struct Batches {
    /// The newest flush that was seen.
    seen: u64,
    /// Items to be taken without delay for it.
    hurried: usize,
}

impl<T> Buffer<T> {
    /// An empty buffer.
    pub fn new(bounds: Bounds, batching: Batching) -> Self {
        Self {
            queue: Queue::new(bounds),
            batching,
            asleep: CachePadded::new(AtomicBool::new(false)),
            flushes: AtomicU64::new(0),
            taken: Mutex::new(0),
            reader: OnceLock::new(),
        }
    }

    /// Adds an item of so many bytes, and wakes the reader if there is a batch now.
    ///
    /// # Errors
    /// Gives the item back, counted, when there is no room or the buffer is closed.
    pub fn push(&self, item: T, bytes: usize) -> Result<(), Rejected<T>> {
        let usage = self.queue.push(item, bytes)?;
        if self.is_full_batch(usage)
            && self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
        {
            self.wake();
        }
        Ok(())
    }

    /// Asks for everything that was pushed so far to be taken without delay.
    pub fn flush(&self) -> Flush {
        let flush = self.flushes.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake();
        Flush(flush)
    }

    /// Takes nothing more, and lets the reader have the rest.
    pub fn close(&self) {
        self.queue.close();
        self.wake();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// What waits.
    pub fn usage(&self) -> Usage {
        self.queue.usage()
    }

    /// What was given back since the buffer was made.
    pub fn dropped(&self) -> Dropped {
        self.queue.dropped()
    }

    /// What waits, and how many items have been taken since the buffer was made, at one moment.
    pub fn tally(&self) -> (Usage, u64) {
        let taken = self.taken();
        (self.usage(), *taken)
    }

    /// Takes what waits, up to a batch, past the reader, for whoever gives up on it; none only when
    /// nothing waits.
    pub fn take(&self) -> Vec<T> {
        let batching = &self.batching;
        let mut taken = self.taken();
        let mut items = self.queue.take(batching.items_max, batching.bytes_max);
        while items.is_empty() && self.usage().items > 0 {
            // Room was taken and the slot is being filled: a few instructions from now.
            std::thread::yield_now();
            items = self.queue.take(batching.items_max, batching.bytes_max);
        }
        *taken += items.len() as u64;
        items
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full_batch(&self, usage: Usage) -> bool {
        usage.items >= self.batching.items_max || usage.bytes >= self.batching.bytes_max
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }
}

impl Batches {
    /// Waits until a batch is due and takes it; nothing when the buffer was closed and is empty.
    pub fn next<T>(&mut self, buffer: &Buffer<T>) -> Option<Batch<T>> {
        buffer.reader.get_or_init(std::thread::current);
        if !self.is_due(buffer) {
            buffer.asleep.store(true, Ordering::SeqCst);
            // Asked again: who pushed before that store did not wake us.
            if !self.is_due(buffer) {
                // A sleep that ends early only makes a batch smaller.
                std::thread::park_timeout(buffer.batching.interval);
            }
            buffer.asleep.store(false, Ordering::SeqCst);
            self.notice(buffer);
        }
        if buffer.is_closed() && buffer.usage().items == 0 {
            return None;
        }
        let items = buffer.take();
        let flushed = self.after(items.len(), buffer);
        Some(Batch { items, flushed })
    }

    fn is_due<T>(&mut self, buffer: &Buffer<T>) -> bool {
        self.notice(buffer);
        self.hurried > 0 || buffer.is_closed() || buffer.is_full_batch(buffer.usage())
    }

    /// Looks whether a flush was asked for.
    fn notice<T>(&mut self, buffer: &Buffer<T>) {
        let asked = buffer.flushes.load(Ordering::SeqCst);
        if asked != self.seen {
            self.seen = asked;
            // At least one, so that a flush of nothing ends too.
            self.hurried = buffer.usage().items.max(1);
        }
    }

    /// The flush that is fulfilled when so many items have been taken.
    fn after<T>(&mut self, taken: usize, buffer: &Buffer<T>) -> Option<Flush> {
        if self.hurried == 0 {
            return None;
        }
        self.hurried = self.hurried.saturating_sub(taken);
        if buffer.usage().items == 0 {
            self.hurried = 0;
        }
        (self.hurried == 0).then_some(Flush(self.seen))
    }
}
