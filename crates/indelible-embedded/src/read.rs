//! Reading records back: ranges, ids, subtrees.
//!
//! What to read is decided under the locks, the reading itself is done without them, so that a
//! visitor may take its time and call back.

use std::ops::{ControlFlow, Range};

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::{Hash, leaf_hash, node_hash};
use indelible_proof::finding::Place as Damage;
use indelible_store::{Error, Handle, Kind, Result, SealedValue, Stored, StoredRecord};

use crate::block::{Block, SealedRef};
use crate::directory::BlockPlace;
use crate::failure::{corrupt, is_lost};
use crate::part::{PERSONAL_AT_ONCE, PartRef};
use crate::records::CachedRow;
use crate::segment::ids::IdKey;
use crate::segment::tiles::LEVEL_MIN;
use crate::store::Store;
use crate::tail::{NOWHERE, PersonalPlace};
use crate::unread::place_of;

/// A visitor of records.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Stored<'_>) -> ControlFlow<()>;

/// Records of one tenant that stand side by side in one block.
struct Piece {
    place: BlockPlace,
    rows: Range<u32>,
    first_seq: u64,
}

/// A personal value as it was read.
enum Personal {
    Value(SealedValue),
    /// It is not what was written: whose it may be, and where it stands.
    Unread(Handle, Damage),
}

/// A row, or whose it may be and where it stands if it is not what was written.
type Loaded = std::result::Result<CachedRow, (Handle, Damage)>;

impl Piece {
    /// Leaves out what is before `next`; whether anything is left. In files that somebody put
    /// together a record may stand twice, or out of its order.
    fn begin_at(&mut self, next: u64) -> bool {
        let before = next.saturating_sub(self.first_seq);
        let row = u64::from(self.rows.start).saturating_add(before);
        self.rows.start = u32::try_from(row).unwrap_or(u32::MAX);
        self.first_seq = self.first_seq.max(next);
        !self.rows.is_empty()
    }

    /// The sequence number after the last.
    fn end(&self) -> u64 {
        self.first_seq + u64::from(self.rows.end - self.rows.start)
    }
}

impl Store {
    /// Calls `visit` for the records of the range, up to the head.
    pub(crate) fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: Visit<'_>,
    ) -> Result<()> {
        let end = range.end.min(self.heads.read().size(tenant));
        self.read_all(tenant, range.start..end, visit)
    }

    /// Calls `visit` for the records of a range that is below the head.
    pub(crate) fn read_all(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: Visit<'_>,
    ) -> Result<()> {
        let mut next = range.start;
        self.mending(|| self.read_on(tenant, &mut next, range.end, visit))
    }

    /// The same from `next` on, which says afterwards how far it came.
    fn read_on(&self, tenant: &TenantId, next: &mut u64, end: u64, visit: Visit<'_>) -> Result<()> {
        for part in &self.view().parts {
            if *next >= end {
                return Ok(());
            }
            for mut piece in pieces(part, tenant, *next..end)? {
                if !piece.begin_at(*next) {
                    continue;
                }
                let range = *next..piece.first_seq;
                if !range.is_empty() {
                    let place = place_of(&self.view(), tenant, &range)?;
                    *next = piece.first_seq;
                    if visit(Stored::Damaged { range, place }).is_break() {
                        return Ok(());
                    }
                }
                if self.piece((part, tenant), &piece, next, visit)?.is_break() {
                    return Ok(());
                }
            }
        }
        if *next < end {
            let range = *next..end;
            let place = place_of(&self.view(), tenant, &range)?;
            let _ = visit(Stored::Damaged { range, place });
        }
        Ok(())
    }

    /// Calls `visit` for the records of one block, counting `next` up.
    fn piece(
        &self,
        (part, tenant): (&PartRef, &TenantId),
        piece: &Piece,
        next: &mut u64,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let from = piece.place.at;
        let bytes = from..piece.place.end();
        let file = part.damage().file;
        // Without the file, all of it is missing.
        let (opened, place) = match part.records() {
            Ok(records) => (
                records.block(&self.caches, &piece.place),
                Damage { file, bytes },
            ),
            Err(error) => (Err(error), part.damage()),
        };
        let block = match opened {
            Ok(block) => block,
            Err(error) if is_lost(&error) => {
                *next = piece.end();
                let range = piece.first_seq..piece.end();
                return Ok(visit(Stored::Damaged { range, place }));
            }
            Err(error) => return Err(error),
        };
        let (mut leaf, mut sealed) = (Vec::new(), Vec::new());
        for (row, sequence_number) in piece.rows.clone().zip(piece.first_seq..) {
            let at = (row - piece.place.row) as usize;
            leaf.clear();
            let whole = block.leaf(at, &mut leaf).is_some();
            sealed.clear();
            let unread = self.sealed((part, tenant), (&block, at), &mut sealed)?;
            let stored = if whole {
                Stored::Record(StoredRecord {
                    sequence_number,
                    leaf: &leaf,
                    sealed: &sealed,
                    unread: unread.as_ref(),
                })
            } else {
                Stored::Damaged {
                    range: sequence_number..sequence_number + 1,
                    place: place.clone(),
                }
            };
            *next = sequence_number + 1;
            if visit(stored).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Adds the personal values of record `at` of a block to `out`; returns where one stands that
    /// cannot be read.
    fn sealed(
        &self,
        (part, log): (&PartRef, &TenantId),
        (block, at): (&Block, usize),
        out: &mut Vec<SealedValue>,
    ) -> Result<Option<Damage>> {
        let mut unread = None;
        for value in block.sealed(at) {
            out.push(match value {
                SealedRef::Blob(handle, row) => SealedValue {
                    handle: *handle,
                    find: None,
                    blob: true,
                    row: row.as_slice().into(),
                },
                SealedRef::Row(number) => match self.personal(part, log, *number)? {
                    Personal::Value(value) => value,
                    Personal::Unread(handle, place) => {
                        unread.get_or_insert(place);
                        let (find, blob, row) = (None, false, [].into());
                        SealedValue {
                            handle,
                            find,
                            blob,
                            row,
                        }
                    }
                },
            });
        }
        Ok(unread)
    }

    /// The personal row `number` of a part, used by a record of `tenant`.
    fn personal(&self, part: &PartRef, tenant: &TenantId, number: u32) -> Result<Personal> {
        let records = part.records()?;
        let key = (records.number, number);
        let mut row = match self.caches.personal(key) {
            Some(row) => row,
            None => match self.load_personal(part, number)? {
                Ok(row) => row,
                Err((handle, place)) => return Ok(Personal::Unread(handle, place)),
            },
        };
        if !row.tried {
            row.tried = true;
            if let Some(opener) = &self.opener {
                row.value.find = opener.find(tenant, row.value.handle, &row.value.row);
            }
            self.caches.keep_personal(key, row.clone());
        }
        Ok(Personal::Value(row.value))
    }

    /// Reads a personal row and some behind it; whose it is and where it stands if it is damaged.
    fn load_personal(&self, part: &PartRef, number: u32) -> Result<Loaded> {
        let records = part.records()?;
        let places = part.personal(number)?;
        let starts: Vec<_> = places.iter().map(|place| place.at).collect();
        let mut asked = None;
        let rows = records.personal_rows(&starts)?;
        for ((read, place), number) in rows.into_iter().zip(places).zip(number..) {
            let handle = read.handle;
            let Some(row) = read.row else {
                if asked.is_none() {
                    let bytes = match place.at {
                        NOWHERE => lost_row(part, number)?,
                        _ => Some(read.bytes),
                    };
                    let mut place = part.damage();
                    place.bytes = bytes.unwrap_or(place.bytes);
                    asked = Some(Err((handle, place)));
                }
                continue;
            };
            let value = SealedValue {
                handle,
                find: place.find,
                blob: false,
                row,
            };
            let row = CachedRow {
                value,
                tried: place.find.is_some(),
            };
            asked.get_or_insert_with(|| Ok(row.clone()));
            self.caches.keep_personal((records.number, number), row);
        }
        Ok(asked.unwrap_or_else(|| Err((Handle([0; 16]), part.damage()))))
    }

    /// Sequence numbers of the records with these ids.
    pub(crate) fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        let key = |id| IdKey::of(&self.hashing, id);
        let keys: Vec<_> = ids.iter().map(key).collect();
        self.mending(|| self.find_keys(tenant, &keys))
    }

    fn find_keys(&self, tenant: &TenantId, keys: &[IdKey]) -> Result<Vec<Option<u64>>> {
        let mut found = vec![None; keys.len()];
        let mut rows = Vec::new();
        for part in self.view().parts.iter().rev() {
            part.with(|part| {
                for (key, found) in keys
                    .iter()
                    .zip(&mut found)
                    .filter(|(_, found)| found.is_none())
                {
                    rows.clear();
                    part.with_id(key, &mut rows)?;
                    for &row in &rows {
                        let directory = part.directory()?;
                        if let Some((number, seq)) = directory.place(row)
                            && directory
                                .tenant(number)
                                .is_some_and(|part| part.tenant == *tenant)
                        {
                            *found = Some(seq);
                        }
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(found)
    }

    /// Root of a complete subtree.
    pub(crate) fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        let size = self.heads.read().size(tenant);
        let end = index
            .checked_add(1)
            .and_then(|next| next.checked_mul(1_u64.checked_shl(level)?));
        let incomplete = || {
            let said =
                format!("the log of {tenant} has no complete subtree {index} at level {level}");
            Error::new(Kind::NotFound, said)
        };
        match (end, u8::try_from(level)) {
            (Some(end), Ok(level)) if end <= size => {
                self.mending(|| self.root(tenant, level, index))
            }
            _ => Err(incomplete()),
        }
    }

    /// Root of a subtree that is complete.
    pub(crate) fn root(&self, tenant: &TenantId, level: u8, index: u64) -> Result<Hash> {
        if level < LEVEL_MIN {
            let hashes = self.leaf_hashes(tenant, index << level..(index + 1) << level)?;
            return Ok(indelible_merkle::root_of(hashes));
        }
        let last = ((index + 1) << level) - 1;
        for part in self.view().parts.iter().rev() {
            let here = part.with(|part| {
                let directory = part.directory()?;
                let number = directory.find(tenant);
                let held = number.filter(|&number| {
                    directory
                        .sequence(number)
                        .is_some_and(|range| range.contains(&last))
                });
                Ok::<_, Error>(held)
            })?;
            let Some(number) = here else {
                continue;
            };
            if let PartRef::Segment(segment) = part
                && let Some(root) = segment.tiles()?.get(number, level, index)
            {
                return Ok(root);
            }
            break;
        }
        let left = self.root(tenant, level - 1, index * 2)?;
        let right = self.root(tenant, level - 1, index * 2 + 1)?;
        Ok(node_hash(&left, &right))
    }

    /// The record hashes of a range that is there as a whole.
    fn leaf_hashes(&self, tenant: &TenantId, range: Range<u64>) -> Result<Vec<Hash>> {
        let mut hashes = Vec::with_capacity((range.end - range.start).min(1 << LEVEL_MIN) as usize);
        for part in &self.view().parts {
            if let PartRef::Tail(tail) = part {
                let index = tail.index.read();
                let Some(number) = index.directory.find(tenant) else {
                    continue;
                };
                for (rows, _) in index.directory.rows_between(number, range.clone()) {
                    let part = index.hashes.get(rows.start as usize..rows.end as usize);
                    hashes.extend_from_slice(part.unwrap_or_default());
                }
                continue;
            }
            let mut leaf = Vec::new();
            for piece in pieces(part, tenant, range.clone())? {
                let block = part.records()?.block(&self.caches, &piece.place)?;
                for row in piece.rows {
                    leaf.clear();
                    let read = block.leaf((row - piece.place.row) as usize, &mut leaf);
                    read.ok_or_else(|| corrupt("a block cannot be read"))?;
                    hashes.push(leaf_hash(&leaf));
                }
            }
        }
        if hashes.len() as u64 == range.end - range.start {
            return Ok(hashes);
        }
        let said = format!(
            "records of {tenant} between {} and {} cannot be read",
            range.start, range.end
        );
        Err(Error::new(Kind::Corrupt, said))
    }
}

/// The bytes of a file in which the personal row `number` stood, which no frame has that can be
/// read.
fn lost_row(part: &PartRef, number: u32) -> Result<Option<Range<u64>>> {
    let some = u32::try_from(PERSONAL_AT_ONCE).unwrap_or(u32::MAX);
    let first = number.saturating_sub(some);
    let known = |place: &PersonalPlace| place.at != NOWHERE;
    let before = part.personal(first)?.into_iter();
    let before = before.take((number - first) as usize).rfind(known);
    let behind = part.personal(number)?.into_iter().find(known);
    let from = before.map_or(0, |place| place.at);
    part.unreadable_in(from..behind.map_or(u64::MAX, |place| place.at))
}

/// Where the records of a range lie in a part, block by block, in order.
fn pieces(part: &PartRef, tenant: &TenantId, range: Range<u64>) -> Result<Vec<Piece>> {
    part.with(|part| {
        let directory = part.directory()?;
        let mut pieces = Vec::new();
        let Some(number) = directory.find(tenant) else {
            return Ok(pieces);
        };
        for (rows, first) in directory.rows_between(number, range) {
            let mut row = rows.start;
            while row < rows.end {
                let Some((at, place)) = directory.block_of(row) else {
                    break;
                };
                let end = directory.rows_of_block(at).end.min(rows.end);
                let first_seq = first + u64::from(row - rows.start);
                pieces.push(Piece {
                    place: *place,
                    rows: row..end,
                    first_seq,
                });
                row = end;
            }
        }
        Ok(pieces)
    })
}
