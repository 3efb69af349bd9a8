//! Room in memory that several share: a bound on what they hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the marks of ids may have in memory, of all segments together: about thirty million
/// ids. Those of further segments are read by page.
pub(crate) const MARKS_BYTES_MAX: u64 = 64 << 20;

/// A number of bytes, and how many of them are taken.
#[derive(Debug)]
pub(crate) struct Room {
    bytes_max: u64,
    taken: AtomicU64,
}

impl Room {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let taken = AtomicU64::new(0);
        Self { bytes_max, taken }
    }

    /// Takes `bytes`, if there are so many, until the value is dropped.
    pub(crate) fn take(room: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let after = |taken: u64| Some(taken.checked_add(bytes)?).filter(|t| *t <= room.bytes_max);
        let relaxed = Ordering::Relaxed;
        room.taken.fetch_update(relaxed, relaxed, after).ok()?;
        let room = Arc::clone(room);
        Some(Taken { room, bytes })
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new(MARKS_BYTES_MAX)
    }
}

/// Bytes that were taken; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<Room>,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_dropped_comes_back() {
        let room = Arc::new(Room::new(10));
        let first = Room::take(&room, 6);
        assert!(first.is_some());
        assert!(Room::take(&room, 5).is_none());
        assert!(Room::take(&room, u64::MAX).is_none());
        assert!(Room::take(&room, 4).is_some());
        drop(first);
        assert!(Room::take(&room, 10).is_some());
    }
}
