//! How much may wait, and when enough waits to be taken.
//!
//! Not here: limits of what an item may be, which are its owner's.

use std::time::Duration;

/// The most items that a queue can be asked to hold: what the word that counts them has room for.
pub const QUEUE_ITEMS_MAX: usize = (1 << 23) - 1;
/// The most bytes that a queue can be asked to hold.
pub const QUEUE_BYTES_MAX: usize = (1 << 40) - 1;

/// How much may wait in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Items.
    pub items_max: usize,
    /// Bytes, as those who push count them.
    pub bytes_max: usize,
}

/// When items are taken out as a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// The most items of a batch; as soon as so many wait, they are taken.
    pub items_max: usize,
    /// The most bytes of a batch, unless a single item has more; as soon as so many wait, they are
    /// taken.
    pub bytes_max: usize,
    /// The longest that an item waits for others; with zero, the first wakes the reader.
    pub interval: Duration,
}

/// One queue of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lane {
    /// How much may wait in it.
    pub bounds: Bounds,
    /// When it is taken from.
    pub batching: Batching,
}

/// Why bounds are not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// A bound is zero.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
    /// A bound is larger than can be counted.
    #[error("{0} must be at most {1}")]
    TooLarge(&'static str, usize),
    /// A batch would be larger than the queue.
    #[error("{0} of a batch must not be more than those of the queue")]
    BatchOverQueue(&'static str),
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            items_max: 10_000,
            bytes_max: 32 << 20,
        }
    }
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            items_max: 1_000,
            bytes_max: 4 << 20,
            interval: Duration::from_secs(1),
        }
    }
}

impl Lane {
    /// Checks that the bounds can be kept, alone and with the batching.
    ///
    /// # Errors
    /// Names the first bound that cannot.
    pub fn check(&self) -> Result<(), BoundError> {
        let Self { bounds, batching } = self;
        let positive = [
            (bounds.items_max, "the items of the queue"),
            (bounds.bytes_max, "the bytes of the queue"),
            (batching.items_max, "the items of a batch"),
            (batching.bytes_max, "the bytes of a batch"),
        ];
        if let Some((_, name)) = positive.into_iter().find(|(value, _)| *value == 0) {
            return Err(BoundError::Zero(name));
        }
        if bounds.items_max > QUEUE_ITEMS_MAX {
            let name = "the items of the queue";
            return Err(BoundError::TooLarge(name, QUEUE_ITEMS_MAX));
        }
        if bounds.bytes_max > QUEUE_BYTES_MAX {
            let name = "the bytes of the queue";
            return Err(BoundError::TooLarge(name, QUEUE_BYTES_MAX));
        }
        if batching.items_max > bounds.items_max {
            return Err(BoundError::BatchOverQueue("the items"));
        }
        if batching.bytes_max > bounds.bytes_max {
            return Err(BoundError::BatchOverQueue("the bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_cannot_be_kept_are_named() {
        let lane = Lane::default();
        assert_eq!(lane.check(), Ok(()));
        let of = |items_max| Lane {
            bounds: Bounds {
                items_max,
                ..lane.bounds
            },
            ..lane
        };
        assert!(matches!(of(0).check(), Err(BoundError::Zero(_))));
        let many = of(QUEUE_ITEMS_MAX + 1).check();
        assert!(matches!(many, Err(BoundError::TooLarge(..))));
        let small = of(999).check();
        assert!(matches!(small, Err(BoundError::BatchOverQueue(_))));
    }
}
