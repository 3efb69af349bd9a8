//! Telemetry of what anybody can make happen as often as he likes: one line a second, and how many
//! others there were.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// When one kind of line was told last.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// The second in which one was told.
    told: AtomicU64,
    untold: AtomicU64,
}

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self {
            told: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        }
    }

    /// Whether a line may be told now, and how many were not since the last; counts one that may
    /// not.
    pub(crate) fn due(&self) -> Option<u64> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.due_at(since.map_or(0, |since| since.as_secs()))
    }

    fn due_at(&self, now: u64) -> Option<u64> {
        if self.told.swap(now, Relaxed) == now {
            self.untold.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.untold.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_told_and_the_others_are_counted() {
        let lines = Seldom::new();
        assert_eq!(lines.due_at(7), Some(0));
        for _ in 0..1_000 {
            assert_eq!(lines.due_at(7), None);
        }
        assert_eq!(lines.due_at(8), Some(1_000));
        assert_eq!(lines.due_at(9), Some(0));
    }
}
