//! Bringing records into the order of their numbers, and saying what did not come in order.
//!
//! What it is not: any look at links. Records that come early wait, at most
//! [`EARLY_RECORDS_MAX`]; then what they wait for is given up as missing. A given-up record that
//! still comes was not missing but late.

use std::collections::{BTreeMap, VecDeque};

use indelible_merkle::Hash;

use super::record::Record;
use super::report::Report;
use crate::finding::{Finding, FindingKind, Span};
use crate::limits::{EARLY_RECORDS_MAX, RECENT_RECORDS_MAX, STREAM_RANGES_MAX};
use crate::stream::Ranges;

/// What comes next in the order of numbers.
#[derive(Debug)]
pub(super) enum Step {
    /// The record of the next number.
    Record(Box<Record>),
    /// These numbers will not come.
    Gap(Span),
}

#[derive(Debug)]
pub(super) struct Order {
    next: u64,
    newest: Option<u64>,
    early: BTreeMap<u64, Record>,
    /// Records that came after one of a higher number, by the number of that one.
    late: BTreeMap<u64, Ranges>,
    missing: Ranges,
    recent: VecDeque<Hash>,
    ready: VecDeque<Step>,
    left_out: u64,
    /// Claims about single missing records, to compare when they still come.
    claims: BTreeMap<u64, Hash>,
}

impl Order {
    pub(super) fn new(next: u64) -> Self {
        Self {
            next,
            newest: None,
            early: BTreeMap::new(),
            late: BTreeMap::new(),
            missing: Ranges::default(),
            recent: VecDeque::new(),
            ready: VecDeque::new(),
            left_out: 0,
            claims: BTreeMap::new(),
        }
    }

    /// The number that is awaited.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether this record is simply the next one, so that it need not be kept.
    pub(super) fn is_next(&self, number: u64) -> bool {
        number == self.next && self.early.is_empty()
    }

    /// Counts a record that [`Self::is_next`].
    pub(super) fn passed(&mut self, hash: Hash) {
        if self.recent.len() >= RECENT_RECORDS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        self.newest = self.newest.max(Some(self.next));
        self.next += 1;
    }

    /// Takes a record out of order; what became ready is fetched by [`Self::step`].
    pub(super) fn offer(&mut self, record: Record, report: &mut Report) {
        let number = record.number;
        if number < self.next {
            self.again(&record, report);
        } else if number == self.next {
            self.note_late(number);
            self.release(record);
            self.drain();
        } else if let Some(kept) = self.early.get(&number) {
            let same = kept.hash == record.hash;
            self.twice(number, same, report);
        } else {
            self.note_late(number);
            self.newest = self.newest.max(Some(number));
            self.early.insert(number, record);
            if self.early.len() > EARLY_RECORDS_MAX {
                self.give_up();
            }
        }
    }

    /// Says that `span` cannot be read; what came early for before it is given up.
    pub(super) fn skip(&mut self, span: Span) {
        while self
            .early
            .first_key_value()
            .is_some_and(|(first, _)| *first < span.first)
        {
            self.give_up();
        }
        if span.first > self.next {
            self.gap(Span::new(self.next, span.first - 1));
        }
        if span.last >= self.next {
            self.ready
                .push_back(Step::Gap(Span::new(self.next.max(span.first), span.last)));
            self.next = span.last + 1;
            self.recent.clear();
        }
        self.drain();
    }

    /// Gives up everything that is still awaited before early records.
    pub(super) fn finish(&mut self) {
        while !self.early.is_empty() {
            self.give_up();
        }
    }

    pub(super) fn step(&mut self) -> Option<Step> {
        self.ready.pop_front()
    }

    /// Remembers what the successor of a single missing record says its hash was.
    pub(super) fn remember_claim(&mut self, number: u64, hash: Hash) {
        if self.claims.len() < STREAM_RANGES_MAX {
            self.claims.insert(number, hash);
        }
    }

    /// Reports what is missing and what came out of order.
    pub(super) fn report(&self, report: &mut Report) {
        report.leave_out(self.left_out);
        for span in self.missing.spans() {
            let message = match span.count() {
                1 => "the record is not there".to_owned(),
                count => format!("{count} records are not there"),
            };
            report.add(Finding::new(FindingKind::MissingRecord, message).records(*span));
        }
        let mut late = Ranges::default();
        for span in self.late.values().flat_map(Ranges::spans) {
            late.insert(*span, usize::MAX);
        }
        for span in late.spans() {
            let span = Span::new(span.first, span.last + 1);
            let message = "the records are all there, but not in their order";
            report.add(Finding::new(FindingKind::OutOfOrder, message).records(span));
        }
    }

    fn note_late(&mut self, number: u64) {
        let Some(newest) = self.newest.filter(|newest| number < *newest) else {
            return;
        };
        if self.late.len() >= STREAM_RANGES_MAX && !self.late.contains_key(&newest) {
            self.left_out += 1;
            return;
        }
        let late = self.late.entry(newest).or_default();
        self.left_out += u64::from(!late.insert(Span::one(number), STREAM_RANGES_MAX));
    }

    /// A second copy explains why others came after the first.
    fn twice(&mut self, number: u64, same: bool, report: &mut Report) {
        self.late.remove(&number);
        let (kind, message) = if same {
            (FindingKind::DuplicateRecord, "the record stands twice")
        } else {
            (
                FindingKind::Forked,
                "two different records have this number",
            )
        };
        report.add(Finding::new(kind, message).records(Span::one(number)));
    }

    fn release(&mut self, record: Record) {
        self.passed(record.hash);
        self.ready.push_back(Step::Record(Box::new(record)));
    }

    fn drain(&mut self) {
        while let Some(record) = self.early.remove(&self.next) {
            self.release(record);
        }
    }

    fn give_up(&mut self) {
        if let Some((first, _)) = self.early.first_key_value() {
            let gap = Span::new(self.next, first - 1);
            self.gap(gap);
            self.drain();
        }
    }

    fn gap(&mut self, span: Span) {
        self.left_out += u64::from(!self.missing.insert(span, STREAM_RANGES_MAX));
        self.ready.push_back(Step::Gap(span));
        self.next = span.last + 1;
        self.recent.clear();
    }

    /// A record whose number has passed: the late one, the same one again, or another version.
    fn again(&mut self, record: &Record, report: &mut Report) {
        let number = record.number;
        if self.missing.remove(number) {
            self.note_late(number);
            if self
                .claims
                .get(&number)
                .is_some_and(|claim| *claim != record.hash)
            {
                let message = "the record is not the one that its successor names";
                let finding = Finding::new(FindingKind::ContentMismatch, message);
                report.add(finding.records(Span::one(number)));
            }
            return;
        }
        let back = usize::try_from(self.next - number).unwrap_or(usize::MAX);
        let known = self
            .recent
            .len()
            .checked_sub(back)
            .and_then(|at| self.recent.get(at));
        let same = known.is_none_or(|hash| *hash == record.hash);
        self.twice(number, same, report);
    }
}
