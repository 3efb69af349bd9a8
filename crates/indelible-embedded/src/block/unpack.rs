//! A block that is unpacked, and checked by it.

use std::cell::RefCell;
use std::ops::Range;

use indelible_event::ids::AuditId;
use indelible_merkle::Hash;
use indelible_store::Handle;

use super::cut::restore;
use super::{ID_CUT, PREVIOUS_CUT, SEALED, SealedRef, TEXT_BYTES_MAX};
use crate::bytes::Reader;

thread_local! {
    /// Making a decompressor costs as much as unpacking a block.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

fn decompress(packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        slot.as_mut()?.decompress(packed, bytes).ok()
    })
}

/// What a block says about one record.
#[derive(Clone, Debug, Default)]
struct Entry {
    text: Range<usize>,
    previous: Option<usize>,
    id_cut: bool,
    sealed: Range<usize>,
}

/// A record without what was cut out of it, and that.
pub(super) struct Packed<'a> {
    pub(super) text: &'a [u8],
    pub(super) previous: Option<Hash>,
    pub(super) id: AuditId,
    pub(super) id_cut: bool,
}

/// An unpacked block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    text: Vec<u8>,
    raw: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the ids begin in `raw`.
    ids_at: usize,
    sealed: Vec<SealedRef>,
}

impl Block {
    /// Unpacks the block that starts at the beginning of `bytes`, and says how many bytes it takes.
    /// `None` when it is not what was written.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let records = reader.u32()? as usize;
        let rest_bytes = reader.u32()? as usize;
        let meta_bytes = reader.u32()? as usize;
        let text_bytes = reader.u32()? as usize;
        let crc = reader.u32()?;
        let rest = reader.take(rest_bytes)?;
        let sum = crc32c::crc32c_append(crc32c::crc32c(bytes.get(..16)?), rest);
        if sum != crc || text_bytes > TEXT_BYTES_MAX {
            return None;
        }
        let mut block = Self::default();
        let (meta, rest) = rest.split_at_checked(meta_bytes)?;
        let raw_bytes = block.read_meta(meta, records)?;
        let (raw, packed) = rest.split_at_checked(raw_bytes)?;
        block.raw = raw.to_vec();
        block.text = decompress(packed, text_bytes)?;
        (block.text.len() == text_bytes).then_some((block, reader.at()))
    }

    /// Reads the entries, and returns how many raw bytes they take.
    fn read_meta(&mut self, meta: &[u8], records: usize) -> Option<usize> {
        let mut reader = Reader::new(meta);
        let (mut text, mut hashes) = (0_usize, 0_usize);
        if records > meta.len() {
            return None;
        }
        for _ in 0..records {
            let end = text.checked_add(reader.varint_usize()?)?;
            let flags = reader.u8()?;
            let first = self.sealed.len();
            let count = if flags & SEALED == 0 {
                0
            } else {
                reader.varint()?
            };
            for _ in 0..count {
                let value = reader.varint()?;
                self.sealed.push(if value & 1 == 0 {
                    SealedRef::Row(u32::try_from(value >> 1).ok()?)
                } else {
                    SealedRef::Blob(Handle(reader.array()?), reader.chunk()?.to_vec())
                });
            }
            let previous = (flags & PREVIOUS_CUT != 0).then_some(hashes);
            hashes += usize::from(previous.is_some());
            let (id_cut, sealed) = (flags & ID_CUT != 0, first..self.sealed.len());
            self.entries.push(Entry {
                text: text..end,
                previous,
                id_cut,
                sealed,
            });
            text = end;
        }
        self.ids_at = hashes * Hash::BYTES;
        reader.is_done().then_some(self.ids_at + records * 16)
    }

    /// How many records are in it.
    pub(crate) fn records(&self) -> usize {
        self.entries.len()
    }

    /// Appends the leaf of record `at`.
    pub(crate) fn leaf(&self, at: usize, out: &mut Vec<u8>) -> Option<()> {
        let packed = self.packed(at)?;
        let id = packed.id_cut.then_some(packed.id);
        restore(packed.text, packed.previous.as_ref(), id.as_ref(), out)
    }

    /// Record `at` as it stands here, what was cut out of it beside it.
    pub(super) fn packed(&self, at: usize) -> Option<Packed<'_>> {
        let entry = self.entries.get(at)?;
        Some(Packed {
            text: self.text.get(entry.text.clone())?,
            previous: match entry.previous {
                Some(n) => Some(self.hash(n)?),
                None => None,
            },
            id: self.audit_id(at)?,
            id_cut: entry.id_cut,
        })
    }

    /// The `n`th hash that was cut out.
    fn hash(&self, n: usize) -> Option<Hash> {
        let raw = self.raw.get(n * Hash::BYTES..(n + 1) * Hash::BYTES)?;
        Some(Hash::from_bytes(raw.try_into().ok()?))
    }

    /// The audit id of record `at`.
    pub(crate) fn audit_id(&self, at: usize) -> Option<AuditId> {
        let from = self.ids_at + at * 16;
        Some(AuditId(self.raw.get(from..from + 16)?.try_into().ok()?))
    }

    /// The personal values of record `at`.
    pub(crate) fn sealed(&self, at: usize) -> &[SealedRef] {
        let range = self
            .entries
            .get(at)
            .map_or(0..0, |entry| entry.sealed.clone());
        self.sealed.get(range).unwrap_or_default()
    }
}
