//! Values of several records in one allocation: a batch is let go of at once.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// Some of many values; whoever holds them holds all.
#[derive(Clone, Debug)]
pub struct Shared<T> {
    all: Arc<Vec<T>>,
    from: u32,
    to: u32,
}

impl<T> Shared<T> {
    /// These of all; none where `range` is not within them.
    pub fn of(all: &Arc<Vec<T>>, range: &Range<u32>) -> Self {
        Self {
            all: Arc::clone(all),
            from: range.start,
            to: range.end,
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let range = self.from as usize..self.to as usize;
        self.all.get(range).unwrap_or_default()
    }
}
