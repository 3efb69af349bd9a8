//! Packing leaves into blocks.

use indelible_event::ids::AuditId;
use indelible_merkle::Hash;

use super::cut::Cut;
use super::{Block, HEADER_BYTES, ID_CUT, PREVIOUS_CUT, SEALED, SealedRef};
use crate::bytes::{put_chunk, put_varint, to_u32};

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
    pub(crate) fn add(&mut self, leaf: &[u8], id: &AuditId, sealed: &[SealedRef]) {
        let start = self.text.len();
        let cut = Cut::of(leaf, id);
        cut.rest(leaf, &mut self.text);
        self.ids.extend_from_slice(id.bytes());
        self.note(start, cut.previous(), cut.has_id(), sealed);
    }

    /// Adds record `at` of an unpacked block as it stands there, with the personal values it refers
    /// to now. `None` when the block has no such record.
    pub(crate) fn copy(&mut self, block: &Block, at: usize, sealed: &[SealedRef]) -> Option<()> {
        let packed = block.packed(at)?;
        let start = self.text.len();
        self.text.extend_from_slice(packed.text);
        self.ids.extend_from_slice(packed.id.bytes());
        self.note(start, packed.previous, packed.id_cut, sealed);
        Some(())
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
