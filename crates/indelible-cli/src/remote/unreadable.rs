//! What a server says it cannot read of a log, to be told where it stood.
//!
//! What it is not: belief. Records that are said to be unreadable are lacking all the same.

use std::collections::{BTreeMap, BTreeSet};

use indelible_event::ids::TenantId;
use indelible_proof::finding::{Place, Span};

/// Stretches that are kept; records of those beyond are simply not there.
const STRETCHES_MAX: usize = 1_000;

/// Stretches of a log that cannot be read, until their turn comes.
pub struct Unreadable<'a> {
    tenant: &'a TenantId,
    /// By the first number: the last, and where the damage is.
    waiting: BTreeMap<u64, (u64, String)>,
    /// The first number that was not told yet.
    next: u64,
    /// How many records there are.
    size: u64,
    /// Places of which it is not known whose records stood there.
    pub nobodys: BTreeSet<String>,
}

impl<'a> Unreadable<'a> {
    /// Of a log with so many records.
    pub fn new(tenant: &'a TenantId, size: u64) -> Self {
        Self {
            tenant,
            waiting: BTreeMap::new(),
            next: 0,
            size,
            nobodys: BTreeSet::new(),
        }
    }

    /// Takes what a page says.
    pub fn take(&mut self, page: &[indelible_api::Unreadable]) {
        for unreadable in page {
            let place = unreadable.place.clone();
            let Some((first, last)) = unreadable.first.zip(unreadable.last) else {
                if self.nobodys.len() < STRETCHES_MAX {
                    self.nobodys.insert(place);
                }
                continue;
            };
            let is_ours = unreadable.tenant_id.as_deref() == Some(self.tenant.as_str());
            if is_ours && first <= last && self.waiting.len() < STRETCHES_MAX {
                self.waiting.insert(first, (last, place));
            }
        }
    }

    /// The next stretch that begins before `number`; every record is in one at most.
    pub fn before(&mut self, number: u64) -> Option<(Span, Place)> {
        loop {
            let entry = self.waiting.first_entry();
            let entry = entry.filter(|entry| *entry.key() < number)?;
            let (first, (last, place)) = entry.remove_entry();
            let (first, last) = (first.max(self.next), last.min(self.size.checked_sub(1)?));
            if first <= last {
                self.next = last + 1;
                return Some((Span::new(first, last), place_of(&place)));
            }
        }
    }
}

/// A place as [`Place`] is written.
fn place_of(text: &str) -> Place {
    let read = || {
        let (file, bytes) = text.rsplit_once(", bytes ")?;
        let (from, to) = bytes.split_once(" to ")?;
        Some(Place {
            file: file.to_owned(),
            bytes: from.parse().ok()?..to.parse().ok()?,
        })
    };
    read().unwrap_or_else(|| Place {
        file: text.to_owned(),
        bytes: 0..0,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn said(first: u64, last: u64) -> indelible_api::Unreadable {
        indelible_api::Unreadable {
            tenant_id: Some("acme".to_owned()),
            first: Some(first),
            last: Some(last),
            place: format!("journal/{first}, bytes 3 to 9"),
        }
    }

    #[test]
    fn every_record_is_told_once_and_in_its_turn() {
        let tenant = TenantId::parse("acme").unwrap();
        let mut unreadable = Unreadable::new(&tenant, 10);
        let other = indelible_api::Unreadable {
            tenant_id: Some("globex".to_owned()),
            ..said(0, 9)
        };
        let page = [said(4, 6), said(2, 4), said(8, u64::MAX), said(9, 3), other];
        // As every page of an answer says it again.
        unreadable.take(&page);
        unreadable.take(&page);
        let spans = |unreadable: &mut Unreadable<'_>, number| {
            let next = || unreadable.before(number).map(|(span, _)| span);
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        assert_eq!(spans(&mut unreadable, 2), []);
        assert_eq!(
            spans(&mut unreadable, 5),
            [Span::new(2, 4), Span::new(5, 6)]
        );
        unreadable.take(&page);
        assert_eq!(spans(&mut unreadable, u64::MAX), [Span::new(8, 9)]);
        assert_eq!(unreadable.before(u64::MAX), None);
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for place in [
            Place {
                file: "segments/1-2/records, old".to_owned(),
                bytes: 4..19,
            },
            Place {
                file: "the index names a record that the log lacks".to_owned(),
                bytes: 0..0,
            },
        ] {
            assert_eq!(place_of(&place.to_string()), place);
        }
    }
}
