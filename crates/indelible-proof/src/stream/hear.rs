//! Streams out of whole records, and what a ledger asks of them beside verdicts: which numbers are
//! there, what of them its own coverage does not state yet, and figures.
//!
//! What it is not: a verifier. Whoever hands records over has seen that they are those that were
//! committed. Source: `spec/stream.md`.

use super::epoch::Epoch;
use super::statement::{Said, Statement};
use super::verdict::StreamTail;
use super::{EpochId, Streams};
use crate::finding::Span;
use crate::limits::STREAMS_BYTES_MAX;
use crate::tail::{RECORD_VERSION, Tail};
use crate::verify::recovery::recovery;

/// The types, with what ends them, of records from which nothing is concluded when they claim no
/// number: statements about streams, and what only the ledger writes about the log as such.
pub(crate) const SAYS_NO_NUMBER: &[&[u8]] = &[
    b"stream.opened\"",
    b"stream.lost\"",
    b"stream.ended\"",
    b"stream.coverage\"",
    b"log.created\"",
    b"log.recovered\"",
    b"privacy.erased\"",
];

/// Numbers that are there and that no `stream.coverage` states yet, with their neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// The stream.
    pub stream: String,
    /// Its epoch.
    pub epoch: u64,
    /// Whole ranges of numbers that are there, those in which something is not stated yet.
    pub ranges: Vec<Span>,
}

/// Sums over the streams of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Numbers that are there.
    pub received: u64,
    /// Numbers declared lost and not there.
    pub lost: u64,
    /// Numbers missing without a word.
    pub missing: u64,
    /// Epochs that broke off.
    pub unclean: u64,
}

impl Streams {
    /// Takes a record of the log: its claim, and what it states. `false` when the bytes are no
    /// record.
    pub fn hear(&mut self, leaf: &[u8]) -> bool {
        let Ok(tail) = Tail::scan(leaf) else {
            return false;
        };
        if tail.record_version != RECORD_VERSION {
            return false;
        }
        let heard = tail.ingested_at;
        let says_no_number = tail.has_type(leaf, SAYS_NO_NUMBER);
        if let Some(claim) = tail.claim(leaf) {
            let epoch = self.locate(&claim);
            self.claim(epoch, claim.number, heard);
            self.spoken_by(epoch, leaf, &tail);
        } else if !says_no_number {
            self.unnumbered(heard);
        }
        if says_no_number && let Some(event) = leaf.get(tail.event.clone()) {
            if let Some(statement) = Statement::parse(event) {
                let epoch = match statement.said {
                    // The ledger's own.
                    Said::Coverage { .. } => None,
                    _ => self.locate_name(&statement.stream, statement.epoch),
                };
                self.state(statement, heard);
                self.spoken_by(epoch, leaf, &tail);
            }
            if recovery(event, tail.sequence_number, heard).is_some() {
                self.recovered();
            }
        }
        true
    }

    /// Notes who spoke for a stream.
    fn spoken_by(&mut self, epoch: Option<EpochId>, leaf: &[u8], tail: &Tail<'_>) {
        if let Some(epoch) = epoch.and_then(|id| self.epochs.get_mut(id.0)) {
            let credential = tail.submitted_by(leaf).unwrap_or_default();
            epoch.spoken_by(&credential, &mut self.room);
        }
    }

    /// What is kept takes about so many bytes.
    pub fn bytes(&self) -> usize {
        STREAMS_BYTES_MAX - self.room
    }

    /// Who spoke for the producer in an epoch, the first first, at most
    /// [`crate::limits::STREAM_CREDENTIALS_MAX`]; empty is nobody's credential.
    pub fn credentials(&self, stream: &str, epoch: u64) -> &[String] {
        self.known(stream, epoch)
            .map_or(&[], |epoch| epoch.credentials.as_slice())
    }

    /// Which of these numbers are there.
    pub fn received(&self, stream: &str, epoch: u64, numbers: Span) -> Vec<Span> {
        self.known(stream, epoch)
            .map_or(Vec::new(), |epoch| epoch.received().within(numbers))
    }

    fn known(&self, stream: &str, epoch: u64) -> Option<&Epoch> {
        let at = self.by_name.get(stream)?.get(&epoch)?;
        self.epochs.get(*at)
    }

    /// What is there and not stated, of epochs of which nothing was stated, or heard first, on
    /// `today` or later (`YYYY-MM-DD`); without a day, of all.
    pub fn uncovered(&self, today: Option<&str>) -> Vec<Uncovered> {
        let due = |epoch: &&Epoch| {
            let day = epoch.stated_at.get(..10).unwrap_or_default();
            today.is_none_or(|today| day < today)
        };
        let mut uncovered: Vec<_> = self
            .epochs
            .iter()
            .filter(due)
            .filter_map(|epoch| {
                let received = epoch.received();
                let open = |span: &&Span| {
                    let stated = epoch.covered.within(**span);
                    stated.first() != Some(*span)
                };
                let ranges: Vec<Span> = received.spans().iter().filter(open).copied().collect();
                let (stream, number) = (epoch.stream.clone(), epoch.epoch);
                (!ranges.is_empty()).then_some(Uncovered {
                    stream,
                    epoch: number,
                    ranges,
                })
            })
            .collect();
        uncovered.sort_unstable_by(|a, b| (&a.stream, a.epoch).cmp(&(&b.stream, b.epoch)));
        uncovered
    }

    /// The sums.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let sum = |spans: &mut dyn Iterator<Item = Span>| {
            spans.fold(0_u64, |sum, span| sum.saturating_add(span.count()))
        };
        for epoch in self.epochs.iter().filter(|epoch| epoch.spoke()) {
            let received = sum(&mut epoch.received().spans().iter().copied());
            figures.received = figures.received.saturating_add(received);
        }
        for verdict in self.verdicts() {
            let lost = sum(&mut verdict.lost.iter().map(|loss| loss.span));
            let missing = sum(&mut verdict.gaps.iter().copied());
            figures.lost = figures.lost.saturating_add(lost);
            figures.missing = figures.missing.saturating_add(missing);
            figures.unclean += u64::from(verdict.tail == StreamTail::Unclean);
        }
        figures
    }
}
