//! What no search finds because it could not be read when the directory was opened.
//!
//! A damaged frame has no terms; which logs its records belong to is seen from the gaps they leave,
//! and from heads that are larger than what is there. What is damaged later is in the index: it is
//! found, and met when it is read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use indelible_event::ids::TenantId;
use indelible_proof::finding::Place as Damage;
use indelible_store::{Result, Unread};

use crate::directory::Directory;
use crate::part::PartRef;
use crate::store::Store;

/// What is found out going through the parts in order.
#[derive(Default)]
struct Walk {
    next: BTreeMap<TenantId, u64>,
    unread: Vec<Unread>,
    /// Records that are missing in logs, and rows that cannot be read.
    missing: u64,
    holes: u64,
    /// Where rows are that cannot be read.
    places: Vec<Damage>,
}

impl Walk {
    /// The log goes on at `range`.
    fn meet(&mut self, tenant: &TenantId, range: &Range<u64>, place: &Damage) {
        let next = self.next.entry(tenant.clone()).or_insert(0);
        let gap = *next..range.start;
        *next = range.end.max(*next);
        if !gap.is_empty() {
            self.missing += gap.end - gap.start;
            self.unread.push(Unread {
                log: Some((tenant.clone(), gap)),
                place: place.clone(),
            });
        }
    }

    fn part(&mut self, directory: &Directory, place: &Damage) {
        for (number, part) in (0_u32..).zip(&directory.tenants) {
            let Some(range) = directory.sequence(number) else {
                continue;
            };
            if range.end - range.start == u64::from(part.rows) {
                self.meet(&part.tenant, &range, place);
                continue;
            }
            for (rows, first) in directory.rows_between(number, range) {
                let end = first + u64::from(rows.end - rows.start);
                self.meet(&part.tenant, &(first..end), place);
            }
        }
        let rows = directory.holes().len();
        if rows > 0 {
            self.holes += rows;
            self.places.push(place.clone());
        }
    }
}

impl Store {
    /// All records that were not read on opening, as closely as it is known which they are.
    ///
    /// What is found is kept until a file is made again, whose records may be damaged by then.
    pub(crate) fn unread(&self) -> Result<Arc<[Unread]>> {
        let known = self.unread.lock().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let view = self.view();
        let found: Arc<[Unread]> = self.mending(|| self.find_unread())?.into();
        let mut kept = self.unread.lock();
        if Arc::ptr_eq(&view, &self.view()) {
            *kept = Some(Arc::clone(&found));
        }
        Ok(found)
    }

    fn find_unread(&self) -> Result<Vec<Unread>> {
        // Before the parts: what is appended meanwhile is in these first.
        let heads: Vec<_> = {
            let heads = self.heads.read();
            let sizes = heads.map.keys();
            sizes.map(|t| (t.clone(), heads.size(t))).collect()
        };
        let mut walk = Walk::default();
        let view = self.view();
        for part in &view.parts {
            let place = part.damage();
            part.with(|part| part.directory().map(|d| walk.part(d, &place)))?;
        }
        let file = String::from("journal");
        let last = view.parts.last().map(PartRef::damage);
        let last = last.unwrap_or(Damage { file, bytes: 0..0 });
        for (tenant, size) in heads {
            walk.meet(&tenant, &(size..size), &last);
        }
        let mut unread = walk.unread;
        // The logs that the rest belongs to end in it, or before.
        if walk.holes > walk.missing {
            unread.extend(walk.places.into_iter().map(Unread::somewhere));
        }
        for part in &view.parts {
            unread.extend(behind(part)?.map(Unread::somewhere));
        }
        Ok(unread)
    }
}

/// Bytes behind the last record that may have been records, in a tail or what it was sealed as.
fn behind(part: &PartRef) -> Result<Option<Damage>> {
    let file = part.damage().file;
    let end = part.with(|part| -> Result<u64> {
        let end = part.directory()?.blocks.last();
        Ok(end.map_or(0, |block| block.at + u64::from(block.bytes)))
    })?;
    let bytes = match part {
        PartRef::Segment(segment) => {
            let kept = segment.facts.file("records").map_or(0, |file| file.bytes);
            Some(end..kept).filter(|bytes| !bytes.is_empty())
        }
        PartRef::Tail(tail) => tail.damaged.last().cloned().filter(|b| b.start >= end),
    };
    Ok(bytes.map(|bytes| Damage { file, bytes }))
}
