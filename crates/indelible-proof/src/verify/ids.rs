//! Finding `audit_id`s that stand twice.
//!
//! Ids are collected and sorted at the end: exact, 24 bytes each, at most [`AUDIT_IDS_MAX`]; the
//! verdict says how many were compared.

use std::collections::BTreeSet;

use super::record::format_uuid;
use super::report::Report;
use crate::finding::{Finding, FindingKind, Span};
use crate::limits::{AUDIT_IDS_MAX, FINDINGS_MAX};

#[derive(Debug, Default)]
pub(super) struct AuditIds {
    ids: Vec<([u64; 2], u64)>,
}

impl AuditIds {
    pub(super) fn add(&mut self, id: [u8; 16], number: u64) {
        if self.ids.len() < AUDIT_IDS_MAX {
            let half = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&id[at..at + 8]);
                u64::from_be_bytes(bytes)
            };
            self.ids.push(([half(0), half(8)], number));
        }
    }

    pub(super) fn compared(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Reports ids that stand twice and gives the numbers of the later records.
    pub(super) fn report(&mut self, report: &mut Report) -> BTreeSet<u64> {
        self.ids.sort_unstable();
        let mut repeated = BTreeSet::new();
        for pair in self.ids.windows(2) {
            let [(id, first), (again, later)] = [pair[0], pair[1]];
            if id == again && repeated.len() >= FINDINGS_MAX {
                report.leave_out(1);
            } else if id == again {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&id[0].to_be_bytes());
                bytes[8..].copy_from_slice(&id[1].to_be_bytes());
                let message = format!("record {first} has the same id {}", format_uuid(&bytes));
                let finding = Finding::new(FindingKind::DuplicateAuditId, message);
                report.add(finding.records(Span::one(later)));
                repeated.insert(later);
            }
        }
        repeated
    }
}
