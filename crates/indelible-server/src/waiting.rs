//! Connections that wait for a request, by how long: where there are too many, the one that has
//! waited longest gives its place to a new one.
//!
//! So whoever opens connections and asks nothing, or never comes to the end of asking, locks nobody
//! out. A connection whose request is under way keeps its place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All connections that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    next: u64,
    /// By when they began to wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// A connection, waiting from the beginning.
#[derive(Debug)]
pub(crate) struct Waiter {
    all: Arc<Waiting>,
    /// `None` while a request is under way or its answer is not taken.
    turn: Mutex<Option<u64>>,
    told: Arc<Notify>,
}

impl Waiting {
    pub(crate) fn join(self: &Arc<Self>) -> Waiter {
        let told = Arc::new(Notify::new());
        let turn = self.turns().take(&told);
        Waiter {
            all: Arc::clone(self),
            turn: Mutex::new(Some(turn)),
            told,
        }
    }

    /// Tells the connection that has waited longest to go; whether there is one.
    pub(crate) fn give_way(&self) -> bool {
        let first = self.turns().waiting.pop_first();
        first.is_some_and(|(_, told)| {
            told.notify_one();
            true
        })
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn take(&mut self, told: &Arc<Notify>) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.waiting.insert(turn, Arc::clone(told));
        turn
    }
}

impl Waiter {
    /// It waits no longer: a request is under way.
    pub(crate) fn asked(&self) {
        if let Some(turn) = self.turn().take() {
            self.all.turns().waiting.remove(&turn);
        }
    }

    /// Its answer was taken: it waits for the next request.
    pub(crate) fn answered(&self) {
        let mut turn = self.turn();
        if turn.is_none() {
            *turn = Some(self.all.turns().take(&self.told));
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
}
