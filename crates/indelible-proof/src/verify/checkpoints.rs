//! Comparing a log with what checkpoints say about it, at each size as it passes.
//!
//! What it is not: verification of signatures (done before a checkpoint is noted here).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use indelible_merkle::Hash;

use super::readings::{Match, Readings};
use super::recovery::{Lineage, Whose};
use super::report::Report;
use crate::checkpoint::Checkpoint;
use crate::finding::{Finding, FindingKind, Span, records};
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

/// A checkpoint that does not hold and that no record here is to blame for.
#[derive(Debug)]
struct Apart {
    size: u64,
    origin: String,
}

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    known: BTreeMap<u64, Vec<Known>>,
    count: usize,
    next: Option<u64>,
    confirmed_to: u64,
    mismatches: Vec<Mismatch>,
    apart: Vec<Apart>,
    /// Origins of signed checkpoints, with the largest size of each.
    origins: BTreeMap<String, u64>,
    pub(super) lineage: Lineage,
    pub(super) anchor: Anchor,
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
        if trust > Trust::Store {
            let largest = self.origins.entry(origin.clone()).or_default();
            *largest = size.max(*largest);
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
            let mut compare = |known: &Known| match known.trust {
                _ if at != size => Match::NoTree,
                // Its head may have been made from the bytes as they are, and then says nothing
                // about whether they were committed so.
                Trust::Store if readings.root() == Some(known.root) => Match::AsIs,
                _ => readings.compare(&known.root),
            };
            // Who is trusted more decides first.
            let mut known: Vec<_> = known.iter().collect();
            known.sort_by_key(|known| Reverse(known.trust));
            let roots: Vec<_> = known
                .into_iter()
                .map(|known| (known, compare(known)))
                .collect();
            let holds = |found: Match| matches!(found, Match::AsIs | Match::Altered);
            // The store's own head may have been made of what is now known to be altered.
            let altered = readings.is_altered();
            let best = roots
                .iter()
                .filter(|(known, found)| {
                    holds(*found)
                        && (known.trust == Trust::Store
                            || self.lineage.whose(&known.origin) != Whose::Another)
                })
                .max_by_key(|(k, _)| k.trust);
            let signed_holds = best.is_some_and(|(known, _)| known.trust > Trust::Store);
            let (mut open, mut no_tree) = (false, true);
            for (known, found) in roots.iter().filter(|(_, found)| !holds(*found)) {
                let signed = known.trust > Trust::Store;
                if signed && (signed_holds || !self.is_of_here(at, &known.origin)) {
                    // Two of one origin are named as they come.
                    if best.is_none_or(|(best, _)| best.origin != known.origin) {
                        let origin = known.origin.clone();
                        self.apart.push(Apart { size: at, origin });
                    }
                } else if signed || (best.is_none() && !altered) {
                    open = true;
                    no_tree &= *found == Match::NoTree;
                }
            }
            let confirmed_before = self.confirmed_to;
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
                if known.trust > Trust::Store || !readings.is_undecided() {
                    self.confirmed_to = at;
                }
            }
            if open {
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

    /// Whether somebody else than the log vouches for the first `size` records.
    pub(super) fn vouch_for(&self, size: u64) -> bool {
        matches!(&self.anchor, Anchor::Checkpoint { size: of, .. } if *of == size)
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

    /// The largest size that a checkpoint still to be passed vouches for, but for those of other
    /// logs and other incarnations.
    pub(super) fn vouched(&self) -> Option<u64> {
        let mut sizes = self.known.iter().rev();
        let of_here = |size, known: &Known| {
            known.trust == Trust::Store || self.is_of_here(size, &known.origin)
        };
        sizes
            .find(|(size, known)| known.iter().any(|known| of_here(**size, known)))
            .map(|(size, _)| *size)
    }

    /// Whether it is of this log, and of records that by the log's own words should be here.
    fn is_of_here(&self, size: u64, origin: &str) -> bool {
        match self.lineage.whose(origin) {
            Whose::Unknown => true,
            Whose::Another => false,
            Whose::Ours(n) => {
                let left = self.lineage.left(n);
                n <= self.lineage.incarnation() && left.is_none_or(|(from, _)| size <= from)
            }
        }
    }

    /// Reports checkpoints that do not hold at a size where another does.
    fn report_apart(&mut self, report: &mut Report) {
        for Apart { size, origin } in std::mem::take(&mut self.apart) {
            if self.is_of_here(size, &origin) {
                let message = format!(
                    "the checkpoint of {origin} at size {size} is of another history than what is \
                     here"
                );
                report.add(Finding::new(FindingKind::Forked, message));
            }
        }
    }

    /// Reports checkpoints of other logs, of incarnations that were left, and of such that the log
    /// does not declare.
    fn report_others(&mut self, report: &mut Report) {
        let incarnation = self.lineage.incarnation();
        for (origin, size) in std::mem::take(&mut self.origins) {
            let n = match self.lineage.whose(&origin) {
                Whose::Unknown => continue,
                Whose::Another => {
                    let message = format!("the checkpoint is of another log: {origin}");
                    report.add(Finding::new(FindingKind::UnknownCheckpoint, message));
                    continue;
                }
                Whose::Ours(n) => n,
            };
            if n > incarnation {
                let message = format!(
                    "a checkpoint at size {size} is of incarnation {n}, and the log declares none \
                     after {incarnation}: it is older than what was signed"
                );
                report.add(Finding::new(FindingKind::RolledBack, message));
            } else if let Some((from, declared)) = self.lineage.left(n).filter(|l| size > l.0) {
                let message = format!(
                    "a checkpoint vouches for {} of incarnation {n}; from record {from} on they \
                     are not those that are here",
                    records(size)
                );
                let mut finding = Finding::new(FindingKind::RolledBack, message);
                if let Some(recovery) = declared {
                    finding.note(recovery.to_string());
                }
                report.add(finding.records(Span::new(from, size - 1)));
            }
        }
    }

    /// Reports mismatches that nothing reported so far explains, and a tail that is not there.
    pub(super) fn finish(&mut self, start: u64, size: u64, report: &mut Report) {
        let vouched = self.vouched();
        self.report_others(report);
        self.report_apart(report);
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
        if let Some(vouched) = vouched.filter(|last| *last > size) {
            let vouched_for = records(vouched);
            let message = match size {
                1 => format!("a checkpoint vouches for {vouched_for}, there is 1"),
                _ => format!("a checkpoint vouches for {vouched_for}, there are {size}"),
            };
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
