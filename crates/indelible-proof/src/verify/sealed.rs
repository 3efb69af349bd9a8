//! Commitments and the lines of disclosures given for them. One change to a file of disclosures is
//! one finding.
//!
//! What is missing is known only in the end: a line may come late or say another record, lines may
//! be unreadable, and subjects are erased later. Commitments next to each other that no line fits
//! are one *hole*: what one act takes out of the file.

use std::collections::{BTreeMap, BTreeSet};

use indelible_merkle::Hash;

use super::report::Report;
use crate::disclosure::{Commitment, DisclosureLine};
use crate::finding::{Finding, FindingKind, Place, Span};
use crate::limits::{DISCLOSURES_MAX, FINDINGS_MAX, UNDISCLOSED_MAX};

/// What a record's commitments and the lines given for it came to.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// For each commitment in order: itself if no line fits it. Empty when it was not looked at.
    pub(super) owed: Vec<Option<Commitment>>,
    /// How many lines fit one.
    pub(super) fitted: u64,
    /// Lines that fit none of them.
    pub(super) strays: Vec<DisclosureLine>,
    /// Whether a line that fits stands twice.
    pub(super) repeated: bool,
}

impl Fit {
    /// The commitment without a line that `line`, fitting none, is meant for; owed no more then.
    pub(super) fn take_meant(&mut self, line: &DisclosureLine) -> Option<Commitment> {
        let root = line.root().ok();
        let meant = |owed: &Commitment| owed.subject == line.subject || Some(owed.root) == root;
        let owed = self.owed.iter_mut();
        owed.filter(|owed| owed.as_ref().is_some_and(meant))
            .find_map(Option::take)
    }
}

/// How a commitment without a line of its own was explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Missing,
    /// Its line came after later ones.
    Late,
    /// Its line says something else; that was reported.
    Told,
}

/// A commitment that no line fitted when its record was read; beyond the bound the last stands for
/// those behind it too.
#[derive(Debug)]
struct Owed {
    records: Span,
    count: u64,
    commitment: Commitment,
    hole: u64,
    state: State,
}

/// Lines that cannot be read, between those of two records.
#[derive(Debug)]
struct Unread {
    between: Span,
    place: Place,
    message: String,
}

#[derive(Debug, Default)]
pub(super) struct Sealed {
    owed: Vec<Owed>,
    hole: u64,
    /// Lines that fit a commitment of their record.
    fitted: u64,
    /// Holes that end at a record whose line stands twice: once too early.
    before_repeated: BTreeSet<u64>,
    strays: Vec<DisclosureLine>,
    unread: Vec<Unread>,
    erased: BTreeSet<String>,
    left_out: u64,
}

impl Sealed {
    /// Takes what a believed record came to, and whom it says to be erased.
    pub(super) fn take(&mut self, number: u64, fit: Fit, erased: Vec<String>) {
        self.erased.extend(erased);
        self.fitted += fit.fitted;
        if fit.repeated {
            self.before_repeated.insert(self.hole);
        }
        for owed in fit.owed {
            match owed {
                None => self.hole += 1,
                Some(commitment) => self.owe(number, commitment),
            }
        }
        fit.strays.into_iter().for_each(|line| self.stray(line));
    }

    fn owe(&mut self, number: u64, commitment: Commitment) {
        if self.owed.len() < UNDISCLOSED_MAX {
            self.owed.push(Owed {
                records: Span::one(number),
                count: 1,
                commitment,
                hole: self.hole,
                state: State::Missing,
            });
        } else if let Some(last) = self.owed.last_mut().filter(|last| last.hole == self.hole) {
            (last.records.last, last.count) = (number, last.count + 1);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes a line that no record fitted.
    pub(super) fn stray(&mut self, line: DisclosureLine) {
        if self.strays.len() < DISCLOSURES_MAX {
            self.strays.push(line);
        } else {
            self.left_out += 1;
        }
    }

    /// Takes lines that cannot be read, between the lines of two records.
    pub(super) fn unread(&mut self, between: Span, place: Place, message: &str) {
        if self.unread.len() < FINDINGS_MAX {
            let message = message.to_owned();
            self.unread.push(Unread {
                between,
                place,
                message,
            });
        } else {
            self.left_out += 1;
        }
    }

    /// Reports what stayed open, in a log of `size` records.
    pub(super) fn report(mut self, size: u64, report: &mut Report) {
        let moved = self.settle_strays(size, report);
        for unread in std::mem::take(&mut self.unread) {
            if let Some(finding) = self.unreadable(unread, size) {
                report.add(finding);
            }
        }
        let mut holes: BTreeMap<u64, Vec<&Owed>> = BTreeMap::new();
        for owed in &self.owed {
            holes.entry(owed.hole).or_default().push(owed);
        }
        for (hole, owed) in holes {
            let late = owed.iter().filter(|owed| owed.state == State::Late);
            // Lines behind one that stands too early are read late, which is no second cause.
            if !moved.contains(&hole)
                && !self.before_repeated.contains(&hole)
                && let Some(span) = span_of(late.copied())
            {
                let message = "the lines of their disclosures are there, but not in their order";
                report.add(Finding::new(FindingKind::OutOfOrder, message).records(span));
            }
            let missing = owed.iter().copied().filter(|owed| self.is_missing(owed));
            report.add_all(missing_values(missing));
        }
        report.leave_out(self.left_out);
        if self.fitted == 0 && size > 0 {
            let message = "none of the disclosures fits its record: they are of another log, or \
                           records were moved";
            let finding = Finding::new(FindingKind::SealedValueMismatch, message);
            report.one_for_all_values(finding.records(Span::new(0, size - 1)));
        }
    }

    fn is_missing(&self, owed: &Owed) -> bool {
        owed.state == State::Missing && !self.erased.contains(&owed.commitment.subject)
    }

    /// Finds the commitments that stray lines belong to; returns the holes in which a line says
    /// another record than its own.
    fn settle_strays(&mut self, size: u64, report: &mut Report) -> BTreeSet<u64> {
        let mut moved = BTreeSet::new();
        let at = |(at, owed): (usize, &Owed)| (owed.commitment.root, at);
        let by_root: BTreeMap<Hash, usize> = self.owed.iter().enumerate().map(at).collect();
        let mut beyond: Option<Span> = None;
        for line in std::mem::take(&mut self.strays) {
            let said = line.sequence_number;
            let by_root = line
                .root()
                .ok()
                .and_then(|root| by_root.get(&root).copied());
            let owed = match by_root.or_else(|| self.owed_to(&line)) {
                Some(at) => self.owed.get_mut(at),
                None => None,
            };
            let Some(owed) = owed.filter(|owed| owed.state == State::Missing) else {
                let here = Span::one(said);
                if report.note_within(here, "values were disclosed for it") {
                } else if said >= size {
                    let span = beyond.get_or_insert(here);
                    *span = Span::new(span.first.min(said), span.last.max(said));
                } else {
                    let message = "values were disclosed that it has no commitment for, or that \
                                   stand twice";
                    let finding = Finding::new(FindingKind::SealedValueMismatch, message);
                    report.add(finding.records(here));
                }
                continue;
            };
            let number = owed.records.first;
            let subject = &owed.commitment.subject;
            if by_root.is_some() && said == number && line.subject == *subject {
                owed.state = State::Late;
                continue;
            }
            owed.state = State::Told;
            let message = if by_root.is_some() && said != number {
                moved.insert(owed.hole);
                format!("the line of the values of {subject} says record {said}")
            } else {
                not_committed(subject)
            };
            let finding = Finding::new(FindingKind::SealedValueMismatch, message);
            report.add(finding.records(Span::one(number)));
        }
        if let Some(span) = beyond {
            let message = "values were disclosed for records that are not there";
            let finding = Finding::new(FindingKind::SealedValueMismatch, message);
            report.add(finding.records(span));
        }
        moved
    }

    /// The commitment of the record that a line says, for its subject or, if there is only one,
    /// for anybody.
    fn owed_to(&self, line: &DisclosureLine) -> Option<usize> {
        let number = line.sequence_number;
        let from = self
            .owed
            .partition_point(|owed| owed.records.first < number);
        let of_it = self.owed.get(from..)?.iter();
        let of_it: Vec<_> = of_it
            .take_while(|owed| owed.records.first == number)
            .collect();
        let same = |owed: &&Owed| owed.commitment.subject == line.subject;
        match of_it.iter().position(same) {
            Some(at) => Some(from + at),
            None => (of_it.len() == 1).then_some(from),
        }
    }

    /// The finding for lines that cannot be read; none when there are no bytes and none are
    /// missed: in a log without personal values.
    fn unreadable(&mut self, unread: Unread, size: u64) -> Option<Finding> {
        let Unread {
            between,
            place,
            message,
        } = unread;
        let between = Span::new(between.first, between.last.min(size.saturating_sub(1)));
        let mut finding = Finding::new(FindingKind::Corrupt, message);
        let of_it =
            |owed: &&mut Owed| owed.state == State::Missing && between.contains(owed.records.first);
        let (mut count, mut span): (u64, Option<Span>) = (0, None);
        for owed in self.owed.iter_mut().filter(of_it) {
            owed.state = State::Told;
            count += owed.count;
            let from = span.map_or(owed.records.first, |span| span.first);
            span = Some(Span::new(from, owed.records.last));
        }
        if count == 0 && place.bytes.is_empty() {
            return None;
        }
        if count > 0 {
            finding.note(format!(
                "sealed values that could not be compared because of it: {count} commitments"
            ));
        }
        if size > 0 {
            finding = finding.records(span.unwrap_or(between));
        }
        Some(finding.place(place.file, place.bytes))
    }
}

pub(super) fn not_committed(subject: &str) -> String {
    format!("the values disclosed for {subject} are not those the record committed to")
}

fn span_of<'a>(owed: impl Iterator<Item = &'a Owed>) -> Option<Span> {
    owed.map(|owed| owed.records)
        .reduce(|a, b| Span::new(a.first.min(b.first), a.last.max(b.last)))
}

/// The finding for the commitments of one hole that nothing explains.
fn missing_values<'a>(missing: impl Iterator<Item = &'a Owed>) -> Option<Finding> {
    let missing: Vec<_> = missing.collect();
    let count: u64 = missing.iter().map(|owed| owed.count).sum();
    let span = span_of(missing.iter().copied())?;
    let subject = &missing.first()?.commitment.subject;
    let message = if missing
        .iter()
        .all(|owed| owed.commitment.subject == *subject)
    {
        format!("no values were given for {subject}, who was not erased")
    } else {
        format!("no values were given for {count} commitments, whose subjects were not erased")
    };
    Some(Finding::new(FindingKind::SealedValueMissing, message).records(span))
}
