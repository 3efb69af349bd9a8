//! Comparing a log with what checkpoints say about it, at each size as it passes.
//!
//! What it is not: verification of signatures (done before a checkpoint is noted here).

use std::collections::BTreeMap;

use indelible_merkle::Hash;

use super::readings::{Match, Readings};
use super::report::Report;
use crate::checkpoint::Checkpoint;
use crate::finding::{Finding, FindingKind, Span};
use crate::limits::CHECKPOINTS_MAX;

/// Whose word a checkpoint is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// The store's own head: it finds damage, but anchors nothing.
    Store,
    /// A key that the log itself names in its first record.
    Named,
    /// A key from elsewhere.
    Key,
}

/// How far a log is vouched for by somebody else than the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Anchor {
    /// By nobody: *consistent, not anchored*.
    #[default]
    None,
    /// By a checkpoint whose root the records lead to.
    Checkpoint {
        /// How many records it vouches for.
        size: u64,
        /// Whose checkpoint.
        origin: String,
        /// Whether its key came from elsewhere ([`Trust::Key`]) or from the log itself.
        trust: Trust,
    },
}

/// What a wrong root right after a record is put down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The root is right, or there is none to compare with.
    Nothing,
    /// That record is not the one committed.
    Record,
    /// Some record is not.
    Log,
}

#[derive(Debug)]
struct Known {
    origin: String,
    root: Hash,
    trust: Trust,
}

#[derive(Debug)]
struct Mismatch {
    size: u64,
    confirmed_before: u64,
    no_tree: bool,
}

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    known: BTreeMap<u64, Vec<Known>>,
    count: usize,
    next: Option<u64>,
    confirmed_to: u64,
    mismatches: Vec<Mismatch>,
    anchor: Anchor,
}

impl Checkpoints {
    /// Notes a checkpoint; `false` when the log has passed its size already or there are too many.
    pub(super) fn add(
        &mut self,
        checkpoint: Checkpoint,
        trust: Trust,
        first: u64,
        report: &mut Report,
    ) -> bool {
        let Checkpoint { origin, size, root } = checkpoint;
        if size < first || self.count >= CHECKPOINTS_MAX {
            return false;
        }
        let same_size = self.known.entry(size).or_default();
        let other = |known: &&Known| known.root != root && known.origin == origin;
        if trust > Trust::Store && same_size.iter().any(|known| other(&known)) {
            let message = format!("two signed checkpoints of {origin} at size {size} differ");
            report.add(Finding::new(FindingKind::Forked, message));
        }
        same_size.push(Known {
            origin,
            root,
            trust,
        });
        self.count += 1;
        self.next = self.known.keys().next().copied();
        true
    }

    /// Compares when the log has reached a size that is known.
    pub(super) fn passed(&mut self, size: u64, readings: &mut Readings) {
        if self.next.is_some_and(|next| next <= size) {
            self.compare(size, readings);
        }
    }

    fn compare(&mut self, size: u64, readings: &mut Readings) {
        while let Some((at, known)) = self.known.first_key_value().filter(|(at, _)| **at <= size) {
            let at = *at;
            // A size jumped over by a gap has no tree to compare with.
            let mut compare = |root| {
                if at == size {
                    readings.compare(root)
                } else {
                    Match::NoTree
                }
            };
            let roots: Vec<_> = known
                .iter()
                .map(|known| (known, compare(&known.root)))
                .collect();
            let holds = |found: Match| matches!(found, Match::AsIs | Match::Altered);
            let best = roots
                .iter()
                .filter(|(_, found)| holds(*found))
                .max_by_key(|(k, _)| k.trust);
            if let Some((known, _)) = best {
                let old = match &self.anchor {
                    Anchor::None => Trust::Store,
                    Anchor::Checkpoint { trust, .. } => *trust,
                };
                if known.trust > Trust::Store && known.trust >= old {
                    let (origin, trust) = (known.origin.clone(), known.trust);
                    self.anchor = Anchor::Checkpoint {
                        size: at,
                        origin,
                        trust,
                    };
                }
                self.confirmed_to = at;
            } else {
                let no_tree = roots.iter().all(|(_, found)| *found == Match::NoTree);
                let confirmed_before = self.confirmed_to;
                self.mismatches.push(Mismatch {
                    size: at,
                    confirmed_before,
                    no_tree,
                });
            }
            self.known.pop_first();
        }
        self.next = self.known.keys().next().copied();
    }

    /// What is wrong if the root right after record `number` is: that record, when it is the only
    /// one that can be, or what is odd about it shows that it is.
    pub(super) fn blame(&mut self, number: u64, odd: bool) -> Blame {
        let wrong = |mismatch: &&Mismatch| mismatch.size == number + 1 && !mismatch.no_tree;
        let Some(mismatch) = self.mismatches.last().filter(wrong) else {
            return Blame::Nothing;
        };
        if odd || mismatch.confirmed_before == number {
            self.mismatches.pop();
            Blame::Record
        } else {
            Blame::Log
        }
    }

    /// The largest size at which the records led to a known root.
    pub(super) const fn confirmed_to(&self) -> u64 {
        self.confirmed_to
    }

    pub(super) fn anchor(&self) -> Anchor {
        self.anchor.clone()
    }

    /// The largest size that a checkpoint still to be passed vouches for.
    pub(super) fn vouched(&self) -> Option<u64> {
        self.known.keys().next_back().copied()
    }

    /// Reports mismatches that nothing reported so far explains, and a tail that is not there.
    pub(super) fn finish(&mut self, start: u64, size: u64, report: &mut Report) {
        for Mismatch {
            size: at,
            confirmed_before,
            no_tree,
        } in std::mem::take(&mut self.mismatches)
        {
            let from = confirmed_before.max(start);
            let note = if no_tree {
                format!("the root at size {at} cannot be computed, so it was not compared")
            } else {
                format!("the root at size {at} is not that of the checkpoint")
            };
            if report.note_within(Span::new(from, at.saturating_sub(1)), &note) {
                continue;
            }
            if no_tree {
                // Damage before the part is somebody else's finding; without a tree nothing is
                // said.
                continue;
            }
            report.add(unexplained(at, from, self.confirmed_to));
        }
        if let Some(vouched) = self.vouched().filter(|last| *last > size) {
            let message = format!("a checkpoint vouches for {vouched} records, there are {size}");
            let finding = Finding::new(FindingKind::TruncatedTail, message);
            report.add(finding.records(Span::new(size, vouched - 1)));
        }
    }
}

/// The finding for a root that the records do not lead to though they are in order.
fn unexplained(at: u64, from: u64, confirmed_to: u64) -> Finding {
    if at < confirmed_to {
        let message = format!(
            "the checkpoint at size {at} is of another history than the one at size {confirmed_to}"
        );
        return Finding::new(FindingKind::Forked, message);
    }
    if at == 0 {
        return Finding::new(
            FindingKind::RootMismatch,
            "the root at size 0 is not that of no records",
        );
    }
    let message = "all links hold, but the records do not lead to the root of the checkpoint: the \
                   log was rewritten somewhere here, or the last of them altered";
    Finding::new(FindingKind::RootMismatch, message).records(Span::new(from, at - 1))
}
