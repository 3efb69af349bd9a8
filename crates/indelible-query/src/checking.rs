//! Whether a body is what was asked for.
//!
//! Terms are taken out of an event only for conditions that look at them: it is most of the work.

use indelible_event::ids::AuditId;
use indelible_event::{EventView, Field, LeafView};
use indelible_store::{Expr, StoredRecord, Subject, Terms, terms};

/// A condition that bodies are checked against, with room for what is taken out of one.
pub(crate) struct Checking<'a> {
    expr: &'a Expr,
    looks_at_terms: bool,
    terms: Terms,
    numbers: Vec<(indelible_store::Column, f64)>,
}

impl<'a> Checking<'a> {
    pub(crate) fn new(expr: &'a Expr) -> Self {
        Self {
            expr,
            looks_at_terms: expr.looks_at_terms(),
            terms: Terms::default(),
            numbers: Vec::new(),
        }
    }

    /// Whether the record matches; `None` if its bytes are no record.
    pub(crate) fn matches(&mut self, record: &StoredRecord<'_>) -> Option<bool> {
        if *self.expr == Expr::All {
            return Some(true);
        }
        let leaf = LeafView::locate(record.leaf).ok()?;
        let event = EventView::parse(leaf.event()).ok()?;
        self.holds(record, &event)
    }

    /// The same of a record whose event was read.
    pub(crate) fn holds(
        &mut self,
        record: &StoredRecord<'_>,
        event: &EventView<'_>,
    ) -> Option<bool> {
        let audit_id = AuditId::parse(&event.text(Field::AuditId)?).ok()?;
        self.terms.clear();
        if self.looks_at_terms {
            self.numbers.clear();
            terms::extract(event, &mut self.terms, &mut self.numbers);
        }
        Some(self.expr.matches(&Subject {
            sequence_number: record.sequence_number,
            audit_id,
            event,
            terms: &self.terms,
            sealed: record.sealed,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_store::conformance::{Generator, Mix};
    use indelible_store::{Key, Path, Test};

    use super::*;

    #[test]
    fn terms_are_taken_out_only_for_conditions_that_look_at_them() {
        let append = Generator::new(1, Mix::default()).append(0, 1);
        let leaf = &append.records[0].leaf;
        let record = StoredRecord {
            sequence_number: 0,
            leaf,
            sealed: &[],
            unread: None,
        };
        let is = Expr::Is(Key::Outcome, "success".to_owned());
        let path = Expr::At(Path::from(Field::Data), Test::There);
        for (expr, taken) in [(path.clone(), false), (Expr::And(vec![path, is]), true)] {
            let mut checking = Checking::new(&expr);
            assert!(checking.matches(&record).is_some());
            assert_eq!(checking.terms.iter().count() > 0, taken, "{expr:?}");
        }
    }
}
