//! Findings: the named defects a verifier can report.
//!
//! What it is not: an error. A finding is the answer to a question that could be asked; what could
//! not be asked (a file that cannot be opened) is an error of the caller. One cause gives one
//! finding; what follows from it stands under it as notes. The list is `spec/chain.md` §6.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::limits::NOTES_MAX;

/// What kind of defect it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Records that must have existed are not there. Look for them in mirrors, exports and backups.
    MissingRecord,
    /// A record's bytes are not those that were committed. Compare it with mirrors and exports; the
    /// record before and after it still stand.
    ContentMismatch,
    /// A record does not name the record before it, and both are as they were stored: two histories
    /// were joined here. Find out where the later part came from.
    LinkBroken,
    /// All links hold, yet the records do not lead to the root of a checkpoint: the log was
    /// rewritten somewhere in the range. Compare with a mirror to find where.
    RootMismatch,
    /// A signature of a known key does not fit what it stands under. Get the checkpoint again from
    /// where it was published; if it stays so, it was forged or the key is another.
    BadSignature,
    /// A checkpoint vouches for more records than are there: the end was cut off. Restore the
    /// records from a mirror or backup; `indelible recover` if there is none.
    TruncatedTail,
    /// Two histories claim the same place: two signed checkpoints that cannot both hold, or two
    /// different records with one number. Keep both; this is proof against whoever signed.
    Forked,
    /// What is there is older than what was signed before: a backup was restored or a disk went
    /// back. Bring back the newer state, or run `indelible recover` to say what is lost.
    RolledBack,
    /// Bytes of a file are not those that were written, with the file and place. Restore that file
    /// from a backup, or get it again.
    Corrupt,
    /// Something that can be computed again is damaged: index, ids or tiles. Run `fsck --repair`.
    DerivedDamaged,
    /// A record commits to personal values that were not given and whose subject was not erased.
    /// Ask for the disclosures again, or for the record of the erasure.
    SealedValueMissing,
    /// Disclosed personal values are not those the record committed to. Do not believe the values.
    SealedValueMismatch,
    /// A producer gave one number of a stream to two events. Ask the producer; one of the two may
    /// have been withheld from somebody.
    StreamEquivocation,
    /// Numbers of a stream are missing and nobody declared them lost. Look for spools and dead
    /// letters of that producer.
    UndeclaredGap,
    /// The same record stands twice, or the line of its disclosures. Remove the second copy.
    DuplicateRecord,
    /// All records are there, or all lines of their disclosures, but not in their order. Sort them
    /// by sequence number.
    OutOfOrder,
    /// A record belongs to another tenant's log. Find out how it came here; check the other log.
    WrongTenant,
    /// A record is of a version this verifier does not know. Use a newer verifier.
    UnknownVersion,
    /// A record says it was committed before the record before it. The clock was moved or the
    /// record was made elsewhere; the links still hold.
    TimeRegression,
    /// Bytes that are no record stand in the place of one, committed so, or between records.
    BadLeaf,
    /// Two records have the same `audit_id`. The second should have been answered as a repeat.
    DuplicateAuditId,
    /// A checkpoint is of another log or another key. Give the right one.
    UnknownCheckpoint,
}

impl FindingKind {
    /// Every kind, in the order of the list in `spec/chain.md`.
    pub const ALL: [Self; 22] = [
        Self::MissingRecord,
        Self::ContentMismatch,
        Self::LinkBroken,
        Self::RootMismatch,
        Self::BadSignature,
        Self::TruncatedTail,
        Self::Forked,
        Self::RolledBack,
        Self::Corrupt,
        Self::DerivedDamaged,
        Self::SealedValueMissing,
        Self::SealedValueMismatch,
        Self::StreamEquivocation,
        Self::UndeclaredGap,
        Self::DuplicateRecord,
        Self::OutOfOrder,
        Self::WrongTenant,
        Self::UnknownVersion,
        Self::TimeRegression,
        Self::BadLeaf,
        Self::DuplicateAuditId,
        Self::UnknownCheckpoint,
    ];

    /// The name by which it is reported, in kebab case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MissingRecord => "missing-record",
            Self::ContentMismatch => "content-mismatch",
            Self::LinkBroken => "link-broken",
            Self::RootMismatch => "root-mismatch",
            Self::BadSignature => "bad-signature",
            Self::TruncatedTail => "truncated-tail",
            Self::Forked => "forked",
            Self::RolledBack => "rolled-back",
            Self::Corrupt => "corrupt",
            Self::DerivedDamaged => "derived-damaged",
            Self::SealedValueMissing => "sealed-value-missing",
            Self::SealedValueMismatch => "sealed-value-mismatch",
            Self::StreamEquivocation => "stream-equivocation",
            Self::UndeclaredGap => "undeclared-gap",
            Self::DuplicateRecord => "duplicate-record",
            Self::OutOfOrder => "out-of-order",
            Self::WrongTenant => "wrong-tenant",
            Self::UnknownVersion => "unknown-version",
            Self::TimeRegression => "time-regression",
            Self::BadLeaf => "bad-leaf",
            Self::DuplicateAuditId => "duplicate-audit-id",
            Self::UnknownCheckpoint => "unknown-checkpoint",
        }
    }

    /// Whether a record may have been committed whose word on streams nobody hears now.
    pub(crate) const fn silences(self) -> bool {
        matches!(
            self,
            Self::MissingRecord
                | Self::ContentMismatch
                | Self::LinkBroken
                | Self::RootMismatch
                | Self::TruncatedTail
                | Self::Forked
                | Self::RolledBack
                | Self::Corrupt
                | Self::WrongTenant
                | Self::UnknownVersion
        )
    }

    /// Whether the truth itself is untouched, so that `fsck --repair` mends it without loss.
    pub const fn repairable(self) -> bool {
        matches!(self, Self::DerivedDamaged)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Sequence numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// The last, not before the first.
    pub last: u64,
}

impl Span {
    /// One number.
    pub const fn one(number: u64) -> Self {
        Self {
            first: number,
            last: number,
        }
    }

    /// From `first` to `last`, both included.
    pub const fn new(first: u64, last: u64) -> Self {
        Self { first, last }
    }

    /// How many numbers, at least 1.
    pub const fn count(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether `number` is in it.
    pub const fn contains(self, number: u64) -> bool {
        self.first <= number && number <= self.last
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{} to {}", self.first, self.last)
        }
    }
}

/// `1 record`, `4 records`.
pub fn records(count: u64) -> String {
    let word = if count == 1 { "record" } else { "records" };
    format!("{count} {word}")
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path of the file, as people know it.
    pub file: String,
    /// First byte and the byte after the last.
    pub bytes: std::ops::Range<u64>,
}

impl Place {
    /// Whether there are bytes that are in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, other_bytes) = (&self.bytes, &other.bytes);
        self.file == other.file
            && (one == other_bytes
                || one.start.max(other_bytes.start) < one.end.min(other_bytes.end))
    }
}

/// `journal/3, bytes 100 to 160`; only the file where there are no bytes.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes.is_empty() {
            return f.write_str(&self.file);
        }
        write!(
            f,
            "{}, bytes {} to {}",
            self.file, self.bytes.start, self.bytes.end
        )
    }
}

/// One named defect: what, whose, where, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which defect.
    pub kind: FindingKind,
    /// Whose log, when it concerns one.
    pub tenant_id: Option<String>,
    /// The records it is about, when it is about records.
    pub records: Option<Span>,
    /// The bytes it is about, when a file is damaged.
    pub place: Option<Place>,
    /// What was found, without the kind, lower case, no full stop.
    pub message: String,
    /// What follows from it or speaks for it.
    pub notes: Vec<String>,
}

impl Finding {
    /// A finding with its sentence.
    pub fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            tenant_id: None,
            records: None,
            place: None,
            message,
            notes: Vec::new(),
        }
    }

    /// Says whose log it is about.
    #[must_use]
    pub fn tenant(mut self, tenant_id: &str) -> Self {
        self.tenant_id = Some(tenant_id.to_owned());
        self
    }

    /// Says which records it is about.
    #[must_use]
    pub fn records(mut self, records: Span) -> Self {
        self.records = Some(records);
        self
    }

    /// Says which bytes of which file it is about.
    #[must_use]
    pub fn place(mut self, file: impl Into<String>, bytes: std::ops::Range<u64>) -> Self {
        self.place = Some(Place {
            file: file.into(),
            bytes,
        });
        self
    }

    /// Adds a consequence or a circumstance, once; beyond the bound they are left out.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// `missing-record: acme 41 to 43: three records are not there`, then its notes, one a line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        match (&self.tenant_id, self.records) {
            (Some(tenant), Some(records)) => write!(f, "{tenant} {records}: ")?,
            (Some(tenant), None) => write!(f, "{tenant}: ")?,
            (None, Some(records)) => write!(f, "{records}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        self.notes
            .iter()
            .try_for_each(|note| write!(f, "\n  {note}"))
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(Place { file, bytes }) = &self.place {
            map.serialize_entry("bytes", &[bytes.start, bytes.end])?;
            map.serialize_entry("file", file)?;
        }
        map.serialize_entry("finding", self.kind.code())?;
        if let Some(Span { first, last }) = self.records {
            map.serialize_entry("first", &first)?;
            map.serialize_entry("last", &last)?;
        }
        map.serialize_entry("message", &self.message)?;
        if !self.notes.is_empty() {
            map.serialize_entry("notes", &self.notes)?;
        }
        if let Some(tenant) = &self.tenant_id {
            map.serialize_entry("tenant_id", tenant)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn codes_are_distinct_and_listed_in_the_spec() {
        let page = include_str!("../../../spec/chain.md");
        let mut codes: Vec<_> = FindingKind::ALL.iter().map(|kind| kind.code()).collect();
        for code in &codes {
            assert!(
                page.contains(&format!("`{code}`")),
                "{code} is not in spec/chain.md"
            );
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FindingKind::ALL.len());
    }

    #[test]
    fn sentence_and_json() {
        let mut finding = Finding::new(FindingKind::Corrupt, "the frame's checksum does not fit")
            .tenant("acme")
            .records(Span::new(4, 7))
            .place("journal/3", 100..160);
        finding.note("reading went on after it");
        assert_eq!(
            finding.to_string(),
            "corrupt: acme 4 to 7: the frame's checksum does not fit \
             (journal/3, bytes 100 to 160)\n  reading went on after it"
        );
        let json = serde_json::to_string(&finding).unwrap();
        assert_eq!(
            json,
            r#"{"bytes":[100,160],"file":"journal/3","finding":"corrupt","first":4,"last":7,"message":"the frame's checksum does not fit","notes":["reading went on after it"],"tenant_id":"acme"}"#
        );
    }
}
