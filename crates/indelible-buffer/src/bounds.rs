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
    /// The longest that an item waits for others.
    pub interval: Duration,
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

impl Bounds {
    /// Checks that the bounds can be kept, alone and with `batching`.
    ///
    /// # Errors
    /// Names the first bound that cannot.
    pub fn check(&self, batching: &Batching) -> Result<(), BoundError> {
        let positive = [
            (self.items_max, "the items of the queue"),
            (self.bytes_max, "the bytes of the queue"),
            (batching.items_max, "the items of a batch"),
            (batching.bytes_max, "the bytes of a batch"),
        ];
        if let Some((_, name)) = positive.into_iter().find(|(value, _)| *value == 0) {
            return Err(BoundError::Zero(name));
        }
        if batching.interval.is_zero() {
            return Err(BoundError::Zero("the interval of batches"));
        }
        if self.items_max > QUEUE_ITEMS_MAX {
            let name = "the items of the queue";
            return Err(BoundError::TooLarge(name, QUEUE_ITEMS_MAX));
        }
        if self.bytes_max > QUEUE_BYTES_MAX {
            let name = "the bytes of the queue";
            return Err(BoundError::TooLarge(name, QUEUE_BYTES_MAX));
        }
        if batching.items_max > self.items_max {
            return Err(BoundError::BatchOverQueue("the items"));
        }
        if batching.bytes_max > self.bytes_max {
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
        let (bounds, batching) = (Bounds::default(), Batching::default());
        assert_eq!(bounds.check(&batching), Ok(()));
        let none = Bounds {
            items_max: 0,
            ..bounds
        };
        assert!(matches!(none.check(&batching), Err(BoundError::Zero(_))));
        let many = Bounds {
            items_max: QUEUE_ITEMS_MAX + 1,
            ..bounds
        };
        assert!(matches!(
            many.check(&batching),
            Err(BoundError::TooLarge(..))
        ));
        let small = Bounds {
            items_max: 999,
            ..bounds
        };
        let error = small.check(&batching);
        assert!(matches!(error, Err(BoundError::BatchOverQueue(_))));
        let never = Batching {
            interval: Duration::ZERO,
            ..batching
        };
        assert!(matches!(bounds.check(&never), Err(BoundError::Zero(_))));
    }
}
