//! Connections that keep others out: those that wait for a request, by how long, and those whose
//! request arrives, by how fast.
//!
//! Where there are too many connections, the one that has waited longest for a request gives its
//! place to a new one, and where none waits, or where memory is short, the one whose body comes
//! slowest, if that is slow indeed. So whoever asks nothing, or never comes to the end of asking,
//! locks nobody out. A request that has arrived keeps its place.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A body that comes with fewer bytes a second than this, since it began, is slow.
const SLOW_BYTES_PER_S: f64 = 262_144.0;
/// How long every body has to begin to come.
const GRACE: Duration = Duration::from_secs(2);

/// All connections that wait, or whose request arrives.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    next: u64,
    /// By when they began to wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
    arriving: HashMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    since: Instant,
    bytes: u64,
    told: Arc<Notify>,
}

/// A connection, waiting from the beginning.
#[derive(Debug)]
pub(crate) struct Waiter {
    all: Arc<Waiting>,
    /// `None` while a request is under way or its answer is not taken.
    turn: Mutex<Option<u64>>,
    told: Arc<Notify>,
}

/// The body of a request, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Arrival {
    all: Arc<Waiting>,
    turn: u64,
}

impl Waiting {
    pub(crate) fn join(self: &Arc<Self>) -> Waiter {
        let told = Arc::new(Notify::new());
        let turn = self.turns().wait(&told);
        Waiter {
            all: Arc::clone(self),
            turn: Mutex::new(Some(turn)),
            told,
        }
    }

    /// Tells the connection that has waited longest to go, or else the slowest; whether there is
    /// one.
    pub(crate) fn give_way(&self) -> bool {
        let first = self.turns().waiting.pop_first();
        match first {
            Some((_, told)) => {
                told.notify_one();
                true
            }
            None => self.slowest_gives_way(),
        }
    }

    /// Tells the connection whose body comes slowest to go; whether there is a slow one.
    pub(crate) fn slowest_gives_way(&self) -> bool {
        let now = Instant::now();
        let mut turns = self.turns();
        let rates = turns
            .arriving
            .iter()
            .map(|(turn, arriving)| (arriving.rate(now), *turn));
        let slowest = rates.min_by(|(a, _), (b, _)| a.total_cmp(b));
        let slow = slowest.filter(|(rate, _)| *rate < SLOW_BYTES_PER_S);
        let gone = slow.and_then(|(_, turn)| turns.arriving.remove(&turn));
        gone.is_some_and(|arriving| {
            arriving.told.notify_one();
            true
        })
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn wait(&mut self, told: &Arc<Notify>) -> u64 {
        let turn = self.turn();
        self.waiting.insert(turn, Arc::clone(told));
        turn
    }
}

impl Arriving {
    /// Bytes a second, but what has only begun is not slow.
    fn rate(&self, now: Instant) -> f64 {
        let took = now.duration_since(self.since);
        if took < GRACE {
            return f64::INFINITY;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a body is smaller than 2^53 bytes"
        )]
        let bytes = self.bytes as f64;
        bytes / took.as_secs_f64()
    }
}

impl Waiter {
    /// It waits no longer: a request is under way.
    pub(crate) fn asked(&self) {
        if let Some(turn) = self.turn().take() {
            self.all.turns().waiting.remove(&turn);
        }
    }

    /// The body of its request begins to come.
    pub(crate) fn arrives(&self) -> Arrival {
        let mut turns = self.all.turns();
        let turn = turns.turn();
        let arriving = Arriving {
            since: Instant::now(),
            bytes: 0,
            told: Arc::clone(&self.told),
        };
        turns.arriving.insert(turn, arriving);
        Arrival {
            all: Arc::clone(&self.all),
            turn,
        }
    }

    /// Its answer was taken: it waits for the next request.
    pub(crate) fn answered(&self) {
        let mut turn = self.turn();
        if turn.is_none() {
            *turn = Some(self.all.turns().wait(&self.told));
        }
    }

    /// Comes when it is told to go.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.asked();
    }
}

impl Arrival {
    /// Counts bytes that came.
    pub(crate) fn came(&self, bytes: usize) {
        if let Some(arriving) = self.all.turns().arriving.get_mut(&self.turn) {
            arriving.bytes += bytes as u64;
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.all.turns().arriving.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    fn is_told(waiter: &Waiter) -> bool {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        runtime.block_on(async {
            let told = tokio::time::timeout(Duration::ZERO, waiter.told());
            told.await.is_ok()
        })
    }

    #[test]
    fn who_has_waited_longest_goes_and_who_was_asked_stays() {
        let all = Arc::new(Waiting::default());
        assert!(!all.give_way(), "nobody waits");
        let (a, b, c) = (all.join(), all.join(), all.join());
        a.asked();
        assert!(all.give_way());
        assert!(is_told(&b) && !is_told(&a) && !is_told(&c));
        drop(b);
        // It waits again, behind the other.
        a.answered();
        assert!(all.give_way());
        assert!(is_told(&c) && !is_told(&a));
        drop(c);
        a.asked();
        assert!(!all.give_way(), "its request is under way");
        drop(a);
        assert!(all.turns().waiting.is_empty());
    }

    #[test]
    fn where_none_waits_the_slowest_goes_unless_it_is_fast() {
        let all = Arc::new(Waiting::default());
        let (slow, slower, fast) = (all.join(), all.join(), all.join());
        let bodies = [&slow, &slower, &fast].map(|waiter| {
            waiter.asked();
            waiter.arrives()
        });
        assert!(!all.give_way(), "all have only begun");
        let since = Instant::now().checked_sub(2 * GRACE).unwrap();
        for arriving in all.turns().arriving.values_mut() {
            arriving.since = since;
        }
        for (body, bytes) in bodies.iter().zip([9_000, 8_000, 9_000_000]) {
            body.came(bytes);
        }
        assert!(all.give_way());
        assert!(is_told(&slower) && !is_told(&slow) && !is_told(&fast));
        // One that waits for a request goes before one that has begun to ask.
        let idle = all.join();
        assert!(all.give_way());
        assert!(is_told(&idle) && !is_told(&slow));
        assert!(all.slowest_gives_way());
        assert!(is_told(&slow));
        assert!(!all.give_way(), "the other comes fast enough");
        drop(bodies);
        assert!(all.turns().arriving.is_empty());
    }
}
