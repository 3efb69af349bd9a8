//! The verifier of a whole log, or of a part: leaves in, findings and verdicts out.
//!
//! It streams: memory is bounded by [`crate::limits`], whatever the log. It believes nothing but
//! the leaves' bytes and the checkpoints it is given; hashes that a store keeps are compared, not
//! trusted. One cause gives one finding. What it is not: input, or the choice of keys.
//!
//! Source: `spec/chain.md` §5 and §6.

mod chain;
mod checkpoints;
mod ids;
mod order;
mod readings;
mod record;
pub(crate) mod recovery;
mod report;
mod sealed;
mod verdict;

pub use checkpoints::{Anchor, Trust};
pub use record::Expected;
pub use recovery::Recovery;
pub use verdict::{LogIdentity, Verdict, VerifiedHead};

use std::collections::BTreeMap;

use indelible_event::{LeafView, Ledger};
use indelible_merkle::{Frontier, Hash};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::damage::Damages;
use crate::disclosure::DisclosureLine;
use crate::finding::{Finding, FindingKind, Place, Span};
use crate::limits::{DISCLOSURES_MAX, FINDINGS_MAX};
use crate::note::VerifierKey;
use crate::stream::Streams;
use chain::{Chain, With};
use checkpoints::Checkpoints;
use order::{Order, Step};
use record::Record;
use report::Report;

/// Where verification starts.
#[derive(Debug, Clone)]
pub struct Start {
    /// Number of the first record.
    pub number: u64,
    /// Hash of the record before it, if it is known.
    pub last_hash: Option<Hash>,
    /// The tree before it, if it is known; without it no root can be compared.
    pub tree: Option<Frontier>,
}

impl Start {
    /// The beginning of a log.
    pub const fn beginning() -> Self {
        Self {
            number: 0,
            last_hash: Some(Hash::ZERO),
            tree: Some(Frontier::new()),
        }
    }
}

/// Leaves one after the other that are no records and say no number.
#[derive(Debug)]
struct Unplaced {
    first: Record,
    count: u64,
}

/// Verifies one tenant's log from a stream of leaves.
#[derive(Debug)]
pub struct LogVerifier {
    start: u64,
    order: Order,
    chain: Chain,
    streams: Streams,
    checkpoints: Checkpoints,
    report: Report,
    records_checked: u64,
    /// The last record in order, and its number.
    last: (u64, Vec<u8>),
    stubs: u64,
    checked: Option<Span>,
    disclosures: Option<BTreeMap<u64, Vec<DisclosureLine>>>,
    /// The next record, if no disclosures of it are to be expected.
    excused: Option<u64>,
    /// Bytes that are no record and say no number: in the place of the next record, or before it.
    unplaced: Option<Unplaced>,
    /// What cannot be read, by where it stood.
    damages: Damages,
    /// What of them stands in nobody's place: where, and how many.
    stretches: Vec<(Span, String)>,
}

impl LogVerifier {
    /// Verifies the log of `tenant_id` from its beginning.
    pub fn new(tenant_id: &str) -> Self {
        Self::starting_at(tenant_id, &Start::beginning())
    }

    /// Verifies a part of a log, or goes on where an earlier run ended.
    pub fn starting_at(tenant_id: &str, start: &Start) -> Self {
        Self {
            start: start.number,
            order: Order::new(start.number),
            chain: Chain::new(start),
            streams: Streams::new(),
            checkpoints: Checkpoints::default(),
            report: Report::new(tenant_id),
            records_checked: 0,
            last: (0, Vec::new()),
            stubs: 0,
            checked: None,
            disclosures: None,
            excused: None,
            unplaced: None,
            damages: Damages::default(),
            stretches: Vec::new(),
        }
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_expecting(leaf, Expected::default());
    }

    /// Takes the next leaf with what the store knows about it.
    pub fn push_expecting(&mut self, leaf: &[u8], expected: Expected) {
        let position = self.order.next();
        let with = (self.report.tenant_id(), &mut self.streams);
        let mut record = Record::read(leaf, expected, position, with);
        if record.number != position {
            if record.previous.is_some() && record.previous == self.chain.last_hash() {
                // It links to the last record, so it is the next one, whatever number it says.
                record.misnumbered(position);
            } else if expected.sequence_number.is_none() {
                record.doubt_form(leaf);
            }
        }
        let excused = self.excused.take() == Some(record.number);
        let expected = record.placed && !excused;
        if let Some(lines) = self.disclosures.as_mut().filter(|_| expected) {
            let lines = lines.remove(&record.number).unwrap_or_default();
            record.check_disclosures(leaf, self.report.tenant_id(), lines);
        }
        self.records_checked += 1;
        if record.placed {
            self.place(record.number);
            if record.number >= self.last.0 {
                self.last.0 = record.number;
                self.last.1.clear();
                self.last.1.extend_from_slice(leaf);
            }
        } else {
            record.number = self.order.next();
        }
        let number = record.number;
        let span = self.checked.get_or_insert(Span::one(number));
        *span = Span::new(span.first.min(number), span.last.max(number));
        if record.placed {
            self.take(record);
        } else if let Some(unplaced) = &mut self.unplaced {
            unplaced.count += 1;
        } else {
            self.unplaced = Some(Unplaced {
                first: record,
                count: 1,
            });
        }
    }

    /// Takes the next record as a stub: pruned, only its hash is there.
    pub fn push_stub(&mut self, record_hash: Hash) {
        self.stubs += 1;
        self.place(self.order.next() + 1);
        self.take(Record::stub(self.order.next(), record_hash));
    }

    /// Says that these records are there but cannot be read, and where the damage is.
    pub fn unreadable(&mut self, records: Span, place: &Place) {
        if self.has_room_for_damage() {
            self.damages.records(records, place);
        }
        self.place(records.first);
        self.order.skip(records);
        self.drain();
    }

    /// Says that a personal value of the next record, `number`, cannot be read, and where it stood.
    /// Disclosures of that record are not expected then; the record itself is not concerned.
    pub fn damaged_value(&mut self, number: u64, place: &Place) {
        self.excused = Some(number);
        if self.has_room_for_damage() {
            self.damages.values(number, place);
        }
    }

    fn has_room_for_damage(&mut self) -> bool {
        let room = self.damages.len() < FINDINGS_MAX;
        self.report.leave_out(u64::from(!room));
        room
    }

    /// Notes a signed checkpoint of this log, to be compared when its size passes. Must be given
    /// before the record at its size; `false` when it came too late to be compared.
    ///
    /// A signature that does not hold is the finding `bad-signature`, another log's or key's
    /// checkpoint `unknown-checkpoint`.
    pub fn checkpoint(
        &mut self,
        signed: &SignedCheckpoint,
        key: &VerifierKey,
        trust: Trust,
    ) -> bool {
        match signed.verify(key) {
            Ok(checkpoint) => self.note_checkpoint(checkpoint.clone(), trust),
            Err(why) => {
                let kind = match why {
                    CheckpointError::Note(crate::note::NoteError::BadSignature(_)) => {
                        FindingKind::BadSignature
                    }
                    _ => FindingKind::UnknownCheckpoint,
                };
                self.report.add(Finding::new(kind, why.to_string()));
                true
            }
        }
    }

    /// Notes the head that the store itself keeps: it finds damage, but anchors nothing.
    pub fn stored_head(&mut self, size: u64, root: Hash) -> bool {
        self.note_checkpoint(
            Checkpoint {
                origin: String::new(),
                size,
                root,
            },
            Trust::Store,
        )
    }

    fn note_checkpoint(&mut self, checkpoint: Checkpoint, trust: Trust) -> bool {
        let size = checkpoint.size;
        let untouched = self.records_checked + self.stubs == 0 && self.chain.size == self.start;
        let first = if untouched {
            self.start
        } else {
            self.chain.appended() + 1
        };
        let noted = self
            .checkpoints
            .add(checkpoint, trust, first, &mut self.report);
        if noted && untouched && size == self.start {
            self.checkpoints.passed(size, &mut self.chain.readings);
        }
        noted
    }

    /// Says that disclosures are given for this log: commitments without any are then a finding.
    pub fn expect_disclosures(&mut self) {
        self.disclosures.get_or_insert_default();
    }

    /// Whether [`LogVerifier::disclosures`] takes more of them before records come.
    pub fn has_room(&self) -> bool {
        let waiting = self.disclosures.as_ref();
        waiting.is_none_or(|waiting| waiting.len() < DISCLOSURES_MAX)
    }

    /// Takes disclosures; they should come before their record. `false` when too many are waiting.
    pub fn disclosures(&mut self, line: DisclosureLine) -> bool {
        let waiting = self.disclosures.get_or_insert_default();
        if waiting.len() >= DISCLOSURES_MAX {
            return false;
        }
        waiting.entry(line.sequence_number).or_default().push(line);
        true
    }

    /// Says that lines of disclosures cannot be read and where they stand: behind that of record
    /// `between.first` and before that of `between.last` (the most there can be at the end).
    pub fn unreadable_disclosures(&mut self, between: Span, place: Place, message: &str) {
        self.disclosures.get_or_insert_default();
        self.chain.sealed.unread(between, place, message);
    }

    /// Ends verification.
    pub fn finish(mut self) -> Verdict {
        let next = self.order.next();
        // What a checkpoint says to follow decides whether they stand for one record or several.
        self.place(self.checkpoints.vouched().unwrap_or(0).max(next + 1));
        self.order.finish();
        self.drain();
        let Self {
            order,
            mut chain,
            mut streams,
            mut checkpoints,
            mut report,
            ..
        } = self;
        // Before all that may follow from it.
        report.add_all(self.damages.findings());
        let mut with = With {
            streams: &mut streams,
            checkpoints: &mut checkpoints,
            report: &mut report,
        };
        chain.finish(&mut with);
        order.report(&mut report);
        checkpoints.finish(self.start, chain.size, &mut report);
        for (span, message) in self.stretches {
            if !report.note_within(span, &message) {
                report.add(Finding::new(FindingKind::BadLeaf, message).records(span));
            }
        }
        let waiting = self.disclosures.unwrap_or_default().into_values();
        waiting.flatten().for_each(|line| chain.sealed.stray(line));
        std::mem::take(&mut chain.sealed).report(chain.size, &mut report);
        let (number, leaf) = &self.last;
        if number + 1 == chain.size
            && !checkpoints.vouch_for(chain.size)
            && let Err(why) = LeafView::parse(leaf).and_then(|leaf| Ledger::parse(leaf.ledger()))
        {
            // No hash vouches for it, and it cannot have been written so.
            let message = format!("these bytes are no record: {why}");
            let finding = Finding::new(FindingKind::BadLeaf, message);
            report.add_cause(finding.records(Span::one(*number)));
        }
        let tenant_id = report.tenant_id().to_owned();
        let (integrity, findings_left_out) = report.finish();
        if findings_left_out > 0 || integrity.iter().any(|it| it.kind.silences()) {
            streams.broken();
        }
        let lineage = checkpoints.lineage;
        Verdict {
            tenant_id,
            integrity,
            findings_left_out,
            completeness: streams.verdicts(),
            records_checked: self.records_checked,
            stubs: self.stubs,
            checked: self.checked,
            audit_ids_compared: chain.ids.compared(),
            head: VerifiedHead {
                size: chain.size,
                root: chain.readings.root(),
                last_hash: chain.last_hash(),
            },
            anchored: checkpoints.anchor,
            incarnation: lineage.incarnation(),
            recoveries: lineage.recoveries,
            identity: lineage.identity,
        }
    }

    /// Decides about bytes that are no record, now that the next record is known. When that has the
    /// number they would have had, they stood before it and in nobody's place; when just one is
    /// left out, they are what became of it.
    fn place(&mut self, next: u64) {
        let awaited = |unplaced: &mut Unplaced| unplaced.first.number <= next;
        let Some(Unplaced { first, count }) = self.unplaced.take_if(awaited) else {
            return;
        };
        let number = first.number;
        if number == next {
            for defect in first.defects {
                let finding = Finding::new(defect.kind, defect.message);
                self.report.add(finding.records(Span::one(next)));
            }
            return;
        }
        let span = Span::new(number, next - 1);
        if count > 1 || span.count() > 1 {
            let note = if count == 1 {
                "1 line there that is no record".to_owned()
            } else {
                format!("{count} lines there that are no records")
            };
            if self.stretches.len() < FINDINGS_MAX {
                self.stretches.push((span, note));
            } else {
                self.report.leave_out(1);
            }
        }
        if span.count() == 1 {
            self.take(first);
        }
    }

    fn take(&mut self, record: Record) {
        if self.order.is_next(record.number) {
            self.order.passed(record.hash);
            self.deliver(record);
        } else {
            self.order.offer(record, &mut self.report);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(step) = self.order.step() {
            match step {
                Step::Record(record) => self.deliver(*record),
                Step::Gap(span) => {
                    let Self {
                        chain,
                        streams,
                        checkpoints,
                        report,
                        ..
                    } = self;
                    chain.gap(
                        span,
                        &mut With {
                            streams,
                            checkpoints,
                            report,
                        },
                    );
                }
            }
        }
    }

    fn deliver(&mut self, record: Record) {
        let Self {
            order,
            chain,
            streams,
            checkpoints,
            report,
            ..
        } = self;
        let claim = chain.record(
            record,
            &mut With {
                streams,
                checkpoints,
                report,
            },
        );
        if let Some((number, hash)) = claim {
            order.remember_claim(number, hash);
        }
    }
}
