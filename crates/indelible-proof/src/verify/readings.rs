//! The ways a damaged log can be read, and the tree of each.
//!
//! An undamaged log has one reading: the bytes as they are. When a record is not the one its
//! successor or its stored hash names, either may be what was committed, so both trees are followed
//! until a checkpoint decides. What it is not: a search; at most [`READINGS_MAX`] are followed.

use indelible_merkle::{Frontier, Hash};

use crate::finding::Span;
use crate::limits::{READINGS_MAX, STREAM_RANGES_MAX};
use crate::stream::Ranges;

#[derive(Debug, Clone)]
struct Reading {
    tree: Frontier,
    /// Records taken to have had another hash than their bytes have.
    altered: Ranges,
}

/// What a checkpoint says about the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The bytes as they are lead to its root.
    AsIs,
    /// The root is reached only if some records had other hashes: those are the altered ones.
    Altered,
    /// No reading leads to its root.
    None,
    /// There is no tree any more: hashes are missing.
    NoTree,
}

/// The readings that are still possible. The first is the bytes as they are while it is possible.
#[derive(Debug)]
pub(super) struct Readings {
    readings: Vec<Reading>,
    /// What the last checkpoint that was reached has shown; it stays when hashes go missing later.
    shown_altered: Ranges,
}

impl Readings {
    pub(super) fn new(tree: Frontier) -> Self {
        Self {
            readings: vec![Reading {
                tree,
                altered: Ranges::default(),
            }],
            shown_altered: Ranges::default(),
        }
    }

    /// The root of the bytes as they are, or of what a checkpoint has shown to be committed.
    pub(super) fn root(&self) -> Option<Hash> {
        self.readings.first().map(|reading| reading.tree.root())
    }

    /// Appends a record whose hash is not in doubt.
    pub(super) fn append(&mut self, hash: Hash) {
        for reading in &mut self.readings {
            reading.tree.append(hash);
        }
    }

    /// Appends record `number`: its bytes hash to `hash`, another source says `claimed`.
    pub(super) fn append_doubtful(&mut self, number: u64, hash: Hash, claimed: Hash) {
        let room = READINGS_MAX.saturating_sub(self.readings.len());
        let mut forks = Vec::new();
        for reading in self.readings.iter().take(room) {
            let mut fork = reading.clone();
            fork.tree.append(claimed);
            fork.altered.insert(Span::one(number), STREAM_RANGES_MAX);
            forks.push(fork);
        }
        let kept = forks.len();
        for (at, reading) in self.readings.iter_mut().enumerate() {
            // With no room to fork, a reading that doubts already goes on doubting.
            if at >= kept && at > 0 {
                reading.tree.append(claimed);
                reading.altered.insert(Span::one(number), STREAM_RANGES_MAX);
            } else {
                reading.tree.append(hash);
            }
        }
        self.readings.extend(forks);
    }

    /// Hashes are missing; no root can be computed from here on.
    pub(super) fn lose(&mut self) {
        self.readings.clear();
    }

    /// Compares with a root at the present size; what does not lead to it is dropped, unless
    /// nothing does.
    pub(super) fn compare(&mut self, root: &Hash) -> Match {
        if self.readings.is_empty() {
            return Match::NoTree;
        }
        let Some(at) = self
            .readings
            .iter()
            .position(|reading| reading.tree.root() == *root)
        else {
            return Match::None;
        };
        let reading = self.readings.swap_remove(at);
        let as_is = reading.altered.spans().is_empty();
        self.shown_altered = reading.altered.clone();
        self.readings = vec![reading];
        if as_is { Match::AsIs } else { Match::Altered }
    }

    /// Whether several are still possible.
    pub(super) fn is_undecided(&self) -> bool {
        self.readings.len() > 1
    }

    /// Whether all that is still possible is that some records were altered.
    pub(super) fn is_altered(&self) -> bool {
        let first = self.readings.first();
        first.is_some_and(|reading| !reading.altered.spans().is_empty())
    }

    /// Whether the last checkpoint that was reached has shown record `number`, which is before it,
    /// to be altered.
    pub(super) fn altered(&self, number: u64) -> bool {
        self.shown_altered.contains(number)
    }
}
