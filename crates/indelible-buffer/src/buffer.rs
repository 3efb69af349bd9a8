//! Lanes with their reader: when a batch is due, and how the reader sleeps until one is.
//!
//! Each lane is a queue with room of its own, so that a flood in one takes nothing from another.
//! The first lane that is due is served first. A batch is due when enough waits for a full one,
//! when a flush was asked for, when the buffer was closed, and at the latest an interval after the
//! lane was last seen empty. A push wakes the reader only for a full batch, or into a lane whose
//! interval is zero, so events that come one by one into the others cost nobody a call of the
//! operating system.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::bounds::Lane;
use crate::queue::{Dropped, Queue, Rejected, Usage};

/// The longest sleep of the reader when every lane has interval zero.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Time since some moment, which never goes back; only the reader asks.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Bounded queues that are read in batches by one reader.
pub struct Buffer<T> {
    clock: Clock,
    lanes: Box<[Served<T>]>,
    asleep: CachePadded<AtomicBool>,
    flushes: AtomicU64,
    reader: OnceLock<Thread>,
}

#[derive(Debug)]
struct Served<T> {
    queue: Queue<T>,
    lane: Lane,
    /// How many items have been taken; held while some are.
    taken: Mutex<u64>,
}

/// A flush that was asked for; those asked for later are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Flush(u64);

/// What the reader takes at once.
#[derive(Debug)]
pub struct Batch<T> {
    /// The lane.
    pub lane: usize,
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
    /// Whether it is still to be fulfilled.
    flushing: bool,
    lanes: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    /// Items to be taken without delay for a flush.
    hurried: usize,
    /// When the lane was last seen empty.
    empty_at: Duration,
}

/// What a lane has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// What waits.
    pub usage: Usage,
    /// How many items were taken.
    pub taken: u64,
    /// What was given back.
    pub dropped: Dropped,
}

impl<T> Buffer<T> {
    /// An empty buffer of these lanes, the first served first.
    pub fn new(lanes: &[Lane], clock: Clock) -> Self {
        let served = |lane: &Lane| Served {
            queue: Queue::new(lane.bounds),
            lane: *lane,
            taken: Mutex::new(0),
        };
        Self {
            clock,
            lanes: lanes.iter().map(served).collect(),
            asleep: CachePadded::new(AtomicBool::new(false)),
            flushes: AtomicU64::new(0),
            reader: OnceLock::new(),
        }
    }

    /// Adds an item of so many bytes to a lane, and wakes the reader if there is a batch now.
    ///
    /// # Errors
    /// Gives the item back, counted, when there is no room or the buffer is closed.
    ///
    /// # Panics
    /// When there is no such lane.
    pub fn push(&self, lane: usize, item: T, bytes: usize) -> Result<(), Rejected<T>> {
        let served = &self.lanes[lane];
        let usage = served.queue.push(item, bytes)?;
        if served.wakes(usage)
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
        for served in &self.lanes {
            served.queue.close();
        }
        self.wake();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.lanes.iter().all(|served| served.queue.is_closed())
    }

    /// Wakes the reader, which looks anew.
    pub fn wake(&self) {
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }

    /// What waits in all lanes.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for served in &self.lanes {
            let usage = served.queue.usage();
            sum.items += usage.items;
            sum.bytes += usage.bytes;
        }
        sum
    }

    /// What the lanes can hold.
    pub fn items_max(&self) -> usize {
        let items = |served: &Served<T>| served.queue.bounds().items_max;
        self.lanes.iter().map(items).sum()
    }

    /// What was given back since the buffer was made.
    pub fn dropped(&self) -> Dropped {
        let mut sum = Dropped::default();
        for served in &self.lanes {
            let dropped = served.queue.dropped();
            sum.full += dropped.full;
            sum.closed += dropped.closed;
            sum.bytes += dropped.bytes;
        }
        sum
    }

    /// What waits, and how many items have been taken since the buffer was made; for each lane at
    /// one moment.
    pub fn tally(&self) -> (Usage, u64) {
        let (mut usage, mut taken) = (Usage::default(), 0);
        for served in &self.lanes {
            let lane_taken = served.taken();
            let lane = served.queue.usage();
            usage.items += lane.items;
            usage.bytes += lane.bytes;
            taken += *lane_taken;
        }
        (usage, taken)
    }

    /// The same of one lane, at one moment, and what it gave back.
    ///
    /// # Panics
    /// When there is no such lane.
    pub fn lane(&self, lane: usize) -> Tally {
        let served = &self.lanes[lane];
        let taken = served.taken();
        Tally {
            usage: served.queue.usage(),
            taken: *taken,
            dropped: served.queue.dropped(),
        }
    }

    fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Takes what waits in a lane, up to a batch, past the reader, for whoever gives up on it; none
    /// only when nothing waits.
    ///
    /// # Panics
    /// When there is no such lane.
    pub fn take(&self, lane: usize) -> Vec<T> {
        self.lanes[lane].take()
    }
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

impl<T> Served<T> {
    fn take(&self) -> Vec<T> {
        let batching = &self.lane.batching;
        let mut taken = self.taken();
        let mut items = self.queue.take(batching.items_max, batching.bytes_max);
        while items.is_empty() && self.queue.usage().items > 0 {
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

    fn wakes(&self, usage: Usage) -> bool {
        self.lane.batching.interval.is_zero() || self.is_full_batch(usage)
    }

    fn is_full_batch(&self, usage: Usage) -> bool {
        let batching = &self.lane.batching;
        usage.items >= batching.items_max || usage.bytes >= batching.bytes_max
    }
}

impl Batches {
    /// Waits until a batch of a lane that is `open` is due and takes it; none of any lane when the
    /// sleep ended before, which it does at the moment `until`; nothing when the buffer was closed
    /// and is empty.
    pub fn next<T>(
        &mut self,
        buffer: &Buffer<T>,
        open: impl Fn(usize) -> bool,
        until: Option<Duration>,
    ) -> Option<Batch<T>> {
        buffer.reader.get_or_init(std::thread::current);
        let mut due = self.due(buffer, &open);
        if due.is_none() && self.is_idle(buffer) {
            buffer.asleep.store(true, Ordering::SeqCst);
            // Asked again: who pushed before that store did not wake us.
            due = self.due(buffer, &open);
            if due.is_none() && self.is_idle(buffer) {
                std::thread::park_timeout(self.sleep(buffer, until));
            }
            buffer.asleep.store(false, Ordering::SeqCst);
            due = due.or_else(|| self.due(buffer, &open));
        }
        if due.is_none() && !self.flushing && is_over(buffer) {
            return None;
        }
        let items = due.map_or_else(Vec::new, |lane| self.take(lane, buffer));
        let flushed = self.flushed();
        let lane = due.unwrap_or(0);
        Some(Batch {
            lane,
            items,
            flushed,
        })
    }

    /// Whether there is nothing to tell: no flush is fulfilled, and the end has not come.
    fn is_idle<T>(&self, buffer: &Buffer<T>) -> bool {
        let fulfilled = self.flushing && self.lanes.iter().all(|place| place.hurried == 0);
        !fulfilled && !is_over(buffer)
    }

    /// The first open lane that is due.
    fn due<T>(&mut self, buffer: &Buffer<T>, open: &impl Fn(usize) -> bool) -> Option<usize> {
        let now = buffer.now();
        self.notice(buffer, now);
        let closed = buffer.is_closed();
        let mut found = None;
        for (at, (served, place)) in buffer.lanes.iter().zip(&mut self.lanes).enumerate() {
            let usage = served.queue.usage();
            if usage.items == 0 {
                place.empty_at = now;
                place.hurried = 0;
                continue;
            }
            let waited = now.saturating_sub(place.empty_at);
            let due = place.hurried > 0
                || closed
                || served.is_full_batch(usage)
                || waited >= served.lane.batching.interval;
            if due && found.is_none() && open(at) {
                found = Some(at);
            }
        }
        found
    }

    /// Looks whether a flush was asked for.
    fn notice<T>(&mut self, buffer: &Buffer<T>, now: Duration) {
        while self.lanes.len() < buffer.lanes.len() {
            self.lanes.push(Place {
                hurried: 0,
                empty_at: now,
            });
        }
        let asked = buffer.flushes.load(Ordering::SeqCst);
        if asked != self.seen {
            self.seen = asked;
            self.flushing = true;
            for (served, place) in buffer.lanes.iter().zip(&mut self.lanes) {
                place.hurried = served.queue.usage().items;
            }
        }
    }

    fn take<T>(&mut self, lane: usize, buffer: &Buffer<T>) -> Vec<T> {
        let items = buffer.lanes[lane].take();
        let place = &mut self.lanes[lane];
        place.hurried = place.hurried.saturating_sub(items.len());
        if buffer.lanes[lane].queue.usage().items == 0 {
            place.hurried = 0;
        }
        // What is left came after the interval began anew, as far as anybody can tell.
        place.empty_at = buffer.now();
        items
    }

    /// The flush that is fulfilled by now.
    fn flushed(&mut self) -> Option<Flush> {
        let open = self.lanes.iter().any(|place| place.hurried > 0);
        let done = self.flushing && !open;
        self.flushing &= open;
        done.then_some(Flush(self.seen))
    }

    /// How long nothing can become due but by a push that wakes us.
    fn sleep<T>(&self, buffer: &Buffer<T>, until: Option<Duration>) -> Duration {
        let now = buffer.now();
        let most = until.map_or(SLEEP_MAX, |until| until.saturating_sub(now));
        let lanes = buffer.lanes.iter().zip(&self.lanes);
        let left = lanes.filter_map(|(served, place)| {
            let interval = served.lane.batching.interval;
            (!interval.is_zero()).then(|| (place.empty_at + interval).saturating_sub(now))
        });
        // A lane that is due but not open has nothing left: whoever opens it wakes us.
        left.filter(|left| !left.is_zero())
            .min()
            .unwrap_or(SLEEP_MAX)
            .min(SLEEP_MAX)
            .min(most)
    }
}

fn is_over<T>(buffer: &Buffer<T>) -> bool {
    buffer.is_closed() && buffer.usage().items == 0
}
