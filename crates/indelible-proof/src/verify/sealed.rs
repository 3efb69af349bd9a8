//! Commitments whose values were not given: excused when their subject was erased, else a finding.

use std::collections::BTreeSet;

use super::report::Report;
use crate::finding::{Finding, FindingKind, Span};
use crate::limits::UNDISCLOSED_MAX;

/// Records with commitments that no disclosures were given for, until all erasures are known.
#[derive(Debug, Default)]
pub(super) struct Undisclosed {
    waiting: Vec<(Span, String)>,
    erased: BTreeSet<String>,
    left_out: u64,
}

impl Undisclosed {
    pub(super) fn take(&mut self, number: u64, undisclosed: Vec<String>, erased: Vec<String>) {
        self.erased.extend(erased);
        for subject in undisclosed {
            if let Some((span, last)) = self.waiting.last_mut()
                && *last == subject
                && span.last + 1 == number
            {
                span.last = number;
            } else if self.waiting.len() < UNDISCLOSED_MAX {
                self.waiting.push((Span::one(number), subject));
            } else {
                self.left_out += 1;
            }
        }
    }

    pub(super) fn report(&self, report: &mut Report) {
        report.leave_out(self.left_out);
        for (span, subject) in &self.waiting {
            if !self.erased.contains(subject) {
                let message = format!("no values were given for {subject}, who was not erased");
                let finding = Finding::new(FindingKind::SealedValueMissing, message);
                report.add(finding.records(*span));
            }
        }
    }
}
