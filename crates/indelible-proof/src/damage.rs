//! Damage of one log, collected by place as the log is read: one place is one finding, whatever
//! leans on what stood there, and places of a file that held consecutive records are one place.
//!
//! What it is not: reading, or finding out where the damage is. Whoever reads a log feeds it, so
//! that all who do name the same records.

use std::collections::BTreeMap;

use crate::finding::{Finding, FindingKind, Place, Span};

/// The damaged places of one log.
#[derive(Debug, Default)]
pub struct Damages {
    /// By file, first byte and the byte after the last.
    places: BTreeMap<(String, u64, u64), Met>,
}

/// What was met at one place.
#[derive(Debug, Default)]
struct Met {
    /// Records that cannot be read.
    records: Option<Counted>,
    /// Records of which personal values cannot be read.
    values: Option<Counted>,
}

impl Met {
    /// Whether all records of both are lost, those of `next` right behind those of this one, so
    /// that none between them could be read.
    fn goes_on_with(&self, next: &Self) -> bool {
        let whole = |met: &Self| {
            let records = met.records.as_ref().filter(|_| met.values.is_none());
            records
                .filter(|r| r.count == r.span.count())
                .map(|r| r.span)
        };
        matches!((whole(self), whole(next)), (Some(a), Some(b)) if a.last + 1 == b.first)
    }
}

/// From which record to which, and how many of these.
#[derive(Debug)]
struct Counted {
    span: Span,
    count: u64,
}

impl Counted {
    fn more(known: &mut Option<Self>, span: Span) {
        let one = known.get_or_insert(Self { span, count: 0 });
        one.span = Span::new(one.span.first.min(span.first), one.span.last.max(span.last));
        one.count += span.count();
    }

    /// `message`, and how many of the records when it is not all.
    fn said(&self, message: &str) -> String {
        if self.count < self.span.count() {
            format!("{message}: of {} of these records", self.count)
        } else {
            message.to_owned()
        }
    }
}

impl Damages {
    /// Whether nothing was met.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many places were met.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes records that cannot be read, and where they stood.
    pub fn records(&mut self, span: Span, place: &Place) {
        Counted::more(&mut self.at(place).records, span);
    }

    /// Takes a record that can be read, and where a personal value of it stood that cannot.
    pub fn values(&mut self, number: u64, place: &Place) {
        Counted::more(&mut self.at(place).values, Span::one(number));
    }

    fn at(&mut self, place: &Place) -> &mut Met {
        let key = (place.file.clone(), place.bytes.start, place.bytes.end);
        self.places.entry(key).or_default()
    }

    /// The places in their order, those of a file as one that held consecutive records: a file that
    /// was cut short or exchanged is one cause.
    fn joined(self) -> Vec<((String, u64, u64), Met)> {
        let mut joined: Vec<((String, u64, u64), Met)> = Vec::new();
        for ((file, from, to), met) in self.places {
            if let Some(((before, _, end), known)) = joined.last_mut()
                && *before == file
                && known.goes_on_with(&met)
                && let (Some(known), Some(more)) = (&mut known.records, &met.records)
            {
                (known.span.last, known.count) = (more.span.last, known.count + more.count);
                *end = to.max(*end);
            } else {
                joined.push(((file, from, to), met));
            }
        }
        joined
    }

    /// One finding a place, without the tenant, in the order of the places.
    pub fn findings(self) -> impl Iterator<Item = Finding> {
        self.joined()
            .into_iter()
            .filter_map(|((file, from, to), met)| {
                let whole = "the stored bytes are not those that were written";
                let values = "stored personal values are not those that were written";
                let (counted, message) = match (&met.records, &met.values) {
                    (Some(records), _) => (records, whole),
                    (None, Some(records)) => (records, values),
                    (None, None) => return None,
                };
                let mut finding = Finding::new(FindingKind::Corrupt, counted.said(message))
                    .records(counted.span)
                    .place(file, from..to);
                if let (Some(_), Some(values)) = (&met.records, &met.values) {
                    finding.note(format!(
                        "{} more records, up to {}, have personal values that stood there",
                        values.count, values.span.last
                    ));
                }
                Some(finding)
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn place(bytes: std::ops::Range<u64>) -> Place {
        let file = "journal/0".to_owned();
        Place { file, bytes }
    }

    #[test]
    fn places_of_consecutive_records_are_one_place() {
        let of = |places: &[(u64, u64, u64, u64)]| {
            let mut damages = Damages::default();
            for &(from, to, first, last) in places {
                damages.records(Span::new(first, last), &place(from..to));
            }
            let findings = damages.findings();
            let told: Vec<_> = findings.map(|f| (f.records, f.place)).collect();
            told
        };
        let whole = (Some(Span::new(4, 9)), Some(place(10..40)));
        assert_eq!(
            of(&[(10, 20, 4, 5), (22, 30, 6, 6), (33, 40, 7, 9)]),
            [whole]
        );
        assert_eq!(of(&[(10, 20, 4, 5), (22, 30, 7, 8)]).len(), 2, "record 6");
    }

    #[test]
    fn one_place_is_one_finding() {
        let mut damages = Damages::default();
        assert!(damages.is_empty());
        damages.values(3, &place(50..60));
        damages.records(Span::new(4, 5), &place(10..20));
        damages.records(Span::new(6, 7), &place(10..20));
        damages.values(9, &place(50..60));
        damages.values(12, &place(10..20));
        assert_eq!(damages.len(), 2);
        let findings: Vec<_> = damages.findings().collect();
        let [frame, row] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert_eq!(frame.records, Some(Span::new(4, 7)));
        assert_eq!(frame.place, Some(place(10..20)));
        assert_eq!(
            frame.notes,
            ["1 more records, up to 12, have personal values that stood there"]
        );
        assert_eq!(row.records, Some(Span::new(3, 9)));
        assert!(row.message.ends_with(": of 2 of these records"), "{row}");
    }
}
