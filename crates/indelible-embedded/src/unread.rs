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

use crate::directory::{BlockPlace, Directory};
use crate::part::{PartRef, View};
use crate::store::Store;

/// What is found out going through the parts in order.
#[derive(Default)]
struct Walk {
    next: BTreeMap<TenantId, u64>,
    gaps: Vec<(TenantId, Range<u64>)>,
    /// Rows that cannot be read.
    holes: u64,
}

impl Walk {
    /// The log goes on at `range`.
    fn meet(&mut self, tenant: &TenantId, range: &Range<u64>) {
        let next = self.next.entry(tenant.clone()).or_insert(0);
        let gap = *next..range.start;
        *next = range.end.max(*next);
        if !gap.is_empty() {
            self.gaps.push((tenant.clone(), gap));
        }
    }

    fn part(&mut self, directory: &Directory) {
        for (number, part) in (0_u32..).zip(&directory.tenants) {
            let Some(range) = directory.sequence(number) else {
                continue;
            };
            if range.end.checked_sub(range.start) == Some(u64::from(part.rows)) {
                self.meet(&part.tenant, &range);
                continue;
            }
            for (rows, first) in directory.rows_between(number, range) {
                let end = first + u64::from(rows.end - rows.start);
                self.meet(&part.tenant, &(first..end));
            }
        }
        self.holes += directory.holes().len();
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

    pub(crate) fn find_unread(&self) -> Result<Vec<Unread>> {
        // Before the parts: what is appended meanwhile is in these first.
        let heads: Vec<_> = {
            let heads = self.heads.read();
            let sizes = heads.map.keys();
            sizes.map(|t| (t.clone(), heads.size(t))).collect()
        };
        let mut walk = Walk::default();
        let view = self.view();
        for part in &view.parts {
            part.with(|part| part.directory().map(|directory| walk.part(directory)))?;
        }
        for (tenant, size) in heads {
            walk.meet(&tenant, &(size..size));
        }
        let (mut unread, mut missing) = (Vec::new(), 0);
        for (tenant, gap) in walk.gaps {
            missing = gap.end.saturating_sub(gap.start).saturating_add(missing);
            let place = place_of(&view, &tenant, &gap)?;
            let log = Some((tenant, gap));
            unread.push(Unread { log, place });
        }
        // The logs that the rest belongs to end in it, or before.
        let holes = walk.holes > missing;
        for part in &view.parts {
            let mut end = part.with(|part| part.directory().map(end_of))?;
            if let (0, PartRef::Segment(_)) = (end, part) {
                // All of it are holes, as many as its name says, and counted.
                end = u64::MAX;
            }
            for bytes in part.unreadable()? {
                if holes || bytes.start >= end {
                    let file = part.damage().file;
                    unread.push(Unread::somewhere(Damage { file, bytes }));
                }
            }
        }
        Ok(unread)
    }
}

/// The byte after the last block.
fn end_of(directory: &Directory) -> u64 {
    let last = directory.blocks.last();
    last.map_or(0, BlockPlace::end)
}

/// Where records stood that no file has: what cannot be read between those of their log before and
/// behind them. Where there are several such stretches of a file, from the first to the last.
pub(crate) fn place_of(view: &View, tenant: &TenantId, gap: &Range<u64>) -> Result<Damage> {
    let (mut from, mut to) = ((0, 0), (view.parts.len().saturating_sub(1), u64::MAX));
    for (at, part) in view.parts.iter().enumerate() {
        let (before, behind) = part.with(|part| -> Result<_> {
            let directory = part.directory()?;
            let Some(number) = directory.find(tenant) else {
                return Ok((None, None));
            };
            let block = |row| directory.block_of(row).map(|(_, block)| block);
            let before = directory.rows_between(number, 0..gap.start).next_back();
            let before = before.and_then(|(rows, _)| block(rows.end.saturating_sub(1)));
            let behind = directory.rows_between(number, gap.end..u64::MAX).next();
            let behind = behind.and_then(|(rows, _)| block(rows.start));
            Ok((before.map(BlockPlace::end), behind.map(|block| block.at)))
        })?;
        from = before.map_or(from, |byte| (at, byte));
        if let Some(byte) = behind {
            to = (at, byte);
            break;
        }
    }
    for (at, part) in view.parts.iter().enumerate() {
        if (from.0..=to.0).contains(&at) {
            let start = if at == from.0 { from.1 } else { 0 };
            let end = if at == to.0 { to.1 } else { u64::MAX };
            if let Some(bytes) = part.unreadable_in(start..end)? {
                let file = part.damage().file;
                return Ok(Damage { file, bytes });
            }
        }
    }
    let damage = view.parts.get(to.0).map(PartRef::damage);
    Ok(damage
        .filter(|damage| !damage.bytes.is_empty())
        .unwrap_or(Damage {
            // Nothing is left of the file that they stood in, not even its name.
            file: String::from("segments"),
            bytes: 0..0,
        }))
}
