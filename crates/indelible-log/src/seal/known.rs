//! The short way: an event in which everything personal stands in fields of the model.
//!
//! The view has passed over the event already and knows where its fields are, so the policy's rules
//! are held against these alone. An event in which something may be personal elsewhere is left to
//! the pass over all of it (`scan`); both say the same of every event that this one answers for.

use std::ops::Range;

use indelible_event::{EventView, Field, Group};

use super::scan::{Scan, Scanner, Spot, Whose};
use crate::policy::{Action, Place, SealingPolicy};

/// What is personal in the event; `None` if it takes a pass over the event to know.
pub(super) fn known<'p>(view: &EventView<'_>, policy: &'p SealingPolicy) -> Option<Scan<'p>> {
    let places = policy.places()?;
    let hints = view.hints();
    let draft = policy.draft();
    if hints.unlisted || (draft.ip_values && hints.loose_address) {
        return None;
    }
    let text = view.as_str();
    let mut scanner = Scanner::new(text, policy);
    let mut looked_at: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for Place { field, node } in places {
        let (Some(value), Some(member)) = (view.span(*field), view.member(*field)) else {
            continue;
        };
        let masks = node
            .rule
            .as_ref()
            .is_some_and(|rule| rule.action == Action::Mask);
        if masks && !text[value.clone()].starts_with(['"', 'n']) {
            return None;
        }
        let found = scanner.scan.found.len();
        let spot = Spot {
            member: member.start,
            value: value.start,
            node: Some(node),
            whose: whose(*field),
            open: true,
        };
        scanner.ruled(spot, node)?;
        for found in scanner.scan.found.iter_mut().skip(found) {
            found.field = Some(*field);
        }
        looked_at.push(value);
    }
    if draft.email_values {
        for at in memchr::memchr_iter(b'@', text.as_bytes()) {
            if !looked_at.iter().any(|span| span.contains(&at)) {
                return None;
            }
        }
    }
    scanner.scan.sealed_at = view.after_sealed().unwrap_or(text.len() - 1);
    Some(scanner.scan)
}

fn whose(field: Field) -> Whose {
    match field.group() {
        Group::Actor => Whose::Actor,
        Group::Target => Whose::Target,
        _ => Whose::Record,
    }
}
