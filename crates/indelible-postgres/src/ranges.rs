//! What of a log is not as it should be, as ranges of records by table and column: one finding a
//! range, in bounded memory.

use std::collections::BTreeMap;

use indelible_event::ids::TenantId;
use indelible_proof::finding::{Finding, FindingKind, Span};

/// Ranges that are told of one column; what is beyond them is counted.
const RANGES_MAX: usize = 100;

/// A table and a column of it; of a table as a whole there is none.
pub(crate) type Where = (&'static str, &'static str);

/// Personal values as they are stored, which nothing makes again.
pub(crate) const VALUES: Where = ("personal", "value");

/// Records by where they are not as they should be.
#[derive(Default)]
pub(crate) struct Ranges(BTreeMap<Where, Noted>);

#[derive(Default)]
struct Noted {
    spans: Vec<Span>,
    left_out: u64,
}

impl Ranges {
    /// Takes a record, not before those that were taken.
    pub(crate) fn note(&mut self, at: Where, records: Span) {
        let Noted { spans, left_out } = self.0.entry(at).or_default();
        let goes_on = |last: &&mut Span| records.first <= last.last.saturating_add(1);
        if let Some(last) = spans.last_mut().filter(goes_on) {
            last.last = last.last.max(records.last);
        } else if spans.len() < RANGES_MAX {
            spans.push(records);
        } else {
            *left_out += records.count();
        }
    }

    /// Forgets what follows from something else.
    pub(crate) fn forget(&mut self, at: Where) {
        self.0.remove(&at);
    }

    /// A finding for each range, without the records of which the leaves are doubted.
    pub(crate) fn findings(self, tenant: &TenantId, doubted: &[Span]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, Noted { spans, left_out }) in self.0 {
            let spans = spans.into_iter().flat_map(|span| without(span, doubted));
            let of_it = spans.map(|span| finding(tenant, at).records(span));
            let before = findings.len();
            findings.extend(of_it);
            if left_out > 0
                && let Some(last) = findings.get_mut(before..).and_then(<[_]>::last_mut)
            {
                last.note(format!("and {left_out} records more behind these"));
            }
        }
        findings
    }
}

/// What is left of a range.
fn without(span: Span, doubted: &[Span]) -> Vec<Span> {
    let mut left = vec![span];
    for of in doubted {
        let cut = |span: Span| {
            let end = span.last.min(of.first.saturating_sub(1));
            let before = (span.first < of.first).then(|| Span::new(span.first, end));
            let start = span.first.max(of.last.saturating_add(1));
            let behind = (span.last > of.last).then(|| Span::new(start, span.last));
            before.into_iter().chain(behind)
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// That something of a log is not as it should be.
pub(crate) fn finding(tenant: &TenantId, (table, column): Where) -> Finding {
    let (kind, message) = match table {
        "personal" if column == VALUES.1 => (
            FindingKind::Corrupt,
            "stored personal values are not those that were written",
        ),
        "heads" => (
            FindingKind::DerivedDamaged,
            "the head is not that of the records",
        ),
        _ => (
            FindingKind::DerivedDamaged,
            "what is stored is not what follows from the leaves",
        ),
    };
    let mut place = format!("table indelible.{table}");
    if !column.is_empty() {
        place = format!("{place}, column {column}");
    }
    Finding::new(kind, message)
        .tenant(tenant.as_str())
        .place(place, 0..0)
}
