//! The queue: many push, one takes, nobody waits.
//!
//! Items and bytes are counted in one word, so that a push is one compare-and-swap and one slot,
//! and the bounds are never exceeded, not even for a moment. Room is taken before the slot and
//! given back after it, so a push that found room finds a slot. The word also says that the queue
//! is closed: a push happens before the close or is given back.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::bounds::{Bounds, QUEUE_BYTES_MAX, QUEUE_ITEMS_MAX};

const ITEM: u64 = 1 << 40;
const BYTES: u64 = ITEM - 1;
const CLOSED: u64 = 1 << 63;

const _: () = assert!(QUEUE_BYTES_MAX as u64 == BYTES);
const _: () = assert!(QUEUE_ITEMS_MAX as u64 == (CLOSED / ITEM) - 1);

/// A bounded queue.
#[derive(Debug)]
pub struct Queue<T> {
    used: CachePadded<AtomicU64>,
    slots: ArrayQueue<(T, usize)>,
    bounds: Bounds,
    dropped: CachePadded<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    full: AtomicU64,
    closed: AtomicU64,
    bytes: AtomicU64,
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Items.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What a queue has given back since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Items that found no room.
    pub full: u64,
    /// Items that came after the close.
    pub closed: u64,
    /// The bytes of both.
    pub bytes: u64,
}

/// Why an item was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is no room now.
    #[error("the queue is full")]
    Full,
    /// There will be none.
    #[error("the queue is closed")]
    Closed,
}

/// An item that was given back.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected<T> {
    /// The item.
    pub item: T,
    /// Why.
    pub reason: Reason,
}

impl<T> Queue<T> {
    /// An empty queue; `bounds` beyond what can be counted are cut to that, and 0 items to 1.
    pub fn new(bounds: Bounds) -> Self {
        let bounds = Bounds {
            items_max: bounds.items_max.clamp(1, QUEUE_ITEMS_MAX),
            bytes_max: bounds.bytes_max.min(QUEUE_BYTES_MAX),
        };
        Self {
            used: CachePadded::new(AtomicU64::new(0)),
            slots: ArrayQueue::new(bounds.items_max),
            bounds,
            dropped: CachePadded::new(Counts::default()),
        }
    }

    /// Adds an item of so many bytes; what waits with it.
    ///
    /// # Errors
    /// Gives the item back, counted, when there is no room or the queue is closed.
    pub fn push(&self, item: T, bytes: usize) -> Result<Usage, Rejected<T>> {
        let usage = match self.reserve(bytes) {
            Ok(usage) => usage,
            Err(reason) => return Err(self.reject(item, bytes, reason)),
        };
        match self.slots.push((item, bytes)) {
            Ok(()) => Ok(usage),
            Err((item, bytes)) => {
                self.release(1, bytes);
                Err(self.reject(item, bytes, Reason::Full))
            }
        }
    }

    /// Takes the oldest items, up to so many and until there are so many bytes; none when there are
    /// none, or a push has not finished. Their room is given back in one step, since it is counted
    /// in the word that every push writes to.
    pub fn take(&self, items_max: usize, bytes_max: usize) -> Vec<T> {
        let mut items = Vec::with_capacity(items_max.min(self.usage().items));
        let mut bytes = 0;
        while items.len() < items_max && bytes < bytes_max {
            let Some((item, more)) = self.slots.pop() else {
                break;
            };
            items.push(item);
            bytes += more;
        }
        self.release(items.len(), bytes);
        items
    }

    /// What waits, pushes under way included.
    pub fn usage(&self) -> Usage {
        usage(self.used.load(Ordering::SeqCst))
    }

    /// Takes nothing more; what waits can still be taken out.
    pub fn close(&self) {
        self.used.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.used.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// What was given back since the queue was made.
    pub fn dropped(&self) -> Dropped {
        Dropped {
            full: self.dropped.full.load(Ordering::Relaxed),
            closed: self.dropped.closed.load(Ordering::Relaxed),
            bytes: self.dropped.bytes.load(Ordering::Relaxed),
        }
    }

    /// The bounds in force.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn reserve(&self, bytes: usize) -> Result<Usage, Reason> {
        let mut was = self.used.load(Ordering::Relaxed);
        loop {
            if was & CLOSED != 0 {
                return Err(Reason::Closed);
            }
            let now = usage(was);
            // Neither can overflow: what is used is below 2^40, and so is what is added.
            if now.items >= self.bounds.items_max
                || bytes > self.bounds.bytes_max
                || now.bytes + bytes > self.bounds.bytes_max
            {
                return Err(Reason::Full);
            }
            let next = was + ITEM + bytes as u64;
            match self
                .used
                .compare_exchange_weak(was, next, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return Ok(usage(next)),
                Err(other) => was = other,
            }
        }
    }

    fn release(&self, items: usize, bytes: usize) {
        let room = ITEM * items as u64 + bytes as u64;
        self.used.fetch_sub(room, Ordering::SeqCst);
    }

    #[cold]
    fn reject(&self, item: T, bytes: usize, reason: Reason) -> Rejected<T> {
        let counter = match reason {
            Reason::Full => &self.dropped.full,
            Reason::Closed => &self.dropped.closed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.dropped
            .bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        Rejected { item, reason }
    }
}

fn usage(word: u64) -> Usage {
    Usage {
        items: ((word & !CLOSED) / ITEM) as usize,
        bytes: (word & BYTES) as usize,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_too_large_is_given_back_and_harms_nobody() {
        let queue = Queue::new(Bounds {
            items_max: 2,
            bytes_max: 10,
        });
        let rejected = queue.push("big", usize::MAX).unwrap_err();
        assert_eq!((rejected.item, rejected.reason), ("big", Reason::Full));
        assert_eq!(queue.usage(), Usage::default());
        queue.push("a", 10).unwrap();
        assert_eq!(queue.push("b", 1).unwrap_err().reason, Reason::Full);
        assert_eq!(queue.take(1, 1), ["a"]);
        queue.push("b", 1).unwrap();
        assert_eq!(queue.dropped().full, 2);
    }

    #[test]
    fn many_push_and_nothing_is_lost_or_twice() {
        let queue = Queue::new(Bounds {
            items_max: 64,
            bytes_max: 1 << 20,
        });
        let (threads, each) = (4_u64, 20_000_u64);
        let mut seen = [0_u64; 4];
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let queue = &queue;
                scope.spawn(move || {
                    for n in 0..each {
                        while queue.push((thread, n), 8).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let mut left = threads * each;
            while left > 0 {
                let taken = queue.take(7, 40);
                if taken.is_empty() {
                    std::thread::yield_now();
                }
                for (thread, n) in taken {
                    let next = &mut seen[usize::try_from(thread).unwrap()];
                    assert_eq!(*next, n, "in order per thread");
                    *next += 1;
                    left -= 1;
                }
            }
        });
        assert_eq!(queue.usage(), Usage::default());
        assert!(seen.iter().all(|n| *n == each));
    }
}
