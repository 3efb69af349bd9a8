//! Links, times, trees and checkpoints over records in order.
//!
//! A record is judged when its successor is known, because only then two witnesses speak for it:
//! its own bytes and what the successor says they were. What is found wrong with a record that is
//! not the committed one stands under that finding and nowhere else.

use indelible_merkle::{Frontier, Hash};

use super::Start;
use super::checkpoints::{Blame, Checkpoints};
use super::ids::AuditIds;
use super::readings::Readings;
use super::record::{Record, Time};
use super::report::Report;
use super::sealed::Sealed;
use crate::finding::{Finding, FindingKind, Span};
use crate::limits::{DOUBTS_SETTLED_MAX, FINDINGS_MAX, NOTES_MAX};
use crate::stream::Streams;

/// What stands before the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A record, or the start of a log: its hash.
    Hash(Hash),
    /// One record that is not there.
    Single(u64),
    /// More than one record that is not there, or the start of a part of a log.
    Unknown,
}

/// Records whose successor names another hash than their bytes have.
#[derive(Debug)]
struct Doubt {
    records: Span,
    /// Whether the hashes kept elsewhere agree with the bytes.
    vouched: bool,
    notes: Vec<String>,
}

impl Doubt {
    fn ends_before(&self, number: u64) -> bool {
        self.records.last + 1 == number
    }
}

/// How the evidence about one record adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Sound,
    /// The hash kept elsewhere is wrong, the record is not.
    StoreDamaged,
    /// The bytes are not those committed, which had this hash.
    Altered(Hash),
    /// The successor names another hash, and it is open who is right.
    Doubtful {
        claimed: Hash,
        vouched: bool,
    },
}

#[derive(Debug)]
pub(super) struct Chain {
    before: Before,
    pending: Option<Record>,
    pub(super) size: u64,
    pub(super) readings: Readings,
    doubts: Vec<Doubt>,
    newest_time: Option<Time>,
    pub(super) ids: AuditIds,
    /// Records whose number in their stream was taken before.
    repeats: Vec<u64>,
    left_out: u64,
    pub(super) sealed: Sealed,
}

impl Chain {
    pub(super) fn new(start: &Start) -> Self {
        Self {
            before: start.last_hash.map_or(Before::Unknown, Before::Hash),
            pending: None,
            size: start.number,
            readings: start.tree.clone().map_or_else(
                || {
                    let mut none = Readings::new(Frontier::new());
                    none.lose();
                    none
                },
                Readings::new,
            ),
            doubts: Vec::new(),
            newest_time: None,
            ids: AuditIds::default(),
            repeats: Vec::new(),
            left_out: 0,
            sealed: Sealed::default(),
        }
    }

    /// The hash that the next record should name, if it is known.
    pub(super) fn last_hash(&self) -> Option<Hash> {
        match (&self.pending, self.before) {
            (Some(record), _) => Some(record.hash),
            (None, Before::Hash(hash)) => Some(hash),
            (None, _) => None,
        }
    }

    /// How many records stand in the tree; the last one waits for its successor.
    pub(super) fn appended(&self) -> u64 {
        self.size - u64::from(self.pending.is_some())
    }

    /// Takes the next record; gives what it says a single missing record's hash was.
    pub(super) fn record(
        &mut self,
        mut record: Record,
        with: &mut With<'_>,
    ) -> Option<(u64, Hash)> {
        let mut claim = None;
        if let Some(before) = self.pending.take() {
            self.judge(before, Some(&record), with);
        } else {
            match (self.before, record.previous) {
                (Before::Hash(hash), previous) if previous.is_some() && previous != Some(hash) => {
                    record.defect(FindingKind::LinkBroken, self.wrong_start());
                }
                (Before::Single(number), Some(hash)) => {
                    claim = Some((number, hash));
                    self.readings.append(hash);
                    with.checkpoints.passed(number + 1, &mut self.readings);
                }
                (Before::Single(_), None) => self.readings.lose(),
                _ => {}
            }
        }
        self.size = record.number + 1;
        self.pending = Some(record);
        claim
    }

    fn wrong_start(&self) -> &'static str {
        if self.size == 0 {
            "the first record of a log must name 64 zeros before it"
        } else {
            "the record does not name the record before it"
        }
    }

    /// Goes on behind records that are not there.
    pub(super) fn gap(&mut self, span: Span, with: &mut With<'_>) {
        let alone = self.pending.is_some() || matches!(self.before, Before::Hash(_));
        if let Some(before) = self.pending.take() {
            self.judge(before, None, with);
        }
        if span.count() == 1 && alone {
            self.before = Before::Single(span.first);
        } else {
            self.before = Before::Unknown;
            self.readings.lose();
        }
        self.size = span.last + 1;
    }

    /// Judges the last record and reports what stayed open.
    pub(super) fn finish(&mut self, with: &mut With<'_>) {
        if let Some(last) = self.pending.take() {
            self.judge(last, None, with);
        } else if matches!(self.before, Before::Single(_)) {
            self.readings.lose();
        }
        for doubt in std::mem::take(&mut self.doubts) {
            self.settle(&doubt, with);
        }
        let repeated_ids = self.ids.report(with.report);
        for number in &self.repeats {
            if !repeated_ids.contains(number) {
                let message = "its number in its stream was given to another event before";
                let finding = Finding::new(FindingKind::StreamEquivocation, message);
                with.report.add(finding.records(Span::one(*number)));
            }
        }
        with.report.leave_out(self.left_out);
    }

    fn judge(&mut self, record: Record, successor: Option<&Record>, with: &mut With<'_>) {
        let (number, hash) = (record.number, record.hash);
        self.before = Before::Hash(hash);
        match judgement(&record, successor) {
            Judgement::Sound => {
                self.readings.append(hash);
                // Whose the checkpoints here are depends on it.
                with.hear(&record);
                with.checkpoints.passed(number + 1, &mut self.readings);
                let unlinked = self
                    .doubts
                    .last()
                    .is_some_and(|doubt| doubt.ends_before(number));
                let odd = unlinked || !record.defects.is_empty() || self.regresses(&record);
                match with.checkpoints.blame(number, odd && successor.is_none()) {
                    Blame::Record => {
                        with.checkpoints.lineage.forget(number);
                        let mut record = record;
                        if unlinked {
                            self.withdraw_doubt(&mut record, with.checkpoints.confirmed_to());
                        }
                        Self::not_committed(record, with.report);
                    }
                    // Nobody speaks for the last record of a log that does not lead to its root.
                    Blame::Log if successor.is_none() => {
                        with.checkpoints.lineage.forget(number);
                    }
                    Blame::Log | Blame::Nothing => self.accept(record, with),
                }
                return;
            }
            Judgement::StoreDamaged => {
                self.readings.append(hash);
                self.store_damaged(record, with);
            }
            Judgement::Altered(committed) => {
                self.readings.append_doubtful(number, hash, committed);
                with.checkpoints.passed(number + 1, &mut self.readings);
                if number < with.checkpoints.confirmed_to() && !self.readings.altered(number) {
                    return self.store_damaged(record, with);
                }
                Self::not_committed(record, with.report);
            }
            Judgement::Doubtful { claimed, vouched } => {
                self.readings.append_doubtful(number, hash, claimed);
                if vouched {
                    self.doubt(number, vouched, Vec::new());
                    self.accept(record, with);
                } else {
                    self.doubt(number, vouched, record.into_notes().collect());
                }
            }
        }
        with.checkpoints.passed(number + 1, &mut self.readings);
    }

    /// The record after the doubtful one is the altered one: were it the doubtful one alone, a
    /// reading would have led to the root. That both were altered is seen when a checkpoint stands
    /// between them; the doubt then stays.
    fn withdraw_doubt(&mut self, altered: &mut Record, confirmed_to: u64) {
        let before = altered.number - 1;
        let confirmed = before < confirmed_to;
        if confirmed && self.readings.altered(before) {
            return;
        }
        let Some(doubt) = self.doubts.last_mut() else {
            return;
        };
        if !confirmed && !doubt.vouched {
            let note = format!(
                "it does not name the record before it; whether record {before} was altered as \
                 well cannot be told"
            );
            altered.defect(FindingKind::ContentMismatch, note);
        }
        if doubt.records.count() == 1 {
            self.doubts.pop();
        } else {
            doubt.records.last -= 1;
        }
    }

    fn not_committed(record: Record, report: &mut Report) {
        let message = "the bytes are not those that were committed";
        let mut finding = Finding::new(FindingKind::ContentMismatch, message);
        finding = finding.records(Span::one(record.number));
        record.into_notes().for_each(|note| finding.note(note));
        report.add(finding);
    }

    fn regresses(&self, record: &Record) -> bool {
        matches!((record.time, self.newest_time), (Some(time), Some(newest)) if time < newest)
    }

    fn store_damaged(&mut self, record: Record, with: &mut With<'_>) {
        let message = "the stored record hash is wrong, the record itself is in order";
        let finding = Finding::new(FindingKind::DerivedDamaged, message);
        with.report.add(finding.records(Span::one(record.number)));
        self.accept(record, with);
    }

    fn doubt(&mut self, number: u64, vouched: bool, notes: Vec<String>) {
        if let Some(doubt) = self.doubts.last_mut()
            && doubt.vouched == vouched
            && doubt.ends_before(number)
        {
            doubt.records.last = number;
            let room = NOTES_MAX.saturating_sub(doubt.notes.len());
            doubt.notes.extend(notes.into_iter().take(room));
        } else if self.doubts.len() >= FINDINGS_MAX {
            self.left_out += 1;
        } else {
            self.doubts.push(Doubt {
                records: Span::one(number),
                vouched,
                notes,
            });
        }
    }

    /// Takes what a record says, once it is believed to be the one that was committed.
    fn accept(&mut self, record: Record, with: &mut With<'_>) {
        let here = Span::one(record.number);
        with.hear(&record);
        if self.regresses(&record) {
            let message = "it says it was committed before the record before it";
            let finding = Finding::new(FindingKind::TimeRegression, message);
            with.report.add(finding.records(here));
        }
        for defect in record.defects {
            with.report
                .add(Finding::new(defect.kind, defect.message).records(here));
        }
        if let Some(time) = record.time {
            self.newest_time = self.newest_time.max(Some(time));
            let heard = str::from_utf8(&time).unwrap_or_default();
            if let Some((stream, number)) = record.claim {
                if !with.streams.claim(stream, number, heard) {
                    self.repeated(record.number);
                }
            } else if !record.ours {
                with.streams.unnumbered(heard);
            }
            if let Some(statement) = record.statement {
                with.streams.state(*statement, heard);
            }
        }
        if record.recovery.is_some() {
            with.streams.recovered();
        }
        if let Some(id) = record.audit_id {
            self.ids.add(id, record.number);
        }
        self.sealed.take(record.number, record.fit, record.erased);
    }

    fn repeated(&mut self, number: u64) {
        if self.repeats.len() < FINDINGS_MAX {
            self.repeats.push(number);
        } else {
            self.left_out += 1;
        }
    }

    /// Says who is wrong about doubtful records, with what checkpoints have shown since.
    fn settle(&self, doubt: &Doubt, with: &mut With<'_>) {
        let Span { first, last } = doubt.records;
        let open = first.max(with.checkpoints.confirmed_to());
        if doubt.records.count() > DOUBTS_SETTLED_MAX || open == first {
            return Self::settle_open(doubt.records, doubt, with.report);
        }
        if open <= last {
            Self::settle_open(Span::new(open, last), doubt, with.report);
        }
        let settled = last.min(open - 1);
        for number in first..=settled {
            if self.readings.altered(number) {
                Self::altered(Span::one(number), doubt, with.report);
            } else if number == settled || !self.readings.altered(number + 1) {
                unlinked(Span::one(number + 1), with.report);
            }
        }
    }

    /// What no checkpoint has decided.
    fn settle_open(records: Span, doubt: &Doubt, report: &mut Report) {
        if doubt.vouched {
            unlinked(Span::new(records.first + 1, records.last + 1), report);
        } else {
            Self::altered(records, doubt, report);
        }
    }

    fn altered(records: Span, doubt: &Doubt, report: &mut Report) {
        let message = "the bytes are not those that the record after it names";
        let mut finding = Finding::new(FindingKind::ContentMismatch, message).records(records);
        doubt.notes.iter().for_each(|note| finding.note(note));
        if records.count() > 1 {
            finding.note(format!(
                "record {} was altered; the others were, or only look so because the record after \
                 each is altered",
                records.last
            ));
        }
        report.add(finding);
    }
}

/// What judging needs beside the chain.
pub(super) struct With<'a> {
    pub(super) streams: &'a mut Streams,
    pub(super) checkpoints: &'a mut Checkpoints,
    pub(super) report: &'a mut Report,
}

impl With<'_> {
    fn hear(&mut self, record: &Record) {
        let (identity, recovery) = (record.identity.as_deref(), record.recovery.as_deref());
        self.checkpoints.lineage.hear(identity, recovery);
    }
}

fn unlinked(records: Span, report: &mut Report) {
    let message = "it does not name the record before it, and both are as they were stored";
    if !report.note_mismatch(records.first, "it does not name the record before it") {
        report.add(Finding::new(FindingKind::LinkBroken, message).records(records));
    }
}

fn judgement(record: &Record, successor: Option<&Record>) -> Judgement {
    let claimed = successor.and_then(|successor| successor.previous);
    let successor_differs = successor.is_some_and(Record::differs_from_stored);
    let other = record.stored.filter(|stored| *stored != record.hash);
    match (other, claimed) {
        (None, None) => Judgement::Sound,
        (None, Some(claimed)) if claimed == record.hash => Judgement::Sound,
        (None, Some(_)) if record.stored.is_some() && successor_differs => Judgement::Sound,
        (None, Some(claimed)) => Judgement::Doubtful {
            claimed,
            vouched: record.stored.is_some(),
        },
        (Some(_), Some(claimed)) if claimed == record.hash && !successor_differs => {
            Judgement::StoreDamaged
        }
        (Some(stored), _) => Judgement::Altered(stored),
    }
}
