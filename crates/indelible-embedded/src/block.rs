//! A block: some leaves, compressed, with what does not compress cut out beside them.
//!
//! The 64 hex digits of `previous_hash` and the 36 characters of the event's `audit_id` are random
//! and stand as raw bytes; unpacking puts them back, so a leaf always comes back byte for byte. The
//! id stands beside the text even where it was not cut out of it.
//! Layout: `spec/segment.md` §3.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::LazyLock;

use indelible_event::ids::AuditId;
use indelible_merkle::Hash;
use indelible_store::Handle;
use memchr::memmem;

use crate::bytes::{Reader, put_chunk, put_varint, to_u32};

const PREVIOUS: &[u8] = b"\"previous_hash\":\"";
const AUDIT_ID: &[u8] = b"\"audit_id\":\"";
/// `previous_hash` stands in the last bytes of a leaf: its value, 41 bytes of keys, a sequence
/// number of at most 20 and a tenant of at most 128 bytes come after the key.
const PREVIOUS_WITHIN: usize = 384;
/// And nearly always in these.
const PREVIOUS_MOSTLY_WITHIN: usize = 192;
/// Finds the keys of the values that are cut out.
struct Keys {
    audit_id: memmem::Finder<'static>,
    previous: memmem::Finder<'static>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    audit_id: memmem::Finder::new(AUDIT_ID),
    previous: memmem::Finder::new(PREVIOUS),
});

/// Where the last key of the previous hash begins; there is nearly always one.
fn last_previous(tail: &[u8]) -> Option<usize> {
    let near = tail.len().saturating_sub(PREVIOUS_MOSTLY_WITHIN);
    let found = KEYS.previous.find_iter(tail.get(near..)?).last();
    let mut at = match found {
        Some(at) => near + at,
        None => KEYS.previous.find_iter(tail).last()?,
    };
    // The search passes over a key that begins with the last quote of the one before.
    let next = PREVIOUS.len() - 1;
    while tail
        .get(at + next..)
        .is_some_and(|rest| rest.starts_with(PREVIOUS))
    {
        at += next;
    }
    Some(at)
}

const PREVIOUS_CUT: u8 = 1;
const ID_CUT: u8 = 2;
const SEALED: u8 = 4;
/// Bytes of a block's header.
pub(crate) const HEADER_BYTES: usize = 20;
/// The most text a block may claim to hold: far above what is packed, so that damage cannot make
/// us allocate.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A personal value of a record as a block refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealedRef {
    /// A personal row of the file, by number.
    Row(u32),
    /// A blob: whose key opens it, and the ciphertext.
    Blob(Handle, Vec<u8>),
}

/// Packs leaves into blocks; keeps its buffers and the compressor's state between blocks.
pub(crate) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    text: Vec<u8>,
    meta: Vec<u8>,
    previous: Vec<u8>,
    ids: Vec<u8>,
    records: u32,
}

impl Packer {
    /// A packer with this zstd level.
    pub(crate) fn new(level: i32) -> std::io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(level)?,
            text: Vec::new(),
            meta: Vec::new(),
            previous: Vec::new(),
            ids: Vec::new(),
            records: 0,
        })
    }

    /// Records added since the last [`Packer::finish`].
    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Bytes of text collected since the last [`Packer::finish`].
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Adds a leaf with the personal values it refers to.
    ///
    /// What is cut out is put back where its key stands first (the id) or last (the hash). Cutting
    /// moves neither: a key begins and ends with a quote and has no other overlap with itself, so
    /// only a text that goes on as the key does behind its first quote could make a later one.
    pub(crate) fn add(&mut self, leaf: &[u8], id: &AuditId, sealed: &[SealedRef]) {
        let start = self.text.len();
        let (mut previous, mut audit) = (None, None);
        if let Some(at) = KEYS.audit_id.find(leaf).map(|at| at + AUDIT_ID.len())
            && leaf.get(at..at + 36) == Some(id.text().as_slice())
        {
            audit = Some(at);
        }
        let from = leaf.len().saturating_sub(PREVIOUS_WITHIN);
        if let Some(found) = leaf.get(from..).and_then(last_previous) {
            let at = from + found + PREVIOUS.len();
            let (hex, rest) = leaf.split_at(leaf.len().min(at + Hash::HEX_BYTES));
            let hex = hex.get(at..).unwrap_or_default();
            let moves = rest.starts_with(PREVIOUS.get(1..).unwrap_or_default());
            if let Ok(hash) = Hash::from_hex(hex)
                && !moves
                && audit.is_none_or(|audit| audit + 36 < at)
            {
                previous = Some((at, hash));
            }
        }
        self.cut(leaf, audit, previous.map(|(at, _)| at));
        self.ids.extend_from_slice(id.bytes());
        self.note(
            start,
            previous.map(|(_, hash)| hash),
            audit.is_some(),
            sealed,
        );
    }

    /// Adds record `at` of an unpacked block as it stands there, with the personal values it refers
    /// to now. `None` when the block has no such record.
    pub(crate) fn copy(&mut self, block: &Block, at: usize, sealed: &[SealedRef]) -> Option<()> {
        let entry = block.entries.get(at)?;
        let (text, id) = (block.text.get(entry.text.clone())?, block.audit_id(at)?);
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.ids.extend_from_slice(id.bytes());
        self.note(start, block.previous(entry)?, entry.id_cut, sealed);
        Some(())
    }

    /// Appends the leaf without the two values.
    fn cut(&mut self, leaf: &[u8], audit: Option<usize>, previous: Option<usize>) {
        let mut from = 0;
        for (at, length) in [(audit, 36), (previous, Hash::HEX_BYTES)] {
            if let Some(at) = at {
                self.text
                    .extend_from_slice(leaf.get(from..at).unwrap_or_default());
                from = at + length;
            }
        }
        self.text
            .extend_from_slice(leaf.get(from..).unwrap_or_default());
    }

    fn note(&mut self, start: usize, previous: Option<Hash>, id_cut: bool, sealed: &[SealedRef]) {
        let mut flags = if id_cut { ID_CUT } else { 0 };
        if let Some(hash) = previous {
            flags |= PREVIOUS_CUT;
            self.previous.extend_from_slice(hash.as_bytes());
        }
        put_varint(&mut self.meta, (self.text.len() - start) as u64);
        self.meta
            .push(flags | if sealed.is_empty() { 0 } else { SEALED });
        if !sealed.is_empty() {
            put_varint(&mut self.meta, sealed.len() as u64);
        }
        for value in sealed {
            match value {
                SealedRef::Row(row) => put_varint(&mut self.meta, u64::from(*row) << 1),
                SealedRef::Blob(handle, bytes) => {
                    put_varint(&mut self.meta, 1);
                    self.meta.extend_from_slice(&handle.0);
                    put_chunk(&mut self.meta, bytes);
                }
            }
        }
        self.records += 1;
    }

    /// Appends the block of what was added, and starts the next.
    ///
    /// # Errors
    /// When zstd fails.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let start = out.len();
        let header = start + HEADER_BYTES;
        out.resize(header, 0);
        out.extend_from_slice(&self.meta);
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.ids);
        let body = out.len();
        out.resize(body + zstd::zstd_safe::compress_bound(self.text.len()), 0);
        let room = out.get_mut(body..).unwrap_or_default();
        let packed = self.compressor.compress_to_buffer(&self.text, room)?;
        out.truncate(body + packed);
        let rest = to_u32(out.len() - header);
        let numbers = [
            self.records,
            rest,
            to_u32(self.meta.len()),
            to_u32(self.text.len()),
        ];
        let mut fixed = [0; HEADER_BYTES];
        for (place, number) in fixed.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(fixed.get(..16).unwrap_or_default());
        let crc = crc32c::crc32c_append(crc, out.get(header..).unwrap_or_default());
        fixed[16..].copy_from_slice(&crc.to_le_bytes());
        if let Some(place) = out.get_mut(start..header) {
            place.copy_from_slice(&fixed);
        }
        self.clear();
        Ok(())
    }

    /// Forgets what was added since the last [`Packer::finish`].
    pub(crate) fn clear(&mut self) {
        self.records = 0;
        for buffer in [
            &mut self.text,
            &mut self.meta,
            &mut self.previous,
            &mut self.ids,
        ] {
            buffer.clear();
        }
    }
}

/// Puts the values that were cut out back: into the first empty `audit_id` and the last empty
/// `previous_hash`.
fn restore(
    part: &[u8],
    previous: Option<&Hash>,
    id: Option<&AuditId>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut from = 0;
    if let Some(id) = id {
        let at = KEYS.audit_id.find(part)? + AUDIT_ID.len();
        out.extend_from_slice(part.get(..at)?);
        out.extend_from_slice(&id.text());
        from = at;
    }
    if let Some(hash) = previous {
        let tail = part.len().saturating_sub(PREVIOUS_WITHIN);
        let at = tail + last_previous(part.get(tail..)?)? + PREVIOUS.len();
        out.extend_from_slice(part.get(from..at)?);
        out.extend_from_slice(&hash.to_hex());
        from = at;
    }
    out.extend_from_slice(part.get(from..)?);
    Some(())
}

/// Records in the block that starts at the beginning of `bytes`, and the bytes it takes.
pub(crate) fn measure(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut reader = Reader::new(bytes);
    let records = reader.u32()?;
    Some((records, HEADER_BYTES.checked_add(reader.u32()? as usize)?))
}

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
        let entry = self.entries.get(at)?;
        let previous = self.previous(entry)?;
        let id = if entry.id_cut {
            self.audit_id(at)
        } else {
            None
        };
        restore(
            self.text.get(entry.text.clone())?,
            previous.as_ref(),
            id.as_ref(),
            out,
        )
    }

    /// The hash that was cut out of a record, if one was; `None` when it is not there.
    fn previous(&self, entry: &Entry) -> Option<Option<Hash>> {
        let Some(n) = entry.previous else {
            return Some(None);
        };
        let raw = self.raw.get(n * Hash::BYTES..(n + 1) * Hash::BYTES)?;
        Some(Some(Hash::from_bytes(raw.try_into().ok()?)))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn pack(records: &[(Vec<u8>, AuditId, Vec<SealedRef>)]) -> Vec<u8> {
        let mut packer = Packer::new(1).unwrap();
        for (leaf, id, sealed) in records {
            packer.add(leaf, id, sealed);
        }
        let mut out = b"before".to_vec();
        packer.finish(&mut out).unwrap();
        out.split_off(6)
    }

    fn leaf(n: u8) -> (Vec<u8>, AuditId) {
        let id = AuditId::mint(1_700_000_000_000 + u64::from(n), [n; 10]);
        let text = String::from_utf8(id.text().to_vec()).unwrap();
        let leaf = format!(
            "{{\"event\":{{\"audit_id\":\"{text}\",\"event_type\":\"a.b\"}},\"ingested_at\":\"x\",\
             \"ledger\":{{}},\"previous_hash\":\"{}\",\"record_version\":1,\
             \"sequence_number\":{n},\"tenant_id\":\"acme\"}}",
            Hash::from_bytes([n; 32])
        );
        (leaf.into_bytes(), id)
    }

    #[test]
    fn the_two_values_are_cut_and_come_back() {
        let records: Vec<_> = (0..50)
            .map(|n| {
                let (leaf, id) = leaf(n);
                (leaf, id, vec![SealedRef::Row(u32::from(n) * 1000)])
            })
            .collect();
        let bytes = pack(&records);
        let raw: usize = records.iter().map(|(leaf, ..)| leaf.len()).sum();
        assert!(bytes.len() < raw / 3, "{} of {raw}", bytes.len());
        let (block, used) = Block::parse(&bytes).unwrap();
        assert_eq!((used, block.records()), (bytes.len(), 50));
        for (at, (leaf, id, sealed)) in records.iter().enumerate() {
            let mut out = Vec::new();
            block.leaf(at, &mut out).unwrap();
            assert_eq!(&out, leaf);
            assert_eq!(block.audit_id(at), Some(*id));
            assert_eq!(block.sealed(at), sealed);
        }
    }

    #[test]
    fn values_that_stand_elsewhere_too_do_not_confuse_it() {
        let (good, id) = leaf(7);
        let good = String::from_utf8(good).unwrap();
        let strange = [
            good.replace("a.b", "\\\"audit_id\\\":\\\"\\\""),
            good.replace("\"a.b\"", "{\"audit_id\":\"\"}"),
            good.replacen(
                "{\"audit_id\"",
                "{\"a\":{\"audit_id\":\"\"},\"audit_id\"",
                1,
            ),
            good.replace("\"ledger\":{}", "\"ledger\":{\"previous_hash\":\"\"}"),
            good.replace(&Hash::from_bytes([7; 32]).to_string(), "short"),
            good.to_uppercase(),
            String::new(),
        ];
        for text in strange {
            let bytes = pack(&[(text.clone().into_bytes(), id, Vec::new())]);
            let (block, _) = Block::parse(&bytes).unwrap();
            let mut out = Vec::new();
            block.leaf(0, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (leaf, id) = leaf(3);
        let blob = SealedRef::Blob(Handle([9; 16]), vec![1, 2, 3]);
        let bytes = pack(&[(leaf, id, vec![blob, SealedRef::Row(5)])]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Block::parse(&damaged).is_none(), "byte {at} bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            leaves in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..300), any::<[u8; 16]>(),
                 proptest::collection::vec(0_u32..1 << 31, 0..4)), 0..20),
        ) {
            let records: Vec<_> = leaves
                .into_iter()
                .map(|(leaf, id, rows)| {
                    (leaf, AuditId(id), rows.into_iter().map(SealedRef::Row).collect())
                })
                .collect();
            let bytes = pack(&records);
            let (block, used) = Block::parse(&bytes).unwrap();
            prop_assert_eq!(used, bytes.len());
            for (at, (leaf, id, sealed)) in records.iter().enumerate() {
                prop_assert_eq!(block.audit_id(at), Some(*id));
                let mut out = Vec::new();
                block.leaf(at, &mut out).unwrap();
                prop_assert_eq!(&out, leaf);
                prop_assert_eq!(block.sealed(at), sealed.as_slice());
            }
        }

        #[test]
        fn texts_made_of_keys_come_back(
            pieces in proptest::collection::vec(0_usize..10, 0..14), byte in any::<u8>(),
        ) {
            let id = AuditId([byte; 16]);
            let text = String::from_utf8(id.text().to_vec()).unwrap();
            let hash = Hash::from_bytes([byte; 32]).to_string();
            let long = "y".repeat(150);
            let all = [
                "\"previous_hash\":\"", "previous_hash\":\"", "\"previous_hash\":", "\"",
                "\"audit_id\":\"", "audit_id\":\"", "x", &text, &hash, &long,
            ];
            let leaf: String = pieces.iter().map(|&piece| all[piece]).collect();
            // The hash often stands where it is looked for.
            for leaf in [leaf.clone(), format!("\"previous_hash\":\"{hash}{leaf}"),
                         format!("\"audit_id\":\"{text}\"{leaf}\"previous_hash\":\"{hash}{leaf}")] {
                let bytes = pack(&[(leaf.clone().into_bytes(), id, Vec::new())]);
                let (block, _) = Block::parse(&bytes).unwrap();
                let mut out = Vec::new();
                block.leaf(0, &mut out).unwrap();
                prop_assert_eq!(String::from_utf8(out).unwrap(), leaf);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Also with a checksum that fits, and few records of few bytes.
            let numbers = [2, 0, 9, 20, 0_u32].map(u32::to_le_bytes);
            let mut block = numbers.concat();
            block.extend_from_slice(&bytes);
            block[4..8].copy_from_slice(&to_u32(bytes.len()).to_le_bytes());
            let sum = crc32c::crc32c_append(crc32c::crc32c(&block[..16]), &bytes);
            block[16..20].copy_from_slice(&sum.to_le_bytes());
            if let Some((block, _)) = Block::parse(&block) {
                let _ = (block.leaf(0, &mut Vec::new()), block.leaf(1, &mut Vec::new()));
            }
            prop_assert!(Block::parse(&bytes).is_none());
        }
    }
}
