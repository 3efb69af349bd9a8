//! Collecting findings: neighbours of one kind become one finding, consequences go under their
//! cause.

use crate::finding::{Finding, FindingKind, Span};
use crate::limits::FINDINGS_MAX;

/// The findings of one log so far.
#[derive(Debug)]
pub(super) struct Report {
    tenant_id: String,
    findings: Vec<Finding>,
    left_out: u64,
}

impl Report {
    pub(super) fn new(tenant_id: &str) -> Self {
        Self {
            tenant_id: tenant_id.to_owned(),
            findings: Vec::new(),
            left_out: 0,
        }
    }

    pub(super) fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    /// Adds a finding; one that goes on where an equal one ended, or ends where it began, extends
    /// it.
    pub(super) fn add(&mut self, finding: Finding) {
        let finding = finding.tenant(&self.tenant_id);
        if finding.kind == FindingKind::ContentMismatch && self.note_fork(&finding) {
            return;
        }
        let goes_on = |old: &&mut Finding| {
            old.kind == finding.kind
                && old.place.is_none()
                && matches!((old.records, finding.records), (Some(a), Some(b))
                    if a.last.checked_add(1) == Some(b.first)
                        || b.last.checked_add(1) == Some(a.first)
                        || (a == b && old.message == finding.message))
        };
        if let Some(old) = self.findings.iter_mut().rev().take(8).find(goes_on) {
            if let (Some(a), Some(b)) = (old.records, finding.records) {
                old.records = Some(Span::new(a.first.min(b.first), a.last.max(b.last)));
            }
            finding.notes.into_iter().for_each(|note| old.note(note));
        } else if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Where there are two of a record, that one is not the committed one is the same cause.
    fn note_fork(&mut self, mismatch: &Finding) -> bool {
        let of_it = |old: &&mut Finding| {
            old.kind == FindingKind::Forked
                && matches!((old.records, mismatch.records), (Some(a), Some(b))
                    if a.first <= b.first && b.last <= a.last)
        };
        let fork = self.findings.iter_mut().find(of_it);
        fork.is_some_and(|fork| {
            fork.note(format!("of the first of them: {}", mismatch.message));
            true
        })
    }

    /// Adds findings, if there are any.
    pub(super) fn add_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }

    /// Adds a finding about one record, unless one that explains it is there; what was found of its
    /// values goes under it.
    pub(super) fn add_cause(&mut self, mut finding: Finding) {
        let of_values = |old: &Finding| {
            let kinds = [
                FindingKind::SealedValueMismatch,
                FindingKind::SealedValueMissing,
            ];
            kinds.contains(&old.kind) && old.records == finding.records
        };
        let (under, others): (Vec<_>, _) = std::mem::take(&mut self.findings)
            .into_iter()
            .partition(of_values);
        self.findings = others;
        let number = finding.records.map_or(0, |records| records.first);
        let explains = |old: &Finding| old.records.is_some_and(|of| of.contains(number));
        if self.findings.iter().any(explains) {
            self.findings.extend(under);
            return;
        }
        for old in under {
            finding.note(old.message);
        }
        self.add(finding);
    }

    /// Puts one finding in the place of all about disclosed values, where there are several.
    pub(super) fn one_for_all_values(&mut self, finding: Finding) {
        let is_mismatch = |finding: &Finding| finding.kind == FindingKind::SealedValueMismatch;
        let is_of_values = |finding: &Finding| {
            is_mismatch(finding) || finding.kind == FindingKind::SealedValueMissing
        };
        let of_values = self.findings.iter().filter(|finding| is_of_values(finding));
        if of_values.count() > 1 && self.findings.iter().any(is_mismatch) {
            self.findings.retain(|finding| !is_of_values(finding));
            self.add(finding);
        }
    }

    /// Counts findings that a bound kept from being listed.
    pub(super) fn leave_out(&mut self, count: u64) {
        self.left_out += count;
    }

    /// Adds a note under the last finding that says that records in `span` are not as they were
    /// committed; `false` when there is none.
    pub(super) fn note_within(&mut self, span: Span, note: &str) -> bool {
        let explains = |finding: &&mut Finding| {
            let records = finding.records;
            let meets = |of: Span| of.first <= span.last && span.first <= of.last;
            records.is_some_and(meets)
                && matches!(
                    finding.kind,
                    FindingKind::MissingRecord
                        | FindingKind::ContentMismatch
                        | FindingKind::LinkBroken
                        | FindingKind::RootMismatch
                        | FindingKind::OutOfOrder
                        | FindingKind::Corrupt
                        | FindingKind::Forked
                        | FindingKind::TruncatedTail
                )
        };
        let cause = self.findings.iter_mut().rev().find(explains);
        cause.is_some_and(|finding| {
            finding.note(note);
            true
        })
    }

    /// Adds a note where record `number` was found not to be the one committed.
    pub(super) fn note_mismatch(&mut self, number: u64, note: &str) -> bool {
        let cause = self.findings.iter_mut().find(|finding| {
            finding.kind == FindingKind::ContentMismatch
                && finding
                    .records
                    .is_some_and(|records| records.contains(number))
        });
        cause.is_some_and(|finding| {
            finding.note(note);
            true
        })
    }

    /// The findings in order of place, then kind; and how many more there were.
    pub(super) fn finish(mut self) -> (Vec<Finding>, u64) {
        self.findings.sort_by_key(|finding| {
            (
                finding.records.map_or(u64::MAX, |records| records.first),
                finding.kind,
            )
        });
        (self.findings, self.left_out)
    }
}
