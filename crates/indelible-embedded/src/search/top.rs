//! The best places met so far, at most so many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use indelible_store::{Direction, Place};

/// A place that is greater the earlier it comes in the result.
#[derive(PartialEq, Eq)]
struct Ranked {
    place: Place,
    direction: Direction,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.place.cmp(&other.place);
        if self.direction == Direction::NewestFirst {
            order
        } else {
            order.reverse()
        }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best places in the order of time.
pub(super) struct Top {
    limit: usize,
    direction: Direction,
    /// The worst is on top.
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl Top {
    pub(super) fn new(limit: usize, direction: Direction) -> Self {
        Self {
            limit,
            direction,
            heap: BinaryHeap::new(),
        }
    }

    /// Whether a place with this time may be among the best.
    pub(super) fn may_enter(&self, occurred: i64) -> bool {
        if self.heap.len() < self.limit {
            return true;
        }
        self.heap
            .peek()
            .is_none_or(|Reverse(worst)| match self.direction {
                Direction::NewestFirst => occurred >= worst.place.occurred_at.0,
                Direction::OldestFirst => occurred <= worst.place.occurred_at.0,
            })
    }

    pub(super) fn push(&mut self, place: Place) {
        self.heap.push(Reverse(Ranked {
            place,
            direction: self.direction,
        }));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    /// The places, first in the result first.
    pub(super) fn into_sorted(self) -> Vec<Place> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(ranked)| ranked.place)
            .collect()
    }
}
